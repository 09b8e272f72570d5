"""Isolation forest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from askew.rankers.base import Ranker
from askew.rankers.flat_trees import FlatTrees


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
        n_trees: int = 200,
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
    """Grow an isolation forest; the value of a node is the path length it stands for."""
    forest = IsolationForest(
        n_estimators=n_trees, max_samples=min(max_samples, len(X)), random_state=seed
    ).fit(X)
    return FlatTrees.of((t.tree_, _path_length(t.tree_)) for t in forest.estimators_)


def _path_length(tree: Any) -> NDArray[np.float64]:
    """Depth of each node plus the expected path among the rows it holds."""
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):  # children stand behind their parents
        if tree.children_left[node] >= 0:
            depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
    n = tree.n_node_samples.astype(np.float64)
    inner = np.maximum(n - 1, 1)
    expected = 2 * (np.log(inner) + np.euler_gamma) - 2 * inner / np.maximum(n, 1)
    expected[n == 2] = 1.0
    expected[n < 2] = 0.0
    path: NDArray[np.float64] = depth + expected
    return path
