"""The deep floor: published methods as small files on one loop. Tensors only."""

from __future__ import annotations

from askew.deep.detector import Detector
from askew.deep.method import Method, Recipe, Wrapper
from askew.deep.methods import (
    DAGMM,
    ESAD,
    FEAWAD,
    METHODS,
    RSRAE,
    UAI,
    VAE,
    AnomalyAware,
    AnoOnly,
    Corrupt,
    DeepSAD,
    DeepSVDD,
    DevNet,
    PReNet,
    Reconstruct,
    RoSAS,
    ScoreGuided,
)
from askew.deep.paper import Paper
from askew.deep.rows import Rows, Term

__all__ = [
    "DAGMM",
    "ESAD",
    "FEAWAD",
    "METHODS",
    "RSRAE",
    "UAI",
    "VAE",
    "AnoOnly",
    "AnomalyAware",
    "Corrupt",
    "DeepSAD",
    "DeepSVDD",
    "Detector",
    "DevNet",
    "Method",
    "PReNet",
    "Paper",
    "Recipe",
    "Reconstruct",
    "RoSAS",
    "Rows",
    "ScoreGuided",
    "Term",
    "Wrapper",
]
