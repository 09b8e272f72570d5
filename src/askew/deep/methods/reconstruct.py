"""Autoencoder: rows that are rebuilt badly stand out.

Source: Hinton and Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks",
Science 313, 2006, for the idea; layers for tables by the rule of Huang et al., "Boosting
Unsupervised Anomaly Detection with Score-Guided Network" (SG-AE), TNNLS 2023; for images those of
Ruff et al., "Deep Semi-Supervised Anomaly Detection", ICLR 2020.
Departs from SG-AE's rule: tables of 20 or 21 columns, where it fails, get one layer of 10.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import Generator, Tensor, nn

from askew.deep import draws
from askew.deep.convnets import SEED, conv_decoder, conv_encoder
from askew.deep.method import Batch, Method, Recipe, require
from askew.deep.nets import Net, mlp
from askew.deep.paper import Paper
from askew.deep.rows import Term

# Width, and from how many columns on SG-AE's rule has a layer of it.
LADDER = ((1024, 1537), (256, 282), (80, 88), (40, 44), (20, 22))
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, 0.01, inplace=True),
}


@dataclass(eq=False, repr=False)
class Reconstruct(Method):
    """Score a row by its mean squared reconstruction error.

    Parameters
    ----------
    hidden
        Widths of the encoder for a table, the last one that of the code; the decoder mirrors it.
        None takes them from the number of columns: 10 for fewer than 22, else those of 1024, 256,
        80, 40, 20 that lie clearly below it.
    activation
        ``"relu"``, or ``"leaky_relu"`` with slope 0.01.
    activate_code
        Whether the code passes the activation too (tables only).
    batch_norm
        Whether hidden layers are normalized (without scale and shift).
    bias
        Whether layers have one.
    bounded
        Whether the output passes a sigmoid, for values scaled to [0, 1].
    channels
        Maps of the convolutional blocks, for images.
    dense
        Widths of the dense layers behind them; the first a multiple of 16.
    """

    paper = Paper(
        "hinton2006reducing",
        ("Hinton, Geoffrey E.", "Salakhutdinov, Ruslan R."),
        "Reducing the Dimensionality of Data with Neural Networks",
        "Science",
        2006,
        "article",
        "https://doi.org/10.1126/science.1127647",
    )
    rebuilds = True
    takes_images = True

    hidden: tuple[int, ...] | None = None
    activation: Literal["relu", "leaky_relu"] = "relu"
    activate_code: bool = True
    batch_norm: bool = False
    bias: bool = True
    bounded: bool = False
    channels: tuple[int, ...] = (8, 4)
    dense: tuple[int, ...] = (32,)

    def validate(self) -> None:
        """Check widths and activation."""
        for name in ("hidden", "channels", "dense"):
            value = getattr(self, name)
            good = value is None or (len(value) > 0 and all(width > 0 for width in value))
            require(good, name, value, "one positive width or more")
        require(self.dense[0] % SEED**2 == 0, "dense", self.dense, "a multiple of 16 first")
        require(self.activation in ACTIVATIONS, "activation", self.activation, "relu, leaky_relu")

    def recipe(self) -> Recipe:
        """Stop early: where anomalies lie among the rows, longer training rebuilds them too."""
        return Recipe(epochs=10, scale="minmax" if self.bounded else "standard")

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Make an encoder and its mirror."""
        common: dict[str, Any] = {
            "activation": ACTIVATIONS[self.activation],
            "batch_norm": self.batch_norm,
            "bias": self.bias,
        }
        if len(shape) > 1:
            plan = (shape, self.channels, self.dense)
            encoder = conv_encoder(generators, *plan, **common)
            decoder = conv_decoder(generators, *plan, **common)
            width = self.dense[-1]
        else:
            widths = (shape[0], *(ladder(shape[0]) if self.hidden is None else self.hidden))
            encoder = mlp(generators, widths, activate_last=self.activate_code, **common)
            decoder = mlp(generators, widths[::-1], **common)
            width = widths[-1]
        if self.bounded:
            decoder.append(nn.Sigmoid())
        return Net(encoder, decoder, width=width)

    def draw(self, label: Tensor, size: draws.Size, generator: Generator) -> dict[str, Tensor]:
        """Draw all rows alike."""
        return draws.uniform(label, size, generator)

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Give the reconstruction error; labels play no part."""
        rows = batch["rows"]
        return {"reconstruction": Term(_error(net(rows.x), rows.target), about=None)}

    def score(self, net: Net, x: Tensor) -> Tensor:
        """Mean squared error over the columns."""
        return _error(net(x), x)


def ladder(columns: int) -> tuple[int, ...]:
    """Give SG-AE's widths of the encoder for a table of so many columns."""
    return tuple(width for width, least in LADDER if columns >= least) or (10,)


def _error(rebuilt: Tensor, target: Tensor) -> Tensor:
    return (rebuilt - target).square().flatten(2).mean(-1)
