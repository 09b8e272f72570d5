"""Triplets, then mixtures, a row at a time; the two losses' weights from their own definition."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from askew.deep import RoSAS
from askew.deep.nets import Net
from tests.slow.core import SCORE, TERMS, Row, SlowBatch, SlowTerm, codes, outputs, squared


def degrees(net: Net, k: int, x: list[Row]) -> list[Tensor]:
    """Give tanh of each output."""
    rows = outputs(net, k, x)
    return [(r[0].exp() - (-r[0]).exp()) / (r[0].exp() + (-r[0]).exp()) for r in rows]


def length(row: Row) -> Tensor:
    return (squared(row) + 1e-12) ** 0.5


def bent(gap: Tensor) -> Tensor:
    """Smooth L1, threshold 1."""
    size = gap if gap > 0 else -gap
    return size**2 / 2 if size < 1 else size - 0.5


def terms(method: Any, net: Net, k: int, batch: SlowBatch) -> dict[str, SlowTerm]:
    blocks = [batch[name] for name in ("anchor", "positive", "negative")]
    x = [row for block in blocks for row in block.x]
    code, size = codes(net, k, x), len(blocks[0].x)
    a, p, n = code[:size], code[size : 2 * size], code[2 * size :]
    triplets, summed = [], []
    for one, two, three in zip(a, p, n, strict=True):
        gap = length(one - two) - length(one - three) + method.margin
        triplets.append(gap if gap > 0 else 0 * gap)
        summed.append(one + two + three)
    label = [y for block in blocks for y in block.label]
    ranked = sorted(range(len(x)), key=lambda i: float(batch["order"][i]))
    mixed, about = [], []
    own = degrees(net, k, x)
    blended = [
        share * x[i] + (1 - share) * x[j]
        for (i, j), share in zip(enumerate(ranked), batch["mix"], strict=True)
    ]
    mean = degrees(net, k, blended)
    for i, j in enumerate(ranked):
        share, y, z = batch["mix"][i], 2.0 * (label[i] == 1) - 1, 2.0 * (label[j] == 1) - 1
        between, expected = mean[i], share * own[i] + (1 - share) * own[j]
        mixed.append(bent(between - share * y - (1 - share) * z) + bent(between - expected))
        about.append(1 if 1 in (label[i], label[j]) else -1)
    powers = []
    for name, losses in (("embedding", triplets), ("score", mixed)):
        before = max(float(net.get_buffer(f"last_{name}")[k]), 1e-8)
        power = sum(losses) / len(losses) / before / method.temperature
        powers.append(torch.exp(power if power < 10 else 0 * power + 10))
    share_e, share_s = (power / sum(powers) for power in powers)
    frobenius = length(torch.cat(summed))
    found = {
        "embedding": SlowTerm(triplets, [1] * len(triplets), share_e),
        "score": SlowTerm(mixed, about, share_s),
    }
    if method.norm:
        found["norm"] = SlowTerm([frobenius] * len(triplets), None, method.norm)
    return found


TERMS[RoSAS] = terms
SCORE[RoSAS] = lambda method, net, k, x: [out[0] for out in outputs(net, k, x)]
