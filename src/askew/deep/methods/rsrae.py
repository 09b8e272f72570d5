"""RSRAE: an autoencoder whose code must pass through a subspace that rows off it do not sway.

Source: Lai, Zou and Lerman, "Robust Subspace Recovery Layer for Unsupervised Anomaly Detection",
ICLR 2020, the objective with exponents 1; layers and settings of the authors' code.
Departs from that code: the three parts are one sum, as in its variant RSRAE+, where its main form
steps on them in turn; hidden layers have no batch normalization and neither rows nor codes are
scaled to length 1; the penalty is summed over its entries, as the paper has it, not averaged; the
layer starts with orthonormal directions; a row is scored by its error's length, for wrappers that
read it in the loss's units, where the authors take the cosine to its reconstruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Generator, Tensor, nn

from askew.deep import draws
from askew.deep.method import Batch, Method, Recipe, require
from askew.deep.nets import Linear, Net, length, mlp
from askew.deep.paper import Paper
from askew.deep.rows import Term

LEAST = 1e-16  # under the root of a length


@dataclass(eq=False, repr=False)
class RSRAE(Method):
    """Score a row by the length of its reconstruction error.

    The errors count by their lengths, not squared: a few large ones do not outweigh the rest.

    Parameters
    ----------
    hidden
        Widths of the encoder's tanh layers, one or more; the decoder mirrors them.
    code
        Dimension of the subspace, at most the last of ``hidden``; 10 in the paper. It should lie
        below the number of columns.
    recovery
        Weight of what the subspace loses of an encoded row, greater than 0; 0.1 in the paper.
    orthogonality
        Weight of the layer's distance from a projection, greater than 0; 0.1 in the paper.
    """

    rebuilds = True
    paper = Paper(
        "lai2020rsrae",
        ("Lai, Chieh-Hsin", "Zou, Dongmian", "Lerman, Gilad"),
        "Robust Subspace Recovery Layer for Unsupervised Anomaly Detection",
        "International Conference on Learning Representations",
        2020,
        link="https://arxiv.org/abs/1904.00152",
    )

    hidden: tuple[int, ...] = (32, 64, 128)
    code: int = 10
    recovery: float = 0.1
    orthogonality: float = 0.1

    def validate(self) -> None:
        """Check widths and weights."""
        good = len(self.hidden) > 0 and all(width > 0 for width in self.hidden)
        require(good, "hidden", self.hidden, "one positive width or more")
        require(0 < self.code <= self.hidden[-1], "code", self.code, f"1 to {self.hidden[-1]}")
        for name in ("recovery", "orthogonality"):
            require(getattr(self, name) > 0, name, getattr(self, name), "greater than 0")

    def recipe(self) -> Recipe:
        """Give the authors' settings."""
        return Recipe(learning_rate=2.5e-4, epochs=200, batch_size=128)

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Make an encoder that ends in the robust layer, and a decoder."""
        widths = (shape[-1], *self.hidden)
        trunk = mlp(generators, widths, activation=nn.Tanh, activate_last=True)
        layer = Linear(generators, widths[-1], self.code, bias=False)
        with torch.no_grad():
            layer.weight.copy_(torch.linalg.qr(layer.weight).Q)
        encoder = nn.Sequential(trunk, layer)
        decoder = mlp(generators, (self.code, *widths[::-1]), activation=nn.Tanh)
        return Net(encoder, decoder, width=self.code)

    def draw(self, label: Tensor, size: draws.Size, generator: Generator) -> dict[str, Tensor]:
        """Draw all rows alike."""
        return draws.uniform(label, size, generator)

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Give the error's length, what the subspace loses, and its layer's penalty."""
        rows = batch["rows"]
        error = length(net(rows.x) - rows.target, least=LEAST)
        trunk, layer = net.encoder.children()
        up = cast(Tensor, layer.weight)  # (members, wide, code): the transpose of the paper's A
        wide = trunk(rows.x)
        lost = length(wide - torch.bmm(torch.bmm(wide, up), up.mT), least=LEAST)
        eye = torch.eye(self.code, dtype=up.dtype, device=up.device)
        penalty = (torch.bmm(up.mT, up) - eye).square().flatten(1).sum(-1, keepdim=True)
        return {
            "reconstruction": Term(error, about=None),
            "recovery": Term(lost, about=None, weight=self.recovery),
            "orthogonality": Term(penalty.expand_as(error), None, weight=self.orthogonality),
        }

    def score(self, net: Net, x: Tensor) -> Tensor:
        """Length of the reconstruction error."""
        return length(net(x) - x, least=LEAST)
