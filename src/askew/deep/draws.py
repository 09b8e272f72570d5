"""Which rows a step sees: row numbers only, for a whole block of steps at once.

Every draw takes the labels (n,) of the table, a size (steps, batch) and one member's generator.
What it returns by name is either row numbers (int64), which the loop turns into ``Rows``, or
random quantities (floating), which it passes on as they are.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Int
from torch import Generator, Tensor

from askew.labels import Label

Size = tuple[int, int]  # steps, rows a step


def uniform(
    label: Int[Tensor, " n"], size: Size, generator: Generator
) -> dict[str, Int[Tensor, "steps batch"]]:
    """Shuffled passes over the table, laid end to end and cut into full batches.

    Every row comes once before any row comes twice, and no batch is short: a last batch of one
    row would break batch normalization, and dropping it would waste most of a small table.
    """
    steps, batch = size
    passes = math.ceil(steps * batch / len(label))
    order = torch.cat([torch.randperm(len(label), generator=generator) for _ in range(passes)])
    return {"rows": order[: steps * batch].view(steps, batch)}


def balanced(
    label: Int[Tensor, " n"], size: Size, generator: Generator
) -> dict[str, Int[Tensor, "steps batch"]]:
    """Half known anomalies (odd places), half all other rows (even places), with replacement."""
    steps, batch = size
    known = label == Label.ANOMALY
    rows = torch.empty(size, dtype=torch.int64)
    rows[:, 0::2] = _pick(~known, (steps, (batch + 1) // 2), generator)
    rows[:, 1::2] = _pick(known, (steps, batch // 2), generator)
    return {"rows": rows}


def _pick(among: Tensor, size: Size, generator: Generator) -> Tensor:
    """Draw row numbers with replacement among those marked."""
    candidates = among.nonzero().squeeze(-1)
    return candidates[torch.randint(len(candidates), size, generator=generator)]
