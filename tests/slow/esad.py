"""Encode, decode, encode: three terms with their signs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from askew.deep import ESAD
from askew.deep.nets import Net
from tests.slow.core import SCORE, TERMS, Row, SlowBatch, SlowTerm, codes, forward, outputs, squared


def length(code: Row) -> Tensor:
    return (squared(code) + 1e-12) ** 0.5


def target(method: Any, row: Row, y: int, noise: Row | None) -> Row:
    if y != 1 or noise is None:
        return row
    if method.noise in (None, "gaussian"):
        return torch.stack(
            [
                min(max(v + method.sigma * e, 0 * v), 0 * v + 1)
                for v, e in zip(row, noise, strict=True)
            ]
        )
    if method.noise == "permute":
        order = sorted(range(len(row)), key=lambda i: float(noise[i]))
        return torch.stack([row[i] for i in order])
    return noise


def terms(method: Any, net: Net, k: int, batch: SlowBatch) -> dict[str, SlowTerm]:
    rows = batch["rows"]
    noise = [None] * len(rows.x) if method.noise == "none" else list(batch["noise"].double())
    first, rebuilt = codes(net, k, rows.x), outputs(net, k, rows.x)
    second = forward(net.second, k, rebuilt)
    error, norm, agreement = [], [], []
    for i, y in enumerate(rows.label):
        wanted = target(method, rows.target[i], y, noise[i])
        e = squared(rebuilt[i] - wanted)
        error.append(e if method.reduction == "sum" else e / len(wanted))
        r = length(second[i])
        norm.append(1 / (r + 1e-6) if y == 1 else r)
        agreement.append(squared(second[i] - first[i]) / len(first[i]))
    return {
        "reconstruction": SlowTerm(error, rows.label),
        "norm": SlowTerm(norm, rows.label, weight=method.norm),
        "agreement": SlowTerm(agreement, None, weight=method.agreement),
    }


def score(method: Any, net: Net, k: int, x: list[Row]) -> list[Tensor]:
    rebuilt = outputs(net, k, x)
    second = forward(net.second, k, rebuilt)
    return [
        squared(r - row) / len(row) + length(z)
        for r, row, z in zip(rebuilt, x, second, strict=True)
    ]


TERMS[ESAD] = terms
SCORE[ESAD] = score
