"""Anomaly awareness: train a base without labels, then unteach it the known anomalies.

Source: Banda, Khosa and Sanz, "Strengthening Anomaly Awareness", arXiv 2504.11520, its two stages.
Departs from the paper: it has a VAE and subtracts a known anomaly's error from that row's evidence
bound, without end; here any base without labels is trained on, the error is its score, the pull
ends at a cap, and a known anomaly has no other term. Every step sees some known anomalies, drawn
with replacement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Generator, Tensor

from askew.deep import draws
from askew.deep.method import Batch, Method, Wrapper, require
from askew.deep.nets import Net, in_chunks
from askew.deep.paper import Paper
from askew.deep.rows import Rows, Term
from askew.labels import Label

EVERY = 5  # one row in so many of a batch is a known anomaly


@dataclass(eq=False, repr=False)
class AnomalyAware(Wrapper):
    """After its base has been trained, train it once more and raise known anomalies' scores.

    A row that is no known anomaly costs what it costs the base, a known anomaly
    weight · max(0, cap - score). The cap is the median of the base's scores plus ``margin`` times
    the way from there to their 95th percentile. Known normals count as unlabelled rows do.
    Without a known anomaly the base is trained on.

    Parameters
    ----------
    base
        A method without labels. The weight is meant for one whose score is in its loss's units, as
        an error of reconstruction or a distance is.
    weight
        Of the known anomalies' term in the end, greater than 0.
    ramp
        Epochs over which the weight rises to that, 1 or more.
    margin
        How far the cap lies above the median, in the way to the 95th percentile, greater than 0.
    """

    adds = (Label.ANOMALY,)
    paper = Paper(
        "banda2025strengthening",
        ("Banda, Adam", "Khosa, Charanjit K.", "Sanz, Veronica"),
        "Strengthening Anomaly Awareness",
        "arXiv 2504.11520",
        2025,
        "misc",
        "https://arxiv.org/abs/2504.11520",
    )

    weight: float = 1.0
    ramp: int = 25
    margin: float = 5.0

    def objection(self, base: Method) -> str:
        """Say what the base has too much."""
        return "it tells labels apart by itself, and would have to forget them" if base.uses else ""

    def validate(self) -> None:
        """Check weight, ramp, margin and base."""
        super().validate()
        require(self.weight > 0, "weight", self.weight, "greater than 0")
        require(self.ramp >= 1, "ramp", self.ramp, "1 or more")
        require(self.margin > 0, "margin", self.margin, "greater than 0")

    def stages(self) -> tuple[Method, ...]:
        """Train the base first."""
        return (*self.base.stages(), self)

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Make the base's network with a cap and a count of epochs."""
        net = self.base.network(shape, generators)
        net.register_buffer("aware_cap", torch.zeros(len(generators), 1))
        net.register_buffer("aware_epochs", torch.zeros(len(generators)))
        return net

    def draw(self, label: Tensor, size: draws.Size, generator: Generator) -> dict[str, Tensor]:
        """Draw as the base, a quarter more rows, the last of them known anomalies.

        They are part of the batch, for batch normalization to see them as it does when scoring.
        That ``aware`` is there says that there are any.
        """
        known = label == Label.ANOMALY
        if not known.any():
            return self.base.draw(label, size, generator)
        more = -(-size.batch // (EVERY - 1))
        drawn = self.base.draw(label, size._replace(batch=size.batch + more), generator)
        rows = drawn["rows"].clone()
        rows[:, -more:] = draws.pick(known, (size.steps, more), generator)
        return drawn | {"rows": rows, "aware": torch.ones(size.steps, 1)}

    def before_fit(self, net: Net, rows: Rows) -> None:
        """Set the cap; the base has had its turn."""
        members = len(net.aware_cap)
        scores = in_chunks(lambda x: self.base.score(net, x), rows.x, members)
        ordered = scores[:, rows.label[0] != Label.ANOMALY].sort(-1).values
        last = ordered.shape[-1] - 1
        middle, high = (ordered[:, round(q * last)].unsqueeze(-1) for q in (0.5, 0.95))
        net.aware_cap.copy_(middle + self.margin * (high - middle))
        net.aware_epochs.zero_()

    def before_epoch(self, net: Net, rows: Rows, means: Mapping[str, Tensor]) -> None:
        """Let the base act; count."""
        super().before_epoch(net, rows, means)
        net.aware_epochs.add_(1)

    def done(self, net: Net, rows: Rows) -> Bool[Tensor, " members"] | None:
        """Go on: where the base stops is settled in its own stage."""
        return None

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Give the base's terms without known anomalies, and the term that raises these."""
        rows = batch["rows"]
        known = rows.label == Label.ANOMALY
        terms = {
            name: replace(term, keep=~known if term.keep is None else term.keep & ~known)
            for name, term in self.base.terms(net, batch).items()
        }
        if "aware" not in batch:
            return terms
        below = net.aware_cap - self.base.score(net, rows.x)
        terms["aware"] = Term(
            # Its hinge is not to be lifted: a score has no end above.
            below.clamp(min=0),
            about=rows.label,
            weight=self.weight * (net.aware_epochs / self.ramp).clamp(max=1),
            keep=known,
        )
        return terms
