"""Columns by their ranks: each as if it were Gaussian, whatever its scale and tails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from askew.rankers.base import checked

SEEN = 20_000  # training rows whose ranks are taken
KNOTS = 1_000  # values of a column that are kept, evenly among its ranks


@dataclass(frozen=True)
class RankSpace:
    """Normal scores of the columns that vary, of unit variance on the training rows.

    A value between two known ones lies between their scores; one beyond all has that of the last.

    Parameters
    ----------
    columns : (k,) int
        Those that vary.
    values, scores : (k, knots) float64
        Known values, rising along the second axis, and their scores.
    """

    columns: NDArray[np.intp]
    values: NDArray[np.float64]
    scores: NDArray[np.float64]

    @classmethod
    def of(cls, X: NDArray[np.float32], rng: np.random.Generator) -> RankSpace:
        """Take the ranks of rows (n, d), ``SEEN`` of them at most."""
        seen = X if len(X) <= SEEN else X[rng.choice(len(X), SEEN, replace=False)]
        columns = np.flatnonzero(seen.max(0) > seen.min(0))
        known = [_scores(seen[:, column].astype(np.float64)) for column in columns]
        width = max((len(value) for value, _ in known), default=1)
        # Filled up with the last value: as good as not there.
        values, scores = (
            np.array([np.pad(one[i], (0, width - len(one[i])), mode="edge") for one in known])
            for i in (0, 1)
        )
        return cls(columns, values.reshape(-1, width), scores.reshape(-1, width))

    def place(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Place rows (n, d) -> (n, k)."""
        placed = np.empty((len(X), len(self.columns)), np.float32)
        for i, column in enumerate(self.columns):
            placed[:, i] = np.interp(X[:, column], self.values[i], self.scores[i])
        return placed

    def state(self) -> dict[str, Any]:
        """Give everything as arrays by name."""
        return {"columns": self.columns, "values": self.values, "scores": self.scores}

    @classmethod
    def from_state(cls, state: Any, n_features: int) -> RankSpace:
        """Take up what a file gave; ValueError where it is something else."""
        columns = np.asarray(state["columns"])
        inside = columns.dtype.kind == "i" and columns.ndim == 1
        if not inside or not ((columns >= 0) & (columns < n_features)).all():
            raise ValueError("columns are no column numbers")
        shape = (len(columns), np.asarray(state["values"]).shape[1])
        values, scores = (checked(state, name, shape) for name in ("values", "scores"))
        if (np.diff(values) < 0).any():
            raise ValueError("values do not rise")
        return cls(columns.astype(np.intp), values, scores)


def _scores(column: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give a column's values, rising, and the normal score of each one's middle rank."""
    value, count = np.unique(column, return_counts=True)
    score = ndtri((np.cumsum(count) - count / 2) / len(column))
    mean = count @ score / len(column)
    score /= np.sqrt(count @ (score - mean) ** 2 / len(column))
    if len(value) > KNOTS:
        kept = np.linspace(0, len(value) - 1, KNOTS).round().astype(np.intp)
        value, score = value[kept], score[kept]
    return value, score
