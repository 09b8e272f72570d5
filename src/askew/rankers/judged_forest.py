"""A random forest on the judged rows alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from askew.errors import FitError
from askew.labels import Label
from askew.rankers.base import Ranker
from askew.rankers.flat_trees import FlatTrees


class JudgedForest(Ranker):
    """Tell known anomalies from known normals; rows not looked at play no part.

    Source: Breiman, "Random forests", Machine Learning 2001, both kinds weighing the same. The
    score is the mean vote.

    Parameters
    ----------
    n_trees : int
    random_state : int, RandomState or None
    """

    def __init__(
        self, n_trees: int = 60, random_state: int | np.random.RandomState | None = None
    ) -> None:
        self.n_trees = n_trees
        self.random_state = random_state

    def _fit(
        self, X: NDArray[np.float32], label: NDArray[np.int8], rng: np.random.Generator
    ) -> None:
        judged = np.flatnonzero(label != Label.UNLABELED)
        if (label[judged] == Label.ANOMALY).all():
            raise FitError(
                "JudgedForest needs a known normal (0) beside the known anomalies and found none; "
                "label one, or rank with Blend, which does without"
            )
        forest = RandomForestClassifier(
            n_estimators=self.n_trees,
            class_weight="balanced",
            random_state=int(rng.integers(2**31)),
        ).fit(X[judged], label[judged])
        share = ((t.tree_, t.tree_.value[:, 0, 1]) for t in forest.estimators_)
        self.trees_ = FlatTrees.of(share)
        if len(judged) < len(X):
            self.subsampled_ = f"JudgedForest: the {len(judged):,} judged of {len(X):,} rows"

    def _score(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return self.trees_.mean(X)

    def _state(self) -> dict[str, Any]:
        return {"trees": self.trees_.state()}

    def _restore(self, state: dict[str, Any]) -> None:
        self.trees_ = FlatTrees.from_state(state["trees"], self.n_features_in_)
