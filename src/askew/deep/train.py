"""The one loop. It knows no method: it draws rows, asks for terms and steps."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

from askew.deep.descent import Descent, clipped
from askew.deep.draws import Size
from askew.deep.method import Batch, Method, Recipe, describe
from askew.deep.nets import Net, coarsely, in_chunks, seeded
from askew.deep.rows import Rows, Term
from askew.deep.snapshot import Snapshot
from askew.deep.tape import Tape
from askew.errors import ConvergenceWarning, FitError

# By epoch, over all stages: mean loss (members,) a term, not a number once a member has stopped.
History = list[dict[str, Tensor]]
Precision = Literal["float32", "bf16"]


def spawn(random_state: int | np.random.RandomState | None, members: int) -> list[Generator]:
    """Make one generator a member; member i's depends on the seed and on i alone."""
    if not isinstance(random_state, int | np.integer | None):
        random_state = int(random_state.randint(2**31))
    root = np.random.SeedSequence(random_state)
    return [seeded(child) for child in root.spawn(members)]


def train(
    method: Method,
    x: Float[Tensor, "n *shape"],
    label: Int[Tensor, " n"],
    *,
    generators: Sequence[Generator],
    device: str | torch.device = "cpu",
    threads: int = 1,
    start: Net | None = None,
    precision: Precision = "float32",
    recorded: bool = True,
    **settings: Any,
) -> tuple[Net, History]:
    """Train one network a generator, side by side, through all stages of a method.

    Parameters
    ----------
    method
        What to train.
    x
        The rows, of any floating type; the network takes the same type.
    label
        1 anomaly, 0 normal, -1 not looked at.
    generators
        One a member, on the CPU (see ``spawn``). They alone decide every draw.
    device
        Where to train.
    threads
        Torch threads during the fit, put back afterwards. For networks of this size one is
        several times faster than two.
    start
        A network of as many members that has been through all stages but the last, say of a
        wrapper's base: what both have in common is taken over, and the last stage alone trained.
    precision
        Of the products in training: that of ``x``, or ``"bf16"``, which several members together
        gain by where the processor multiplies such numbers. Weights, optimiser and scores keep
        the type of ``x``.
    recorded
        Whether steps are played from a recording of the first where that can be, on the CPU and
        for tables; autograd does every step otherwise. It is the slower way to the same bits.
    **settings
        Fields of ``Recipe`` that replace the method's own, in every stage.

    Returns
    -------
    net
        On ``device``, in eval mode.
    history
        One entry an epoch, over all stages.

    Raises
    ------
    MethodError
        A hyper-parameter or setting is out of its range.
    FitError
        The labels lack a kind that the method needs, or a loss is not a number.
    """
    method.validate()
    _check_labels(method, label)
    history: History = []
    with torch_threads(threads):
        net = method.network(tuple(x.shape[1:]), generators).to(device, x.dtype)
        rows = Rows(x.to(device).unsqueeze(0), label.to(device).unsqueeze(0))
        stages = method.stages()
        if start is not None:
            net.load_state_dict({**net.state_dict(), **start.state_dict()})
            stages = stages[-1:]
        with coarsely(net, precision == "bf16"):
            for stage in stages:
                recipe = replace(stage.recipe(), **settings)
                _train_stage(stage, net, rows, label.cpu(), generators, recipe, history, recorded)
    return net, history


def score(method: Method, net: Net, x: Float[Tensor, "n *shape"]) -> Float[Tensor, "members n"]:
    """Score rows with every member, in chunks; a row's score depends on nothing but the row.

    On one torch thread: how work is cut up between threads shows in the last bit.
    """
    members = next(net.parameters()).shape[0]
    with torch_threads(1), torch.inference_mode():
        _rest(net)
        return in_chunks(lambda part: method.score(net, part), x.unsqueeze(0), members)


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Set torch's number of threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check_labels(method: Method, label: Tensor) -> None:
    for kind in method.needs:
        if not (label == kind).any():
            raise FitError(
                f"{describe(method)} needs at least one row labelled {kind.name.lower()} "
                f"({int(kind)}), and found none; label one, or take a method that does without"
            )


def _train_stage(
    stage: Method,
    net: Net,
    rows: Rows,
    label: Int[Tensor, " n"],
    generators: Sequence[Generator],
    recipe: Recipe,
    history: History,
    recorded: bool,
) -> None:
    """Train one stage on the network it shares with the others; add its epochs to history."""
    batch = min(recipe.batch_size, len(label))
    steps = recipe.steps_per_epoch or -(-len(label) // batch)
    size = Size(steps, batch, tuple(rows.x.shape[2:]))
    with _looking(net):
        stage.before_fit(net, rows)
    running = torch.ones(len(generators), dtype=torch.bool, device=rows.x.device)
    snapshot = Snapshot(net)
    best = torch.full(running.shape, torch.inf, dtype=rows.x.dtype, device=rows.x.device)
    means: dict[str, Tensor] = {}
    losses: list[Tensor] = []
    drawn: dict[str, Tensor] = {}
    with _only(net, stage.trainable(net)) as parameters:
        work = _Work(stage, net, rows, parameters, recipe, recorded)
        descent = Descent(recipe, parameters)
        for epoch in range(recipe.epochs):
            with _looking(net):
                stage.before_epoch(net, rows, means)
            descent.set_epoch(epoch)
            drawn = _draw(stage, label, size, generators, running, drawn)
            stage.set_training(net)
            means, loss = _epoch(work, descent, drawn, steps)
            _rest(net)
            _check_finite(stage, means, running, epoch)
            history.append({k: v.where(running, torch.nan) for k, v in means.items()})
            losses.append(loss if epoch == 0 else loss.where(running, losses[-1]))
            if recipe.keep == "best":
                snapshot.take((loss < best) & running)
                best = torch.minimum(best, losses[-1])
            with _looking(net):
                done = stage.done(net, rows)
            if done is not None:
                if recipe.keep == "last":
                    snapshot.take(done & running)
                running = running & ~done
                if not running.any():
                    break
    snapshot.restore()
    _check_learned(stage, losses)
    with _looking(net):
        stage.after_fit(net, rows)


def _epoch(
    work: _Work, descent: Descent, drawn: Mapping[str, Tensor], steps: int
) -> tuple[dict[str, Tensor], Float[Tensor, " members"]]:
    """Take the steps of one epoch; give each term's mean loss, and the objective's (members,)."""
    work.begin(drawn)
    total: Tensor | float = 0.0
    taken: Tensor | float = 0.0
    for step in range(steps):
        found = work.step(step)
        descent.step(found.slopes, found.active)
        total = total + found.losses
        taken = taken + (1.0 if found.active is None else found.active.to(found.losses.dtype))
    *means, loss = total / torch.as_tensor(taken, dtype=found.losses.dtype).clamp(min=1)
    return dict(zip(found.names, means, strict=True)), loss


class _Found(NamedTuple):
    """What a step works out."""

    names: list[str]  # of the terms
    losses: Float[Tensor, "terms_and_objective members"]  # the terms' means, then the objective
    active: Bool[Tensor, " members"] | None  # who has a row to learn from; None: all, always
    slopes: list[Tensor | None]  # the objective's, one a parameter


class _Work:
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
        self.tape: Tape[_Found] | None = None
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

    def step(self, step: int) -> _Found:
        """Work out a step; the tensors given may be written over by the next."""
        if not self.recorded:
            return self._by_autograd(_gather(self.rows, self.drawn, step))
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

    def _by_autograd(self, batch: Batch) -> _Found:
        with self.net.once():
            terms = self.stage.terms(self.net, batch)
        means = [term.mean() for term in terms.values()]
        costs = [term.cost(mean) for term, mean in zip(terms.values(), means, strict=True)]
        objective = sum(costs[1:], costs[0])
        slopes: Sequence[Tensor | None] = [None] * len(self.parameters)
        if objective.requires_grad:
            slopes = torch.autograd.grad(objective.sum(), self.parameters, allow_unused=True)
        slopes = [None if slope is None else slope.contiguous() for slope in slopes]
        return _Found(
            names=list(terms),
            losses=torch.stack([*means, objective]).detach(),
            active=_active(terms),
            slopes=clipped(slopes, norm=self.recipe.clip_norm, value=self.recipe.clip_value),
        )

    def _by_recording(self, step: int) -> _Found:
        batch = _gather(self.rows, self.drawn, step)
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

    def _by_both(self, tape: Tape[_Found]) -> _Found:
        before = [buffer.clone() for buffer in self.net.buffers()]
        tape.play()
        played = [tensor.clone() for tensor in _numbers(tape.result)]
        for buffer, value in zip(self.net.buffers(), before, strict=True):
            buffer.copy_(value)
        found = self._by_autograd(self.batch)
        self.recorded = _agree(played, _numbers(found))
        self.doubtful = False
        return found


def _numbers(found: _Found) -> list[Tensor]:
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


def _active(terms: Mapping[str, Term]) -> Tensor | None:
    """Say which members have a row to learn from (members,); None: all of them, always."""
    marks = []
    for term in terms.values():
        if term.keep is None:
            return None
        marks.append(term.keep.any(-1))
    return torch.stack(marks).any(0)


def _draw(
    stage: Method,
    label: Tensor,
    size: Size,
    generators: Sequence[Generator],
    running: Tensor,
    before: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Draw an epoch for every member: name -> (steps, members, ...).

    A member that has stopped keeps its last draw, so that its generator stands where it would
    stand had it been trained alone.
    """
    draws = []
    for k, generator in enumerate(generators):
        if running[k]:
            draws.append(stage.draw(label, size, generator))
        else:
            draws.append({name: block[:, k] for name, block in before.items()})
    return {name: torch.stack([d[name] for d in draws], 1).to(running.device) for name in draws[0]}


def _gather(rows: Rows, drawn: Mapping[str, Tensor], step: int) -> Batch:
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


@contextmanager
def _only(net: Net, parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Ask gradients of these parameters alone for a while."""
    chosen = list(parameters)
    for p in net.parameters():
        p.requires_grad_(False)
    for p in chosen:
        p.requires_grad_(True)
    try:
        yield chosen
    finally:
        for p in net.parameters():
            p.requires_grad_(True)


@contextmanager
def _looking(net: Net) -> Iterator[None]:
    """Let a hook look at the network: eval mode, no gradients."""
    _rest(net)
    with torch.no_grad():
        yield


def _rest(net: Net) -> None:
    """Turn training mode off; to look first costs less than to turn it off once more."""
    if any(module.training for module in net.modules()):
        net.eval()


def _check_finite(stage: Method, means: Mapping[str, Tensor], running: Tensor, epoch: int) -> None:
    for name, value in means.items():
        bad = (~value.isfinite() & running).nonzero().flatten().tolist()
        if bad:
            raise FitError(
                f"{describe(stage)}: the loss term {name!r} is not a finite number in epoch "
                f"{epoch + 1}, member {bad[0]}; lower learning_rate, set clip_norm, or look for "
                "wild values in the table"
            )


def _check_learned(stage: Method, losses: Sequence[Tensor]) -> None:
    if len(losses) < 2:
        return
    stuck = (losses[-1] >= losses[0]).nonzero().flatten().tolist()
    if stuck:
        warnings.warn(
            f"{describe(stage)}: the loss did not fall from the first epoch to the last "
            f"({float(losses[0][stuck[0]]):.4g} to {float(losses[-1][stuck[0]]):.4g}) in "
            f"{len(stuck)} of {len(losses[0])} members; train longer, or change learning_rate",
            ConvergenceWarning,
            stacklevel=2,
        )
