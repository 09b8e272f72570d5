"""DevNet: push known anomalies a margin of standard deviations above what a Gaussian allows.

Source: Pang, Shen and van den Hengel, "Deep Anomaly Detection with Deviation Networks", KDD 2019,
the deviation loss; layer plan, batches and optimiser of the authors' code.
Departs from that code: the reference sample is drawn once for each member, from its own generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from askew.deep.method import Batch, Method, Recipe, require
from askew.deep.nets import Linear, Net, mlp, squared_weights
from askew.deep.paper import Paper
from askew.deep.rows import Term
from askew.labels import Label

REFERENCES = 5000


@dataclass(eq=False, repr=False)
class DevNet(Method):
    """Score a row by one unbounded number, 0 for what is normal.

    A row that is not a known anomaly costs |dev|, a known anomaly max(0, margin - dev), with dev
    the score in standard deviations of a Gaussian reference sample. Known normals count as
    unlabelled rows do.

    Parameters
    ----------
    margin
        How many standard deviations a known anomaly is asked to lie above; 5 in the paper.
    hidden
        Widths of the hidden layers: (20,) is the paper's "depth 2", (1000, 250, 20) its deep
        form, () its linear one.
    l2
        Weight of the penalty on the hidden layers' squared weights.
    """

    paper = Paper(
        "pang2019devnet",
        ("Pang, Guansong", "Shen, Chunhua", "van den Hengel, Anton"),
        "Deep Anomaly Detection with Deviation Networks",
        "ACM SIGKDD International Conference on Knowledge Discovery and Data Mining (KDD)",
        2019,
        link="https://arxiv.org/abs/1911.08623",
    )
    uses = (Label.ANOMALY,)
    needs = (Label.ANOMALY,)

    margin: float = 5.0
    hidden: tuple[int, ...] = (20,)
    l2: float = 0.01

    def validate(self) -> None:
        """Check margin, penalty and widths."""
        require(self.margin > 0, "margin", self.margin, "greater than 0")
        require(self.l2 >= 0, "l2", self.l2, "0 or greater")
        require(all(width > 0 for width in self.hidden), "hidden", self.hidden, "positive widths")

    def recipe(self) -> Recipe:
        """Give the authors' settings: 1,000 steps whatever the table's length."""
        return Recipe(
            optimizer="rmsprop", batch_size=512, steps_per_epoch=20, clip_norm=1.0, keep="best"
        )

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Make a ReLU network with a linear score on top."""
        widths = (shape[-1], *self.hidden)
        encoder = mlp(generators, widths, activation=nn.ReLU, activate_last=True, init="glorot")
        net = Net(encoder, Linear(generators, widths[-1], 1, init="glorot"), width=widths[-1])
        reference = torch.stack([torch.randn(1, REFERENCES, generator=g) for g in generators])
        net.register_buffer("mu", reference.mean(-1))
        net.register_buffer("sigma", reference.std(-1, correction=0))
        return net

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Give the deviation loss and the penalty, the same for every row."""
        rows = batch["rows"]
        dev = (self.score(net, rows.x) - net.mu) / net.sigma
        below = self.margin - dev
        known = rows.label == Label.ANOMALY
        loss = torch.where(known, below.clamp(min=0), dev.abs())
        unbounded = torch.where(known, below, dev.abs())
        terms = {"deviation": Term(loss, about=rows.label, unbounded=unbounded)}
        if self.hidden and self.l2:
            terms["l2"] = Term(squared_weights(net.encoder).expand_as(loss), None, self.l2)
        return terms

    def score(self, net: Net, x: Tensor) -> Tensor:
        """Give the network's output."""
        return net(x).squeeze(-1)
