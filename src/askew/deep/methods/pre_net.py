"""PReNet: tell how many of two rows are anomalous, and score a row beside partners of both kinds.

Source: Pang, Shen, Jin and van den Hengel, "Deep Weakly-supervised Anomaly Detection", KDD 2023,
the ordinal loss on pairs; layer plan, batches and optimiser of the authors' code.
Departs from that code: the partners of the score are the mean code of all rows that are no known
anomaly and that of all known anomalies, not 30 drawn rows of each kind, which changes no order;
the weight of the penalty is 0.01, the default that the code declares, not the constant 0.1 that it
uses; a small table lends rows to a batch more than once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from askew.deep import draws
from askew.deep.method import Batch, Method, Recipe, require
from askew.deep.nets import Linear, Net, mean_code, mlp, squared_weights
from askew.deep.paper import Paper
from askew.deep.rows import Rows, Term
from askew.labels import Label

STEP = 4.0  # what a pair's target rises by with each anomaly in it


@dataclass(eq=False, repr=False)
class PReNet(Method):
    """Score a row by its relation to the average row of either kind.

    A pair costs |target - s|, with s the network's output and a target of 0, 4 or 8 for none, one
    or two known anomalies. The score is the mean of s with a partner that is no known anomaly and
    s with one that is: about 2 for what is normal, 6 for what is not. Known normals count as
    unlabelled rows do.

    Parameters
    ----------
    hidden
        Widths of the hidden layers that both rows of a pair pass: (20,) in the paper,
        (1000, 250, 20) in its deep form, () for none.
    l2
        Weight of the penalty on the hidden layers' squared weights, 0 or greater.
    """

    paper = Paper(
        "pang2023prenet",
        ("Pang, Guansong", "Shen, Chunhua", "Jin, Huidong", "van den Hengel, Anton"),
        "Deep Weakly-supervised Anomaly Detection",
        "ACM SIGKDD International Conference on Knowledge Discovery and Data Mining (KDD)",
        2023,
        link="https://arxiv.org/abs/1910.13601",
    )
    uses = (Label.ANOMALY,)
    needs = (Label.ANOMALY,)

    hidden: tuple[int, ...] = (20,)
    l2: float = 0.01

    def validate(self) -> None:
        """Check penalty and widths."""
        require(self.l2 >= 0, "l2", self.l2, "0 or greater")
        require(all(width > 0 for width in self.hidden), "hidden", self.hidden, "positive widths")

    def recipe(self) -> Recipe:
        """Give the authors' settings: 1,000 steps whatever the table's length."""
        return Recipe(
            optimizer="rmsprop", batch_size=512, steps_per_epoch=20, clip_norm=1.0, keep="best"
        )

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Make a ReLU network for one row, and a linear head over two codes side by side."""
        widths = (shape[-1], *self.hidden)
        encoder = mlp(generators, widths, activation=nn.ReLU, activate_last=True, init="glorot")
        net = Net(encoder, Linear(generators, 2 * widths[-1], 1, init="glorot"), width=widths[-1])
        # Zero until the end of training: only the level of the scores hangs on them.
        for name in ("mean_other", "mean_anomaly"):
            net.register_buffer(name, torch.zeros(len(generators), 1, net.width))
        return net

    def draw(self, label: Tensor, size: draws.Size, generator: Generator) -> dict[str, Tensor]:
        """Draw pairs; a row that is no known anomaly stands on the left of one that is."""
        return draws.pairs(label, size, generator)

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Give the distance from each pair's target, and the penalty, the same for every pair."""
        left, right = batch["left"], batch["right"]
        codes = torch.cat([net.encode(left.x), net.encode(right.x)], -1)
        anomalies = (left.label == Label.ANOMALY).long() + (right.label == Label.ANOMALY)
        loss = (STEP * anomalies - net.head(codes).squeeze(-1)).abs()
        about = torch.where(anomalies > 0, int(Label.ANOMALY), int(Label.UNLABELED))
        terms = {"relation": Term(loss, about)}
        if self.hidden and self.l2:
            terms["l2"] = Term(squared_weights(net.encoder).expand_as(loss), None, self.l2)
        return terms

    def after_fit(self, net: Net, rows: Rows) -> None:
        """Keep the average partner of either kind."""
        known = rows.label == Label.ANOMALY
        net.mean_other.copy_(mean_code(net, rows.x, ~known))
        net.mean_anomaly.copy_(mean_code(net, rows.x, known))

    def score(self, net: Net, x: Tensor) -> Tensor:
        """Give the mean of two relations: with a partner on the left, and with one on the right.

        The head is linear, so s(l, r) = w_l f(l) + w_r f(r) + b, and the mean over any partners is
        s of their mean code: all of them cost no more than one, and none has to be drawn.
        """
        code = net.encode(x)
        weight, bias = (net.head.get_parameter(name) for name in ("weight", "bias"))
        on_left, on_right = weight[..., 0].unsqueeze(-2).chunk(2, -1)  # (members, 1, w)
        itself = (code * (on_left + on_right)).sum(-1)
        partners = (net.mean_other * on_left + net.mean_anomaly * on_right).sum(-1)
        score: Tensor = (itself + partners) / 2 + bias.squeeze(-1)
        return score
