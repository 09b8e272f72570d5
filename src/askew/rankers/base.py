"""What every ranker shares: its face, its checks, and products that do not depend on company."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from askew.errors import FitError, ModelFileError
from askew.labels import Label, read_labels
from askew.rankers.threads import one_thread

CHUNK = 2048
LANES = 16
PAIRED = 500  # rows whose distances tell a table's width


class Ranker(BaseEstimator, ABC):  # type: ignore[misc]
    """An estimator that ranks the rows of a finite matrix.

    ``fit(X, y)`` takes (n, d) and labels in {1 anomaly, 0 normal, -1 not looked at} or None;
    ``decision_function(X)`` gives (n,), higher = more anomalous, each row by itself.
    ``subsampled_`` says after a fit which rows were left out of it, None where none were.
    """

    needs_anomalies = True

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn from rows (n, d) and what is known of some (n,).

        Raises
        ------
        FitError
            No known anomaly, for a ranker that needs one, or nothing else to tell it from.
        """
        x = validate_data(self, X, dtype=np.float32, ensure_min_samples=2)
        label = read_labels(y, n_rows=len(x)).values
        if self.needs_anomalies and not (label == Label.ANOMALY).any():
            raise FitError(
                f"{type(self).__name__} needs at least one known anomaly (1) and found none; "
                "label one, or rank with IsolationTrees or Blend, which do without"
            )
        if self.needs_anomalies and (label == Label.ANOMALY).all():
            raise FitError(
                f"{type(self).__name__} found {len(x):,} rows, every one a known anomaly; add rows "
                "that are normal or not looked at, to tell the anomalies from"
            )
        return self.learn(x, label)

    def learn(self, x: NDArray[np.float32], label: NDArray[np.int8]) -> Self:
        """Fit rows (n, d) and labels (n,) that were checked before: for rankers made of rankers."""
        self.n_features_in_ = x.shape[1]
        self.subsampled_: str | None = None
        with one_thread():
            self._fit(x, label, np.random.default_rng(self._seed()))
        return self

    def relearn(self, x: NDArray[np.float32], label: NDArray[np.int8]) -> Self:
        """Give a new ranker as ``learn`` would make it from other verdicts on the same rows.

        One that can keeps from this one what no verdict touches. It knows the rows by the array
        itself, which must own its memory and be read-only (see ``stays``).
        """
        fresh: Self = clone(self)
        return fresh.learn(x, label)

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Score rows (n, d) -> (n,): higher is more anomalous."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float32, reset=False)
        with one_thread():
            return self._score(x)

    def get_state(self) -> dict[str, Any]:
        """Give everything learned, as plain values and arrays."""
        check_is_fitted(self)
        return {
            "n_features_in_": self.n_features_in_,
            "subsampled": self.subsampled_,
            **self._state(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up what ``get_state`` gave, on an estimator with the same parameters.

        Raises
        ------
        ModelFileError
            It is something else.
        """
        try:
            self.n_features_in_ = int(state["n_features_in_"])
            self.subsampled_ = state["subsampled"]
            if self.n_features_in_ < 1 or not isinstance(self.subsampled_, str | None):
                raise ValueError("n_features_in_ or subsampled is out of range")
            self._restore(state)
        except (
            *(KeyError, IndexError, TypeError, ValueError),
            *(AttributeError, OverflowError),
        ) as error:
            name = type(self).__name__
            raise ModelFileError(f"{name}: the saved state does not fit ({error!r})") from error

    def _sampled(
        self, label: NDArray[np.int8], most: int, rng: np.random.Generator
    ) -> NDArray[np.intp]:
        """Draw the rows to learn from by ``sample_kinds``, and say so where some are left out."""
        rows = sample_kinds(label, most, rng)
        if len(rows) < len(label):
            name = type(self).__name__
            self.subsampled_ = f"{name}: {len(rows):,} of {len(label):,} rows"
        return rows

    def _seed(self) -> int | None:
        seed = self.random_state
        if seed is None or isinstance(seed, int | np.integer):
            return None if seed is None else int(seed)
        return int(seed.randint(2**31))

    @abstractmethod
    def _fit(
        self, X: NDArray[np.float32], label: NDArray[np.int8], rng: np.random.Generator
    ) -> None: ...

    @abstractmethod
    def _score(self, X: NDArray[np.float32]) -> NDArray[np.float64]: ...

    @abstractmethod
    def _state(self) -> dict[str, Any]: ...

    @abstractmethod
    def _restore(self, state: dict[str, Any]) -> None: ...


def stays(x: Any) -> bool:
    """Whether an array is sure to hold the same numbers later: its own memory, and read-only."""
    return isinstance(x, np.ndarray) and x.base is None and not x.flags.writeable


def product(X: NDArray[np.float64], W: NDArray[np.float64]) -> NDArray[np.float64]:
    """Multiply (n, d) by (d, k) so that a row's result does not depend on its company.

    Matrix libraries take other routes at the edges of blocks, which shows in the last bit. So the
    rows are cut into chunks of one size, and both ends are filled up with zeros.
    """
    n, k = len(X), W.shape[1]
    wide = np.zeros((len(W), k + -k % LANES))
    wide[:, :k] = W
    out = np.empty((n, k))
    chunk = np.empty((CHUNK, X.shape[1]))
    for start in range(0, n, CHUNK):
        rows = X[start : start + CHUNK]
        chunk[: len(rows)] = rows
        chunk[len(rows) :] = 0
        out[start : start + CHUNK] = (chunk @ wide)[: len(rows), :k]
    return out


def median_square_distance(z: NDArray[np.float64], rng: np.random.Generator) -> float:
    """Give the median squared distance of two rows of (n, d), over ``PAIRED`` rows."""
    rows = z[rng.choice(len(z), min(PAIRED, len(z)), replace=False)]
    square = (rows**2).sum(1)
    distance = square[:, np.newaxis] + square - 2 * rows @ rows.T
    return float(np.median(distance[np.triu_indices(len(rows), 1)]))


def sample_kinds(label: NDArray[np.int8], most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Give the numbers of rows, rising: no more than ``most`` of any kind, drawn where more."""
    taken = [
        rng.choice(rows, most, replace=False) if len(rows) > most else rows
        for rows in (np.flatnonzero(label == kind) for kind in Label)
    ]
    return np.sort(np.concatenate(taken))


def balanced_weights(label: NDArray[np.int8]) -> NDArray[np.float64]:
    """Weigh anomalies and all others alike; among these, known normals up to half.

    Known normals get as much of that half as their number is to four times that of the anomalies.
    """
    anomaly, normal, other = (
        label == kind for kind in (Label.ANOMALY, Label.NORMAL, Label.UNLABELED)
    )
    n = len(label)
    weight = np.where(anomaly, n / (2 * max(anomaly.sum(), 1)), 0.0)
    sure = 0.5 * min(1.0, normal.sum() / (4 * anomaly.sum())) if other.any() else 1.0
    weight[normal] = sure * n / (2 * max(normal.sum(), 1))
    weight[other] = (1 - sure) * n / (2 * max(other.sum(), 1))
    return weight


def checked(state: dict[str, Any], name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Take a finite array of a given shape from a saved state; ValueError otherwise."""
    array = np.asarray(state[name], np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"{name} has shape {array.shape}, expected {shape} and finite numbers")
    return array
