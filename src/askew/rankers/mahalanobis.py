"""Distance from the middle of the table, by its covariance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from askew.rankers.base import CHUNK, Ranker, checked, product
from askew.rankers.standard_space import StandardSpace
from askew.rankers.whitened_space import shrunk_covariance


class Mahalanobis(Ranker):
    """Log of the squared Mahalanobis distance from the mean; labels play no part.

    Source: Mahalanobis, "On the generalised distance in statistics", 1936; the covariance is
    shrunk as by Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance
    matrices", Journal of Multivariate Analysis 2004. It sees rows whose columns disagree, where
    an isolation forest sees columns one at a time.

    Parameters
    ----------
    max_rows : int
        Rows that the covariance is taken from, at most; beyond, a random sample.
    random_state : int, RandomState or None
    """

    needs_anomalies = False

    def __init__(
        self, max_rows: int = 10_000, random_state: int | np.random.RandomState | None = None
    ) -> None:
        self.max_rows = max_rows
        self.random_state = random_state

    def _fit(
        self, X: NDArray[np.float32], label: NDArray[np.int8], rng: np.random.Generator
    ) -> None:
        if len(X) > self.max_rows:
            self.subsampled_ = f"Mahalanobis: {self.max_rows:,} of {len(X):,} rows"
            X = X[rng.choice(len(X), self.max_rows, replace=False)]
        self.space_ = StandardSpace.of(X)
        z = self.space_.place(X)
        self.center_ = z.mean(0)
        self.whitening_ = np.zeros((z.shape[1], z.shape[1]))
        varies, covariance = shrunk_covariance(z, self.center_)
        if len(varies):
            lower = np.linalg.cholesky(covariance)
            inverse = solve_triangular(lower, np.eye(len(lower)), lower=True)
            self.whitening_[np.ix_(varies, varies)] = inverse.T

    def _score(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        out = np.empty(len(X))
        for start in range(0, len(X), CHUNK):
            z = self.space_.place(X[start : start + CHUNK]) - self.center_
            out[start : start + CHUNK] = (product(z, self.whitening_) ** 2).sum(1)
        return np.log1p(out)

    def _state(self) -> dict[str, Any]:
        return self.space_.state() | {"center": self.center_, "whitening": self.whitening_}

    def _restore(self, state: dict[str, Any]) -> None:
        d = self.n_features_in_
        self.space_ = StandardSpace.from_state(state, d)
        self.center_ = checked(state, "center", (d,))
        self.whitening_ = checked(state, "whitening", (d, d))
