"""AnoOnly: a loss on known anomalies alone; batch normalization does the rest.

Source: Zhou et al., "AnoOnly: Semi-Supervised Anomaly Detection with the Only Loss on Anomalies",
arXiv 2305.18798, and the authors' code. Unlabelled rows stay in the batch: through its mean and
variance an anomaly that is pushed up pushes them down, and pulls them together.
Departs from the authors' code: a batch without an anomaly takes no step (there, momentum and
weight decay still move the weights); the norm's constants are the same over every base (momentum
0.1, epsilon 1e-3) where the code has each framework's own; DeepSAD's step is what it says, where
a milestone at epoch 0 divides the code's by ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Generator

from askew.deep.method import Batch, Method, Wrapper, layers, require
from askew.deep.nets import BatchNorm, Net, in_chunks
from askew.deep.paper import Paper
from askew.deep.rows import Rows, Term
from askew.labels import Label


@dataclass(eq=False, repr=False)
class AnoOnly(Wrapper):
    """Keep of the base's objective what speaks for known anomalies.

    Terms in which verdicts play no part (a penalty, the reconstruction below a guided score) stay
    as they are. Scores are the base's. An option, not a cure: on embeddings of images and text it
    helps Deep SAD much, on low-dimensional tables it costs accuracy.

    Parameters
    ----------
    base
        A method with a loss on known anomalies.
    norm
        Whether a batch normalization, with scale and shift, goes between code and head where the
        encoder has none.
    hinge
        Whether a base's hinge stays on the anomalies' loss. Without it, as in the paper, DevNet's
        is unbounded below: long training drives scores without end.
    reduce
        The mean over the batch's ``"anomalies"``, or over the whole ``"batch"``, in which every
        other row counts 0.
    """

    paper = Paper(
        "zhou2023anoonly",
        (
            "Zhou, Yixuan",
            "Yang, Peiyu",
            "Qu, Yi",
            "Xu, Xing",
            "Sun, Zhe",
            "Cichocki, Andrzej",
        ),
        "{AnoOnly}: Semi-Supervised Anomaly Detection with the Only Loss on Anomalies",
        "arXiv 2305.18798",
        2023,
        "misc",
        "https://arxiv.org/abs/2305.18798",
    )
    adds = (Label.ANOMALY,)
    demands = (Label.ANOMALY,)

    norm: bool = True
    hinge: bool = False
    reduce: Literal["anomalies", "batch"] = "anomalies"

    def objection(self, base: Method) -> str:
        """Ask for a loss on known anomalies that is not yet alone."""
        if Label.ANOMALY not in base.uses:
            return "it has no loss on known anomalies; put ScoreGuided between them, for one"
        if any(isinstance(layer, AnoOnly) for layer in layers(base)):
            return "its loss is on anomalies alone already"
        return ""

    def validate(self) -> None:
        """Check the base and how losses are averaged."""
        super().validate()
        require(self.reduce in ("anomalies", "batch"), "reduce", self.reduce, "anomalies, batch")

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Fill the socket between code and head."""
        net = self.base.network(shape, generators)
        normal = any(isinstance(layer, BatchNorm) for layer in net.encoder.modules())
        if self.norm and not normal:
            net.neck = BatchNorm(len(generators), net.width, affine=True, eps=1e-3)
        return net

    def before_fit(self, net: Net, rows: Rows) -> None:
        """Give the norm the table's statistics before the base looks, say for a center."""
        if isinstance(net.neck, BatchNorm):
            codes = in_chunks(net.encoder, rows.x, len(net.neck.mean))
            net.neck.mean.copy_(codes.mean(1, keepdim=True))
            net.neck.var.copy_(codes.var(1, keepdim=True))
        self.base.before_fit(net, rows)

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Keep the entries about known anomalies; without one, keep nothing."""
        terms = self.base.terms(net, batch)
        only = {name: self._only(term) for name, term in terms.items()}
        said = [t.keep.any(-1) for t in only.values() if t.about is not None and t.keep is not None]
        step = torch.stack(said).any(0).unsqueeze(-1)
        for name, term in only.items():
            if term.about is None:
                keep = step.expand_as(term.loss)
                only[name] = replace(term, keep=keep if term.keep is None else keep & term.keep)
        return only

    def _only(self, term: Term) -> Term:
        if term.about is None:
            return term
        loss = term.loss if self.hinge or term.unbounded is None else term.unbounded
        keep = term.about == Label.ANOMALY
        if term.keep is not None:
            keep = keep & term.keep
        weight = term.weight
        if self.reduce == "batch":
            weight = weight * keep.to(loss.dtype).mean(-1)
        return replace(term, loss=loss, keep=keep, weight=weight, unbounded=None)
