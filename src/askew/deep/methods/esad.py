"""ESAD: encode, decode, encode again; the second code is short for normal rows, long for others.

Source: Huang et al., "ESAD: End-to-end Deep Semi-supervised Anomaly Detection", BMVC 2021, arXiv
2012.04905; its terms as in a public re-implementation, for the authors published no code.
Departs from what is known of it: layers, noise, weights and schedule are Deep SAD's or our own,
since the paper's could not be read; norms carry a small constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from askew.deep import draws
from askew.deep.convnets import strided_decoder, strided_encoder
from askew.deep.method import Batch, Method, Recipe, require
from askew.deep.methods.deep_svdd import one_class
from askew.deep.methods.reconstruct import Reconstruct
from askew.deep.nets import Net, length
from askew.deep.paper import Paper
from askew.deep.rows import Rows, Term
from askew.labels import Label

EPS = 1e-6


@dataclass(eq=False, repr=False)
class ESAD(Method):
    """Score a row by its mean squared reconstruction error plus the length of its second code.

    Three terms: the reconstruction, of a noisy copy where a row is a known anomaly; the length r
    of the second code, its inverse for a known anomaly; and the mean squared difference of both
    codes. Known normals count as unlabelled rows do.

    Parameters
    ----------
    norm
        Weight of the length's term, 0 or greater.
    agreement
        Weight of the codes' difference, 0 or greater.
    noise
        What a known anomaly is to be rebuilt as: its own values in another order
        (``"permute"``), itself with ``"gaussian"`` noise of ``sigma`` added (cut to [0, 1]),
        ``"uniform"`` noise, or itself (``"none"``). None: permuted images, tables with Gaussian
        noise.
    sigma
        Deviation of the Gaussian noise, for values in [0, 1].
    reduction
        Whether the reconstruction's term is the ``"sum"`` or the ``"mean"`` over the columns.
    tie_encoders
        Whether both encoders are one.
    hidden, channels, dense
        Layers as Deep SAD takes them.
    batch_norm
        Whether hidden layers are normalized (without scale and shift); None: for images alone.
        (This and the noise by what ranked better on other splits of data that `make paper` uses.)
    profile
        For images: ``"A"``, Deep SAD's networks, or ``"B"``, four strided blocks of 64 to 512 maps
        and a code of 128.
    """

    paper = Paper(
        "huang2021esad",
        (
            "Huang, Chaoqin",
            "Ye, Fei",
            "Zhao, Peisen",
            "Zhang, Ya",
            "Wang, Yan-Feng",
            "Tian, Qi",
        ),
        "{ESAD}: End-to-end Deep Semi-supervised Anomaly Detection",
        "British Machine Vision Conference (BMVC)",
        2021,
        link="https://arxiv.org/abs/2012.04905",
    )
    uses = (Label.ANOMALY,)
    rebuilds = True
    takes_images = True

    norm: float = 1.0
    agreement: float = 1.0
    noise: Literal["gaussian", "uniform", "permute", "none"] | None = None
    sigma: float = 1.0
    reduction: Literal["sum", "mean"] = "sum"
    tie_encoders: bool = False
    hidden: tuple[int, ...] = (128, 64, 32)
    batch_norm: bool | None = None
    channels: tuple[int, ...] = (8, 4)
    dense: tuple[int, ...] = (32,)
    profile: Literal["A", "B"] = "A"

    def validate(self) -> None:
        """Check weights, noise and widths."""
        kinds = ("gaussian", "uniform", "permute", "none")
        require(self.norm >= 0, "norm", self.norm, "0 or greater")
        require(self.agreement >= 0, "agreement", self.agreement, "0 or greater")
        known = self.noise is None or self.noise in kinds
        require(known, "noise", self.noise, f"None, {', '.join(kinds)}")
        require(self.sigma >= 0, "sigma", self.sigma, "0 or greater")
        require(self.reduction in ("sum", "mean"), "reduction", self.reduction, "sum, mean")
        require(self.profile in ("A", "B"), "profile", self.profile, "A, B")
        self._autoencoder(True).validate()

    def recipe(self) -> Recipe:
        """Give the settings with which it is compared to Deep SAD; one stage, no pretraining."""
        return Recipe(epochs=150, milestones=(50,), weight_decay=1e-6)

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Make an autoencoder and a second encoder like its first."""
        net, twin = (self._half(shape, generators) for _ in range(2))
        net.second = net.encoder if self.tie_encoders else twin.encoder
        return net

    def draw(self, label: Tensor, size: draws.Size, generator: Generator) -> dict[str, Tensor]:
        """Draw all rows alike, and the noise."""
        rows = draws.uniform(label, size, generator)
        kind = self._noise(size.shape)
        if kind == "none":
            return rows
        fill = torch.randn if kind == "gaussian" else torch.rand
        shape = (size.steps, size.batch, *size.shape)
        return {**rows, "noise": fill(shape, generator=generator)}

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Give reconstruction, length and agreement."""
        rows = batch["rows"]
        known = rows.label == Label.ANOMALY
        first, rebuilt = net.encode(rows.x), net(rows.x)
        second = net.second(rebuilt)
        error = (rebuilt - self._target(rows, batch)).square().flatten(2)
        size = length(second)
        size = torch.where(known, 1 / (size + EPS), size)
        return {
            "reconstruction": Term(
                error.sum(-1) if self.reduction == "sum" else error.mean(-1), rows.label
            ),
            "norm": Term(size, rows.label, weight=self.norm),
            "agreement": Term(
                (second - first).square().mean(-1), about=None, weight=self.agreement
            ),
        }

    def score(self, net: Net, x: Tensor) -> Tensor:
        """Add the mean squared error and the length of the second code."""
        rebuilt = net(x)
        error = (rebuilt - x).square().flatten(2).mean(-1)
        return error + length(net.second(rebuilt))

    def _target(self, rows: Rows, batch: Batch) -> Tensor:
        """Give what each row is to be rebuilt as."""
        kind = self._noise(rows.x.shape[2:])
        if kind == "none":
            return rows.target
        noise = batch["noise"].to(rows.x.dtype)
        if kind == "gaussian":
            noise = (rows.target + self.sigma * noise).clamp(0, 1)
        elif kind == "permute":
            order = noise.flatten(2).argsort(-1)
            noise = rows.target.flatten(2).gather(-1, order).view_as(rows.x)
        known = rows.label == Label.ANOMALY
        return torch.where(known.view(*known.shape, *[1] * (noise.dim() - 2)), noise, rows.target)

    def _noise(self, shape: tuple[int, ...]) -> str:
        return self.noise or ("permute" if len(shape) > 1 else "gaussian")

    def _half(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        images = len(shape) > 1
        if self.profile == "A" or not images:
            normal = images if self.batch_norm is None else self.batch_norm
            return self._autoencoder(normal).network(shape, generators)
        encoder = strided_encoder(generators, shape)
        decoder = strided_decoder(generators, shape).append(nn.Sigmoid())
        return Net(encoder, decoder, width=128)

    def _autoencoder(self, batch_norm: bool) -> Reconstruct:
        return one_class(self.hidden, batch_norm, self.channels, self.dense)
