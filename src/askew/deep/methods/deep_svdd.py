"""Deep SVDD: pull all rows to a center; what stays far away stands out.

Source: Ruff et al., "Deep One-Class Classification", ICML 2018, the one-class objective; bounds on
the network and the pretraining as in the code of its successor, Deep SAD.
Departs from that code: ten epochs a stage rather than 50 and 100, for on a table that holds
anomalies more training pulls them in too; a center coordinate of exactly zero moves to +0.1 instead
of staying, for a zero center lets a bias-free network collapse onto it; the center is the mean over
all rows rather than over full batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from askew.deep import draws
from askew.deep.method import Batch, Method, Recipe
from askew.deep.methods.reconstruct import Reconstruct
from askew.deep.nets import Net, mean_code
from askew.deep.paper import Paper
from askew.deep.rows import Rows, Term

EPOCHS = 10  # of each stage
AWAY = 0.1  # least distance of a center's coordinate from zero


@dataclass(eq=False, repr=False)
class DeepSVDD(Method):
    """Score a row by the squared distance of its code from the center.

    Parameters
    ----------
    hidden
        Widths of the encoder, the last one that of the code.
    batch_norm
        Whether hidden layers are normalized (without scale and shift).
    pretrain
        Whether the encoder first learns to reconstruct.
    channels
        Maps of the convolutional blocks, for images: (8, 4) for MNIST, (16, 32) for
        Fashion-MNIST, (32, 64, 128) for CIFAR-10 in the authors' code.
    dense
        Widths of the dense layers behind them: (32,), (128, 64) and (128,) there.
    """

    takes_images = True

    paper = Paper(
        "ruff2018deepsvdd",
        (
            "Ruff, Lukas",
            "Vandermeulen, Robert A.",
            "Görnitz, Nico",
            "Deecke, Lucas",
            "Siddiqui, Shoaib Ahmed",
            "Binder, Alexander",
            "Müller, Emmanuel",
            "Kloft, Marius",
        ),
        "Deep One-Class Classification",
        "International Conference on Machine Learning (ICML)",
        2018,
        link="https://proceedings.mlr.press/v80/ruff18a.html",
    )

    hidden: tuple[int, ...] = (128, 64, 32)
    batch_norm: bool = True
    pretrain: bool = True
    channels: tuple[int, ...] = (8, 4)
    dense: tuple[int, ...] = (32,)

    def validate(self) -> None:
        """Check the widths."""
        self._autoencoder().validate()

    def recipe(self) -> Recipe:
        """Give the authors' settings, with fewer epochs."""
        return Recipe(epochs=EPOCHS, weight_decay=1e-6)

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Make the autoencoder's network with a center; the decoder serves pretraining only."""
        net = self._autoencoder().network(shape, generators)
        net.register_buffer("center", torch.zeros(len(generators), 1, net.width))
        return net

    def draw(self, label: Tensor, size: draws.Size, generator: Generator) -> dict[str, Tensor]:
        """Draw all rows alike."""
        return draws.uniform(label, size, generator)

    def stages(self) -> tuple[Method, ...]:
        """Pretrain first where asked."""
        return (self._autoencoder(), self) if self.pretrain else (self,)

    def before_fit(self, net: Net, rows: Rows) -> None:
        """Put the center at the mean code of all rows."""
        net.center.copy_(center(net, rows, torch.ones_like(rows.label, dtype=torch.bool)))

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Give the distance; labels play no part."""
        rows = batch["rows"]
        return {"distance": Term(self.score(net, rows.x), about=None)}

    def score(self, net: Net, x: Tensor) -> Tensor:
        """Squared distance from the center."""
        offset: Tensor = net.encode(x) - net.center
        return offset.square().sum(-1)

    def _autoencoder(self) -> Pretraining:
        plan = (self.hidden, self.batch_norm, self.channels, self.dense)
        return one_class(*plan, epochs=EPOCHS)


@dataclass(eq=False, repr=False)
class Pretraining(Reconstruct):
    """The autoencoder by which an encoder learns its first weights."""

    epochs: int = 100  # Deep SAD's script

    def recipe(self) -> Recipe:
        """Give the settings of Deep SAD's script."""
        return Recipe(epochs=self.epochs, weight_decay=1e-6)


def one_class(
    hidden: tuple[int, ...],
    batch_norm: bool,
    channels: tuple[int, ...],
    dense: tuple[int, ...],
    **settings: Any,
) -> Pretraining:
    """Make an autoencoder without a bias, with which an encoder could map all rows to one."""
    return Pretraining(
        hidden,
        activation="leaky_relu",
        activate_code=False,
        batch_norm=batch_norm,
        bias=False,
        bounded=True,
        channels=channels,
        dense=dense,
        **settings,
    )


def center(net: Net, rows: Rows, among: Bool[Tensor, "1 rows"]) -> Float[Tensor, "members 1 width"]:
    """Give the mean code of the rows marked, every coordinate kept ``AWAY`` from zero."""
    mean = mean_code(net, rows.x, among)
    away = torch.where(mean < 0, -AWAY, AWAY).to(mean.dtype)
    return torch.where(mean.abs() < AWAY, away, mean)
