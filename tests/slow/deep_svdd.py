"""Squared distance from the center."""

from __future__ import annotations

from typing import Any

from askew.deep import DeepSVDD
from askew.deep.nets import Net
from tests.slow.core import SCORE, TERMS, SlowBatch, SlowTerm, distances


def terms(method: Any, net: Net, k: int, batch: SlowBatch) -> dict[str, SlowTerm]:
    return {"distance": SlowTerm(distances(net, k, batch["rows"].x), None)}


TERMS[DeepSVDD] = terms
SCORE[DeepSVDD] = lambda method, net, k, x: distances(net, k, x)
