"""UAI: a logistic unit on a detector's code and score, taught by verdicts.

Source: Pimentel, Monteiro, Veloso and Ziviani, "Deep Active Learning for Anomaly Detection", IJCNN
2020, arXiv 1805.09411, the universal anomaly inference layer.
Departs from the paper as far as it is known: code and score go in standardized over the table, the
score on a signed logarithmic scale, the code by one scale for all of it, for a coordinate that
hardly varies would else be blown up; the unit starts as the score alone and is held near it; while
there is no verdict the base's score is given out as it is; the output is the logit, whose order is
the probability's without the ties of rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from askew.deep import draws
from askew.deep.method import Batch, Method, Recipe, Wrapper, require
from askew.deep.nets import BatchNorm, Linear, Net, apart, in_chunks
from askew.deep.paper import Paper
from askew.deep.rows import Rows, Term
from askew.labels import Label

TOLD = 64  # verdicts a step


@dataclass(eq=False, repr=False)
class UAI(Wrapper):
    """Score a row by the logit of being an anomaly, from the base's code and score.

    The code finds anomalies that lie together, the score those that lie alone. Base and unit are
    trained jointly, the unit's cross-entropy on verdicts reaching the base; or, with
    ``freeze_base``, the unit alone once the base is trained.

    Parameters
    ----------
    base
        Any method.
    freeze_base
        Whether the verdicts leave the base as it is: quick, and safe with a handful of verdicts.
    weight
        Of the cross-entropy against the base's terms, greater than 0.
    decay
        What holds the unit's weights where they began, at the score alone: the weight of their
        squared distance from there, 0 or greater. A few verdicts say little about a long code.
        Chosen on tables that `make paper` uses too, with another seed of the network.
    """

    paper = Paper(
        "pimentel2020deep",
        ("Pimentel, Tiago", "Monteiro, Marianne", "Veloso, Adriano", "Ziviani, Nivio"),
        "Deep Active Learning for Anomaly Detection",
        "International Joint Conference on Neural Networks (IJCNN)",
        2020,
        link="https://arxiv.org/abs/1805.09411",
    )
    adds = (Label.ANOMALY, Label.NORMAL)
    outermost = True  # its score is a verdict's probability: no base for another

    freeze_base: bool = False
    weight: float = 1.0
    decay: float = 0.03

    def validate(self) -> None:
        """Check the base and the weights."""
        super().validate()
        require(self.weight > 0, "weight", self.weight, "greater than 0")
        require(self.decay >= 0, "decay", self.decay, "0 or greater")

    def recipe(self) -> Recipe:
        """Give the base's settings, or those of a small logistic regression where it is frozen."""
        base = self.base.recipe()
        if not self.freeze_base:
            return base
        return Recipe(learning_rate=0.03, epochs=30, steps_per_epoch=10, scale=base.scale)

    def stages(self) -> tuple[Method, ...]:
        """Train with the base, or after it."""
        return (*self.base.stages(), self) if self.freeze_base else super().stages()

    def trainable(self, net: Net) -> Iterable[nn.Parameter]:
        """Move the unit, and the base unless it is frozen."""
        own = list(net.unit.parameters())
        return own if self.freeze_base else dict.fromkeys([*self.base.trainable(net), *own])

    def set_training(self, net: Net) -> None:
        """Keep a frozen base's running statistics."""
        if self.freeze_base:
            net.eval()
        else:
            self.base.set_training(net)

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Add a unit that begins as the base's score."""
        net = self.base.network(shape, generators)
        members = len(generators)
        with torch.no_grad():
            width = self.base.latent(net.eval(), torch.zeros(members, 1, *shape)).shape[-1] + 1
            net.unit = Linear(apart(generators, "uai"), width, 1)
            for p in net.unit.parameters():
                p.zero_()
            net.unit.weight[:, -1] = 1
        net.register_buffer("shift", torch.zeros(members, 1, width))
        net.register_buffer("spread", torch.ones(members, 1, width))
        net.register_buffer("told", torch.zeros(members, 1))
        return net.train()

    def draw(self, label: Tensor, size: draws.Size, generator: Generator) -> dict[str, Tensor]:
        """Draw verdicts beside the base's rows, half of each kind where there are both."""
        drawn = self.base.draw(label, size, generator)
        kinds = [label == kind for kind in (Label.ANOMALY, Label.NORMAL) if (label == kind).any()]
        if kinds:
            each = (size.steps, TOLD // len(kinds))
            drawn["told"] = torch.cat([draws.pick(kind, each, generator) for kind in kinds], 1)
        return drawn

    def before_fit(self, net: Net, rows: Rows) -> None:
        """Note whether there is a verdict."""
        if not self.freeze_base:
            self.base.before_fit(net, rows)
        net.told.fill_(float((rows.label != Label.UNLABELED).any()))

    def before_epoch(self, net: Net, rows: Rows, means: Mapping[str, Tensor]) -> None:
        """Take the scale of code and score over the table."""
        if not self.freeze_base:
            self.base.before_epoch(net, rows, means)
        elif means:
            return  # a frozen base gives what it gave before the first epoch
        features = in_chunks(lambda x: self._features(net, x), rows.x, len(net.told))
        net.shift.copy_(features.mean(1, keepdim=True))
        spread = features.std(1, keepdim=True, correction=0)
        spread[..., :-1] = spread[..., :-1].square().mean(-1, keepdim=True).sqrt()
        net.spread.copy_(spread.where(spread > 0, 1.0))

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Add the cross-entropy on verdicts to the base's terms."""
        terms = {} if self.freeze_base else self.base.terms(net, batch)
        if "told" not in batch:
            return terms or {"verdict": _nothing(_pool(batch))}
        told = batch["told"]
        logit = self._logit(net, _beside(net, told.x, batch))[:, -told.x.shape[1] :]
        truth = (told.label == Label.ANOMALY).to(logit.dtype)
        loss = F.binary_cross_entropy_with_logits(logit, truth, reduction="none")
        known = told.label != Label.UNLABELED
        terms["verdict"] = Term(loss, told.label, weight=self.weight, keep=known)
        if self.decay:
            moved = torch.cat([net.unit.weight[:, :-1], net.unit.weight[:, -1:] - 1], 1)
            penalty = moved.square().sum((-2, -1)).unsqueeze(-1)
            terms["decay"] = Term(penalty, about=None, weight=self.decay)
        return terms

    def score(self, net: Net, x: Tensor) -> Tensor:
        """Give the logit, or the base's score while there is no verdict."""
        return torch.where(net.told > 0, self._logit(net, x), self.base.score(net, x))

    def after_fit(self, net: Net, rows: Rows) -> None:
        """Let the base act where it has been trained here."""
        if not self.freeze_base:
            self.base.after_fit(net, rows)

    def _features(self, net: Net, x: Tensor) -> Tensor:
        score = self.base.score(net, x)
        scaled = score.sign() * score.abs().log1p()  # errors differ by orders of magnitude
        return torch.cat([self.base.latent(net, x), scaled.unsqueeze(-1)], -1)

    def _logit(self, net: Net, x: Tensor) -> Tensor:
        out: Tensor = net.unit((self._features(net, x) - net.shift) / net.spread)
        return out.squeeze(-1)


def _beside(net: Net, x: Tensor, batch: Batch) -> Tensor:
    """Put verdicts behind the base's rows where batch norm would else see a few verdicts alone."""
    if not any(isinstance(layer, BatchNorm) and layer.training for layer in net.modules()):
        return x
    return torch.cat([_pool(batch).x, x], 1)


def _pool(batch: Batch) -> Rows:
    """Give the first of the base's rows, whatever the base calls them."""
    return next(part for part in batch.values() if isinstance(part, Rows))


def _nothing(rows: Rows) -> Term:
    """Give a term that keeps no row, so that no step is taken."""
    loss = torch.zeros_like(rows.label, dtype=rows.x.dtype)
    return Term(loss, rows.label, keep=torch.zeros_like(rows.label, dtype=torch.bool))
