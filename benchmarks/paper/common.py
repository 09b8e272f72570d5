"""What the experiments share: the panel's tables, fits of ours and their figures."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from paper.protocol import Split
from paper.runs import BENCHMARKS, Figures

SHARED = BENCHMARKS.parent.parent / "shared" / "panel"
DATA = "ASKEW_PAPER_DATA"  # environment variable: the folder of --data, for the child processes
ANNTHYROID = "annthyroid_21feat_normalised.csv"  # as DevNet's authors publish it
NAMES = {"roc": "ROC AUC", "ap": "average precision"}
CAVEAT = {
    False: "The figures to meet were measured on DevNet's own file of 21 columns; the panel's "
    "annthyroid has 6 of them (`full-deviation` and `full-anoonly` take that file).",
    True: f"On DevNet's own file of 21 columns, `{ANNTHYROID}`.",
}


@cache
def table(name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Load a table of the panel: X (n, d) and y (n,)."""
    with np.load(SHARED / "data" / f"{name}.npz", allow_pickle=False) as file:
        return file["X"].astype(np.float64), file["y"].astype(np.int64)


@cache
def annthyroid(whole: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Load DevNet's own annthyroid (21 columns) from --data, or the panel's (6 of them)."""
    if not whole:
        return table("annthyroid")
    rows = np.genfromtxt(folder() / ANNTHYROID, delimiter=",", skip_header=1)
    return rows[:, :-1], rows[:, -1].astype(np.int64)


def folder() -> Path:
    """Give the folder of --data."""
    if DATA not in os.environ:
        raise FileNotFoundError("no folder of full data is given; run with --data DIR")
    return Path(os.environ[DATA])


def figures(detector: Any, split: Split) -> Figures:
    """Fit on the training part and rank the test part."""
    detector.fit(split.x, split.label)
    return ranked(split, detector.decision_function(split.x_test))


def ranked(split: Split, scores: NDArray[Any]) -> Figures:
    """ROC AUC and average precision over the test part."""
    return {
        "roc": float(roc_auc_score(split.truth_test, scores)),
        "ap": float(average_precision_score(split.truth_test, scores)),
    }


def method(name: str, **settings: Any) -> Any:
    """Make a method of ours by its class's name."""
    from askew import deep

    return getattr(deep, name)(**settings)


def detector(base: Any, seed: int, **settings: Any) -> Any:
    """Make a detector on columns that are scaled already."""
    from askew.deep import Detector

    return Detector(base, random_state=seed, **{"scale": None, **settings})
