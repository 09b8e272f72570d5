"""Mean squared reconstruction error."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from askew.deep import Reconstruct
from askew.deep.nets import Net
from tests.slow.core import SCORE, TERMS, Row, SlowBatch, SlowTerm, outputs, squared


def terms(method: Any, net: Net, k: int, batch: SlowBatch) -> dict[str, SlowTerm]:
    rows = batch["rows"]
    rebuilt = outputs(net, k, rows.x)
    loss = [squared(r - t) / len(t) for r, t in zip(rebuilt, rows.target, strict=True)]
    return {"reconstruction": SlowTerm(loss, None)}


def score(method: Any, net: Net, k: int, x: list[Row]) -> list[Tensor]:
    return [squared(r - row) / len(row) for r, row in zip(outputs(net, k, x), x, strict=True)]


TERMS[Reconstruct] = terms
SCORE[Reconstruct] = score
