"""A scoring network, held at 0 or pulled up to the margin by what the base finds odd."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from askew.deep import ScoreGuided
from askew.deep.nets import Net
from tests.slow.core import (
    LATENT,
    SCORE,
    TERMS,
    Row,
    SlowBatch,
    SlowTerm,
    forward,
    slow_latent,
    slow_score,
    slow_terms,
)


def score(method: Any, net: Net, k: int, x: list[Row]) -> list[Tensor]:
    return [out[0] for out in forward(net.guide, k, slow_latent(method.base, net, k, x))]


def terms(method: Any, net: Net, k: int, batch: SlowBatch) -> dict[str, SlowTerm]:
    rows, loss, about = batch["rows"], [], []
    evidence = slow_score(method.base, net, k, rows.x)
    for s, e, y in zip(score(method, net, k, rows.x), evidence, rows.label, strict=True):
        odd = y == 1 or (y == -1 and bool(e >= net.quantile[k, 0]))
        if odd:
            loss.append(method.outlier * (method.margin - s) if s < method.margin else 0 * s)
        else:
            loss.append(s if s > 0 else -s)
        about.append(1 if odd else y)
    guide = SlowTerm(loss, about, weight=method.weight)
    return {**slow_terms(method.base, net, k, batch), "guide": guide}


TERMS[ScoreGuided] = terms
SCORE[ScoreGuided] = score
LATENT[ScoreGuided] = lambda method, net, k, x: slow_latent(method.base, net, k, x)
