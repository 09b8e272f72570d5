"""Leases: which row is before whom, until when, and why."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from askew.review.store.schema import Instant

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "leases",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("until", Instant, index=True),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("place", number),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("turn", number, nullable=False, unique=True),
    )
