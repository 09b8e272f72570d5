"""A private PostgreSQL: the Debian package's programs, an unprivileged user, a socket in /tmp."""

from __future__ import annotations

import atexit
import functools
import glob
import itertools
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.debian import NotHereError, found_or_installed, run, skip_or_fail


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
        run([self._psql, "-q", *where, "-c", statement], self._as_user)


def postgres() -> Cluster:
    """Give the server that all tests of this process share; without one, skip, or fail in CI."""
    found = _shared()
    if isinstance(found, str):
        skip_or_fail(f"NOT TESTED ON POSTGRESQL: {found}")
    return found


@functools.cache
def _shared() -> Cluster | str:
    stack = ExitStack()
    atexit.register(stack.close)
    try:
        return stack.enter_context(cluster())
    except NotHereError as error:
        return str(error)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Make a cluster, start it, and remove it at the end.

    Raises
    ------
    NotHereError
    """
    programs = found_or_installed(_programs, "postgresql", "initdb, pg_ctl and psql are")
    as_user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="askew-pg-", dir="/tmp"))
    data, log = folder / "data", folder / "log"
    start = ["start", "-w", "-s", "-o", f"-k {folder} -c listen_addresses=''"]
    control = [programs["pg_ctl"], "-D", str(data), "-l", str(log)]
    try:
        if as_user:
            os.chown(folder, as_user["user"], as_user["group"])
        make = [programs["initdb"], "-D", str(data), "-U", "askew", "-A", "trust", "-N"]
        run([*make, "-E", "UTF8", "--locale=C"], as_user)
        run([*control, *start], as_user)
        try:
            yield Cluster(folder, programs["psql"], as_user)
        finally:
            run([*control, "stop", "-s", "-m", "immediate"], as_user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> dict[str, str] | None:
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda f: int(f.split("/")[4]))
    path = os.pathsep.join([*reversed(folders), os.environ.get("PATH", "")])
    found = {name: shutil.which(name, path=path) for name in ("initdb", "pg_ctl", "psql")}
    if None in found.values():
        return None
    return {name: str(place) for name, place in found.items()}


def _unprivileged() -> dict[str, Any]:
    """Tell as whom to run: the server refuses to be root."""
    if os.getuid() != 0:
        return {}
    known = {user.pw_name: user for user in pwd.getpwall()}
    user = known.get("postgres") or known.get("nobody")
    if user is None:
        raise NotHereError("there is no unprivileged user (postgres, nobody) to run the server as")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
