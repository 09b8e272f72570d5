"""The deep floor: published methods as small files on one loop. Tensors only."""

from __future__ import annotations

from askew.deep.detector import Detector
from askew.deep.method import Method, Recipe
from askew.deep.methods import METHODS, DeepSAD, DeepSVDD, DevNet, Reconstruct
from askew.deep.rows import Rows, Term

__all__ = [
    "METHODS",
    "DeepSAD",
    "DeepSVDD",
    "Detector",
    "DevNet",
    "Method",
    "Recipe",
    "Reconstruct",
    "Rows",
    "Term",
]
