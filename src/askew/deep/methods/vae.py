"""Variational autoencoder: rows that stay badly rebuilt from a blurred code stand out.

Source: Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014, the Gaussian case.
Departs from the paper: the objective is divided by columns / (2 deviation²), a constant which Adam
does not see, so that the reconstruction is in the score's units and a wrapper's weights mean here
what they mean around other autoencoders; a row is scored without sampling, by its mean code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from askew.deep import draws
from askew.deep.method import Batch, Method, Recipe, require
from askew.deep.nets import Linear, Net, mlp
from askew.deep.paper import Paper
from askew.deep.rows import Term

WIDEST = 10.0  # bounds the log-variance of a code on both sides


@dataclass(eq=False, repr=False)
class VAE(Method):
    """Score a row by the mean squared error with which its mean code is decoded.

    Parameters
    ----------
    hidden
        Widths of the encoder's ReLU layers; the decoder mirrors them.
    code
        Width of the code. ``encode`` gives its posterior mean.
    beta
        Weight of the divergence from the prior, 0 or greater; 1 in the paper.
    deviation
        Standard deviation of the noise that the likelihood allows in a column, greater than 0,
        in units of the scaled columns. A direction along which they vary by less is not coded,
        and a deviation there counts in full; so the greater, the less room for the anomalies
        among the rows to be learnt. With columns in [0, 1] take 0.1 or so.
    """

    rebuilds = True
    paper = Paper(
        "kingma2014vae",
        ("Kingma, Diederik P.", "Welling, Max"),
        "Auto-Encoding Variational {Bayes}",
        "International Conference on Learning Representations",
        2014,
        link="https://arxiv.org/abs/1312.6114",
    )

    hidden: tuple[int, ...] = (128, 64)
    code: int = 8
    beta: float = 1.0
    deviation: float = 3.0

    def validate(self) -> None:
        """Check the widths, the weight and the noise."""
        require(all(width > 0 for width in self.hidden), "hidden", self.hidden, "positive widths")
        require(self.code > 0, "code", self.code, "greater than 0")
        require(self.beta >= 0, "beta", self.beta, "0 or greater")
        require(self.deviation > 0, "deviation", self.deviation, "greater than 0")

    def recipe(self) -> Recipe:
        """Give settings for standardized columns; the paper has Adagrad on images."""
        return Recipe(epochs=30, scale="standard")

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Make an encoder with two linear ends, mean and log-variance, and a decoder."""
        widths = (shape[-1], *self.hidden)
        trunk = mlp(generators, widths, activation=nn.ReLU, activate_last=True)
        mean = Linear(generators, widths[-1], self.code)
        decoder = mlp(generators, (self.code, *widths[::-1]), activation=nn.ReLU)
        net = Net(nn.Sequential(trunk, mean), decoder, width=self.code)
        net.log_variance = Linear(generators, widths[-1], self.code)
        return net

    def draw(self, label: Tensor, size: draws.Size, generator: Generator) -> dict[str, Tensor]:
        """Draw all rows alike, and the noise on their codes."""
        drawn = draws.uniform(label, size, generator)
        noise = torch.randn(size.steps, size.batch, self.code, generator=generator)
        return drawn | {"code_noise": noise}

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Give the error of a sampled code and the divergence of its posterior from N(0, 1)."""
        rows = batch["rows"]
        mean = net.encode(rows.x)
        trunk = next(net.encoder.children())
        log_variance = net.log_variance(trunk(rows.x)).clamp(-WIDEST, WIDEST)
        rebuilt = net.head(mean + (log_variance / 2).exp() * batch["code_noise"])
        kl = (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1) / 2
        unit = 2 * self.deviation**2 / rows.x.shape[-1]
        return {
            "reconstruction": Term((rebuilt - rows.target).square().mean(-1), about=None),
            "kl": Term(kl, about=None, weight=self.beta * unit),
        }

    def score(self, net: Net, x: Tensor) -> Tensor:
        """Mean squared error over the columns, the code at its mean."""
        return (net(x) - x).square().mean(-1)
