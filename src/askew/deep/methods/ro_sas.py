"""RoSAS: learn a continuous degree of anomaly from mixtures of unlabelled rows and anomalies.

Source: Xu, Wang, Pang, Jian, Liu and Wang, "RoSAS: Deep semi-supervised anomaly detection with
contamination-resilient continuous supervision", Information Processing & Management 60(5), 2023:
the triplet loss, the two losses on mixtures of two rows, and the weights that grow with what is
left of each loss; layer plan, batches and optimiser of the authors' code.
Departs from that code: there is no early stopping on a labelled validation set, so all epochs are
run; the score is the output before tanh, for single precision rounds tanh of confident rows to the
same number, which changes no other order; the last epoch's losses and the exponents of the weights
are bounded; distances and the norm are smooth at zero; a small table lends rows to a batch more
than once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn.functional import smooth_l1_loss

from askew.deep import draws
from askew.deep.method import Batch, Method, Recipe, require
from askew.deep.nets import Linear, Net, length, mlp
from askew.deep.paper import Paper
from askew.deep.rows import Rows, Term
from askew.labels import Label

LEAST = 1e-8  # of the last epoch's loss: a solved triplet loss is exactly zero
MOST = 10.0  # of a weight's exponent: late losses exceed the last epoch's by orders of magnitude
WEIGHED = ("embedding", "score")


@dataclass(eq=False, repr=False)
class RoSAS(Method):
    """Score a row by one number, below 0 for what is normal and above for what is not.

    A step sees triplets of two rows that are no known anomalies and one that is. Their codes cost
    max(0, |a - p| - |a - n| + margin). Each of the rows, with target -1 or +1, is also mixed with
    another of the step by a random share; the mixture costs the distance of its tanh score from
    the mixture of targets, and from the mixture of tanh scores. Known normals count as unlabelled
    rows do.

    Parameters
    ----------
    embedding
        Width of the code; 128 in the paper. The layer before it lies halfway from the table's.
    scorer
        Width of the layer between code and score; 64 in the paper.
    margin
        How much nearer than a known anomaly another row's code is asked to be; 1 in the paper.
    temperature
        How little the two losses' weights heed what is left of each; 2 in the paper.
    norm
        Weight of the Frobenius norm of the summed codes; 0.01 in the paper.
    """

    paper = Paper(
        "xu2023rosas",
        (
            "Xu, Hongzuo",
            "Wang, Yijie",
            "Pang, Guansong",
            "Jian, Songlei",
            "Liu, Ning",
            "Wang, Yongjun",
        ),
        "{RoSAS}: Deep semi-supervised anomaly detection with contamination-resilient continuous "
        "supervision",
        "Information Processing & Management 60(5)",
        2023,
        kind="article",
        link="https://arxiv.org/abs/2307.13239",
    )
    uses = (Label.ANOMALY,)
    needs = (Label.ANOMALY,)

    embedding: int = 128
    scorer: int = 64
    margin: float = 1.0
    temperature: float = 2.0
    norm: float = 0.01

    def validate(self) -> None:
        """Check widths, margin, temperature and norm."""
        for name in ("embedding", "scorer", "margin", "temperature"):
            require(getattr(self, name) > 0, name, getattr(self, name), "greater than 0")
        require(self.norm >= 0, "norm", self.norm, "0 or greater")

    def recipe(self) -> Recipe:
        """Give the authors' configuration file's settings: 3,200 steps of 32 triplets."""
        return Recipe(
            learning_rate=0.005, epochs=200, batch_size=32, steps_per_epoch=16, weight_decay=1e-4
        )

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Make a bias-free embedding and a scorer with a single bias, its last."""
        d = shape[-1]
        between = d + int(0.5 * (self.embedding - d))
        encoder = mlp(generators, (d, between, self.embedding), activation=_leaky, bias=False)
        widths = (self.embedding, self.scorer)
        head = mlp(generators, widths, activation=_leaky, bias=False, activate_last=True)
        head.append(Linear(generators, self.scorer, 1))
        net = Net(encoder, head, width=self.embedding)
        for name in WEIGHED:
            net.register_buffer(f"last_{name}", torch.ones(len(generators)))
        return net

    def draw(self, label: Tensor, size: draws.Size, generator: Generator) -> dict[str, Tensor]:
        """Draw triplets; for each of their rows a share, and a key that orders its partners."""
        drawn = draws.triplets(label, size, generator)
        u, order = (torch.rand(size.steps, 3 * size.batch, generator=generator) for _ in range(2))
        # Beta(1/2, 1/2) is the arcsine law, whose quantiles are known; torch's own Beta sampler
        # takes no generator.
        return {**drawn, "mix": (u * (math.pi / 2)).sin().square(), "order": order}

    def before_epoch(self, net: Net, rows: Rows, means: Mapping[str, Tensor]) -> None:
        """Keep the last epoch's losses; 1 before the first."""
        for name in WEIGHED:
            net.get_buffer(f"last_{name}").copy_(means[name] if means else torch.ones(()))

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Give the losses of triplets and of mixtures, weighed by each other, and the norm."""
        triplet: list[Rows] = [batch[name] for name in ("anchor", "positive", "negative")]
        x = torch.cat([rows.x for rows in triplet], 1)
        label = torch.cat([rows.label for rows in triplet], 1)
        code = net.encode(x)
        anchor, positive, negative = code.chunk(3, 1)
        apart = length(anchor - positive) - length(anchor - negative) + self.margin
        embedded = apart.clamp(min=0)
        mixed, about = self._mixed(net, x, label, batch["mix"], batch["order"].argsort(-1))
        weights = self._weights(net, [embedded.mean(-1), mixed.mean(-1)])
        speaks = torch.full_like(triplet[0].label, int(Label.ANOMALY))  # one is in every triplet
        terms = {
            "embedding": Term(embedded, speaks, weights[0]),
            "score": Term(mixed, about, weights[1]),
        }
        if self.norm:
            norm = length((anchor + positive + negative).flatten(1)).unsqueeze(-1)
            terms["norm"] = Term(norm.expand_as(apart), None, self.norm)
        return terms

    def score(self, net: Net, x: Tensor) -> Tensor:
        """Give the scorer's output before tanh."""
        return net(x).squeeze(-1)

    @staticmethod
    def _mixed(
        net: Net, x: Tensor, label: Tensor, mix: Tensor, partner: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Give the loss of each row's mixture with its partner, and whom it is about."""
        other = x.gather(1, partner.unsqueeze(-1).expand_as(x))
        known = label == Label.ANOMALY
        target = torch.where(known, 1.0, -1.0).to(x.dtype)
        output = net(x).squeeze(-1).tanh()
        share = mix.unsqueeze(-1)
        between = net(share * x + (1 - share) * other).squeeze(-1).tanh()
        wanted, expected = (
            mix * value + (1 - mix) * value.gather(1, partner) for value in (target, output)
        )
        loss = smooth_l1_loss(between, wanted, reduction="none")
        loss = loss + smooth_l1_loss(between, expected, reduction="none")
        touched = known | known.gather(1, partner)
        return loss, torch.where(touched, int(Label.ANOMALY), int(Label.UNLABELED))

    def _weights(
        self, net: Net, losses: Sequence[Float[Tensor, " members"]]
    ) -> Float[Tensor, "two members"]:
        """Give shares that sum to 1, larger for the loss that fell less since the last epoch.

        The gradient goes through them, as in the authors' code.
        """
        exponents = [
            loss / net.get_buffer(f"last_{name}").clamp(min=LEAST) / self.temperature
            for name, loss in zip(WEIGHED, losses, strict=True)
        ]
        return torch.stack(exponents).clamp(max=MOST).softmax(0)


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.01)
