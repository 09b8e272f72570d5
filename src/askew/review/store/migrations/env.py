"""Run by Alembic; the transaction and its end belong to whoever hands the connection over."""

from __future__ import annotations

from alembic import context

from askew.review.store.schema import REVISION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=REVISION_TABLE,
)
context.run_migrations()
