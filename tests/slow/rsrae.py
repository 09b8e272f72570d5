"""Three lengths: of the error, of what a projection loses, of a layer's distance from one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from askew.deep import RSRAE
from askew.deep.nets import Net
from tests.slow.core import SCORE, TERMS, Row, SlowBatch, SlowTerm, forward, outputs, squared


def terms(method: Any, net: Net, k: int, batch: SlowBatch) -> dict[str, SlowTerm]:
    rows = batch["rows"]
    layers: list[Any] = list(net.encoder.children())
    a = layers[1].weight[k].T
    lost = []
    for z in forward(layers[0], k, rows.x):
        kept = torch.zeros_like(z)
        for direction in a:
            kept = kept + (direction * z).sum() * direction
        lost.append((squared(z - kept) + 1e-16).sqrt())
    penalty = torch.zeros((), dtype=a.dtype)
    for i, one in enumerate(a):
        for j, other in enumerate(a):
            penalty = penalty + ((one * other).sum() - float(i == j)) ** 2
    rebuilt = outputs(net, k, rows.x)
    error = [(squared(r - t) + 1e-16).sqrt() for r, t in zip(rebuilt, rows.target, strict=True)]
    return {
        "reconstruction": SlowTerm(error, None),
        "recovery": SlowTerm(lost, None, method.recovery),
        "orthogonality": SlowTerm([penalty] * len(lost), None, method.orthogonality),
    }


def score(method: Any, net: Net, k: int, x: list[Row]) -> list[Tensor]:
    rebuilt = outputs(net, k, x)
    return [(squared(r - row) + 1e-16).sqrt() for r, row in zip(rebuilt, x, strict=True)]


TERMS[RSRAE] = terms
SCORE[RSRAE] = score
