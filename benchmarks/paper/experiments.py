"""The experiments: what is run for each paper, on what, and the bands it is held against.

A setting is a few words that a run's function takes apart. Bands are those of the acceptance
lists in ../shared/methods; figures are shares of 1, where papers often print percent.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from paper.common import DATA
from paper.images import FULL, MNIST, images
from paper.runs import Experiment
from paper.tables import ODDS, deviation
from paper.wrappers import CONTAMINATION, EMBEDDINGS, MARKET, UAI, ablation


def every(data: Path | None = None) -> Mapping[str, Experiment]:
    """Give the experiments by name; those that need the folder of --data stand at the end."""
    if data is not None:
        os.environ[DATA] = str(data.resolve())
    everyone = (
        *(ODDS, MNIST, deviation(False), ablation(False), CONTAMINATION, EMBEDDINGS, MARKET, UAI),
        *(deviation(True), ablation(True), *(images(name) for name in FULL)),
    )
    return {experiment.name: experiment for experiment in everyone}
