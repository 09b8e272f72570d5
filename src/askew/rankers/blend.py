"""The default ranker: members that err differently, put on one scale and added up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from askew.labels import Label
from askew.rankers.bagged_boosting import BaggedBoosting
from askew.rankers.bagged_trees import BaggedTrees
from askew.rankers.base import Ranker
from askew.rankers.isolation_trees import IsolationTrees
from askew.rankers.kernel_logistic import KernelLogistic
from askew.rankers.weighted import MEASURED, WeightedSum

# Chosen on splits of the panel with other seeds than those that are reported.
WEIGHTS: tuple[tuple[type[Ranker], float], ...] = (
    (BaggedTrees, 1.0),
    (BaggedBoosting, 1.0),
    (KernelLogistic, 1.0),
    (IsolationTrees, 0.4),
)
ONE_CLASS = 0.5  # weight of the learners while only normals are known; isolation has 1


class Blend(WeightedSum):
    """What ranks a table by default.

    With known anomalies: bagged trees, bagged boosting, kernel logistic regression and an
    isolation forest. With known normals alone the learners tell them from the rows not looked at:
    what is unlike any known normal scores high. Without verdicts: the isolation forest.

    Parameters
    ----------
    random_state : int, RandomState or None

    Attributes
    ----------
    members_ : list of (Ranker, weight, mean, deviation)
    """

    needs_anomalies = False

    def __init__(self, random_state: int | np.random.RandomState | None = None) -> None:
        self.random_state = random_state

    def _fit(
        self, X: NDArray[np.float32], label: NDArray[np.int8], rng: np.random.Generator
    ) -> None:
        weights = dict(WEIGHTS)
        anomaly, normal = ((label == kind).any() for kind in (Label.ANOMALY, Label.NORMAL))
        if not anomaly and normal:
            weights = {k: 1.0 if k is IsolationTrees else ONE_CLASS for k in weights}
            label = np.where(label == Label.NORMAL, label, Label.ANOMALY).astype(np.int8)
            normal = bool((label == Label.ANOMALY).any())
        # Nothing to tell apart: no verdict, or one verdict on every row.
        if (not anomaly and not normal) or (label == Label.ANOMALY).all():
            weights = {IsolationTrees: 1.0}
        seen = X[rng.choice(len(X), min(len(X), MEASURED), replace=False)]
        members = (
            (kind(random_state=int(rng.integers(2**31))).learn(X, label), weight)
            for kind, weight in weights.items()
        )
        self._take(members, seen)
