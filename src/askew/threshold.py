"""Where to cut the scores."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from askew.errors import MethodError
from askew.labels import Label

SHARE = 0.05  # of the rows are called anomalous while nothing else is known


def default_cut(
    scores: NDArray[np.floating],
    label: NDArray[np.int8],
    contamination: float | Literal["auto"] = "auto",
) -> float:
    """Find the cut above which a row is called an anomaly.

    Parameters
    ----------
    scores
        (n,) of the training rows, higher = more anomalous.
    label
        (n,) in {1, 0, -1}.
    contamination
        Share of the training rows above the cut, in (0, 0.5]; or ``"auto"``: where both kinds
        are known, the cut with the best balanced accuracy on them; otherwise ``SHARE`` of the
        rows, or the share of known anomalies where that is greater.

    Raises
    ------
    MethodError
        The share is out of its range.
    """
    if contamination == "auto":
        if (label == Label.ANOMALY).any() and (label == Label.NORMAL).any():
            return _balanced(scores, label)
        share = max(SHARE, float((label == Label.ANOMALY).mean()))
    elif isinstance(contamination, str) or not 0 < contamination <= 0.5:
        raise MethodError(f"contamination is {contamination!r}; expected 'auto' or (0, 0.5]")
    else:
        share = float(contamination)
    return float(np.quantile(scores, 1 - min(share, 1.0)))


def _balanced(scores: NDArray[np.floating], label: NDArray[np.int8]) -> float:
    """Cut halfway between the two neighboring scores where balanced accuracy is best."""
    known = label != Label.UNLABELED
    order = np.argsort(scores[known], kind="stable")
    s = scores[known][order].astype(np.float64)
    anomaly = label[known][order] == Label.ANOMALY
    # Everything above position i is called an anomaly, i = -1 (all of it) to the last (none).
    missed = np.concatenate([[0], np.cumsum(anomaly)]) / anomaly.sum()
    cleared = np.concatenate([[0], np.cumsum(~anomaly)]) / (~anomaly).sum()
    between = np.concatenate([[s[0] - 1], (s[1:] + s[:-1]) / 2, [s[-1]]])
    possible = np.concatenate([[True], s[1:] > s[:-1], [True]])
    return float(between[np.argmax(np.where(possible, cleared - missed, -np.inf))])
