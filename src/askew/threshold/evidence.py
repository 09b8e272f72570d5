"""What a cut may rest on: scores of judged rows by models that have not seen their verdicts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from askew.errors import MethodError
from askew.labels import Label
from askew.threshold.calibration import Calibration, calibrate
from askew.threshold.checks import check_alerts, check_share
from askew.threshold.cuts import Kind, Threshold, by_alerts, by_fdr, by_precision

FOLDS = 5


@dataclass(frozen=True)
class Evidence:
    """A table's rows as a threshold is told of them.

    Parameters
    ----------
    scores
        (n,) by the model as it is.
    held
        (n,): of rows whose verdicts the model has seen held out (see ``held_out``), of the others
        by the model as it is.
    label
        (n,) in {1, 0, -1}.
    """

    scores: NDArray[np.float64]
    held: NDArray[np.float64]
    label: NDArray[np.int8]

    def threshold(self, kind: Kind, asked: float) -> Threshold:
        """Find the cut of a kind, told of the scores by the model as it is.

        A false discovery rate is one of the rows that nobody has judged, where there are any.

        Raises
        ------
        ThresholdError
            The verdicts don't carry it.
        MethodError
            What is asked for is out of its range.
        """
        if kind == "alerts":
            told = by_alerts(self.scores, asked)
        elif kind == "precision":
            return by_precision(self.held, self.label, asked).on(self.scores)
        else:
            known = self.label != Label.UNLABELED
            open_rows = self.held if known.all() else self.scores[~known]
            told = by_fdr(open_rows, self.held[self.label == Label.NORMAL], asked)
        return told.with_precision(self.held, self.label)

    def calibrate(self) -> Calibration:
        """Fit probabilities; raises as ``askew.threshold.calibrate``."""
        return calibrate(self.held, self.label)


def asked_for(alerts: int | None, precision: float | None, fdr: float | None) -> tuple[Kind, float]:
    """Find the one unit in which a cut is asked for, before any work is done.

    Raises
    ------
    MethodError
        None is given, or more than one, or it is out of its range.
    """
    units: Mapping[Kind, float | None] = {"alerts": alerts, "precision": precision, "fdr": fdr}
    given = [(kind, asked) for kind, asked in units.items() if asked is not None]
    if len(given) != 1:
        found = " and ".join(kind for kind, _ in given) or "none"
        raise MethodError(f"found {found}; give one of alerts, precision and fdr")
    kind, asked = given[0]
    if kind == "alerts":
        check_alerts(asked)
    else:
        check_share(kind, asked)
    return kind, asked


def held_out(
    scores: NDArray[np.float64],
    label: NDArray[np.int8],
    keys: Sequence[str],
    score_anew: Callable[[NDArray[np.int8]], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Score each judged row by a model that has not seen its verdict.

    The judged rows are dealt to ``FOLDS`` folds, each kind evenly, in the order of a hash of their
    keys and not of their places. For each fold a model is fitted anew while the fold's verdicts
    are hidden; its rows stay in the table as any that nobody has looked at. Such a model has a
    scale of its own, so a row gets the score that has its rank in the model as it is.

    Parameters
    ----------
    scores
        (n,) of all rows by the model as it is.
    label
        (n,) in {1, 0, -1}, as that model has learned them.
    keys
        Of the judged rows, in the order of the table.
    score_anew
        Fits on labels (n,) and scores all rows (n,).

    Returns
    -------
    (n,): ``scores``, those of judged rows replaced.
    """
    judged = np.flatnonzero(label != Label.UNLABELED)
    hashes = [hashlib.blake2b(key.encode(), digest_size=8).digest() for key in keys]
    dealt = sorted(range(len(judged)), key=lambda i: (-int(label[judged[i]]), hashes[i]))
    held, rising = scores.copy(), np.sort(scores)
    for number in range(min(FOLDS, len(judged))):
        rows = judged[dealt[number::FOLDS]]
        hidden = label.copy()
        hidden[rows] = Label.UNLABELED
        anew = score_anew(hidden)
        order = np.sort(anew)
        first, end = (np.searchsorted(order, anew[rows], side=side) for side in ("left", "right"))
        held[rows] = rising[(first + end - 1) // 2]  # the middle of those that score the same
    return held
