"""The one reader of verdicts, the converters from other codes, and folds that respect both.

Askew has one convention: 1 is an anomaly, 0 is normal, and missing is not looked at. Other tools
write the same three numbers with other meanings, so nothing here is guessed: what has two readings
is refused, with both of them named.
"""

from __future__ import annotations

from askew.labels.convert import labels_from_deep_sad, labels_from_outlier, labels_from_positives
from askew.labels.folds import LabelledKFold
from askew.labels.reading import MANY_ROWS, MOSTLY_ZERO, Label, Labels, Reading, read_labels

__all__ = [
    "MANY_ROWS",
    "MOSTLY_ZERO",
    "Label",
    "LabelledKFold",
    "Labels",
    "Reading",
    "labels_from_deep_sad",
    "labels_from_outlier",
    "labels_from_positives",
    "read_labels",
]
