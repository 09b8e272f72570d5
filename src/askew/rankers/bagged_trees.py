"""Bags of randomised trees."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeRegressor

from askew.rankers.bags import draw_bags
from askew.rankers.base import Ranker, checked, product
from askew.rankers.flat_trees import FlatTrees

MOST_PROJECTIONS = 100


class BaggedTrees(Ranker):
    """Trees on small bags (see ``bags``); the score is the mean vote.

    With ``splitter="random"``, extremely randomised trees: Geurts, Ernst and Wehenkel, "Extremely
    randomized trees", Machine Learning 2006. Beside the columns they see random projections of the
    standardised columns, so that they can cut across columns too. With ``"best"``, the trees of a
    random forest: Breiman, "Random forests", Machine Learning 2001.

    Parameters
    ----------
    n_bags, n_trees : int
        Bags, and trees on each.
    min_samples_leaf : int
        Rows in a leaf, at least.
    splitter : {"random", "best"}
        Whether a cut is drawn for each of some columns and the best one taken, or the best of all.
    random_state : int, RandomState or None
    """

    def __init__(
        self,
        n_bags: int = 20,
        n_trees: int = 15,
        min_samples_leaf: int = 2,
        splitter: Literal["random", "best"] = "random",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_bags = n_bags
        self.n_trees = n_trees
        self.min_samples_leaf = min_samples_leaf
        self.splitter = splitter
        self.random_state = random_state

    def _fit(
        self, X: NDArray[np.float32], label: NDArray[np.int8], rng: np.random.Generator
    ) -> None:
        d = X.shape[1]
        k = min(max(d, 8), MOST_PROJECTIONS) if d > 1 and self.splitter == "random" else 0
        scale = X.std(0, dtype=np.float64)
        weights = rng.standard_normal((d, k)) / np.sqrt(d)
        self.projection_ = weights / np.where(scale > 0, scale, 1.0)[:, np.newaxis]
        wide = self._widened(X)
        trees = []
        seen = np.zeros(len(X), bool)
        for rows, anomaly in draw_bags(label, self.n_bags, rng):
            seen[rows] = True
            # Both kinds weigh the same; a leaf's mean is then the share of anomalies in it.
            weight = np.where(anomaly, len(rows) / anomaly.sum(), len(rows) / (~anomaly).sum())
            for seed in rng.integers(2**31, size=self.n_trees).tolist():
                tree = DecisionTreeRegressor(
                    splitter=self.splitter,
                    max_features="sqrt",
                    min_samples_leaf=self.min_samples_leaf,
                    random_state=seed,
                )
                tree.fit(wide[rows], anomaly.astype(np.float64), weight, check_input=False)
                trees.append((tree.tree_, tree.tree_.value[:, 0, 0]))
        self.trees_ = FlatTrees.of(trees)
        if not seen.all():
            self.subsampled_ = f"BaggedTrees: {seen.sum():,} of {len(X):,} rows, in bags"

    def _score(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return self.trees_.mean(self._widened(X))

    def _widened(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        projected = product(X.astype(np.float64), self.projection_)
        return np.hstack([X, projected.astype(np.float32)])

    def _state(self) -> dict[str, Any]:
        return {"projection": self.projection_, "trees": self.trees_.state()}

    def _restore(self, state: dict[str, Any]) -> None:
        d = self.n_features_in_
        k = np.asarray(state["projection"]).shape[1]
        self.projection_ = checked(state, "projection", (d, k))
        self.trees_ = FlatTrees.from_state(state["trees"], d + k)
