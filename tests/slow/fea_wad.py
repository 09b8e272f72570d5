"""Code, residual and its length, a row at a time, and the two hinged losses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from askew.deep import FEAWAD
from askew.deep.nets import Net
from tests.slow.core import LATENT, SCORE, TERMS, Row, SlowBatch, SlowTerm, forward, squared


def taken_apart(net: Net, k: int, x: list[Row]) -> tuple[list[Row], list[Row], list[Tensor]]:
    """Give each row's code, its residual and the residual's length."""
    parts: Any = net.encoder
    code = forward(parts.coder, k, x)
    residual = [row - out for row, out in zip(x, forward(parts.decoder, k, code), strict=True)]
    return code, residual, [(squared(r) + 1e-12) ** 0.5 for r in residual]


def latent(method: Any, net: Net, k: int, x: list[Row]) -> list[Row]:
    code, residual, error = taken_apart(net, k, x)
    parts: Any = net.encoder
    seen = [torch.cat([r / n, z, n.view(1)]) for z, r, n in zip(code, residual, error, strict=True)]
    for layer in parts.layers:
        seen = [
            torch.cat([h, n.view(1)]) for h, n in zip(forward(layer, k, seen), error, strict=True)
        ]
    return forward(net.neck, k, seen)


def score(method: Any, net: Net, k: int, x: list[Row]) -> list[Tensor]:
    return [out[0] for out in forward(net.head, k, latent(method, net, k, x))]


def hinged(values: list[Tensor], label: list[int], margin: float) -> list[Tensor]:
    losses = []
    for value, y in zip(values, label, strict=True):
        below, size = margin - value, value if value > 0 else -value
        losses.append((below if below > 0 else 0 * value) if y == 1 else size)
    return losses


def terms(method: Any, net: Net, k: int, batch: SlowBatch) -> dict[str, SlowTerm]:
    rows = batch["rows"]
    losses = hinged(score(method, net, k, rows.x), rows.label, method.margin)
    found = {"score": SlowTerm(losses, rows.label)}
    if method.residual_term == "error":
        error = taken_apart(net, k, rows.x)[2]
        found["residual"] = SlowTerm(hinged(error, rows.label, method.margin), rows.label)
    return found


TERMS[FEAWAD] = terms
SCORE[FEAWAD] = score
LATENT[FEAWAD] = latent
