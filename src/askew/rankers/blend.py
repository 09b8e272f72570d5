"""The default ranker: members that err differently, put on one scale and added up."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from askew.errors import ModelFileError
from askew.labels import Label
from askew.rankers.bagged_boosting import BaggedBoosting
from askew.rankers.bagged_trees import BaggedTrees
from askew.rankers.base import Ranker, sample_kinds, stays
from askew.rankers.extra_trees import ExtraTrees
from askew.rankers.isolation_trees import IsolationTrees
from askew.rankers.kernel_logistic import KernelLogistic
from askew.rankers.mahalanobis import Mahalanobis
from askew.rankers.neighbor_ratio import NeighborRatio

Members = tuple[tuple[Callable[..., Ranker], float, float], ...]
Learned = list[tuple[Ranker, NDArray[np.float64]]]

# With each member its weights: where no normal is known, and where many are. Chosen on splits of
# the panel with other seeds than those that are reported.
OUTLYING: Members = (  # these know of no verdict
    (partial(IsolationTrees, max_samples=256), 0.25, 0.0),
    (partial(IsolationTrees, max_samples=64), 0.25, 0.0),
    (Mahalanobis, 0.2, 0.0),
)
HARDY: Members = (  # hidden anomalies among the rows hardly harm them
    (partial(BaggedTrees, n_bags=10), 0.25, 0.5),
    (partial(BaggedTrees, n_bags=10, splitter="best"), 0.25, 0.5),
)
CLEAN: Members = (
    (BaggedBoosting, 1.0, 1.0),
    (KernelLogistic, 1.0, 1.0),
    (NeighborRatio, 1.0, 0.5),
    (partial(NeighborRatio, space="whitened"), 0.7, 0.5),
    (partial(NeighborRatio, space="ranks"), 0.7, 0.0),
    (ExtraTrees, 0.7, 0.0),
    (partial(ExtraTrees, min_samples_leaf=5, max_features=0.5), 0.7, 0.0),
)
SUSPECTS = 0.1  # of the rows not looked at: no others' idea of normal
NORMALS = 50  # known normals, at which a member's weight is half the way to that with many
POOL = 20_000  # rows of a kind that are learnt from, at most
BLOCK = 1 << 14  # rows that a thread scores at a time


class Blend(Ranker):
    """What ranks a table by default: a weighted sum of its members' z-scores.

    With known anomalies it learns in two steps. Isolation forests, Mahalanobis distance and bagged
    trees come first. The rows not looked at that score highest under these are suspects: bagged
    boosting, kernel logistic regression, ratios of nearest neighbours and trees on all rows, which
    take rows not looked at for normal, learn without them. The more normals are known, the less
    counts what knows of no verdict, or takes the many other rows for normal. With known normals
    alone the learners tell them from the rows not looked at, and count the more the more there
    are: what is unlike any known normal scores high. Without verdicts, the forests and the
    distance alone.

    Source of the two steps: Liu, Dai, Li, Lee and Yu, "Building text classifiers using positive
    and unlabeled examples", ICDM 2003.

    Parameters
    ----------
    random_state : int, RandomState or None

    Attributes
    ----------
    members_ : list of (Ranker, weight, mean, deviation)
    """

    needs_anomalies = False
    # The rows of this fit and the one before, if they stay, with what no verdict moves.
    _unmoved: tuple[NDArray[np.float32], Learned] | None = None
    _before: tuple[NDArray[np.float32], Learned] | None = None

    def __init__(self, random_state: int | np.random.RandomState | None = None) -> None:
        self.random_state = random_state

    def relearn(self, x: NDArray[np.float32], label: NDArray[np.int8]) -> Self:
        """Fit other verdicts on the same rows; what knows of no verdict is kept."""
        fresh: Self = clone(self)
        fresh._before = self._unmoved
        return fresh.learn(x, label)

    def _fit(
        self, X: NDArray[np.float32], label: NDArray[np.int8], rng: np.random.Generator
    ) -> None:
        pool = sample_kinds(label, POOL, rng)
        x, known = (X, label) if len(pool) == len(X) else (X[pool], label[pool])
        measured = known != Label.ANOMALY
        if not measured.any():
            measured[:] = True
        self.members_: list[tuple[Ranker, float, float, float]] = []
        scored: list[NDArray[np.float64]] = []

        def take(members: Members, learned: Learned, shown: float, trust: float = 1.0) -> None:
            for (member, scores), (_, few, many) in zip(learned, members, strict=True):
                weight = trust * (few + shown * (many - few))
                mean, deviation = float(scores[measured].mean()), float(scores[measured].std())
                self.members_.append((member, weight, mean, deviation or 1.0))
                scored.append((scores - mean) / (deviation or 1.0))

        everything = np.ones(len(x), bool)
        target, shown, trust = _plan(known)
        made = _made(OUTLYING, rng)  # drawn in any case: those behind them get the same seeds
        before, self._before = self._before, None
        if before is not None and before[0] is x:
            outlying = before[1]
        else:
            outlying = _learned(made, x, everything, known)
        take(OUTLYING, outlying, shown if target is known else 0.0)
        if trust:
            hardy = _learned(_made(HARDY, rng), x, everything, target)
            take(HARDY, hardy, shown, trust)
            weights = [weight for _, weight, *_ in self.members_]
            rows = ~_suspects(target, weights @ np.array(scored))
            take(CLEAN, _learned(_made(CLEAN, rng), x, rows, target), shown, trust)
        self._unmoved = None
        if x is X and stays(X):
            self._unmoved = X, outlying
            self._keep(X, np.stack(scored, axis=1))
        told = dict.fromkeys(m.subsampled_ for m, *_ in self.members_ if m.subsampled_)
        notes = "; ".join(told)
        if x is not X:
            notes = f"Blend: {len(x):,} of {len(X):,} rows; of these {notes}"
        self.subsampled_ = notes or None

    def member_scores(self, X: Any) -> NDArray[np.float64]:
        """Score rows (n, d) -> (n, members), each member standardised."""
        known, kept = getattr(self, "_last", (None, None))
        if X is known and isinstance(kept, np.ndarray):
            return kept
        scores = np.empty((len(X), len(self.members_)))

        def score(start: int) -> None:
            part = slice(start, start + BLOCK)
            for i, (member, _, mean, deviation) in enumerate(self.members_):
                scores[part, i] = (member.decision_function(X[part]) - mean) / deviation

        starts = range(0, len(X), BLOCK)
        with ThreadPoolExecutor(min(len(starts), os.cpu_count() or 1)) as pool:
            list(pool.map(score, starts))
        if stays(X):
            self._keep(X, scores)
        return scores

    def _keep(self, X: NDArray[np.float32], scores: NDArray[np.float64]) -> None:
        """Remember what the members say of a table that cannot change."""
        scores.flags.writeable = False
        self._last = X, scores

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


def _made(members: Members, rng: np.random.Generator) -> list[Ranker]:
    return [make(random_state=int(rng.integers(2**31))) for make, *_ in members]


def _learned(
    members: list[Ranker],
    x: NDArray[np.float32],
    rows: NDArray[np.bool_],
    label: NDArray[np.int8],
) -> Learned:
    """Let members learn from some rows of (n, d), side by side; give what each says of all."""
    seen = (x, label) if rows.all() else (x[rows], label[rows])

    def learn(member: Ranker) -> tuple[Ranker, NDArray[np.float64]]:
        return member, member.learn(*seen).decision_function(x)

    with ThreadPoolExecutor(min(len(members), os.cpu_count() or 1)) as pool:
        return list(pool.map(learn, members))


def _plan(label: NDArray[np.int8]) -> tuple[NDArray[np.int8], float, float]:
    """Give labels to learn from, and in [0, 1] how well normals are known and learners trusted.

    While normals alone are known, the rows not looked at stand for anomalies.
    """
    anomalies, normals, others = (
        np.count_nonzero(label == kind) for kind in (Label.ANOMALY, Label.NORMAL, Label.UNLABELED)
    )
    shown = normals / (normals + NORMALS)
    if anomalies and (normals or others):
        return label, shown, 1.0
    if normals and others:
        return np.where(label == Label.NORMAL, label, Label.ANOMALY).astype(np.int8), shown, shown
    return label, 0.0, 0.0


def _suspects(label: NDArray[np.int8], scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark the rows not looked at that score highest, a share of ``SUSPECTS`` of them."""
    other: NDArray[np.bool_] = label == Label.UNLABELED
    if other.any():
        other &= scores > np.quantile(scores[other], 1 - SUSPECTS)
    return other
