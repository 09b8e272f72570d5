"""What the slow loops share: a network one unit at a time, and who has which loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from askew.deep import Method
from askew.deep.nets import BatchNorm, Linear, Net
from askew.deep.rows import Rows

Row = Tensor  # (d,)


@dataclass
class SlowRows:
    """One member's rows."""

    x: list[Row]
    label: list[int]
    target: list[Row]


@dataclass
class SlowTerm:
    """One term: a loss a row, whom it is about, which rows count, and a weight."""

    loss: list[Tensor]
    about: list[int] | None
    weight: Any = 1.0
    keep: list[bool] | None = None
    unbounded: list[Tensor] | None = None

    def cost(self) -> Any:
        keep = [True] * len(self.loss) if self.keep is None else self.keep
        kept = [loss for loss, here in zip(self.loss, keep, strict=True) if here]
        return self.weight * sum(kept) / len(kept) if kept else torch.zeros((), dtype=torch.float64)


# One member's share of a batch: SlowRows by name, or a tensor without its member axis.
SlowBatch = Mapping[str, Any]
Terms = Callable[[Any, Net, int, SlowBatch], dict[str, SlowTerm]]
PerRow = Callable[[Any, Net, int, list[Row]], list[Tensor]]

TERMS: dict[type[Method], Terms] = {}
SCORE: dict[type[Method], PerRow] = {}
LATENT: dict[type[Method], PerRow] = {}


def slow_terms(method: Method, net: Net, k: int, batch: SlowBatch) -> dict[str, SlowTerm]:
    return TERMS[type(method)](method, net, k, batch)


def slow_score(method: Method, net: Net, k: int, x: list[Row]) -> list[Tensor]:
    return SCORE[type(method)](method, net, k, x)


def slow_latent(method: Method, net: Net, k: int, x: list[Row]) -> list[Tensor]:
    special = LATENT.get(type(method))
    return codes(net, k, x) if special is None else special(method, net, k, x)


def slow_cost(method: Method, net: Net, k: int, batch: Mapping[str, Any]) -> Any:
    """Give member k's whole objective on a batch."""
    mine: dict[str, Any] = {}
    for name, part in batch.items():
        if isinstance(part, Rows):
            mine[name] = SlowRows(list(part.x[k]), part.label[k].tolist(), list(part.target[k]))
        else:
            mine[name] = part[k]
    return sum(term.cost() for term in slow_terms(method, net, k, mine).values())


def codes(net: Net, k: int, x: list[Row]) -> list[Row]:
    return forward(net.neck, k, forward(net.encoder, k, x))


def outputs(net: Net, k: int, x: list[Row]) -> list[Row]:
    return forward(net.head, k, codes(net, k, x))


def forward(module: nn.Module, k: int, rows: list[Row]) -> list[Row]:
    """Pass one member's rows through, one row and one unit at a time."""
    if isinstance(module, nn.Sequential):
        for layer in module:
            rows = forward(layer, k, rows)
        return rows
    if isinstance(module, nn.Identity):
        return rows
    if isinstance(module, Linear):
        w = module.weight[k]
        b = None if module.bias is None else module.bias[k, 0]
        out = []
        for row in rows:
            units = torch.stack([(row * w[:, j]).sum() for j in range(w.shape[1])])
            out.append(units if b is None else units + b)
        return out
    if isinstance(module, BatchNorm):
        return _batch_norm(module, k, rows)
    if isinstance(module, nn.LeakyReLU):
        return [torch.where(row > 0, row, module.negative_slope * row) for row in rows]
    if isinstance(module, nn.ReLU):
        return [torch.where(row > 0, row, 0 * row) for row in rows]
    if isinstance(module, nn.Tanh):
        return [(row.exp() - (-row).exp()) / (row.exp() + (-row).exp()) for row in rows]
    if isinstance(module, nn.Sigmoid):
        return [1 / (1 + torch.exp(-row)) for row in rows]
    raise AssertionError(f"no slow form of {module}")


def _batch_norm(layer: BatchNorm, k: int, rows: list[Row]) -> list[Row]:
    columns = []
    for j, column in enumerate(torch.stack(rows).unbind(1)):
        mean, var = layer.mean[k, 0, j], layer.var[k, 0, j]
        if layer.training:
            mean = torch.stack(list(column)).sum() / len(column)
            var = torch.stack([(v - mean) ** 2 for v in column]).sum() / len(column)
        normal = torch.stack([(v - mean) / (var + layer.eps) ** 0.5 for v in column])
        if layer.scale is not None and layer.shift is not None:
            normal = normal * layer.scale[k, 0, j] + layer.shift[k, 0, j]
        columns.append(normal)
    return list(torch.stack(columns, 1))


def squared(row: Row) -> Tensor:
    total = torch.zeros((), dtype=row.dtype)
    for value in row:
        total = total + value * value
    return total


def distances(net: Net, k: int, x: list[Row]) -> list[Tensor]:
    """Squared distance of each code from the member's center."""
    return [squared(code - net.center[k, 0]) for code in codes(net, k, x)]
