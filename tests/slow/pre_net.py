"""Pairs, one at a time, against their ordinal target; scores beside the average partners."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from askew.deep import PReNet
from askew.deep.nets import Linear, Net
from tests.slow.core import SCORE, TERMS, Row, SlowBatch, SlowTerm, codes, forward


def relation(net: Net, k: int, left: Row, right: Row) -> Tensor:
    return forward(net.head, k, [torch.cat([left, right])])[0][0]


def terms(method: Any, net: Net, k: int, batch: SlowBatch) -> dict[str, SlowTerm]:
    left, right = batch["left"], batch["right"]
    losses, about = [], []
    for a, b, y, z in zip(
        codes(net, k, left.x), codes(net, k, right.x), left.label, right.label, strict=True
    ):
        target = {0: 0.0, 1: 4.0, 2: 8.0}[[y, z].count(1)]
        gap = target - relation(net, k, a, b)
        losses.append(gap if gap > 0 else -gap)
        about.append(1 if 1 in (y, z) else -1)
    found = {"relation": SlowTerm(losses, about)}
    if method.hidden and method.l2:
        penalty = torch.zeros((), dtype=torch.float64)
        for layer in net.encoder.modules():
            if isinstance(layer, Linear):
                penalty = penalty + (layer.weight[k] ** 2).sum()
        found["l2"] = SlowTerm([penalty] * len(losses), None, weight=method.l2)
    return found


def score(method: Any, net: Net, k: int, x: list[Row]) -> list[Tensor]:
    other, anomaly = net.mean_other[k, 0], net.mean_anomaly[k, 0]
    return [
        (relation(net, k, other, code) + relation(net, k, code, anomaly)) / 2
        for code in codes(net, k, x)
    ]


TERMS[PReNet] = terms
SCORE[PReNet] = score
