"""Score guidance: a score learnt on top of any detector, from what that one finds odd.

Source: Huang et al., "Boosting Unsupervised Anomaly Detection with Score-Guided Network", TNNLS
2023, arXiv 2109.04684, and the authors' code; ``ScoreGuided(Reconstruct())`` is their SG-AE.
Departs from that code: rows are drawn in passes rather than afresh for each batch; normal scores
are held at 0 rather than at the mean of a random sample; the quantile is taken in eval mode, and
cut by rank where rows tie; columns are scaled by the training rows alone. Verdicts, which the
paper has none of, override the guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from askew.deep.method import Batch, Method, Recipe, Wrapper, layers, require
from askew.deep.nets import Net, apart, in_chunks, mlp
from askew.deep.paper import Paper
from askew.deep.rows import Rows, Term
from askew.labels import Label


@dataclass(eq=False, repr=False)
class ScoreGuided(Wrapper):
    """Score a row by a small network on the base's code, 0 where normal, ``margin`` where not.

    At each epoch the rows whose base score lies in the highest ``share`` are taken for anomalies:
    their score s costs ``outlier`` max(0, margin - s), any other row's |s|. The gradient reaches
    the encoder, and so the guess shapes the code. What the base finds odd for the wrong reason is
    found odder still; look at the base's own score beside this one.

    Parameters
    ----------
    base
        A method that scores rows without verdicts.
    margin
        What the score of an anomaly is to reach, greater than 0; training stops when the mean
        score of all rows passes half of it.
    share
        Of the rows taken for anomalies, in (0, 0.5].
    outlier
        Weight of those against the others.
    weight
        Of the guidance against the base's own terms; 0 leaves the base as it is.
    hidden
        Width of the scoring network's one hidden layer.
    """

    paper = Paper(
        "huang2023boosting",
        (
            "Huang, Zongyuan",
            "Zhang, Baohua",
            "Hu, Guoqiang",
            "Li, Longyuan",
            "Xu, Yanyan",
            "Jin, Yaohui",
        ),
        "Boosting Unsupervised Anomaly Detection with Score-Guided Network",
        "IEEE Transactions on Neural Networks and Learning Systems",
        2023,
        "article",
        "https://arxiv.org/abs/2109.04684",
    )
    adds = (Label.ANOMALY, Label.NORMAL)

    margin: float = 6.0
    share: float = 0.1
    outlier: float = 20.0
    weight: float = 0.01
    hidden: int = 10

    def objection(self, base: Method) -> str:
        """Ask for a base that finds rows odd by itself."""
        if Label.ANOMALY in base.needs:
            return "without verdicts it finds nothing odd, so there is nothing to be guided by"
        if any(isinstance(layer, ScoreGuided) for layer in layers(base)):
            return "its score is guided already"
        return ""

    def validate(self) -> None:
        """Check the base and the numbers."""
        super().validate()
        require(self.margin > 0, "margin", self.margin, "greater than 0")
        require(0 < self.share <= 0.5, "share", self.share, "greater than 0, at most 0.5")
        require(self.outlier > 0, "outlier", self.outlier, "greater than 0")
        require(self.weight >= 0, "weight", self.weight, "0 or greater")
        require(self.hidden > 0, "hidden", self.hidden, "greater than 0")

    def recipe(self) -> Recipe:
        """Give the authors' settings, and the scaling of the base where it rebuilds bounded."""
        return Recipe(
            learning_rate=1e-4,
            epochs=100,
            batch_size=1024,
            clip_value=1.0,
            scale=self.base.recipe().scale,
        )

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Add a scoring network to the base's."""
        net = self.base.network(shape, generators)
        with torch.no_grad():
            nothing = torch.zeros(len(generators), 1, *shape)
            width = self.base.latent(net.eval(), nothing).shape[-1]
        own = apart(generators, "score guidance")
        net.guide = mlp(own, (width, self.hidden, 1), activation=nn.ReLU)
        net.register_buffer("quantile", torch.full((len(generators), 1), torch.inf))
        return net.train()

    def before_epoch(self, net: Net, rows: Rows, means: Mapping[str, Tensor]) -> None:
        """Set the base score from which on a row is taken for an anomaly."""
        self.base.before_epoch(net, rows, means)
        evidence = in_chunks(lambda x: self.base.score(net, x), rows.x, len(net.quantile))
        net.quantile.copy_(highest(evidence, self.share))

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Add the guidance to the base's terms."""
        terms = self.base.terms(net, batch)
        rows = batch["rows"]
        odd = self.base.score(net, rows.x).detach() >= net.quantile
        odd = (odd | (rows.label == Label.ANOMALY)) & (rows.label != Label.NORMAL)
        score = self.score(net, rows.x)
        short = self.outlier * (self.margin - score).clamp(min=0)
        about = rows.label.where(~odd, int(Label.ANOMALY))
        guide = Term(torch.where(odd, short, score.abs()), about, weight=self.weight)
        return {**terms, "guide": guide}

    def score(self, net: Net, x: Tensor) -> Tensor:
        """Give the scoring network's output."""
        out: Tensor = net.guide(self.base.latent(net, x))
        return out.squeeze(-1)

    def done(self, net: Net, rows: Rows) -> Bool[Tensor, " members"] | None:
        """Stop a member when its mean score passes half the margin."""
        if self.weight == 0:
            return self.base.done(net, rows)
        scores = in_chunks(lambda x: self.score(net, x), rows.x, len(net.quantile))
        return scores.mean(-1) > self.margin / 2


def highest(evidence: Float[Tensor, "members rows"], share: float) -> Float[Tensor, "members 1"]:
    """Give the value from which on at most this share of the rows lie, ties left out whole."""
    n = evidence.shape[-1]
    count = max(1, int(share * n))
    values = evidence.sort(-1, descending=True).values
    least, next_ = values[:, count - 1 : count], values[:, count : count + 1]
    above = values.where(values > least, torch.inf).amin(-1, keepdim=True)
    return torch.where(least > next_, least, above)
