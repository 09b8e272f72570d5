"""Isolation forest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from askew.rankers.base import Ranker
from askew.rankers.flat_trees import FlatTrees

TRIES = 4  # features drawn blindly for a node before all of them are looked at
CELLS = 1 << 20  # cells looked at together


class IsolationTrees(Ranker):
    """Rows that random cuts set apart early stand out; labels play no part.

    Source: Liu, Ting and Zhou, "Isolation forest", ICDM 2008. The score is minus the mean path
    length, which ranks as the paper's score does.

    Parameters
    ----------
    n_trees : int
    max_samples : int
        Rows drawn for a tree.
    random_state : int, RandomState or None
    """

    needs_anomalies = False

    def __init__(
        self,
        n_trees: int = 300,
        max_samples: int = 256,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_trees = n_trees
        self.max_samples = max_samples
        self.random_state = random_state

    def _fit(
        self, X: NDArray[np.float32], label: NDArray[np.int8], rng: np.random.Generator
    ) -> None:
        seed = int(rng.integers(2**31))
        self.trees_ = isolation_trees(X, self.n_trees, self.max_samples, seed)
        if self.max_samples < len(X):
            self.subsampled_ = f"IsolationTrees: {self.max_samples:,} of {len(X):,} rows a tree"

    def _score(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return -self.trees_.mean(X)

    def _state(self) -> dict[str, Any]:
        return {"trees": self.trees_.state()}

    def _restore(self, state: dict[str, Any]) -> None:
        self.trees_ = FlatTrees.from_state(state["trees"], self.n_features_in_)


def isolation_trees(X: NDArray[np.float32], n_trees: int, max_samples: int, seed: int) -> FlatTrees:
    """Grow an isolation forest; the value of a node is the path length it stands for.

    All trees grow together, a level at a time: one by one they would take far longer.
    """
    rng = np.random.default_rng(seed)
    size = min(max_samples, len(X))
    rows = np.concatenate([rng.choice(len(X), size, replace=False) for _ in range(n_trees)])
    count = np.full(n_trees, size)
    levels: list[_Level] = []
    for depth in range(math.ceil(math.log2(size)) + 1):
        levels.append(_Level.leaves(depth, count))
        inner = count > 1 if depth < math.log2(size) else np.zeros(len(count), bool)
        rows, count = rows[np.repeat(inner, count)], count[inner]
        if not len(rows):
            break
        feature, low, high = _draw_features(X, rows, count, rng)
        threshold = low + rng.random(len(low)) * (high - low)
        threshold[threshold >= high] = low[threshold >= high]  # rounded up to the very end
        split = low < high
        levels[-1].split(np.flatnonzero(inner)[split], feature[split], threshold[split])
        rows, group = rows[np.repeat(split, count)], np.repeat(np.arange(split.sum()), count[split])
        above = X[rows, feature[split][group]] > threshold[split][group]
        child = 2 * group + above
        rows = rows[np.argsort(child, kind="stable")]
        count = np.bincount(child, minlength=2 * split.sum())
    return _joined(levels, n_trees)


@dataclass
class _Level:
    """The nodes of all trees at one depth: leaves until they are split."""

    value: NDArray[np.float64]
    inner: NDArray[np.intp]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]

    @classmethod
    def leaves(cls, depth: int, count: NDArray[np.intp]) -> _Level:
        none = np.zeros(len(count), np.int32)
        endless = np.full(len(count), np.inf)
        return cls(depth + _expected_path(count), np.zeros(0, np.intp), none, endless)

    def split(
        self,
        nodes: NDArray[np.intp],
        feature: NDArray[np.intp],
        threshold: NDArray[np.float64],
    ) -> None:
        self.inner, self.feature[nodes], self.threshold[nodes] = nodes, feature, threshold


def _joined(levels: list[_Level], n_trees: int) -> FlatTrees:
    """Put levels together: nodes by level, the two children of a node side by side."""
    start = np.cumsum([0, *(len(level.value) for level in levels)])
    child = np.arange(start[-1])
    for level, here, below in zip(levels, start, start[1:], strict=False):
        child[here + level.inner] = below + 2 * np.arange(len(level.inner))
    return FlatTrees(
        np.arange(n_trees, dtype=np.int32),
        np.concatenate([level.feature for level in levels]),
        child.astype(np.int32),
        np.concatenate([level.threshold for level in levels]),
        np.concatenate([level.value for level in levels]),
    )


def _draw_features(
    X: NDArray[np.float32],
    rows: NDArray[np.intp],
    count: NDArray[np.intp],
    rng: np.random.Generator,
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Draw for each node a feature that varies in it, with its least and greatest value there.

    ``rows`` are those of the nodes, one node after the other, ``count`` of each. Where no feature
    varies, least and greatest are equal.
    """
    feature = np.zeros(len(count), np.intp)
    low, high = np.zeros((2, len(count)))
    open_ = np.arange(len(count))
    for _ in range(TRIES):
        start = np.cumsum(count[open_]) - count[open_]
        feature[open_] = rng.integers(X.shape[1], size=len(open_))
        cell = X[rows, np.repeat(feature[open_], count[open_])]
        low[open_] = np.minimum.reduceat(cell, start)
        high[open_] = np.maximum.reduceat(cell, start)
        same = low[open_] == high[open_]
        rows, open_ = rows[np.repeat(same, count[open_])], open_[same]
        if not len(open_):
            return feature, low, high
    # What is left varies in few features, if in any: find them.
    end = np.cumsum(count[open_])
    step = max(1, CELLS // X.shape[1])
    for part in np.split(np.arange(len(open_)), np.flatnonzero(np.diff(end // step)) + 1):
        nodes, first = open_[part], end[part[0]] - count[open_[part[0]]]
        cells = X[rows[first : end[part[-1]]]]
        start = end[part] - count[nodes] - first
        lowest, highest = np.minimum.reduceat(cells, start), np.maximum.reduceat(cells, start)
        feature[nodes] = np.where(lowest < highest, rng.random(lowest.shape), -1).argmax(1)
        at = np.arange(len(nodes)), feature[nodes]
        low[nodes], high[nodes] = lowest[at], highest[at]
    return feature, low, high


def _expected_path(count: NDArray[np.intp]) -> NDArray[np.float64]:
    """Give the steps that set one of so many rows apart on average."""
    n = count.astype(np.float64)
    inner = np.maximum(n - 1, 1)
    expected: NDArray[np.float64] = 2 * (np.log(inner) + np.euler_gamma) - 2 * inner / n
    expected[n == 2] = 1.0
    expected[n < 2] = 0.0
    return expected
