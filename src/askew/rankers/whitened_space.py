"""Columns turned until none says what another says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.covariance import ledoit_wolf

from askew.rankers.base import CHUNK, checked, product
from askew.rankers.standard_space import StandardSpace


@dataclass(frozen=True)
class WhitenedSpace:
    """Standardised columns, whitened by the symmetric root of their shrunk covariance.

    Distances here are Mahalanobis distances. Of all whitenings the symmetric one stays nearest to
    the columns: Kessy, Lewin and Strimmer, "Optimal whitening and decorrelation", The American
    Statistician 2018.

    Parameters
    ----------
    standard : StandardSpace
    center : (d,) float64
        Mean of the standardised, clipped rows.
    whitening : (d, d) float64
        0 for a column that does not vary.
    """

    standard: StandardSpace
    center: NDArray[np.float64]
    whitening: NDArray[np.float64]

    @classmethod
    def of(cls, X: NDArray[np.float32]) -> WhitenedSpace:
        """Measure rows (n, d)."""
        standard = StandardSpace.of(X)
        z = standard.place(X)
        center = z.mean(0)
        whitening = np.zeros((X.shape[1], X.shape[1]))
        varies, covariance = shrunk_covariance(z, center)
        if len(varies):
            variance, axes = eigh(covariance)
            whitening[np.ix_(varies, varies)] = (axes / np.sqrt(variance)) @ axes.T
        return cls(standard, center, whitening)

    def place(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Place rows (n, d) -> (n, d)."""
        placed = np.empty(X.shape)
        for start in range(0, len(X), CHUNK):
            z = self.standard.place(X[start : start + CHUNK]) - self.center
            placed[start : start + CHUNK] = product(z, self.whitening)
        return placed

    def state(self) -> dict[str, Any]:
        """Give everything as arrays by name."""
        return {"center": self.center, "whitening": self.whitening, **self.standard.state()}

    @classmethod
    def from_state(cls, state: Any, n_features: int) -> WhitenedSpace:
        """Take up what a file gave; ValueError where it is something else."""
        return cls(
            StandardSpace.from_state(state, n_features),
            checked(state, "center", (n_features,)),
            checked(state, "whitening", (n_features, n_features)),
        )


def shrunk_covariance(
    z: NDArray[np.float64], center: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Give which of the columns (n, d) vary, and their covariance, positive definite.

    Source: Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance
    matrices", Journal of Multivariate Analysis 2004.
    """
    varies = np.flatnonzero(z.std(0) > 0)
    if not len(varies):
        return varies, np.zeros((0, 0))
    covariance, _ = ledoit_wolf(z[:, varies] - center[varies], assume_centered=True)
    # Columns that say the same would leave the matrix without an inverse.
    covariance[np.diag_indices_from(covariance)] += 1e-9
    return varies, covariance
