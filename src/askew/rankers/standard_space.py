"""Columns of mean 0 and variance 1, with what lies far out drawn in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from askew.rankers.base import checked

CLIP = 10.0  # standard deviations: what lies beyond is far away for any distance


@dataclass(frozen=True)
class StandardSpace:
    """Standardised columns, clipped at ``CLIP`` standard deviations.

    Parameters
    ----------
    mean, scale : (d,) float64
        ``scale`` is 1 for a column that does not vary.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def of(cls, X: NDArray[np.float32]) -> StandardSpace:
        """Measure rows (n, d)."""
        scale = X.std(0, dtype=np.float64)
        return cls(X.mean(0, dtype=np.float64), np.where(scale > 0, scale, 1.0))

    def place(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Place rows (n, d) -> (n, d)."""
        z: NDArray[np.float64] = np.clip(
            (X.astype(np.float64) - self.mean) / self.scale, -CLIP, CLIP
        )
        return z

    def state(self) -> dict[str, Any]:
        """Give everything as arrays by name."""
        return {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_state(cls, state: Any, n_features: int) -> StandardSpace:
        """Take up what a file gave; ValueError where it is something else."""
        mean, scale = (checked(state, name, (n_features,)) for name in ("mean", "scale"))
        if not (scale > 0).all():
            raise ValueError("scale holds numbers that are not above 0")
        return cls(mean, scale)
