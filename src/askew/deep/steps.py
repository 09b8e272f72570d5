"""The losses and slopes of a step: by autograd, or by playing what was recorded of the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from askew.deep.descent import clipped
from askew.deep.method import Batch, Method, Recipe
from askew.deep.nets import Net
from askew.deep.rows import Rows, Term
from askew.deep.tape import Tape


class Found(NamedTuple):
    """What a step works out."""

    names: list[str]  # of the terms
    losses: Float[Tensor, "terms_and_objective members"]  # the terms' means, then the objective
    active: Bool[Tensor, " members"] | None  # who has a row to learn from; None: all, always
    slopes: list[Tensor | None]  # the objective's, one a parameter


class Work:
    """Works out the losses and slopes of a step.

    Where asked for and possible the first step is recorded and the others are played, else
    autograd does them all; the bits are the same. A recording is compared with autograd in its
    first epoch and the one after, and dropped where they differ: a method that counts steps or
    epochs in Python, say, cannot be played.
    """

    def __init__(
        self,
        stage: Method,
        net: Net,
        rows: Rows,
        parameters: Sequence[nn.Parameter],
        recipe: Recipe,
        recorded: bool,
    ) -> None:
        self.stage, self.net, self.rows = stage, net, rows
        self.parameters, self.recipe = parameters, recipe
        # Images take their time in kernels, and their memory is better used again.
        self.recorded = recorded and rows.x.dim() == 3 and rows.x.device.type == "cpu"
        self.tape: Tape[Found] | None = None
        self.batch: Batch = {}  # what the recording reads
        self.drawn: Mapping[str, Tensor] = {}
        self.feeds: list[tuple[Tensor, Sequence[Tensor], Tensor]] = []
        self.fills: list[tuple[Tensor, Tensor]] = []
        self.setup: object = None
        self.epochs = 0
        self.doubtful = True

    def begin(self, drawn: Mapping[str, Tensor]) -> None:
        """Take up an epoch's draws; forget a recording of other memory or another mode."""
        setup = (
            [(name, block.dtype, block.shape) for name, block in drawn.items()],
            [tensor.data_ptr() for tensor in (*self.net.parameters(), *self.net.buffers())],
            [module.training for module in self.net.modules()],
        )
        if setup != self.setup:
            self.tape = None
        self.drawn, self.setup = drawn, setup
        self.epochs += 1
        self.doubtful = self.tape is None or self.epochs == 2
        if self.tape is not None:
            self._lay_out()

    def step(self, step: int) -> Found:
        """Work out a step; the tensors given may be written over by the next."""
        if not self.recorded:
            return self._by_autograd(gather(self.rows, self.drawn, step))
        if self.tape is None:
            return self._by_recording(step)
        for table, numbers, place in self.feeds:
            torch.index_select(table, 0, numbers[step], out=place)
        for values, place in self.fills:
            place.copy_(values[step])
        if self.doubtful:
            return self._by_both(self.tape)
        self.tape.play()
        return self.tape.result

    def _by_autograd(self, batch: Batch) -> Found:
        with self.net.once():
            terms = self.stage.terms(self.net, batch)
        means = [term.mean() for term in terms.values()]
        costs = [term.cost(mean) for term, mean in zip(terms.values(), means, strict=True)]
        objective = sum(costs[1:], costs[0])
        slopes: Sequence[Tensor | None] = [None] * len(self.parameters)
        if objective.requires_grad:
            slopes = torch.autograd.grad(objective.sum(), self.parameters, allow_unused=True)
        slopes = [None if slope is None else slope.contiguous() for slope in slopes]
        return Found(
            names=list(terms),
            losses=torch.stack([*means, objective]).detach(),
            active=_active(terms),
            slopes=clipped(slopes, norm=self.recipe.clip_norm, value=self.recipe.clip_value),
        )

    def _by_recording(self, step: int) -> Found:
        batch = gather(self.rows, self.drawn, step)
        self.batch = {k: v.clone() if isinstance(v, Tensor) else v for k, v in batch.items()}
        tape = Tape(partial(self._by_autograd, self.batch))
        self.recorded = tape.playable
        if tape.playable:
            self.tape = tape
            self._lay_out()
        return tape.result

    def _lay_out(self) -> None:
        """Prepare how each step's rows and random quantities come to where the recording reads."""
        self.feeds, self.fills = [], []
        for name, block in self.drawn.items():
            part = self.batch[name]
            if isinstance(part, Tensor):
                self.fills.append((block, part))
                continue
            numbers = block.flatten(1).unbind(0)
            self.feeds.append((self.rows.x[0], numbers, part.x.flatten(0, 1)))
            self.feeds.append((self.rows.label[0], numbers, part.label.flatten()))

    def _by_both(self, tape: Tape[Found]) -> Found:
        before = [buffer.clone() for buffer in self.net.buffers()]
        tape.play()
        played = [tensor.clone() for tensor in _numbers(tape.result)]
        for buffer, value in zip(self.net.buffers(), before, strict=True):
            buffer.copy_(value)
        found = self._by_autograd(self.batch)
        self.recorded = _agree(played, _numbers(found))
        self.doubtful = False
        return found


def _numbers(found: Found) -> list[Tensor]:
    return [found.losses, *(slope for slope in found.slopes if slope is not None)]


def _agree(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    """Say whether numbers are the same but for rounding, which is of the size of the greatest."""
    return [tensor.shape for tensor in some] == [tensor.shape for tensor in others] and all(
        torch.allclose(
            here,
            there,
            rtol=1e-3,
            atol=1e-6 * float(there.nan_to_num(0.0, 0.0, 0.0).abs().max()),
            equal_nan=True,
        )
        for here, there in zip(some, others, strict=True)
    )


def gather(rows: Rows, drawn: Mapping[str, Tensor], step: int) -> Batch:
    """Turn one step's row numbers into rows; pass its random quantities on."""
    batch: dict[str, Any] = {}
    for name, block in drawn.items():
        here = block[step]
        if here.is_floating_point():
            batch[name] = here
            continue
        flat = here.reshape(-1)
        x = rows.x[0].index_select(0, flat).view(*here.shape, *rows.x.shape[2:])
        batch[name] = Rows(x, rows.label[0].index_select(0, flat).view(here.shape))
    return batch


def _active(terms: Mapping[str, Term]) -> Tensor | None:
    """Say which members have a row to learn from (members,); None: all of them, always."""
    marks = []
    for term in terms.values():
        if term.keep is None:
            return None
        marks.append(term.keep.any(-1))
    return torch.stack(marks).any(0)
