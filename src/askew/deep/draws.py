"""Which rows a step sees: row numbers only, for a whole block of steps at once.

Every draw takes the labels (n,) of the table, a size and one member's generator. What it returns
by name is either row numbers (int64), which the loop turns into ``Rows``, or random quantities
(floating), which it passes on as they are; both begin with the axes (steps, batch).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Generator, Tensor

from askew.labels import Label


class Size(NamedTuple):
    """How much is drawn at once."""

    steps: int
    batch: int  # rows a step
    shape: tuple[int, ...] = ()  # of one row, for noise that is as large as the rows


def uniform(
    label: Int[Tensor, " n"], size: Size, generator: Generator
) -> dict[str, Int[Tensor, "steps batch"]]:
    """Shuffled passes over the table, laid end to end and cut into full batches.

    Every row comes once before any row comes twice, and no batch is short: a last batch of one
    row would break batch normalization, and dropping it would waste most of a small table.
    """
    every = torch.ones_like(label, dtype=torch.bool)
    return {"rows": passes(every, size.steps * size.batch, generator).view(size.steps, size.batch)}


def balanced(
    label: Int[Tensor, " n"], size: Size, generator: Generator
) -> dict[str, Int[Tensor, "steps batch"]]:
    """Half known anomalies (odd places), half all other rows (even places), with replacement."""
    steps, batch = size.steps, size.batch
    known = label == Label.ANOMALY
    rows = torch.empty((steps, batch), dtype=torch.int64)
    rows[:, 0::2] = pick(~known, (steps, (batch + 1) // 2), generator)
    rows[:, 1::2] = pick(known, (steps, batch // 2), generator)
    return {"rows": rows}


def pairs(
    label: Int[Tensor, " n"], size: Size, generator: Generator
) -> dict[str, Int[Tensor, "steps batch"]]:
    """Two rows side by side: half (u, u), a quarter (u, a), a quarter (a, a) of different rows.

    Here a is a known anomaly and u any other row. The u of all steps come from shuffled passes:
    no row twice while the table has enough. A single known anomaly has no partner of its kind;
    the last quarter is then (u, a) too.
    """
    steps, batch = size.steps, size.batch
    known = label == Label.ANOMALY
    both, neither = batch // 4, (batch + 1) // 2
    if int(known.sum()) < 2:
        both = 0
    one = batch - neither - both
    others = passes(~known, steps * (2 * neither + one), generator).view(steps, -1)
    first, second = _two(known, (steps, both), generator)
    mixed = pick(known, (steps, one), generator)
    return {
        "left": torch.cat([others[:, neither:], first], 1),
        "right": torch.cat([others[:, :neither], mixed, second], 1),
    }


def triplets(
    label: Int[Tensor, " n"], size: Size, generator: Generator
) -> dict[str, Int[Tensor, "steps batch"]]:
    """Two rows that are no known anomalies, each from passes of its own, and a known anomaly."""
    known = label == Label.ANOMALY
    shape = (size.steps, size.batch)
    anchor, positive = (passes(~known, math.prod(shape), generator).view(shape) for _ in range(2))
    return {"anchor": anchor, "positive": positive, "negative": pick(known, shape, generator)}


def passes(among: Tensor, count: int, generator: Generator) -> Int[Tensor, " count"]:
    """Give shuffled passes over the rows marked, laid end to end and cut after ``count``."""
    candidates = among.nonzero().squeeze(-1)
    n = len(candidates)
    orders = [torch.randperm(n, generator=generator) for _ in range(math.ceil(count / n))]
    return candidates[torch.cat(orders)[:count]]


def pick(among: Tensor, size: tuple[int, ...], generator: Generator) -> Tensor:
    """Draw row numbers with replacement among those marked."""
    candidates = among.nonzero().squeeze(-1)
    return candidates[torch.randint(len(candidates), size, generator=generator)]


def _two(among: Tensor, size: tuple[int, ...], generator: Generator) -> tuple[Tensor, Tensor]:
    """Draw pairs of two different rows among those marked, every such pair as likely."""
    candidates = among.nonzero().squeeze(-1)
    n = len(candidates)
    first = torch.randint(n, size, generator=generator)
    apart = torch.randint(1, max(n, 2), size, generator=generator)
    return candidates[first], candidates[(first + apart) % n]
