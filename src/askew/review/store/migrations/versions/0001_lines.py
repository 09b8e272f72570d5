"""Lines: what was said, and what was taken back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from askew.review.store.schema import Instant

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the table."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "lines",
        sa.Column("number", number, primary_key=True, autoincrement=False),
        sa.Column("uid", sa.Text, nullable=False, unique=True),
        sa.Column("key", sa.Text, nullable=False, index=True),
        sa.Column("verdict", sa.Text),
        sa.Column("reviewer", sa.Text, nullable=False, index=True),
        sa.Column("at", Instant, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("place", number),
        sa.Column("turn", number, index=True),
        sa.Column("undoes", number, sa.ForeignKey("lines.number"), unique=True),
        sa.CheckConstraint("(verdict IS NULL) = (undoes IS NOT NULL)", name="verdict_or_undo"),
    )
