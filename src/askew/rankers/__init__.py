"""What the default is blended from.

This list is the registry: a new ranker is one file and one line here.
"""

from __future__ import annotations

from askew.rankers.active_blend import ActiveBlend
from askew.rankers.bagged_boosting import BaggedBoosting
from askew.rankers.bagged_trees import BaggedTrees
from askew.rankers.base import Ranker
from askew.rankers.blend import Blend
from askew.rankers.extra_trees import ExtraTrees
from askew.rankers.isolation_trees import IsolationTrees
from askew.rankers.kernel_logistic import KernelLogistic
from askew.rankers.mahalanobis import Mahalanobis
from askew.rankers.neighbor_ratio import NeighborRatio

RANKERS: dict[str, type[Ranker]] = {
    ranker.__name__: ranker
    for ranker in (
        BaggedTrees,
        BaggedBoosting,
        KernelLogistic,
        NeighborRatio,
        ExtraTrees,
        IsolationTrees,
        Mahalanobis,
        Blend,
        ActiveBlend,
    )
}

__all__ = [
    "RANKERS",
    "ActiveBlend",
    "BaggedBoosting",
    "BaggedTrees",
    "Blend",
    "ExtraTrees",
    "IsolationTrees",
    "KernelLogistic",
    "Mahalanobis",
    "NeighborRatio",
    "Ranker",
]
