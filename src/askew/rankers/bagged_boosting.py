"""Bags of boosted trees."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier

from askew.rankers.bags import draw_bags
from askew.rankers.base import Ranker
from askew.rankers.flat_trees import FlatTrees


class BaggedBoosting(Ranker):
    """Gradient boosting on small bags (see ``bags``); the score is the mean log odds.

    Source: Friedman, "Greedy function approximation: a gradient boosting machine", Annals of
    Statistics 2001.

    Parameters
    ----------
    n_bags, n_trees : int
        Bags, and boosting steps on each.
    max_depth : int
        Of a tree.
    learning_rate : float
        Greater than 0.
    random_state : int, RandomState or None
    """

    def __init__(
        self,
        n_bags: int = 20,
        n_trees: int = 20,
        max_depth: int = 3,
        learning_rate: float = 0.2,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_bags = n_bags
        self.n_trees = n_trees
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.random_state = random_state

    def _fit(
        self, X: NDArray[np.float32], label: NDArray[np.int8], rng: np.random.Generator
    ) -> None:
        trees = []
        seen = np.zeros(len(X), bool)
        for rows, anomaly in draw_bags(label, self.n_bags, rng):
            seen[rows] = True
            # Both kinds weigh the same, so a bag starts at even odds.
            weight = np.where(anomaly, (~anomaly).sum() / anomaly.sum(), 1.0)
            boosted = GradientBoostingClassifier(
                n_estimators=self.n_trees,
                max_depth=self.max_depth,
                learning_rate=self.learning_rate,
                max_features="sqrt",
                random_state=int(rng.integers(2**31)),
            ).fit(X[rows], anomaly, sample_weight=weight)
            trees += [(t.tree_, t.tree_.value[:, 0, 0]) for t in boosted.estimators_[:, 0]]
        self.trees_ = FlatTrees.of(trees)
        if not seen.all():
            self.subsampled_ = f"BaggedBoosting: {seen.sum():,} of {len(X):,} rows, in bags"

    def _score(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return self.n_trees * self.learning_rate * self.trees_.mean(X)

    def _state(self) -> dict[str, Any]:
        return {"trees": self.trees_.state()}

    def _restore(self, state: dict[str, Any]) -> None:
        self.trees_ = FlatTrees.from_state(state["trees"], self.n_features_in_)
