"""How near a row lies to the rows at large, against how near to the known anomalies."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from askew.errors import MethodError
from askew.labels import Label
from askew.rankers.base import (
    CHUNK,
    Ranker,
    checked,
    median_square_distance,
    product,
)
from askew.rankers.rank_space import RankSpace
from askew.rankers.standard_space import StandardSpace
from askew.rankers.whitened_space import WhitenedSpace

SPACES: dict[str, Any] = {
    "standard": StandardSpace,
    "whitened": WhitenedSpace,
    "ranks": RankSpace,
}
CORRELATED = 10_000  # rows that correlations are taken from, at most
FLOOR = 0.1  # of the typical distance of two rows: what is nearer is as good as the same


class NeighborRatio(Ranker):
    """Log distance to the nearest rows, minus that to the nearest known anomalies.

    Where distances are small the density is high, so this is a log ratio of two nearest-neighbour
    density estimates, up to a factor.

    Source: Loftsgaarden and Quesenberry, "A nonparametric estimate of a multivariate density
    function", Annals of Mathematical Statistics 1965; Fix and Hodges, "Discriminatory analysis",
    1951, compare two of them. A fitted ranker holds the rows that distances are taken to.

    Parameters
    ----------
    n_rows, n_anomalies : int
        Nearest rows, and nearest known anomalies, whose mean distance counts.
    space : {"standard", "whitened", "ranks"}
        Where distances are taken: columns of variance 1, those without their correlations, or the
        columns' ranks.
    max_rows : int
        Rows of a kind that distances are taken to, at most; beyond, a random sample.
    random_state : int, RandomState or None
    """

    def __init__(
        self,
        n_rows: int = 10,
        n_anomalies: int = 3,
        space: Literal["standard", "whitened", "ranks"] = "standard",
        max_rows: int = 1000,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_rows = n_rows
        self.n_anomalies = n_anomalies
        self.space = space
        self.max_rows = max_rows
        self.random_state = random_state

    def _fit(
        self, X: NDArray[np.float32], label: NDArray[np.int8], rng: np.random.Generator
    ) -> None:
        self.space_ = self._measured(X, rng)
        taken = self._sampled(label, self.max_rows, rng)
        z: NDArray[np.float64] = self.space_.place(X[taken]).astype(np.float64)
        anomaly = label[taken] == Label.ANOMALY
        self.rows_, self.anomalies_ = z[~anomaly], z[anomaly]
        typical = median_square_distance(z, rng)
        self.floor_ = FLOOR * float(np.sqrt(max(typical, 1e-9)))

    def _measured(
        self, X: NDArray[np.float32], rng: np.random.Generator
    ) -> StandardSpace | WhitenedSpace | RankSpace:
        if self.space == "standard":
            return StandardSpace.of(X)
        if self.space == "ranks":
            return RankSpace.of(X, rng)
        if self.space == "whitened":
            few = len(X) <= CORRELATED
            return WhitenedSpace.of(X if few else X[rng.choice(len(X), CORRELATED, replace=False)])
        raise MethodError(f"space is {self.space!r}; expected one of {', '.join(SPACES)}")

    def _score(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        out = np.empty(len(X))
        for start in range(0, len(X), CHUNK):
            z = self.space_.place(X[start : start + CHUNK]).astype(np.float64)
            # One more: a row that was learnt from is its own nearest.
            away = _mean_distance(z, self.rows_, self.n_rows + 1)
            near = _mean_distance(z, self.anomalies_, self.n_anomalies)
            out[start : start + CHUNK] = np.log((away + self.floor_) / (near + self.floor_))
        return out

    def _state(self) -> dict[str, Any]:
        return {
            **self.space_.state(),
            "rows": self.rows_,
            "anomalies": self.anomalies_,
            "floor": self.floor_,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        d = self.n_features_in_
        self.space_ = SPACES[self.space].from_state(state, d)
        width = self.space_.place(np.zeros((1, d), np.float32)).shape[1]
        self.rows_, self.anomalies_ = (
            checked(state, name, (max(len(state[name]), 1), width))
            for name in ("rows", "anomalies")
        )
        self.floor_ = float(checked(state, "floor", ()))
        if self.floor_ <= 0:
            raise ValueError("floor is not above 0")


def _mean_distance(
    z: NDArray[np.float64], rows: NDArray[np.float64], k: int
) -> NDArray[np.float64]:
    """Mean distance of (n, d) to the nearest k of (m, d), or to all where they are fewer."""
    square = product(z, -2 * rows.T)
    square += (rows**2).sum(1)
    k = min(k, len(rows))
    square.partition(k - 1, axis=1)
    nearest = np.sort(square[:, :k], axis=1) + (z**2).sum(1)[:, np.newaxis]
    mean: NDArray[np.float64] = np.sqrt(np.maximum(nearest, 0)).mean(axis=1)
    return mean
