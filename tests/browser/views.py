"""The views of the page, by name."""

from __future__ import annotations

VIEWS = {
    "review": "/",
    "table": "/table",
    "history": "/history",
    "threshold": "/threshold",
    "curve": "/curve",
}
