"""The curve view: anomalies found as rows were judged, and where the judged rows' scores lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from askew.labels import Label
from askew.review.estimates import Estimate
from askew.review.verdicts import Line, Verdict
from askew.review.web.desk import Desk
from askew.review.web.rail import TOP

BINS = 40
POINTS = 500  # of the curve that are given, at most
GROUPS = ("anomaly", "normal", "unsure", "open")


@dataclass(frozen=True)
class Histogram:
    """How the scores of the ranking in force spread, by what holds of the rows.

    Parameters
    ----------
    edges
        (bins + 1,) rising.
    counts
        (bins,) for each of ``GROUPS``: the rows in a bin, its lower edge included; of the last bin
        the upper one too.
    """

    edges: NDArray[np.float64]
    counts: Mapping[str, NDArray[np.int64]]

    def total(self, group: str) -> int:
        """Count the rows of a group."""
        return int(self.counts[group].sum())


@dataclass(frozen=True)
class Curve:
    """How the judging went.

    Parameters
    ----------
    found
        (judged,): anomalies among the first 1, 2, ... rows that were judged and whose verdict
        stands, by what holds of them now.
    n_given
        Rows that came with a verdict and have none in the store; they are not in ``found``.
    rate
        Share of anomalies among all rows: the slope of random looking.
    histogram
        Scores by verdict.
    """

    found: NDArray[np.int64]
    n_given: int
    rate: Estimate
    histogram: Histogram

    @property
    def n_judged(self) -> int:
        """Rows that were judged."""
        return len(self.found)

    @property
    def n_found(self) -> int:
        """Anomalies among them."""
        return int(self.found[-1]) if len(self.found) else 0

    def points(self, most: int = POINTS) -> list[tuple[int, int]]:
        """Give pairs of rows judged and anomalies found, evenly spaced, the last one included."""
        if not len(self.found):
            return []
        at = np.unique(np.linspace(0, len(self.found) - 1, most).round().astype(int))
        return [(int(i) + 1, int(self.found[i])) for i in at]


def curve_of(desk: Desk) -> Curve:
    """Find how the judging went."""
    return desk.kept("curve", lambda: _curve(desk))


def _curve(desk: Desk) -> Curve:
    session = desk.session
    standing, label = session.standing, session.label
    rows = {key: desk.maker.row[key] for key in standing}
    hits = [
        standing[key].verdict is Verdict.ANOMALY for key in _in_order(session.store.lines(), rows)
    ]
    unsure = np.zeros(len(label), bool)
    unsure[[rows[key] for key, held in standing.items() if held.verdict is Verdict.UNSURE]] = True
    known = label != Label.UNLABELED
    n_told = sum(held.verdict is not Verdict.UNSURE for held in standing.values())
    estimates, _ = desk.figures(min(TOP, len(label)))
    return Curve(
        found=np.cumsum(np.array(hits, np.int64)),
        n_given=int(known.sum()) - n_told,
        rate=estimates.rate,
        histogram=_histogram(session.ranking.scores, label, unsure),
    )


def _in_order(lines: list[Line], standing: Mapping[str, int]) -> list[str]:
    """Order keys by the first of their lines that nobody has taken back."""
    undone = {line.undoes for line in lines}
    first = dict.fromkeys(
        line.key for line in lines if line.verdict is not None and line.number not in undone
    )
    return [key for key in first if key in standing]


def _histogram(
    scores: NDArray[np.float64], label: NDArray[np.int8], unsure: NDArray[np.bool_]
) -> Histogram:
    low, high = float(scores.min()), float(scores.max())
    if high == low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    at = np.searchsorted(edges[1:-1], scores, side="right")
    masks = (
        label == Label.ANOMALY,
        label == Label.NORMAL,
        unsure,
        (label == Label.UNLABELED) & ~unsure,
    )
    return Histogram(
        edges,
        {
            group: np.bincount(at[mask], minlength=BINS).astype(np.int64)
            for group, mask in zip(GROUPS, masks, strict=True)
        },
    )
