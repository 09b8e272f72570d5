"""A sampled code's error, and the divergence of a diagonal Gaussian from the standard one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from askew.deep import VAE
from askew.deep.nets import Net
from tests.slow.core import SCORE, TERMS, Row, SlowBatch, SlowTerm, codes, forward, outputs, squared


def terms(method: Any, net: Net, k: int, batch: SlowBatch) -> dict[str, SlowTerm]:
    rows = batch["rows"]
    trunk = next(net.encoder.children())
    means, logs = codes(net, k, rows.x), forward(net.log_variance, k, forward(trunk, k, rows.x))
    samples, kl = [], []
    for mean, log, noise in zip(means, logs, batch["code_noise"], strict=True):
        log = torch.stack([v.clamp(-10, 10) for v in log])
        drawn = zip(mean, log, noise, strict=True)
        samples.append(torch.stack([m + v.exp() ** 0.5 * e for m, v, e in drawn]))
        kl.append(-0.5 * torch.stack([1 + v for v in log]).sum())
        kl[-1] += 0.5 * (squared(mean) + sum(v.exp() for v in log))
    rebuilt = forward(net.head, k, samples)
    error = [squared(r - t) / len(t) for r, t in zip(rebuilt, rows.target, strict=True)]
    weight = method.beta * 2 * method.deviation**2 / len(rows.x[0])
    return {"reconstruction": SlowTerm(error, None), "kl": SlowTerm(kl, None, weight)}


def score(method: Any, net: Net, k: int, x: list[Row]) -> list[Tensor]:
    return [squared(r - row) / len(row) for r, row in zip(outputs(net, k, x), x, strict=True)]


TERMS[VAE] = terms
SCORE[VAE] = score
