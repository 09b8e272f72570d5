"""From scores to probabilities."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from askew.errors import ThresholdError
from askew.labels import Label
from askew.threshold.checks import is_count, is_number, members, require

MIN_EACH = 10  # verdicts of each kind, below which two coefficients say little


@dataclass(frozen=True)
class Calibration:
    """A rising map from scores to probabilities: 1 / (1 + exp(-(slope * score + intercept))).

    Parameters
    ----------
    slope, intercept : float
        The slope is above 0.
    n_anomaly, n_normal : int
        Verdicts that it was fitted on.
    """

    slope: float
    intercept: float
    n_anomaly: int
    n_normal: int

    def __call__(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """Give the probability of being an anomaly for scores of any shape."""
        p: NDArray[np.float64] = special.expit(
            self.slope * np.asarray(scores, np.float64) + self.intercept
        )
        return p

    def to_json(self) -> dict[str, Any]:
        """Give it as plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: object) -> Calibration:
        """Read what ``to_json`` wrote.

        Raises
        ------
        ModelFileError
            It is something else.
        """
        values = members(data, cls)
        require(is_number(values["slope"]) and values["slope"] > 0, "slope")
        require(is_number(values["intercept"]), "intercept")
        require(is_count(values["n_anomaly"]) and is_count(values["n_normal"]), "n_anomaly")
        return cls(**values)


def calibrate(scores: NDArray[np.floating], label: NDArray[np.int8]) -> Calibration:
    """Fit a map from scores to probabilities.

    A logistic curve, for verdicts come by the dozen and an isotonic one would follow each of them.
    The targets are smoothed, so that verdicts which a score tells apart do not give certainty.
    That the queue chose by score does no harm, as the curve is conditional on the score.

    Parameters
    ----------
    scores
        (n,) held out; only those of judged rows are read.
    label
        (n,) in {1, 0, -1}.

    Raises
    ------
    ThresholdError
        Fewer than ``MIN_EACH`` verdicts of a kind, or scores that do not rise with the verdicts.

    Notes
    -----
    **Source**: Platt, Probabilistic outputs for support vector machines (1999), section 2.2.
    """
    n_anomaly = int((label == Label.ANOMALY).sum())
    n_normal = int((label == Label.NORMAL).sum())
    n_needed = max(MIN_EACH - n_anomaly, 0) + max(MIN_EACH - n_normal, 0)
    if n_needed:
        raise ThresholdError(
            f"{n_anomaly:,} anomalies and {n_normal:,} normals are judged; probabilities need "
            f"{MIN_EACH} of each: {n_needed} more verdicts of the rarer kind",
            n_needed,
        )
    s = np.asarray(scores, np.float64)[label != Label.UNLABELED]
    anomaly = label[label != Label.UNLABELED] == Label.ANOMALY
    center, scale = float(s.mean()), float(s.std())
    if not s[anomaly].mean() > s[~anomaly].mean():
        raise ThresholdError(
            "held out, anomalies do not score higher than normals, so a score tells no "
            "probability; more verdicts may make a ranking that does",
            1,
        )
    target = np.where(anomaly, (n_anomaly + 1) / (n_anomaly + 2), 1 / (n_normal + 2))
    z = (s - center) / scale

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logit = w[0] * z + w[1]
        excess = special.expit(logit) - target
        value = np.logaddexp(0, logit) - target * logit
        return float(value.sum()), np.array([(excess * z).sum(), excess.sum()])

    slope, intercept = optimize.minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    return Calibration(
        float(slope / scale), float(intercept - slope * center / scale), n_anomaly, n_normal
    )
