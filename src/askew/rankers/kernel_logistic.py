"""Logistic regression in a Gaussian kernel's feature space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from askew.labels import Label
from askew.rankers.base import (
    CHUNK,
    Ranker,
    balanced_weights,
    checked,
    median_square_distance,
    product,
)
from askew.rankers.standard_space import StandardSpace


class KernelLogistic(Ranker):
    """Class-weighted logistic regression on random Fourier features of several bandwidths.

    Source: Rahimi and Recht, "Random features for large-scale kernel machines", NIPS 2007, with
    the orthogonal directions of Yu et al., "Orthogonal random features", NIPS 2016. Random
    directions, unlike landmarks, keep no training row.

    Parameters
    ----------
    n_directions : int
        For all bandwidths together; each gives a cosine and a sine.
    bandwidths : tuple of float
        Gammas, in units of one over the median squared distance of two rows.
    C : float
        Inverse strength of the L2 penalty.
    max_rows : int
        Rows not looked at that are learnt from, at most; beyond, a random sample.
    random_state : int, RandomState or None
    """

    def __init__(
        self,
        n_directions: int = 600,
        bandwidths: tuple[float, ...] = (0.5, 1.0, 2.0),
        C: float = 0.03,
        max_rows: int = 8000,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_directions = n_directions
        self.bandwidths = bandwidths
        self.C = C
        self.max_rows = max_rows
        self.random_state = random_state

    def _fit(
        self, X: NDArray[np.float32], label: NDArray[np.int8], rng: np.random.Generator
    ) -> None:
        rows = self._sampled(label, self.max_rows, rng)
        x, label = X[rows], label[rows]
        self.space_ = StandardSpace.of(x)
        z = self.space_.place(x)
        each = self.n_directions // len(self.bandwidths)
        gamma = 1 / max(median_square_distance(z, rng), 1e-9)
        self.directions_ = np.hstack(
            [
                np.sqrt(2 * gamma * b) * orthogonal_directions(z.shape[1], each, rng)
                for b in self.bandwidths
            ]
        )
        model = LogisticRegression(C=self.C, max_iter=1000)
        model.fit(self._features(z), label == Label.ANOMALY, sample_weight=balanced_weights(label))
        self.coef_, self.intercept_ = model.coef_[0], float(model.intercept_[0])

    def _score(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        out = np.empty(len(X))
        coef = self.coef_[:, np.newaxis]
        for start in range(0, len(X), CHUNK):
            z = self.space_.place(X[start : start + CHUNK])
            features = self._features(z).astype(np.float64)
            out[start : start + CHUNK] = product(features, coef)[:, 0]
        return out + self.intercept_

    def _features(self, z: NDArray[np.float64]) -> NDArray[np.float32]:
        # Waves in single precision take a tenth of the time.
        phase = product(z, self.directions_).astype(np.float32)
        root = np.float32(np.sqrt(self.directions_.shape[1] / len(self.bandwidths)))
        waves: NDArray[np.float32] = np.hstack([np.cos(phase), np.sin(phase)])
        waves /= root
        return waves

    def _state(self) -> dict[str, Any]:
        names = ("directions", "coef", "intercept")
        return self.space_.state() | {name: getattr(self, f"{name}_") for name in names}

    def _restore(self, state: dict[str, Any]) -> None:
        d, k = self.n_features_in_, np.asarray(state["directions"]).shape[1]
        self.space_ = StandardSpace.from_state(state, d)
        self.directions_ = checked(state, "directions", (d, k))
        self.coef_ = checked(state, "coef", (2 * k,))
        self.intercept_ = float(checked(state, "intercept", ()))


def orthogonal_directions(d: int, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw (d, count) Gaussian directions, orthogonal within blocks of d."""
    blocks: list[NDArray[np.float64]] = []
    while sum(block.shape[1] for block in blocks) < count:
        left = count - sum(block.shape[1] for block in blocks)
        basis, _ = np.linalg.qr(rng.standard_normal((d, min(d, left))))
        # Lengths as Gaussian vectors have them.
        blocks.append(basis * np.sqrt(rng.chisquare(d, basis.shape[1])))
    return np.hstack(blocks)
