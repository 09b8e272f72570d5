"""The deep floor: published methods as small files on one loop. Tensors only."""

from __future__ import annotations

from askew.deep.detector import Detector as Detector
from askew.deep.method import Method as Method
from askew.deep.method import Recipe as Recipe
from askew.deep.method import Wrapper as Wrapper
from askew.deep.methods import *  # noqa: F403  # every method of the registry
from askew.deep.methods import METHODS as METHODS
from askew.deep.paper import Paper as Paper
from askew.deep.rows import Rows as Rows
from askew.deep.rows import Term as Term
