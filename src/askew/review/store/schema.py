"""The tables of a store as this version knows them.

A change here needs a file in ``migrations/versions/`` and a new ``HEAD``.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.types import TypeEngine

HEAD = "0002"
# Not Alembic's own name, which another program in the same database may use.
REVISION_TABLE = "askew_revision"


class Instant(TypeDecorator[datetime]):
    """A moment in UTC: ``timestamptz``, or text of one width in SQLite, which sorts as time."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime] | TypeEngine[str]:
        """Choose the column's type."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(27))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        """Convert on the way in."""
        if value is None or dialect.name != "sqlite":
            return value
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"

    def process_result_value(
        self, value: datetime | str | None, dialect: Dialect
    ) -> datetime | None:
        """Convert on the way out."""
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        return None if value is None else value.astimezone(UTC)


metadata = MetaData()
_Number = BigInteger().with_variant(Integer, "sqlite")

lines = Table(
    "lines",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=False),
    Column("uid", Text, nullable=False, unique=True),
    Column("key", Text, nullable=False, index=True),
    Column("verdict", Text),
    Column("reviewer", Text, nullable=False, index=True),
    Column("at", Instant, nullable=False),
    Column("note", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("place", _Number),
    Column("turn", _Number, index=True),
    Column("undoes", _Number, ForeignKey("lines.number"), unique=True),
    CheckConstraint("(verdict IS NULL) = (undoes IS NOT NULL)", name="verdict_or_undo"),
)

leases = Table(
    "leases",
    metadata,
    Column("key", Text, primary_key=True),
    Column("reviewer", Text, nullable=False),
    # NULL once answered or given back: the row stays, so that its turn is never given again.
    Column("until", Instant, index=True),
    Column("why", Text, nullable=False),
    Column("place", _Number),
    Column("model", Text, nullable=False),
    Column("turn", _Number, nullable=False, unique=True),
)
