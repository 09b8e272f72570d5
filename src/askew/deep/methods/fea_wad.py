"""FEAWAD: score a row by what an autoencoder makes of it: code, residual and error.

Source: Zhou, Song, Zhang, Liu, Zhu and Liu, "Feature Encoding with AutoEncoders for
Weakly-supervised Anomaly Detection", IEEE TNNLS 2021; layer plan, batches and optimiser of the
authors' code.
Departs from that code: its loss takes the length of the residual after that is scaled to length 1,
which is the same for all rows, so that the part of the loss on the reconstruction error teaches
nothing. Here that part holds the error itself, as the paper means it; ``residual_term="none"``
leaves it out, as good as the code does, and published numbers were measured so. The error is
smooth at zero, where the code divides zero by zero; initial weights come from an uncut normal
distribution; a small table lends rows to a batch more than once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from askew.deep import draws
from askew.deep.method import Batch, Method, Recipe, require
from askew.deep.nets import Linear, Net, length, mlp
from askew.deep.paper import Paper
from askew.deep.rows import Term
from askew.labels import Label


@dataclass(eq=False, repr=False)
class FEAWAD(Method):
    """Score a row by one unbounded number, 0 for what is normal.

    An autoencoder first learns to rebuild what is no known anomaly. Then it learns on with a
    scorer, which sees the code, the direction of the residual and, at every layer, its length: the
    error. Of score and error, each costs its size for a row that is no known anomaly, and
    max(0, margin - it) for one that is. Known normals count as unlabelled rows do.

    Parameters
    ----------
    margin
        What the score and the error of a known anomaly are asked to reach; 5 in the paper.
    residual_term
        Whether the loss holds the ``"error"``, as the paper means it, or ``"none"`` of it, as the
        authors' code has it.
    hidden
        Widths of the encoder behind its first layer, which is as wide as the table; the last one
        that of the code; the decoder mirrors them.
    scorer
        Widths of the scorer's hidden layers.
    """

    paper = Paper(
        "zhou2021feawad",
        (
            "Zhou, Yingjie",
            "Song, Xucheng",
            "Zhang, Yanru",
            "Liu, Fanxing",
            "Zhu, Ce",
            "Liu, Lingqiao",
        ),
        "Feature Encoding with {AutoEncoders} for Weakly-supervised Anomaly Detection",
        "IEEE Transactions on Neural Networks and Learning Systems",
        2021,
        kind="article",
        link="https://arxiv.org/abs/2105.10500",
    )
    uses = (Label.ANOMALY,)
    needs = (Label.ANOMALY,)

    margin: float = 5.0
    residual_term: Literal["error", "none"] = "error"
    hidden: tuple[int, ...] = (128, 64)
    scorer: tuple[int, ...] = (256, 32)

    def validate(self) -> None:
        """Check margin, term and widths."""
        require(self.margin > 0, "margin", self.margin, "greater than 0")
        known = self.residual_term in ("error", "none")
        require(known, "residual_term", self.residual_term, "error, none")
        for name in ("hidden", "scorer"):
            widths = getattr(self, name)
            good = len(widths) > 0 and all(width > 0 for width in widths)
            require(good, name, widths, "one positive width or more")

    def recipe(self) -> Recipe:
        """Give the authors' settings: 600 steps whatever the table's length."""
        return Recipe(
            learning_rate=1e-4, epochs=20, batch_size=512, steps_per_epoch=30, keep="best"
        )

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Make autoencoder and scorer; the code for others is the scorer's last layer and error."""
        width = self.scorer[-1] + 1
        encoder = Residual(generators, shape[-1], self.hidden, self.scorer)
        return Net(encoder, Linear(generators, width, 1, init="glorot_normal"), width=width)

    def stages(self) -> tuple[Method, ...]:
        """Train the autoencoder first."""
        return (Rebuild(self.hidden, self.scorer), self)

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Give the loss of the score and, where asked, that of the error."""
        rows = batch["rows"]
        known = rows.label == Label.ANOMALY
        score = self.score(net, rows.x)
        loss = torch.where(known, (self.margin - score).clamp(min=0), score.abs())
        terms = {"score": Term(loss, about=rows.label)}
        if self.residual_term == "error":
            error = length(rows.x - _residual(net).rebuild(rows.x))
            loss = torch.where(known, (self.margin - error).clamp(min=0), error)
            terms["residual"] = Term(loss, about=rows.label)
        return terms

    def score(self, net: Net, x: Tensor) -> Tensor:
        """Give the network's output."""
        return net(x).squeeze(-1)


@dataclass(eq=False, repr=False)
class Rebuild(Method):
    """FEAWAD's first stage: the autoencoder alone, on all rows but known anomalies.

    The scorer's layers do not move, for the loss has no slope in them.
    """

    uses = (Label.ANOMALY,)

    hidden: tuple[int, ...]
    scorer: tuple[int, ...]

    def recipe(self) -> Recipe:
        """Give the authors' settings: 2,000 steps whatever the table's length."""
        return Recipe(
            learning_rate=1e-4, epochs=20, batch_size=512, steps_per_epoch=100, keep="best"
        )

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Make the network of both stages."""
        return FEAWAD(hidden=self.hidden, scorer=self.scorer).network(shape, generators)

    def draw(self, label: Tensor, size: draws.Size, generator: Generator) -> dict[str, Tensor]:
        """Draw rows that are no known anomalies, with replacement."""
        shape = (size.steps, size.batch)
        return {"rows": draws.pick(label != Label.ANOMALY, shape, generator)}

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Give the mean squared error over the columns."""
        return {"reconstruction": Term(self.score(net, batch["rows"].x), about=None)}

    def score(self, net: Net, x: Tensor) -> Tensor:
        """Mean squared error over the columns."""
        return (x - _residual(net).rebuild(x)).square().mean(-1)


class Residual(nn.Module):
    """An autoencoder, and the scorer's layers over what it makes of a row."""

    def __init__(
        self,
        generators: Sequence[Generator],
        d: int,
        hidden: tuple[int, ...],
        scorer: tuple[int, ...],
    ) -> None:
        super().__init__()
        make = partial(
            mlp, generators, activation=nn.ReLU, activate_last=True, init="glorot_normal"
        )
        self.coder = make((d, d, *hidden))
        self.decoder = make((*hidden[::-1], d))
        widths = (d + hidden[-1], *scorer)
        self.layers = nn.ModuleList(make((here + 1, there)) for here, there in pairwise(widths))

    def forward(self, x: Float[Tensor, "members rows d"]) -> Float[Tensor, "members rows width"]:
        """Give the scorer's last hidden layer, and the error."""
        code = self.coder(x)
        residual = x - self.decoder(code)
        error = length(residual).unsqueeze(-1)
        seen = torch.cat([residual / error, code], -1)
        for layer in self.layers:
            seen = layer(torch.cat([seen, error], -1))
        return torch.cat([seen, error], -1)

    def rebuild(self, x: Float[Tensor, "members rows d"]) -> Float[Tensor, "members rows d"]:
        """Give the autoencoder's output."""
        out: Tensor = self.decoder(self.coder(x))
        return out


def _residual(net: Net) -> Residual:
    return cast(Residual, net.encoder)
