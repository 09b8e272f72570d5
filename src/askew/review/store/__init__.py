"""The verdict store: an append-only list of lines in SQLite or PostgreSQL, and running leases."""

from __future__ import annotations

from askew.review.store.store import Store, open_store

__all__ = ["Store", "open_store"]
