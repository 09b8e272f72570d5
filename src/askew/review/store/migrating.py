"""Bringing a store to the schema of this version, or refusing it."""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table

from askew.atomic import replacing
from askew.errors import StoreError
from askew.review.store.database import Database
from askew.review.store.schema import HEAD, REVISION_TABLE

_log = logging.getLogger(__name__)
_alembic = threading.Lock()  # its `context` and `op` are shared by all threads


def prepare(database: Database) -> None:
    """Make the tables where there are none, and migrate older ones after a backup.

    Raises
    ------
    StoreError
        A newer store, or one of another program.
    """
    with database.reading() as connection:
        found = _revision(connection, database)
    if found == HEAD:
        return
    if found is None and database.path is not None:
        _log_ahead(database, database.path)
    with database.writing() as connection:
        found = _revision(connection, database)  # another process may have been faster
        if found == HEAD:
            return
        if found is not None:
            if found not in known_revisions():
                raise StoreError(
                    f"{database.name} was written by a newer version of Askew (schema {found}, "
                    f"this version knows up to {HEAD}); upgrade Askew, nothing was changed."
                )
            _back_up(database, found)
        upgrade(connection)


def known_revisions() -> list[str]:
    """List the revisions that this version can migrate from, newest first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(__file__).with_name("migrations")))
    return [script.revision for script in scripts.walk_revisions()]


def upgrade(connection: Connection, revision: str = HEAD) -> None:
    """Run the migrations up to `revision`, within the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "askew.review.store:migrations")
    with _alembic:
        command.upgrade(config, revision)


def _revision(connection: Connection, database: Database) -> str | None:
    tables = inspect(connection).get_table_names()
    if REVISION_TABLE in tables:
        revision = table(REVISION_TABLE, column("version_num"))
        return connection.scalar(select(revision.c.version_num))
    if tables:
        raise StoreError(
            f"{database.name} is no verdict store, it holds other tables "
            f"({', '.join(sorted(tables)[:3])}); give a file or a database of its own."
        )
    return None


def _back_up(database: Database, revision: str) -> None:
    """Copy what is committed, while nobody else can write."""
    if database.path is None:
        _log.warning(
            "%s is migrated from schema %s to %s without a backup; PostgreSQL undoes a migration "
            "that fails, and pg_dump keeps a copy.",
            database.name,
            revision,
            HEAD,
        )
        return
    copy = database.path.with_name(f"{database.path.name}.backup-{revision}")
    with (
        replacing(copy) as part,
        closing(sqlite3.connect(database.path)) as source,
        closing(sqlite3.connect(part)) as target,
    ):
        part.chmod(0o600)
        source.backup(target)
    _log.info("%s is migrated from schema %s; %s holds it as it was", database.name, revision, copy)


def _log_ahead(database: Database, path: Path) -> None:
    """Let readers and a writer work at once, from now on and in every process."""
    with database.speaking(), closing(sqlite3.connect(path, timeout=0)) as connection:
        database.persist(lambda: connection.execute("PRAGMA journal_mode = WAL"))
