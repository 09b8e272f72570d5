"""Reading and writing transactions on either database, and what goes wrong, in words."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from askew.errors import StoreError

_WRITERS = 0x61736B6577  # "askew": the advisory lock of PostgreSQL that writers queue for
_FIRST_TRY_MS = 5
_PAUSE = (0.0005, 0.002)


class Database:
    """One place where lines are kept.

    Parameters
    ----------
    place
        Path of an SQLite file, or a URL of SQLite or PostgreSQL.
    timeout
        Seconds to wait for another writer.
    """

    path: Path | None = None  # of an SQLite file

    def __init__(self, place: str | os.PathLike[str], timeout: float) -> None:
        self.timeout = timeout
        url = _url(place)
        if url.drivername == "sqlite":
            self.path = Path(os.path.abspath(url.database or ""))
            self.name = str(self.path)
            with self.speaking():
                _make_file(self.path)
            self._engine = create_engine(URL.create("sqlite", database=self.name))
            event.listen(self._engine, "connect", self._set_sqlite)
            event.listen(self._engine, "begin", self._begin_sqlite)
        else:
            told = url.set(drivername="postgresql").difference_update_query(["password"])
            self.name = told.render_as_string(hide_password=True)
            # Only so does a statement after the lock see what the writer before has committed.
            self._engine = _postgres(url, timeout, isolation_level="READ COMMITTED")
            event.listen(self._engine, "connect", self._set_postgres)
        self._writing = self._engine.execution_options(askew_writes=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the store."""
        with self.speaking(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection that alone writes; what it wrote is durable once the body has ended."""
        with self.speaking(), self._writing.begin() as connection:
            if self.path is None:
                connection.execute(select(func.pg_advisory_xact_lock(_WRITERS)))
            yield connection

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Turn what a database or a file system raises into a ``StoreError``."""
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise StoreError(self._words(error)) from error

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _set_sqlite(self, connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions begin where `_begin_sqlite` says so
        connection.execute(f"PRAGMA busy_timeout = {self.timeout * 1000:.0f}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    def _begin_sqlite(self, connection: Connection) -> None:
        raw: Any = connection.connection.dbapi_connection
        if not connection.get_execution_options().get("askew_writes"):
            raw.execute("BEGIN")
            return
        raw.execute(f"PRAGMA busy_timeout = {_FIRST_TRY_MS}")
        try:
            self.persist(lambda: raw.execute("BEGIN IMMEDIATE"))
        finally:
            raw.execute(f"PRAGMA busy_timeout = {self.timeout * 1000:.0f}")

    def persist(self, attempt: Callable[[], object]) -> None:
        """Try until the file is not locked.

        SQLite itself waits in steps of up to 0.1 s: among eight busy writers one can then come too
        late for 5 s on end. Short pauses of random length give each its turn.
        """
        end = time.monotonic() + self.timeout
        while True:
            try:
                attempt()
                return
            except sqlite3.OperationalError as error:
                if not _kind(error).startswith("SQLITE_BUSY") or time.monotonic() > end:
                    raise
            time.sleep(random.uniform(*_PAUSE))

    def _set_postgres(self, connection: Any, _: object) -> None:
        connection.autocommit = True
        connection.execute(f"SET lock_timeout = {self.timeout * 1000:.0f}")
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) "
            "WHERE current_setting('synchronous_commit') = 'off'"
        )
        connection.autocommit = False

    def _words(self, error: Exception) -> str:
        cause = getattr(error, "orig", None) or error
        kind = _kind(cause)
        for start, words in _WORDS.items():
            if kind.startswith(start):
                return f"{self.name} {words.format(seconds=self.timeout)}"
        said = " ".join(str(cause).split())
        if self.path is None:
            return (
                f"{self.name} could not be used: {said or type(cause).__name__}; check the "
                "address, that the server runs, and your rights on the database."
            )
        return f"{self.name} could not be read or written: {said or type(cause).__name__}"


def _url(place: str | os.PathLike[str]) -> URL:
    text = os.fspath(place)
    if "://" not in text:
        return URL.create("sqlite", database=text)
    expected = "give the path of a file, sqlite:///FILE or postgresql://USER@HOST/DATABASE"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise StoreError(f"the address of the store cannot be read; {expected}.") from error
    backend = url.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise StoreError(f"a store cannot be kept in {backend}; {expected}.")
    if url.database in (None, "", ":memory:"):
        raise StoreError(f"{text} names no file, and verdicts are to be kept; {expected}.")
    return URL.create("sqlite", database=url.database)


def _make_file(path: Path) -> None:
    """Make the file where it is missing, for its owner alone, and see that it can be written."""
    if path.is_dir():
        raise StoreError(f"{path} is a folder; give the path of a file for the verdicts.")
    if not path.parent.is_dir():
        raise StoreError(f"no such folder: {path.parent}; make it before opening {path.name}.")
    # SQLite writes two more files beside its own.
    for needed in (path.parent, path):
        if needed.exists() and not os.access(needed, os.W_OK):
            raise StoreError(
                f"{path} cannot be written: {needed} is read-only; change its rights, or keep "
                "the verdicts elsewhere."
            )
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _postgres(url: URL, timeout: float, **options: Any) -> Engine:
    try:
        return create_engine(
            url,
            pool_pre_ping=True,
            connect_args={"connect_timeout": max(1, round(timeout))},
            **options,
        )
    except ModuleNotFoundError as error:
        raise StoreError(
            "a store in PostgreSQL needs psycopg; install it with: pip install 'askew[postgres]'"
        ) from error


def _kind(error: BaseException) -> str:
    """Name what happened: SQLite's name of it, or PostgreSQL's code."""
    return getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None) or ""


_LOCKED = (
    "is locked by another program: waited {seconds:g} s, nothing was written; close that program "
    "and try again."
)
_FULL = (
    "could not be written, the disk is full or damaged; nothing of this was kept and what stood "
    "there before is unharmed. Free some space and try again."
)
_WORDS = {
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "55P03": _LOCKED,
    "SQLITE_FULL": _FULL,
    "SQLITE_IOERR": _FULL,
    "53100": _FULL,
    "SQLITE_READONLY": "is read-only; change the rights of the file and of its folder, or keep "
    "the verdicts elsewhere.",
    "25006": "is read-only; connect to a server that takes writes.",
    "SQLITE_NOTADB": "is no SQLite file; give the path of a verdict store, or of a file to make.",
    "SQLITE_CORRUPT": "is damaged; put a backup in its place.",
    "SQLITE_CANTOPEN": "cannot be opened; check the rights of the file and of its folder, and the "
    "free space.",
}
