"""The loop's ranker: learns from the first verdict on, and anew within a moment."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from askew.labels import Label
from askew.rankers.base import Ranker
from askew.rankers.isolation_kernel import IsolationKernel
from askew.rankers.judged_forest import JudgedForest
from askew.rankers.weighted import MEASURED, WeightedSum

FOREST = 0.5  # weight of the judged rows' forest beside the kernel's 1


class ActiveBlend(WeightedSum):
    """An isolation kernel, and beside it a forest on the judged rows once both kinds are known.

    Meant for verdicts that came one by one on rows that stood out: they are the rows that it is
    hard to tell apart, and the kernel knows of the others what the isolation forest says.

    Parameters
    ----------
    random_state : int, RandomState or None
    """

    needs_anomalies = False

    def __init__(self, random_state: int | np.random.RandomState | None = None) -> None:
        self.random_state = random_state

    def relearn(self, x: NDArray[np.float32], label: NDArray[np.int8]) -> Self:
        """Fit other verdicts on the same rows; the kernel's forest is kept."""
        fresh: Self = clone(self)
        fresh._before = self.members_[0][0]
        return fresh.learn(x, label)

    def _fit(
        self, X: NDArray[np.float32], label: NDArray[np.int8], rng: np.random.Generator
    ) -> None:
        seen = np.sort(rng.choice(len(X), min(len(X), MEASURED), replace=False))
        kernel = IsolationKernel(random_state=int(rng.integers(2**31)))
        before: Ranker = self.__dict__.pop("_before", kernel)
        members: list[tuple[Ranker, float]] = [(before.relearn(X, label), 1.0)]
        if all((label == kind).any() for kind in (Label.ANOMALY, Label.NORMAL)):
            forest = JudgedForest(random_state=int(rng.integers(2**31)))
            members.append((forest.learn(X, label), FOREST))
        self._take(members, X[seen] if len(seen) < len(X) else X)
