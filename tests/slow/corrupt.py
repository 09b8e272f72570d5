"""The base's terms, with cells of some rows exchanged and the targets left alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from askew.deep import Corrupt
from askew.deep.nets import Net
from tests.slow.core import (
    LATENT,
    SCORE,
    TERMS,
    SlowBatch,
    SlowRows,
    SlowTerm,
    slow_latent,
    slow_score,
    slow_terms,
)


def terms(method: Any, net: Net, k: int, batch: SlowBatch) -> dict[str, SlowTerm]:
    rows, x = batch["rows"], []
    for i, row in enumerate(rows.x):
        cells: list[Tensor] = []
        for j, cell in enumerate(row):
            if batch["spoilt"][i] < method.share and batch["where"][i, j] < method.cells:
                if method.how == "swap":
                    cell = batch["donor"].x[i][j]
                elif method.how == "noise":
                    cell = cell + batch["noise"][i, j]
                else:
                    cell = net.mean_row[k, 0, j]
            cells.append(cell)
        x.append(torch.stack(cells))
    return slow_terms(method.base, net, k, {**batch, "rows": SlowRows(x, rows.label, rows.target)})


TERMS[Corrupt] = terms
SCORE[Corrupt] = lambda method, net, k, x: slow_score(method.base, net, k, x)
LATENT[Corrupt] = lambda method, net, k, x: slow_latent(method.base, net, k, x)
