"""Distance, weighted where normal, inverted where anomalous."""

from __future__ import annotations

from typing import Any

from askew.deep import DeepSAD
from askew.deep.nets import Net
from tests.slow.core import SCORE, TERMS, SlowBatch, SlowTerm, distances


def terms(method: Any, net: Net, k: int, batch: SlowBatch) -> dict[str, SlowTerm]:
    rows, losses = batch["rows"], []
    for d, y in zip(distances(net, k, rows.x), rows.label, strict=True):
        if y == -1:
            losses.append(d)
        elif y == 0:
            losses.append(method.eta * (d + 1e-6))
        else:
            losses.append(method.eta / (d + 1e-6))
    return {"sad": SlowTerm(losses, rows.label)}


TERMS[DeepSAD] = terms
SCORE[DeepSAD] = lambda method, net, k, x: distances(net, k, x)
