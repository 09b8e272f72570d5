"""The base's losses on known anomalies alone."""

from __future__ import annotations

from typing import Any

from askew.deep import AnoOnly
from askew.deep.nets import Net
from tests.slow.core import (
    LATENT,
    SCORE,
    TERMS,
    SlowBatch,
    SlowTerm,
    slow_latent,
    slow_score,
    slow_terms,
)


def terms(method: Any, net: Net, k: int, batch: SlowBatch) -> dict[str, SlowTerm]:
    found = {}
    for name, term in slow_terms(method.base, net, k, batch).items():
        if term.about is None:
            found[name] = term
            continue
        loss = term.loss if method.hinge or term.unbounded is None else term.unbounded
        keep = [y == 1 for y in term.about]
        if term.keep is not None:
            keep = [a and b for a, b in zip(keep, term.keep, strict=True)]
        share = sum(keep) / len(keep) if method.reduce == "batch" else 1.0
        found[name] = SlowTerm(loss, term.about, term.weight * share, keep)
    return found


TERMS[AnoOnly] = terms
SCORE[AnoOnly] = lambda method, net, k, x: slow_score(method.base, net, k, x)
LATENT[AnoOnly] = lambda method, net, k, x: slow_latent(method.base, net, k, x)
