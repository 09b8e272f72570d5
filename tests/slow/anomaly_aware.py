"""The base's terms of all but known anomalies, and a hinge below the cap for these."""

from __future__ import annotations

from typing import Any

from askew.deep import AnomalyAware
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
    found = slow_terms(method.base, net, k, batch)
    labels = batch["rows"].label
    for term in found.values():
        before = term.keep or [True] * len(labels)
        term.keep = [here and y != 1 for here, y in zip(before, labels, strict=True)]
    if "aware" not in batch:
        return found
    below = [net.aware_cap[k, 0] - s for s in slow_score(method.base, net, k, batch["rows"].x)]
    ramp = min(1.0, float(net.aware_epochs[k]) / method.ramp)
    found["aware"] = SlowTerm(
        [b if b > 0 else 0 * b for b in below],
        labels,
        weight=method.weight * ramp,
        keep=[y == 1 for y in labels],
    )
    return found


TERMS[AnomalyAware] = terms
SCORE[AnomalyAware] = lambda method, net, k, x: slow_score(method.base, net, k, x)
LATENT[AnomalyAware] = lambda method, net, k, x: slow_latent(method.base, net, k, x)
