"""Where to cut the scores: by default, or in the units that a user thinks in.

Scores are higher for what is more anomalous; a row above the cut is an alert. What a cut is worth
is told from *held-out* scores only: those of judged rows by a model that has not seen their
verdicts, as from folds (``evidence``). On the rows it learned from, a model looks right.
"""

from __future__ import annotations

from askew.threshold.calibration import MIN_EACH, Calibration, calibrate
from askew.threshold.cuts import (
    KINDS,
    SHARE,
    Kind,
    Threshold,
    by_alerts,
    by_fdr,
    by_precision,
    default_cut,
)
from askew.threshold.evidence import Evidence, asked_for, held_out
from askew.threshold.precision import LEVEL, STRATA, Precision, precision_above

__all__ = [
    "KINDS",
    "LEVEL",
    "MIN_EACH",
    "SHARE",
    "STRATA",
    "Calibration",
    "Evidence",
    "Kind",
    "Precision",
    "Threshold",
    "asked_for",
    "by_alerts",
    "by_fdr",
    "by_precision",
    "calibrate",
    "default_cut",
    "held_out",
    "precision_above",
]
