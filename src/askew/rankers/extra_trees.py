"""Extremely randomised trees on all rows."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from askew.labels import Label
from askew.rankers.base import Ranker, balanced_weights
from askew.rankers.flat_trees import FlatTrees

MOST = 50  # columns looked at for a cut: wide tables would take long
LEAST = 0.01  # share of votes that counts as none: below, a logarithm tells noise apart


class ExtraTrees(Ranker):
    """Extremely randomised trees that tell anomalies from all other rows; the score is log votes.

    Where ``BaggedTrees`` sees few rows at a time, these see how many others lie where the known
    anomalies do: hidden anomalies among the rows harm them, many rows help them.

    Source: Geurts, Ernst and Wehenkel, "Extremely randomized trees", Machine Learning 2006.

    Parameters
    ----------
    n_trees : int
    min_samples_leaf : int
        Rows in a leaf, at least.
    max_features : float or "sqrt"
        Columns that a cut is chosen among: the square root of their number, or a share of them
        in (0, 1], ``MOST`` at most.
    max_rows : int
        Rows of a kind that are learnt from, at most; beyond, a random sample.
    random_state : int, RandomState or None
    """

    def __init__(
        self,
        n_trees: int = 100,
        min_samples_leaf: int = 2,
        max_features: float | Literal["sqrt"] = "sqrt",
        max_rows: int = 10_000,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_trees = n_trees
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.max_rows = max_rows
        self.random_state = random_state

    def _fit(
        self, X: NDArray[np.float32], label: NDArray[np.int8], rng: np.random.Generator
    ) -> None:
        rows = self._sampled(label, self.max_rows, rng)
        label = label[rows]
        columns: int | Literal["sqrt"] = "sqrt"
        if self.max_features != "sqrt":
            columns = min(math.ceil(self.max_features * X.shape[1]), MOST)
        # On 0 and 1 squared errors choose the same cuts as Gini's impurity.
        forest = ExtraTreesRegressor(
            n_estimators=self.n_trees,
            min_samples_leaf=self.min_samples_leaf,
            max_features=columns,
            random_state=int(rng.integers(2**31)),
        )
        forest.fit(X[rows], label == Label.ANOMALY, sample_weight=balanced_weights(label))
        self.trees_ = FlatTrees.of(
            (tree.tree_, tree.tree_.value[:, 0, 0]) for tree in forest.estimators_
        )

    def _score(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.log(self.trees_.mean(X) + LEAST)

    def _state(self) -> dict[str, Any]:
        return {"trees": self.trees_.state()}

    def _restore(self, state: dict[str, Any]) -> None:
        self.trees_ = FlatTrees.from_state(state["trees"], self.n_features_in_)
