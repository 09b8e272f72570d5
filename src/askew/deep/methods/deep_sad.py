"""Deep SAD: pull normal rows to a center, push known anomalies away.

Source: Ruff et al., "Deep Semi-Supervised Anomaly Detection", ICLR 2020, the Deep SAD objective.
Departs from the authors' code: the pretrained weights do reach the encoder (there, a mismatch of
names copies nothing); known anomalies are left out of the center, as the paper has it; a last
batch is filled up instead of dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from askew.deep import draws
from askew.deep.method import Batch, Method, Recipe, require
from askew.deep.methods.deep_svdd import DeepSVDD, center, one_class
from askew.deep.nets import Net
from askew.deep.paper import Paper
from askew.deep.rows import Rows, Term
from askew.labels import Label

EPS = 1e-6


@dataclass(eq=False, repr=False)
class DeepSAD(Method):
    """Score a row by the squared distance d of its code from the center.

    A row costs d when not looked at, eta (d + eps) when known normal, eta / (d + eps) when a
    known anomaly. Without labels this is Deep SVDD.

    Parameters
    ----------
    eta
        Weight of a verdict against an unlabelled row, greater than 0; 1 in the paper.
    hidden
        Widths of the encoder, the last one that of the code.
    batch_norm
        Whether hidden layers are normalized (without scale and shift).
    pretrain
        Whether the encoder first learns to reconstruct.
    balanced
        Whether half of a batch are known anomalies. The paper draws all rows alike; with a few
        verdicts among many rows most batches then hold none, and DeepOD's port draws so.
    channels, dense
        For images, as Deep SVDD takes them.
    """

    paper = Paper(
        "ruff2020deepsad",
        (
            "Ruff, Lukas",
            "Vandermeulen, Robert A.",
            "Görnitz, Nico",
            "Binder, Alexander",
            "Müller, Emmanuel",
            "Müller, Klaus-Robert",
            "Kloft, Marius",
        ),
        "Deep Semi-Supervised Anomaly Detection",
        "International Conference on Learning Representations (ICLR)",
        2020,
        link="https://arxiv.org/abs/1906.02694",
    )
    uses = (Label.ANOMALY, Label.NORMAL)
    takes_images = True

    eta: float = 1.0
    hidden: tuple[int, ...] = (128, 64, 32)
    batch_norm: bool = True
    pretrain: bool = True
    balanced: bool = False
    channels: tuple[int, ...] = (8, 4)
    dense: tuple[int, ...] = (32,)

    def validate(self) -> None:
        """Check eta and the widths."""
        require(self.eta > 0, "eta", self.eta, "greater than 0")
        self._one_class().validate()

    def recipe(self) -> Recipe:
        """Give the authors' script defaults."""
        return Recipe(weight_decay=1e-6)

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Make Deep SVDD's network."""
        return self._one_class().network(shape, generators)

    def draw(self, label: Tensor, size: draws.Size, generator: Generator) -> dict[str, Tensor]:
        """Draw all rows alike, or half of them known anomalies where there are any."""
        if self.balanced and (label == Label.ANOMALY).any():
            return draws.balanced(label, size, generator)
        return draws.uniform(label, size, generator)

    def stages(self) -> tuple[Method, ...]:
        """Pretrain first where asked."""
        plan = (self.hidden, self.batch_norm, self.channels, self.dense)
        return (one_class(*plan), self) if self.pretrain else (self,)

    def before_fit(self, net: Net, rows: Rows) -> None:
        """Put the center at the mean code of all rows but the known anomalies."""
        net.center.copy_(center(net, rows, rows.label != Label.ANOMALY))

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Give the distance, its inverse for known anomalies."""
        rows = batch["rows"]
        d = self.score(net, rows.x)
        known = self.eta * torch.where(rows.label == Label.NORMAL, d + EPS, 1 / (d + EPS))
        return {"sad": Term(torch.where(rows.label == Label.UNLABELED, d, known), rows.label)}

    def score(self, net: Net, x: Tensor) -> Tensor:
        """Squared distance from the center."""
        offset: Tensor = net.encode(x) - net.center
        return offset.square().sum(-1)

    def _one_class(self) -> DeepSVDD:
        return DeepSVDD(self.hidden, self.batch_norm, channels=self.channels, dense=self.dense)
