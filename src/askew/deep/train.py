"""The one loop. It knows no method: it draws rows, asks for terms and steps."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from askew.deep.descent import Descent
from askew.deep.draws import Size
from askew.deep.method import Method, Recipe, describe
from askew.deep.nets import Net, coarsely, in_chunks, seeded, settled
from askew.deep.rows import Rows
from askew.deep.snapshot import Snapshot
from askew.deep.steps import Work
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
        with settled(net):
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
        work = Work(stage, net, rows, parameters, recipe, recorded)
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
    work: Work, descent: Descent, drawn: Mapping[str, Tensor], steps: int
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
