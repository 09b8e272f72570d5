"""A Gaussian mixture by sums over rows, its density by inverse and determinant."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from askew.deep import DAGMM
from askew.deep.nets import Net
from tests.slow.core import (
    LATENT,
    SCORE,
    TERMS,
    Row,
    SlowBatch,
    SlowTerm,
    codes,
    forward,
    outputs,
    squared,
)


def features(method: Any, net: Net, k: int, x: list[Row]) -> list[Row]:
    found = []
    for row, code, rebuilt in zip(x, codes(net, k, x), outputs(net, k, x), strict=True):
        length, other = (squared(v).sqrt().clamp(min=0.01) for v in (row, rebuilt))
        distance = squared(row - rebuilt).sqrt() / length
        cosine = sum(a * b for a, b in zip(row, rebuilt, strict=True)) / (length * other)
        found.append(torch.stack([*code, distance, cosine]))
    return found


def parts(z: list[Row], shares: list[Row]) -> list[tuple[Tensor, Row, Tensor]]:
    """Give weight, mean and covariance of each component."""
    found = []
    for m in range(len(shares[0])):
        own = [share[m] for share in shares]
        total = torch.stack(own).sum()
        mean = sum(s * row for s, row in zip(own, z, strict=True)) / total
        cov = torch.zeros(len(z[0]), len(z[0]), dtype=z[0].dtype)
        for s, row in zip(own, z, strict=True):
            cov = cov + s * torch.outer(row - mean, row - mean) / total
        more = 1e-6 * (1 + sum(cov[j, j] for j in range(len(cov))) / len(cov))
        found.append((total / len(z), mean, cov + more * torch.eye(len(cov), dtype=cov.dtype)))
    return found


def energy(row: Row, mixture: list[tuple[Tensor, Row, Tensor]]) -> Tensor:
    density = torch.zeros((), dtype=row.dtype)
    for weight, mean, cov in mixture:
        far = (row - mean) @ torch.linalg.inv(cov) @ (row - mean)
        density = density + weight * (-far / 2).exp() / torch.det(2 * math.pi * cov).sqrt()
    return -density.log()


def terms(method: Any, net: Net, k: int, batch: SlowBatch) -> dict[str, SlowTerm]:
    rows = batch["rows"]
    z, shares = features(method, net, k, rows.x), []
    for hidden, unit in zip(forward(net.assign, k, z), batch["dropped"], strict=True):
        kept = [h / (1 - method.dropout) if u >= method.dropout else 0 * h
                for h, u in zip(hidden, unit, strict=True)]  # fmt: skip
        raised = forward(net.component, k, [torch.stack(kept)])[0].exp()
        shares.append(raised / raised.sum())
    mixture = parts(z, shares)
    inverse = sum(1 / cov[j, j] for _, _, cov in mixture for j in range(len(cov)))
    rebuilt = outputs(net, k, rows.x)
    return {
        "reconstruction": SlowTerm(
            [squared(r - t) for r, t in zip(rebuilt, rows.target, strict=True)], None
        ),
        "energy": SlowTerm([energy(row, mixture) for row in z], None, method.energy),
        "covariance": SlowTerm([inverse] * len(z), None, method.covariance),  # type: ignore[list-item]
    }


def score(method: Any, net: Net, k: int, x: list[Row]) -> list[Tensor]:
    found = []
    for row in features(method, net, k, x):
        density = torch.zeros((), dtype=row.dtype)
        for m in range(method.mixtures):
            white = net.mixture_whiten[k, m] @ (row - net.mixture_mean[k, m])
            density = density + (net.mixture_level[k, m] - squared(white) / 2).exp()
        found.append(-density.log())
    return found


TERMS[DAGMM] = terms
SCORE[DAGMM] = score
LATENT[DAGMM] = features
