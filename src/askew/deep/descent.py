"""Down the slope: Adam and RMSprop with a member axis, where a member may sit a step out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from askew.deep.method import Recipe


class Descent:
    """Moves parameters by their slopes, with the arithmetic of torch's own optimisers.

    An idle member must not move at all: momentum and weight decay would move it without a slope,
    and its count of steps would run ahead of what it is when trained alone. So each member's share
    of the parameters is moved by itself where members may sit out.

    Parameters
    ----------
    recipe
        Its optimiser, learning rate, milestones and weight decay.
    parameters
        Each with the member axis first.
    """

    def __init__(self, recipe: Recipe, parameters: Sequence[Tensor]) -> None:
        self.recipe = recipe
        self.rate = recipe.learning_rate
        self.parameters = [p.detach() for p in parameters]
        self._shares: dict[int | None, _Adam | _RMSprop] = {}

    def set_epoch(self, epoch: int) -> None:
        """Set the learning rate of an epoch: a tenth for every milestone behind it."""
        passed = sum(epoch >= milestone for milestone in self.recipe.milestones)
        self.rate = self.recipe.learning_rate * 0.1**passed

    def step(
        self, slopes: Sequence[Tensor | None], active: Bool[Tensor, " members"] | None
    ) -> None:
        """Move the members marked, all where None; a parameter without a slope stays."""
        whose = [None] if active is None else active.nonzero().flatten().tolist()
        for member in whose:
            if member not in self._shares:
                kind = _Adam if self.recipe.optimizer == "adam" else _RMSprop
                self._shares[member] = kind(self.parameters, member)
            self._shares[member].step(slopes, self.rate, self.recipe.weight_decay)


class _Share(ABC):
    """The parameters of one member, or of all, and what an optimiser keeps of those that move."""

    def __init__(self, parameters: Sequence[Tensor], member: int | None) -> None:
        self.member = member
        self.parameters = [self._part(p) for p in parameters]
        self.moving: list[int] = []
        self.by: list[Tensor] = []
        self._slopes: Sequence[Tensor | None] = ()

    def step(self, slopes: Sequence[Tensor | None], rate: float, decay: float) -> None:
        """Move by slopes; the same tensors may come again with other values."""
        if slopes is not self._slopes:
            self._slopes = slopes
            moving = [i for i, slope in enumerate(slopes) if slope is not None]
            self.by = [self._part(slope) for slope in slopes if slope is not None]
            if moving != self.moving:
                self.moving = moving
                self.settle([self.parameters[i] for i in moving])
        if self.by:
            self.move(rate, decay)

    @abstractmethod
    def settle(self, moved: list[Tensor]) -> None:
        """Prepare to move these parameters."""

    @abstractmethod
    def move(self, rate: float, decay: float) -> None:
        """Move them by the slopes in ``by``."""

    def _part(self, tensor: Tensor) -> Tensor:
        return tensor if self.member is None else tensor[self.member]


class _Adam(_Share):
    def __init__(self, parameters: Sequence[Tensor], member: int | None) -> None:
        super().__init__(parameters, member)
        self.kept: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def settle(self, moved: list[Tensor]) -> None:
        count = torch.zeros((), device=moved[0].device) if moved else torch.zeros(())
        for i, p in zip(self.moving, moved, strict=True):
            if i not in self.kept:
                self.kept[i] = (torch.zeros_like(p), torch.zeros_like(p), count)
        self.moved = moved
        kept = [self.kept[i] for i in self.moving]
        self.first, self.second, self.counts = ([one[k] for one in kept] for k in range(3))
        self.clocks = list({id(count): count for count in self.counts}.values())

    def move(self, rate: float, decay: float) -> None:
        for clock in self.clocks:  # one, unless a parameter had no slope at first
            clock += 1
        torch._fused_adam_(
            self.moved,
            self.by,
            self.first,
            self.second,
            [],
            self.counts,
            lr=rate,
            beta1=0.9,
            beta2=0.999,
            weight_decay=decay,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )


class _RMSprop(_Share):
    """As Keras has it. Torch has no single kernel for it; over one long vector it is quick too."""

    def __init__(self, parameters: Sequence[Tensor], member: int | None) -> None:
        super().__init__(parameters, member)
        self.kept: dict[int, Tensor] = {}

    def settle(self, moved: list[Tensor]) -> None:
        self.moved = [p.view(-1) for p in moved]
        sizes = [len(p) for p in self.moved]
        before = zip(self.moving, self.moved, strict=True)
        self.square = torch.cat([self.kept.get(i, torch.zeros_like(p)) for i, p in before])
        self.kept |= dict(zip(self.moving, torch.split(self.square, sizes), strict=True))
        self.slope, self.root = torch.empty_like(self.square), torch.empty_like(self.square)
        self.change = torch.split(self.slope, sizes)

    def move(self, rate: float, decay: float) -> None:
        torch.cat([slope.reshape(-1) for slope in self.by], out=self.slope)
        if decay:
            self.slope.add_(torch.cat(self.moved), alpha=decay)
        self.square.mul_(0.9).addcmul_(self.slope, self.slope, value=1 - 0.9)
        torch.sqrt(self.square, out=self.root).add_(1e-7)
        self.slope.mul_(-rate).div_(self.root)
        torch._foreach_add_(self.moved, self.change)


def clipped(
    slopes: Sequence[Tensor | None], *, norm: float | None, value: float | None
) -> list[Tensor | None]:
    """Cut each entry to ±value, then scale each member's slope down to the norm if it is longer."""
    if value is not None:
        slopes = [None if g is None else g.clamp(-value, value) for g in slopes]
    there = [g.flatten(1) for g in slopes if g is not None]
    if norm is not None and there:
        long = torch.cat(there, 1).square().sum(1).sqrt()
        factor = (norm / (long + 1e-6)).clamp(max=1)
        slopes = [None if g is None else g * factor.view(-1, *[1] * (g.dim() - 1)) for g in slopes]
    return list(slopes)
