"""Rankers made of rankers: members on one scale, added up by weight."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from askew.errors import ModelFileError
from askew.rankers.base import Ranker, stays

MEASURED = 5000  # training rows on which members are brought to one scale


class WeightedSum(Ranker):
    """Weighted sum of the members' z-scores, measured on training rows (``MEASURED`` at most).

    Attributes
    ----------
    members_ : list of (Ranker, weight, mean, deviation)
    """

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
