"""The two small frozen types that travel through training: rows in, terms out."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Some rows of a table and what is known of them.

    ``members`` is the number of networks trained side by side; it is 1 where all of them see the
    same rows. ``*shape`` is (d,) for a table and (channels, height, width) for images.
    """

    x: Float[Tensor, "members rows *shape"]
    label: Int[Tensor, "members rows"]  # 1 anomaly, 0 normal, -1 not looked at
    clean: Float[Tensor, "members rows *shape"] | None = None  # what x was before a corruption

    @property
    def target(self) -> Float[Tensor, "members rows *shape"]:
        """What a method that rebuilds its input is to rebuild."""
        return self.x if self.clean is None else self.clean


@dataclass(frozen=True)
class Term:
    """One named part of an objective, row by row, before any averaging.

    The loop takes, for each member, ``weight`` times the mean of ``loss`` over the rows that
    ``keep`` marks (all rows where it is None), and adds the terms up. A member of which no term
    keeps a row takes no step.
    """

    loss: Float[Tensor, "members rows"]
    about: Int[Tensor, "members rows"] | None  # the Label each entry speaks for; None: no verdict
    weight: Tensor | float = 1.0  # a scalar, or (members,)
    keep: Bool[Tensor, "members rows"] | None = None
    unbounded: Float[Tensor, "members rows"] | None = None  # the loss without its hinge

    def mean(self) -> Float[Tensor, " members"]:
        """Mean over the kept rows, one value a member; 0 where nothing is kept."""
        if self.keep is None:
            return self.loss.mean(-1)
        # `where`, not a product: a dropped row may hold an infinity.
        kept = self.loss.where(self.keep, self.loss.new_zeros(()))
        return kept.sum(-1) / self.keep.sum(-1).clamp(min=1)

    def cost(self, mean: Float[Tensor, " members"] | None = None) -> Float[Tensor, " members"]:
        """Weighted mean: what the term adds to the objective; of a mean that is known already."""
        mean = self.mean() if mean is None else mean
        plain = isinstance(self.weight, float) and self.weight == 1
        return mean if plain else self.weight * mean
