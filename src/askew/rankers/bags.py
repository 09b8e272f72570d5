"""Bags: many small draws, each with the known anomalies and a few of the other rows.

Source: Mordelet and Vert, "A bagging SVM to learn from positive and unlabeled examples", Pattern
Recognition Letters 2014. Hidden anomalies are rare in a small draw, and a different few each time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from askew.labels import Label

PER_ANOMALY = 4  # other rows drawn for each known anomaly
LEAST = 32  # other rows in a bag, at least
MOST = 1000  # known anomalies in a bag, at most
KNOWN = 0.5  # of the known normals are in a bag, at most: bags are to differ


def draw_bags(
    label: NDArray[np.int8], n_bags: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.bool_]]]:
    """Draw row numbers without replacement, with whether each is an anomaly.

    A bag holds all known anomalies (``MOST`` of them at random, where there are more) and
    ``PER_ANOMALY`` times as many other rows, at least ``LEAST``: a draw of half of the known
    normals as far as there is room, then rows not looked at; more known normals where these are
    too few.
    """
    anomalies, normals, others = (
        np.flatnonzero(label == kind) for kind in (Label.ANOMALY, Label.NORMAL, Label.UNLABELED)
    )
    for _ in range(n_bags):
        taken = rng.choice(anomalies, min(len(anomalies), MOST), replace=False)
        size = max(LEAST, PER_ANOMALY * len(taken))
        sure = min(size, max(int(len(normals) * KNOWN), min(len(normals), size - len(others))))
        rest = min(len(others), size - sure)
        rows = np.concatenate(
            [
                taken,
                rng.choice(normals, sure, replace=False),
                rng.choice(others, rest, replace=False),
            ]
        )
        yield rows, np.arange(len(rows)) < len(taken)
