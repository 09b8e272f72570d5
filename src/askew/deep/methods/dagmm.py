"""DAGMM: an autoencoder's code and errors, and how unlikely a Gaussian mixture finds them.

Source: Zong et al., "Deep Autoencoding Gaussian Mixture Model for Unsupervised Anomaly Detection",
ICLR 2018; layers and settings of its KDDCUP experiment.
Departs from the paper: rows are scored by a mixture that is estimated from the whole table with
the last weights (and anew before every epoch, for wrappers that read the score); variances get a
millionth of their mean, and of 1, on top; a row at the origin counts as 0.01 long in the relative
distance and the cosine; gradients are clipped to length 5, for energies of small tables have steep
slopes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from askew.deep import draws
from askew.deep.method import Batch, Method, Recipe, require
from askew.deep.nets import Linear, Net, in_chunks, length, mlp
from askew.deep.paper import Paper
from askew.deep.rows import Rows, Term

ESTIMATOR = 10  # width of the hidden layer that assigns rows to components
SHORTEST = 0.01  # length of a row at the least
JITTER = 1e-6


@dataclass(eq=False, repr=False)
class DAGMM(Method):
    """Score a row by its energy: minus the logarithm of its density in a Gaussian mixture.

    The mixture is over z: the code, the error's length relative to the row's, and the cosine
    between row and reconstruction. A second network says how much of a row belongs to which
    component.

    Parameters
    ----------
    hidden
        Widths of the encoder's tanh layers; the decoder mirrors them.
    code
        Width of the linear code.
    mixtures
        Components, 1 or more; 4 for KDDCUP in the paper, 2 for its smaller tables.
    energy, covariance
        Weights of the energy and of the inverse variances, greater than 0.
    dropout
        Share of the assigning layer that is dropped in training, in [0, 1).
    """

    rebuilds = True
    paper = Paper(
        "zong2018dagmm",
        (
            "Zong, Bo",
            "Song, Qi",
            "Min, Martin Renqiang",
            "Cheng, Wei",
            "Lumezanu, Cristian",
            "Cho, Daeki",
            "Chen, Haifeng",
        ),
        "Deep Autoencoding {Gaussian} Mixture Model for Unsupervised Anomaly Detection",
        "International Conference on Learning Representations",
        2018,
        link="https://openreview.net/forum?id=BJJLHbb0-",
    )

    hidden: tuple[int, ...] = (60, 30, 10)
    code: int = 1
    mixtures: int = 4
    energy: float = 0.1
    covariance: float = 0.005
    dropout: float = 0.5

    def validate(self) -> None:
        """Check widths, weights and the share dropped."""
        require(all(width > 0 for width in self.hidden), "hidden", self.hidden, "positive widths")
        for name in ("code", "mixtures", "energy", "covariance"):
            require(getattr(self, name) > 0, name, getattr(self, name), "greater than 0")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "in [0, 1)")

    def recipe(self) -> Recipe:
        """Give the paper's settings for KDDCUP, with clipped gradients."""
        return Recipe(learning_rate=1e-4, epochs=200, batch_size=1024, clip_norm=5.0)

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Make the autoencoder, the layers that assign, and a standard normal as mixture."""
        widths = (shape[-1], *self.hidden, self.code)
        encoder, decoder = (mlp(generators, w, activation=nn.Tanh) for w in (widths, widths[::-1]))
        net = Net(encoder, decoder, width=self.code)
        members, features = len(generators), self.code + 2
        net.assign = nn.Sequential(Linear(generators, features, ESTIMATOR), nn.Tanh())
        net.component = Linear(generators, ESTIMATOR, self.mixtures)
        level = -math.log(self.mixtures) - features / 2 * math.log(2 * math.pi)
        net.register_buffer("mixture_level", torch.full((members, self.mixtures), level))
        net.register_buffer("mixture_mean", torch.zeros(members, self.mixtures, features))
        whiten = torch.eye(features).repeat(members, self.mixtures, 1, 1)
        net.register_buffer("mixture_whiten", whiten)
        return net

    def draw(self, label: Tensor, size: draws.Size, generator: Generator) -> dict[str, Tensor]:
        """Draw all rows alike, and what decides which units are dropped."""
        drawn = draws.uniform(label, size, generator)
        unit = torch.rand(size.steps, size.batch, ESTIMATOR, generator=generator)
        return drawn | {"dropped": unit}

    def before_epoch(self, net: Net, rows: Rows, means: Mapping[str, Tensor]) -> None:
        """Estimate the mixture by which rows are scored."""
        members, code = len(net.mixture_level), self.code + 2

        def assigned(x: Tensor) -> Tensor:
            z = self.latent(net, x)
            return torch.cat([z, net.component(net.assign(z)).softmax(-1)], -1)

        found = in_chunks(assigned, rows.x, members)
        level, mean, whiten, _ = mixture(found[..., :code], found[..., code:])
        net.mixture_level.copy_(level)
        net.mixture_mean.copy_(mean)
        net.mixture_whiten.copy_(whiten)

    def after_fit(self, net: Net, rows: Rows) -> None:
        """Estimate it once more, with the last weights."""
        self.before_epoch(net, rows, {})

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Give error, energy in the batch's own mixture, and that mixture's inverse variances."""
        rows = batch["rows"]
        z = self.latent(net, rows.x)
        kept = (batch["dropped"] >= self.dropout) / (1 - self.dropout)
        share = net.component(net.assign(z) * kept.to(z.dtype)).softmax(-1)
        level, mean, whiten, variance = mixture(z, share)
        error = (net(rows.x) - rows.target).square().sum(-1)
        inverse = (1 / variance).flatten(1).sum(-1, keepdim=True).to(error.dtype)
        return {
            "reconstruction": Term(error, about=None),
            "energy": Term(energy(z, level, mean, whiten), about=None, weight=self.energy),
            "covariance": Term(inverse.expand_as(error), about=None, weight=self.covariance),
        }

    def score(self, net: Net, x: Tensor) -> Tensor:
        """Energy in the table's mixture."""
        z = self.latent(net, x)
        return energy(z, net.mixture_level, net.mixture_mean, net.mixture_whiten)

    def latent(self, net: Net, x: Tensor) -> Tensor:
        """Give the code, the relative distance and the cosine."""
        rebuilt = net(x)
        own, other = (length(v).unsqueeze(-1).clamp(min=SHORTEST) for v in (x, rebuilt))
        distance = length(x - rebuilt).unsqueeze(-1) / own
        cosine = (x * rebuilt).sum(-1, keepdim=True) / (own * other)
        return torch.cat([net.encode(x), distance, cosine], -1)


def mixture(
    z: Float[Tensor, "members rows d"], share: Float[Tensor, "members rows parts"]
) -> tuple[
    Float[Tensor, "members parts"],
    Float[Tensor, "members parts d"],
    Float[Tensor, "members parts d d"],
    Float[Tensor, "members parts d"],
]:
    """Estimate a mixture from rows and their shares in its components, in double precision.

    Gives each component's logarithmic weight and normalizer in one, its mean, the inverse of its
    covariance's Cholesky factor, and its variances.
    """
    z, share = z.double(), share.double().transpose(1, 2)
    weight = share.sum(-1).clamp(min=1e-12)
    mean = share @ z / weight.unsqueeze(-1)
    offset = z.unsqueeze(1) - mean.unsqueeze(2)
    cov = (share.unsqueeze(-1) * offset).mT @ offset / weight[..., None, None]
    d = z.shape[-1]
    eye = torch.eye(d, dtype=z.dtype, device=z.device)
    mean_variance = cov.diagonal(dim1=-2, dim2=-1).mean(-1)
    cov = cov + JITTER * (1 + mean_variance)[..., None, None] * eye
    # Without a check: where z is not finite, nor is the loss, and the loop says so.
    factor, _ = torch.linalg.cholesky_ex(cov)
    whiten = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)
    spread = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    level = (weight / z.shape[1]).log() - spread - d / 2 * math.log(2 * math.pi)
    return level, mean, whiten, cov.diagonal(dim1=-2, dim2=-1)


def energy(
    z: Float[Tensor, "members rows d"],
    level: Float[Tensor, "members parts"],
    mean: Float[Tensor, "members parts d"],
    whiten: Float[Tensor, "members parts d d"],
) -> Float[Tensor, "members rows"]:
    """Give minus the logarithm of each row's density; by itself to the last bit, so no matmul."""
    offset = z.double().unsqueeze(2) - mean.unsqueeze(1)
    white = (offset.unsqueeze(-2) * whiten.unsqueeze(1)).sum(-1)
    density = level.unsqueeze(1) - white.square().sum(-1) / 2
    return -density.logsumexp(-1).to(z.dtype)
