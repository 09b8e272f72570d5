"""The default ranker: members that err differently, put on one scale and added up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from askew.errors import ModelFileError
from askew.labels import Label
from askew.rankers.bagged_boosting import BaggedBoosting
from askew.rankers.bagged_trees import BaggedTrees
from askew.rankers.base import Ranker, stays
from askew.rankers.isolation_trees import IsolationTrees
from askew.rankers.kernel_logistic import KernelLogistic

# Chosen on splits of the panel with other seeds than those that are reported.
WEIGHTS: tuple[tuple[type[Ranker], float], ...] = (
    (BaggedTrees, 1.0),
    (BaggedBoosting, 1.0),
    (KernelLogistic, 1.0),
    (IsolationTrees, 0.4),
)
MEASURED = 5000  # training rows on which members are brought to one scale
ONE_CLASS = 0.5  # weight of the learners while only normals are known; isolation has 1


class Blend(Ranker):
    """What ranks a table by default: a weighted sum of its members' z-scores.

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

    def member_scores(self, X: Any) -> NDArray[np.float64]:
        """Score rows (n, d) -> (n, members), each member standardised."""
        known, kept = getattr(self, "_last", (None, None))
        if X is known and isinstance(kept, np.ndarray):
            return kept
        scores = np.stack(
            [
                (member.decision_function(X) - mean) / deviation
                for member, _, mean, deviation in self.members_
            ],
            axis=1,
        )
        if stays(X):
            scores.flags.writeable = False
            self._last = X, scores
        return scores

    def _take(self, fitted: Iterable[tuple[Ranker, float]], seen: NDArray[np.float32]) -> None:
        """Take fitted members and their weights; ``seen`` are the rows that set the scales."""
        self.members_ = []
        for member, weight in fitted:
            scores = member.decision_function(seen)
            deviation = float(scores.std())
            self.members_.append((member, weight, float(scores.mean()), deviation or 1.0))
        notes = [member.subsampled_ for member, *_ in self.members_]
        self.subsampled_ = "; ".join(note for note in notes if note) or None

    def _score(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        total = np.zeros(len(X))
        for scores, (_, weight, *_) in zip(self.member_scores(X).T, self.members_, strict=True):
            total += weight * scores
        return total

    def _state(self) -> dict[str, Any]:
        return {"members": [list(member) for member in self.members_]}

    def _restore(self, state: dict[str, Any]) -> None:
        self.members_ = []
        for member, weight, mean, deviation in state["members"]:
            if not isinstance(member, Ranker) or member.n_features_in_ != self.n_features_in_:
                raise ModelFileError("a member of the blend is no ranker of the same columns")
            if not np.isfinite([weight, mean, deviation]).all() or deviation <= 0:
                raise ModelFileError("a member of the blend has no finite place on its scale")
            self.members_.append((member, float(weight), float(mean), float(deviation)))
        if not self.members_:
            raise ModelFileError("the blend has no members")
