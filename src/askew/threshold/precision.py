"""What the alerts are worth: the share of anomalies among them, from verdicts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from askew.labels import Label
from askew.threshold.checks import check_share

LEVEL = 0.9  # of intervals
# The queue judges the top of the alerts first; each fourth of them must speak for itself.
STRATA = 4


@dataclass(frozen=True)
class Precision:
    """The share of anomalies among the alerts, from verdicts.

    Parameters
    ----------
    value, low, high : float
        Estimate and the ends of its interval, in [0, 1].
    level : float
        Probability that the interval covers.
    n_verdicts : int
        Judged rows above the cut that it rests on.
    """

    value: float
    low: float
    high: float
    level: float
    n_verdicts: int


def precision_above(
    cut: float,
    scores: NDArray[np.floating],
    label: NDArray[np.int8],
    level: float = LEVEL,
) -> Precision | None:
    """Estimate the share of anomalies among the rows above a cut.

    Verdicts are no random sample of the alerts, as the queue asks the most suspicious first. So
    the alerts are split by score into ``STRATA`` equal parts, the precision of each is taken from
    its own verdicts, and their mean is the estimate. The interval is Jeffreys', with as many
    verdicts as a random sample of equal variance would have (Kish's effective number).

    Parameters
    ----------
    cut
        Rows that score higher are alerts.
    scores
        (n,): of judged rows held out, of the others by the model as it is.
    label
        (n,) in {1, 0, -1}.
    level
        Probability that the interval should cover, in (0, 1).

    Returns
    -------
    Precision or None
        None where a part of the alerts holds no verdict, or nothing is above the cut.
    """
    check_share("level", level)
    falling = label[np.argsort(-scores, kind="stable")]
    return Verdicts.of(falling).precision(n_above(scores, cut), level)


@dataclass(frozen=True)
class Verdicts:
    """Verdicts along falling scores, summed up: of the first 0, 1, ... n rows."""

    judged: NDArray[np.int64]  # (n + 1,)
    anomalies: NDArray[np.int64]  # (n + 1,)

    @classmethod
    def of(cls, falling: NDArray[np.int8]) -> Verdicts:
        """Sum up labels (n,) that stand in the order of falling scores."""
        kinds = (falling != Label.UNLABELED, falling == Label.ANOMALY)
        return cls(*(np.concatenate([[0], np.cumsum(kind)]) for kind in kinds))

    def precision(self, n: int, level: float) -> Precision | None:
        """Estimate the share of anomalies among the first n rows."""
        if n == 0:
            return None
        bounds = np.rint(np.linspace(0, n, min(STRATA, n) + 1)).astype(np.int64)
        weight = np.diff(bounds) / n
        judged, anomalies = np.diff(self.judged[bounds]), np.diff(self.anomalies[bounds])
        if not judged.all():
            return None
        value = float((weight * anomalies / judged).sum())
        effective = float(1 / (weight**2 / judged).sum())
        low, high = jeffreys(value, effective, level)
        return Precision(value, low, high, level, int(judged.sum()))


def jeffreys(value: float, n: float, level: float) -> tuple[float, float]:
    """Give the ends of Jeffreys' interval for a share seen in n draws; it holds the share."""
    tail = (1 - level) / 2
    a, b = value * n + 0.5, (1 - value) * n + 0.5
    low, high = float(special.betaincinv(a, b, tail)), float(special.betaincinv(a, b, 1 - tail))
    return min(low, value), max(high, value)  # of 0 and 1 the middle part would leave them out


def n_looks(n: int) -> int:
    """Count looks for which an interval is widened when n nested cuts are tried.

    Precisions above neighboring cuts rest on nearly the same verdicts: about each doubling of
    their number is a new look.
    """
    return max(n, 1).bit_length()


def n_above(scores: NDArray[np.floating], cut: float) -> int:
    """Count the scores above a cut."""
    return int((np.asarray(scores, np.float64) > cut).sum())
