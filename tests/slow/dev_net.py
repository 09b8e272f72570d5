"""Deviation loss with its margin, and the penalty on the hidden weights."""

from __future__ import annotations

from typing import Any

from askew.deep import DevNet
from askew.deep.nets import Linear, Net
from tests.slow.core import SCORE, TERMS, SlowBatch, SlowTerm, outputs


def terms(method: Any, net: Net, k: int, batch: SlowBatch) -> dict[str, SlowTerm]:
    rows, losses, unbounded = batch["rows"], [], []
    for out, y in zip(outputs(net, k, rows.x), rows.label, strict=True):
        dev = (out[0] - net.mu[k, 0]) / net.sigma[k, 0]
        size = dev if dev > 0 else -dev
        below = method.margin - dev
        losses.append((below if below > 0 else 0 * dev) if y == 1 else size)
        unbounded.append(below if y == 1 else size)
    found = {"deviation": SlowTerm(losses, rows.label, unbounded=unbounded)}
    penalty = sum(
        (layer.weight[k] ** 2).sum() for layer in net.encoder.modules() if isinstance(layer, Linear)
    )
    if method.hidden and method.l2:
        found["l2"] = SlowTerm([penalty] * len(losses), None, weight=method.l2)  # type: ignore[list-item]
    return found


TERMS[DevNet] = terms
SCORE[DevNet] = lambda method, net, k, x: [out[0] for out in outputs(net, k, x)]
