"""Autoencoder: rows that are rebuilt badly stand out.

Source: the autoencoder with which Ruff et al., "Deep Semi-Supervised Anomaly Detection", ICLR
2020, pretrain, and which they also report as a baseline; layer plan of the authors' code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Generator, Tensor, nn

from askew.deep import draws
from askew.deep.method import Batch, Method, Recipe, require
from askew.deep.nets import Net, mlp
from askew.deep.rows import Term


@dataclass(eq=False, repr=False)
class Reconstruct(Method):
    """Score a row by its mean squared reconstruction error.

    Parameters
    ----------
    hidden
        Widths of the encoder, the last one that of the code; the decoder mirrors it.
    batch_norm
        Whether hidden layers are normalized (without scale and shift).
    bounded
        Whether the output passes a sigmoid, for columns scaled to [0, 1].
    """

    rebuilds = True

    hidden: tuple[int, ...] = (128, 64, 32)
    batch_norm: bool = True
    bounded: bool = True

    def validate(self) -> None:
        """Check the widths."""
        good = len(self.hidden) > 0 and all(width > 0 for width in self.hidden)
        require(good, "hidden", self.hidden, "one positive width or more")

    def recipe(self) -> Recipe:
        """Give the authors' script defaults."""
        return Recipe(epochs=100, weight_decay=1e-6)

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Make a bias-free encoder and its mirror."""
        widths = (shape[-1], *self.hidden)
        encoder, decoder = (
            mlp(generators, w, activation=_leaky, batch_norm=self.batch_norm, bias=False)
            for w in (widths, widths[::-1])
        )
        if self.bounded:
            decoder.append(nn.Sigmoid())
        return Net(encoder, decoder, width=widths[-1])

    def draw(self, label: Tensor, size: draws.Size, generator: Generator) -> dict[str, Tensor]:
        """Draw all rows alike."""
        return draws.uniform(label, size, generator)

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Give the reconstruction error; labels play no part."""
        rows = batch["rows"]
        loss = (net(rows.x) - rows.target).square().flatten(2).mean(-1)
        return {"reconstruction": Term(loss, about=None)}

    def score(self, net: Net, x: Tensor) -> Tensor:
        """Mean squared error over the columns."""
        return (net(x) - x).square().flatten(2).mean(-1)


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.01, inplace=True)
