"""Which rows to show an expert next."""

from __future__ import annotations

from askew.strategies.choosing import (
    BY_SCORE,
    CYCLE,
    STRATEGIES,
    Pick,
    Pool,
    check_strategy,
    choose,
    explain,
)
from askew.strategies.shuffle import random_order

__all__ = [
    "BY_SCORE",
    "CYCLE",
    "STRATEGIES",
    "Pick",
    "Pool",
    "check_strategy",
    "choose",
    "explain",
    "random_order",
]
