"""A private PostgreSQL: the Debian package's programs, an unprivileged user, a socket in /tmp."""

from __future__ import annotations

import atexit
import fcntl
import functools
import glob
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

_LOCK = Path(tempfile.gettempdir()) / "askew-postgresql-install.lock"


class NoPostgres(Exception):
    """There is none here, and none can be had."""


class Cluster:
    """A running server; `new` makes an empty database in it and gives its URL."""

    def __init__(self, folder: Path, psql: str, as_user: dict[str, Any]) -> None:
        self._folder, self._psql, self._as_user = folder, psql, as_user
        self._names = (f"store{number}" for number in itertools.count())

    def new(self) -> str:
        name = next(self._names)
        self.run(f"CREATE DATABASE {name}")
        return f"postgresql://askew@/{name}?host={self._folder}"

    def run(self, statement: str, database: str = "postgres") -> None:
        where = ["-h", str(self._folder), "-U", "askew", "-d", database]
        _run([self._psql, "-q", *where, "-c", statement], self._as_user)


def postgres() -> Cluster:
    """Give the server that all tests of this process share; without one, skip, or fail in CI."""
    found = _shared()
    if isinstance(found, Cluster):
        return found
    words = f"NOT TESTED ON POSTGRESQL: {found}"
    if os.environ.get("CI") == "true":
        pytest.fail(words)
    pytest.skip(words)


@functools.cache
def _shared() -> Cluster | str:
    stack = ExitStack()
    atexit.register(stack.close)
    try:
        return stack.enter_context(cluster())
    except NoPostgres as error:
        return str(error)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Make a cluster, start it, and remove it at the end.

    Raises
    ------
    NoPostgres
    """
    programs = _programs() or _install()
    as_user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="askew-pg-", dir="/tmp"))
    data, log = folder / "data", folder / "log"
    start = ["start", "-w", "-s", "-o", f"-k {folder} -c listen_addresses=''"]
    control = [programs["pg_ctl"], "-D", str(data), "-l", str(log)]
    try:
        if as_user:
            os.chown(folder, as_user["user"], as_user["group"])
        make = [programs["initdb"], "-D", str(data), "-U", "askew", "-A", "trust", "-N"]
        _run([*make, "-E", "UTF8", "--locale=C"], as_user)
        _run([*control, *start], as_user)
        try:
            yield Cluster(folder, programs["psql"], as_user)
        finally:
            _run([*control, "stop", "-s", "-m", "immediate"], as_user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> dict[str, str] | None:
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda f: int(f.split("/")[4]))
    path = os.pathsep.join([*reversed(folders), os.environ.get("PATH", "")])
    found = {name: shutil.which(name, path=path) for name in ("initdb", "pg_ctl", "psql")}
    if None in found.values():
        return None
    return {name: str(place) for name, place in found.items()}


def _install() -> dict[str, str]:
    if os.getuid() != 0 or shutil.which("apt-get") is None:
        raise NoPostgres("initdb and pg_ctl are missing, and only root may install postgresql")
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _programs() is None:
            quiet: dict[str, Any] = {"env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
            try:
                _run(["apt-get", "update", "-q"], quiet)
                _run(["apt-get", "install", "-qy", "--no-install-recommends", "postgresql"], quiet)
            except NoPostgres as error:
                raise NoPostgres(f"initdb and pg_ctl are missing; {error}") from error
    programs = _programs()
    if programs is None:
        raise NoPostgres("the package postgresql is installed and brought no initdb and pg_ctl")
    return programs


def _unprivileged() -> dict[str, Any]:
    """Tell as whom to run: the server refuses to be root."""
    if os.getuid() != 0:
        return {}
    known = {user.pw_name: user for user in pwd.getpwall()}
    user = known.get("postgres") or known.get("nobody")
    if user is None:
        raise NoPostgres("there is no unprivileged user (postgres, nobody) to run the server as")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _run(command: list[str], options: dict[str, Any]) -> None:
    # Into a file, not a pipe: the server keeps what it inherits open.
    with tempfile.TemporaryFile("w+") as said:
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": said, "stderr": said}
        if subprocess.run(command, cwd="/", **streams, **options).returncode:
            said.seek(0)
            raise NoPostgres(f"{' '.join(command)} failed: {' '.join(said.read().split())[-400:]}")
