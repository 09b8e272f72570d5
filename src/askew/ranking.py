"""A ranked table: the order of its rows, their ranks, and the columns that say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

REASONS = ("askew_reason_1", "askew_reason_2", "askew_reason_3")
COLUMNS = ("askew_score", "askew_percentile", "askew_rank", *REASONS, "askew_verdict")


def order_of(scores: NDArray[np.float64], x: NDArray[np.float32]) -> NDArray[np.intp]:
    """Order rows from the highest score down; equal scores by what the rows hold, not by place."""
    order = np.argsort(-scores, kind="stable")
    tied = np.flatnonzero(np.diff(scores[order]) == 0)
    if len(tied):
        among = np.unique(np.concatenate([tied, tied + 1]))
        rows = order[among]
        content = [x[row].tobytes() for row in rows]
        ranked = sorted(range(len(rows)), key=lambda i: (-scores[rows[i]], content[i]))
        order[among] = rows[ranked]
    return order


def shared_ranks(falling: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rank scores that fall from 1 up; equal ones share the first of their ranks."""
    first = np.concatenate([[True], np.diff(falling) != 0])
    shared: NDArray[np.int64] = (
        np.maximum.accumulate(np.where(first, np.arange(len(falling)), 0)) + 1
    )
    return shared


def reason_columns(said: Sequence[Sequence[str]]) -> dict[str, list[str | None]]:
    """Lay rows' reasons out in columns, the strongest first; None where a row has fewer."""
    return {
        name: [why[i] if len(why) > i else None for why in said] for i, name in enumerate(REASONS)
    }


def with_columns(
    frame: nw.DataFrame[Any], values: Mapping[str, Any], order: NDArray[np.intp] | None
) -> Any:
    """Add columns to a frame and give it back in the user's own kind, sorted where asked."""
    backend = nw.get_native_namespace(frame)
    types: dict[str, Any] = {
        "askew_score": nw.Float64(),
        "askew_percentile": nw.Float64(),
        "askew_rank": nw.Int64(),
    }
    series = [
        nw.new_series(name, list(column), types.get(name, nw.String()), backend=backend)
        for name, column in values.items()
    ]
    frame = frame.with_columns(*series)
    return (frame if order is None else frame[order.tolist()]).to_native()
