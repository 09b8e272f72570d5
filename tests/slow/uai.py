"""A logistic unit on code and score, and its cross-entropy on verdicts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from askew.deep import UAI
from askew.deep.nets import BatchNorm, Net
from tests.slow.core import (
    LATENT,
    SCORE,
    TERMS,
    Row,
    SlowBatch,
    SlowRows,
    SlowTerm,
    slow_latent,
    slow_score,
    slow_terms,
    squared,
)


def logits(method: Any, net: Net, k: int, x: list[Row]) -> list[Tensor]:
    weight, bias = net.unit.weight[k, :, 0], net.unit.bias[k, 0, 0]
    found = []
    code, score = slow_latent(method.base, net, k, x), slow_score(method.base, net, k, x)
    for z, s in zip(code, score, strict=True):
        scaled = torch.log(1 + s) if s > 0 else -torch.log(1 - s)
        features = (torch.cat([z, scaled.view(1)]) - net.shift[k, 0]) / net.spread[k, 0]
        found.append((features * weight).sum() + bias)
    return found


def terms(method: Any, net: Net, k: int, batch: SlowBatch) -> dict[str, SlowTerm]:
    found = {} if method.freeze_base else slow_terms(method.base, net, k, batch)
    told = batch["told"]
    together = told.x
    if any(isinstance(layer, BatchNorm) and layer.training for layer in net.modules()):
        together = next(part.x for part in batch.values() if isinstance(part, SlowRows)) + told.x
    loss = []
    for a, y in zip(logits(method, net, k, together)[-len(told.x) :], told.label, strict=True):
        # -log p and -log(1 - p) of the logistic p, written so that no exponential overflows
        loss.append(torch.logaddexp(0 * a, -a) if y == 1 else torch.logaddexp(0 * a, a))
    keep = [y != -1 for y in told.label]
    found["verdict"] = SlowTerm(loss, told.label, method.weight, keep)
    if method.decay:
        weight = net.unit.weight[k, :, 0]
        penalty = squared(weight[:-1]) + (weight[-1] - 1) ** 2
        found["decay"] = SlowTerm([penalty], None, method.decay)
    return found


TERMS[UAI] = terms
SCORE[UAI] = lambda method, net, k, x: (
    logits(method, net, k, x) if net.told[k, 0] > 0 else slow_score(method.base, net, k, x)
)
LATENT[UAI] = lambda method, net, k, x: slow_latent(method.base, net, k, x)
