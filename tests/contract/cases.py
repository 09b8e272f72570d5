"""Every method, odd cases included. A new entry here is asked all the questions of the suite."""

from __future__ import annotations

from collections.abc import Callable

import torch

from askew.deep import DeepSAD, DeepSVDD, DevNet, Method, Reconstruct
from askew.deep.draws import Size
from askew.deep.method import Batch
from askew.deep.nets import Net
from askew.deep.rows import Rows
from askew.deep.train import _draw, _gather, spawn
from askew.labels import Label

CASES: dict[str, Callable[[], Method]] = {
    "Reconstruct": lambda: Reconstruct(hidden=(8, 4)),
    "Reconstruct, one layer": lambda: Reconstruct(hidden=(3,), batch_norm=False, bounded=False),
    "DeepSVDD": lambda: DeepSVDD(hidden=(8, 4)),
    "DeepSVDD, not pretrained": lambda: DeepSVDD(hidden=(8,), pretrain=False),
    "DeepSAD": lambda: DeepSAD(hidden=(8, 4)),
    "DeepSAD, plain": lambda: DeepSAD(eta=3.0, hidden=(8, 4), batch_norm=False, pretrain=False),
    "DeepSAD, balanced": lambda: DeepSAD(hidden=(8, 4), batch_norm=False, balanced=True),
    "DevNet": lambda: DevNet(),
    "DevNet, linear": lambda: DevNet(hidden=()),
    "DevNet, deep": lambda: DevNet(hidden=(16, 8), margin=3.0),
}

D = 6


def table(n: int = 240, *, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Give (n, 6) rows near a plane, every twelfth off it, and labels of all three kinds."""
    generator = torch.Generator().manual_seed(7)
    plane = torch.tensor([[1, -1, 1, 0, 1, 0], [0, 1, -1, 1, 0, 1]], dtype=torch.float64)
    x = 0.5 + 0.06 * torch.randn(n, 2, generator=generator, dtype=torch.float64) @ plane
    x += 0.01 * torch.randn(n, D, generator=generator, dtype=torch.float64)
    odd = torch.arange(n) % 12 == 0
    x[odd, :3] += 0.2 + 0.2 * torch.rand(n, 3, generator=generator, dtype=torch.float64)[odd]
    label = torch.full((n,), int(Label.UNLABELED))
    label[odd & (torch.arange(n) % 24 == 0)] = int(Label.ANOMALY)
    label[~odd & (torch.arange(n) % 5 == 0)] = int(Label.NORMAL)
    return x.clamp(0, 1).to(dtype), label


def truth(n: int = 240) -> torch.Tensor:
    return torch.arange(n) % 12 == 0


def full_batch(method: Method, members: int = 2, *, rows: int = 48, seed: int = 3) -> Batch:
    """Draw a batch of the method's own kind from rows of which a third has each label."""
    x, label = thirds(rows)
    size, running = Size(1, rows, (D,)), torch.ones(members, dtype=torch.bool)
    drawn = _draw(method, label, size, spawn(seed, members), running, {})
    return _gather(Rows(x.unsqueeze(0), label.unsqueeze(0)), drawn, 0)


def thirds(rows: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
    x, _ = table(rows, dtype=torch.float64)
    return x, torch.arange(rows) % 3 - 1


def prepared(method: Method, members: int = 2) -> Net:
    """Give an untrained network on which the method's hooks have looked at the table."""
    net = method.network((D,), spawn(11, members)).to(torch.float64).eval()
    x, label = table(dtype=torch.float64)
    rows = Rows(x.unsqueeze(0), label.unsqueeze(0))
    with torch.no_grad():
        method.before_fit(net, rows)
        method.before_epoch(net, rows, {})
    method.set_training(net)
    return net


def rolled(batch: Batch) -> Batch:
    """Give the same rows with their labels moved on by one place."""
    return {
        name: Rows(part.x, part.label.roll(1, -1), part.clean) if isinstance(part, Rows) else part
        for name, part in batch.items()
    }
