"""Pseudo anomalies: an autoencoder is fed spoilt rows and still has to give the clean ones back.

Source: Astrid et al., "Learning Not to Reconstruct Anomalies", BMVC 2021: with some probability
the input is replaced, the target never. The mask is from Huang et al., "Synthetic Pseudo Anomalies
for Unsupervised Video Anomaly Detection", arXiv 2303.05112.
Departs from them: they have videos, into which go patches of foreign images or skipped frames, or
a mask that is learned; here are tables and single images, what is put in comes from other rows of
the table, and a masked cell holds the mean over all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from askew.deep import draws
from askew.deep.method import Batch, Method, Wrapper, require
from askew.deep.nets import Net
from askew.deep.paper import Paper
from askew.deep.rows import Rows, Term

HOW = ("swap", "noise", "mask")


@dataclass(eq=False, repr=False)
class Corrupt(Wrapper):
    """Train a base that rebuilds its input on spoilt rows, their clean form as target.

    In a table each cell is spoilt by itself; in an image a rectangle of up to half its height and
    width. Rows are scored as they are. Verdicts play no part in which rows are spoilt.

    Parameters
    ----------
    base
        A method that rebuilds its input.
    share
        Of the rows of a batch, how many are spoilt, in (0, 1]; 0.2 in the paper.
    cells
        Of a spoilt row's cells, how many change, in (0, 1]; tables only.
    how
        ``"swap"``: the same cells of another row, or rectangle of another image; ``"noise"``:
        Gaussian noise is added; ``"mask"``: the mean over all rows.
    sigma
        Standard deviation of the noise, greater than 0.
    """

    paper = Paper(
        "astrid2021learning",
        ("Astrid, Marcella", "Zaheer, Muhammad Zaigham", "Lee, Jae-Yeong", "Lee, Seung-Ik"),
        "Learning Not to Reconstruct Anomalies",
        "British Machine Vision Conference",
        2021,
        link="https://arxiv.org/abs/2110.09742",
    )

    share: float = 0.2
    cells: float = 0.3
    how: Literal["swap", "noise", "mask"] = "swap"
    sigma: float = 0.1

    def objection(self, base: Method) -> str:
        """Say what the base lacks."""
        return "" if base.rebuilds else "it is not trained to rebuild its input"

    def validate(self) -> None:
        """Check shares, noise and base."""
        super().validate()
        require(0 < self.share <= 1, "share", self.share, "in (0, 1]")
        require(0 < self.cells <= 1, "cells", self.cells, "in (0, 1]")
        require(self.how in HOW, "how", self.how, ", ".join(HOW))
        require(self.sigma > 0, "sigma", self.sigma, "greater than 0")

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Make the base's network with a mean row where cells are masked."""
        net = self.base.network(shape, generators)
        if self.how == "mask":
            net.register_buffer("mean_row", torch.zeros(len(generators), 1, *shape))
        return net

    def before_fit(self, net: Net, rows: Rows) -> None:
        """Let the base act; note the mean row."""
        super().before_fit(net, rows)
        if self.how == "mask":
            net.mean_row.copy_(rows.x.mean(1, keepdim=True))

    def draw(self, label: Tensor, size: draws.Size, generator: Generator) -> dict[str, Tensor]:
        """Draw what the base draws, which rows and cells are spoilt, and with what."""
        drawn = self.base.draw(label, size, generator)
        shape = drawn["rows"].shape
        drawn["spoilt"] = torch.rand(shape, generator=generator)
        images = len(size.shape) > 1
        drawn["where"] = torch.rand(*shape, *((4,) if images else size.shape), generator=generator)
        if self.how == "swap":
            drawn["donor"] = torch.randint(len(label), shape, generator=generator)
        if self.how == "noise":
            drawn["noise"] = torch.randn(*shape, *size.shape, generator=generator) * self.sigma
        return drawn

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Give the base's terms on rows of which some are spoilt."""
        rows = batch["rows"]
        if self.how == "swap":
            other = batch["donor"].x
        elif self.how == "noise":
            other = rows.x + batch["noise"]
        else:
            other = net.mean_row
        spoilt = batch["spoilt"] < self.share
        spoilt = spoilt.view(*spoilt.shape, *[1] * (rows.x.dim() - 2))
        x = torch.where(spoilt & self._where(rows.x, batch["where"]), other, rows.x)
        return self.base.terms(net, {**batch, "rows": Rows(x, rows.label, clean=rows.target)})

    def _where(
        self, x: Float[Tensor, "members rows *shape"], where: Tensor
    ) -> Bool[Tensor, "members rows *shape"]:
        """Mark the cells that change if their row does."""
        if x.dim() == 3:
            return where < self.cells
        size, start = where[..., :2] / 2, where[..., 2:]
        height, width = x.shape[-2:]
        down, across = (
            _within(start[..., i] * (1 - size[..., i]), size[..., i], cells)
            for i, cells in enumerate((height, width))
        )
        return (down.unsqueeze(-1) & across.unsqueeze(-2)).unsqueeze(2).expand_as(x)


def _within(start: Tensor, size: Tensor, cells: int) -> Bool[Tensor, "members rows cells"]:
    """Mark the places of a side whose middle lies in [start, start + size), both in [0, 1]."""
    middle = (torch.arange(cells, device=start.device, dtype=start.dtype) + 0.5) / cells
    start, size = start.unsqueeze(-1), size.unsqueeze(-1)
    return (middle >= start) & (middle < start + size)
