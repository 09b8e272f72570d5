"""Member scores -> one score, by yardsticks taken from the training rows and kept.

Standardizing within the batch that is scored would make a row's score depend on its neighbors.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

How = Literal["mean", "rank"]
GRID = np.linspace(0, 1, 1001)


def yardstick(scores: Float[ndarray, "members n"], how: How) -> Float[ndarray, "members points"]:
    """Take from the training scores what ``combine`` needs: center and spread, or 1,001 quantiles.

    Parameters
    ----------
    scores
        Finite, one row a member.
    how
        ``"mean"`` of z-scores or mean ``"rank"``, as a share in [0, 1].
    """
    scores = scores.astype(np.float64)
    if how == "rank":
        quantiles: np.ndarray = np.quantile(scores, GRID, axis=1).T
        return quantiles
    spread = scores.std(1)
    return np.stack([scores.mean(1), np.where(spread > 0, spread, 1.0)], 1)


def levelled(
    scores: Float[ndarray, "members n"], measure: Float[ndarray, "members points"], how: How
) -> Float[ndarray, "members n"]:
    """Put every member on the yardstick."""
    scores = scores.astype(np.float64)
    if how == "rank":
        ranks = [np.interp(s, q, GRID) for s, q in zip(scores, measure, strict=True)]
        return np.stack(ranks)
    z: np.ndarray = (scores - measure[:, :1]) / measure[:, 1:]
    return z


def combine(
    scores: Float[ndarray, "members n"], measure: Float[ndarray, "members points"], how: How
) -> Float[ndarray, " n"]:
    """Put every member on the yardstick and average; monotone in each member."""
    average: np.ndarray = levelled(scores, measure, how).mean(axis=0)
    return average
