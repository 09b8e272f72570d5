"""Leases: which row is before whom, and until when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from askew.review.store.schema import Instant

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "leases",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("until", Instant, nullable=False),
    )
