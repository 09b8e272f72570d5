"""The one loop. It knows no method: it draws rows, asks for terms and steps."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

from askew.deep.draws import Size
from askew.deep.method import Batch, Method, Recipe, describe
from askew.deep.nets import Net, in_chunks, seeded
from askew.deep.rows import Rows, Term
from askew.errors import ConvergenceWarning, FitError

# By epoch, over all stages: mean loss (members,) a term, not a number once a member has stopped.
History = list[dict[str, Tensor]]


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
        for stage in stages:
            recipe = replace(stage.recipe(), **settings)
            _train_stage(stage, net, rows, label.cpu(), generators, recipe, history)
    return net, history


def score(method: Method, net: Net, x: Float[Tensor, "n *shape"]) -> Float[Tensor, "members n"]:
    """Score rows with every member, in chunks; a row's score depends on nothing but the row.

    On one torch thread: how work is cut up between threads shows in the last bit.
    """
    members = next(net.parameters()).shape[0]
    with torch_threads(1), torch.inference_mode():
        net.eval()
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
) -> None:
    """Train one stage on the network it shares with the others; add its epochs to history."""
    batch = min(recipe.batch_size, len(label))
    steps = recipe.steps_per_epoch or -(-len(label) // batch)
    size = Size(steps, batch, tuple(rows.x.shape[2:]))
    with _looking(net):
        stage.before_fit(net, rows)
    running = torch.ones(len(generators), dtype=torch.bool, device=rows.x.device)
    snapshot = _Snapshot(net)
    best = torch.full(running.shape, torch.inf, dtype=rows.x.dtype, device=rows.x.device)
    means: dict[str, Tensor] = {}
    losses: list[Tensor] = []
    drawn: dict[str, Tensor] = {}
    with _only(net, stage.trainable(net)) as parameters:
        stepper = _Stepper(recipe, parameters)
        for epoch in range(recipe.epochs):
            with _looking(net):
                stage.before_epoch(net, rows, means)
            stepper.set_rate(recipe.learning_rate, recipe.milestones, epoch)
            drawn = _draw(stage, label, size, generators, running, drawn)
            means, loss = _epoch(stage, net, rows, drawn, stepper)
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
    stage: Method, net: Net, rows: Rows, drawn: Mapping[str, Tensor], stepper: _Stepper
) -> tuple[dict[str, Tensor], Float[Tensor, " members"]]:
    """Take the steps of one epoch; give each term's mean loss, and the objective's (members,)."""
    total: dict[str, Tensor] = {}
    taken: Tensor | float = 0.0
    stage.set_training(net)
    for step in range(len(next(iter(drawn.values())))):
        with net.once():
            terms = stage.terms(net, _gather(rows, drawn, step))
        objective = torch.stack([term.cost() for term in terms.values()]).sum(0)
        active = _active(terms)
        stepper.step(objective, active)
        taken = taken + (1.0 if active is None else active.to(objective.dtype))
        for name, value in {**{k: t.mean() for k, t in terms.items()}, "": objective}.items():
            total[name] = total.get(name, 0) + value.detach()
    net.eval()
    steps = torch.as_tensor(taken, dtype=objective.dtype).clamp(min=1)
    loss = total.pop("") / steps
    return {name: value / steps for name, value in total.items()}, loss


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


class _Stepper:
    """Steps an optimiser; where members may sit a step out, one optimiser a member.

    An idle member must not move at all: momentum and weight decay would move it without a
    gradient, and its count of steps would run ahead of what it is when trained alone.
    """

    def __init__(self, recipe: Recipe, parameters: Sequence[nn.Parameter]) -> None:
        self.recipe, self.parameters = recipe, parameters
        self.rate = recipe.learning_rate
        self.joint: torch.optim.Optimizer | None = None
        self.alone: list[torch.optim.Optimizer] = []

    def set_rate(self, rate: float, milestones: Sequence[int], epoch: int) -> None:
        """Set the learning rate of an epoch: a tenth for every milestone behind it."""
        self.rate = rate * 0.1 ** sum(epoch >= milestone for milestone in milestones)
        for optimizer in (*self.alone, *([self.joint] if self.joint else [])):
            for group in optimizer.param_groups:
                group["lr"] = self.rate

    def step(self, objective: Tensor, active: Tensor | None) -> None:
        """Move the members marked (all where None) down the gradient of their objective."""
        for p in self.parameters:
            p.grad = None
        if active is not None and not active.any():
            return
        objective.sum().backward()  # type: ignore[no-untyped-call]
        if self.recipe.clip_value is not None:
            nn.utils.clip_grad_value_(self.parameters, self.recipe.clip_value)
        if self.recipe.clip_norm is not None:
            _clip(self.parameters, self.recipe.clip_norm)
        if active is None:
            self.joint = self.joint or self._optimizer(self.parameters)
            self.joint.step()
            return
        views = [[p.detach()[k] for p in self.parameters] for k in range(len(active))]
        self.alone = self.alone or [self._optimizer(view) for view in views]
        for k in active.nonzero().flatten().tolist():
            for view, p in zip(
                self.alone[k].param_groups[0]["params"], self.parameters, strict=True
            ):
                view.grad = None if p.grad is None else p.grad[k]
            self.alone[k].step()

    def _optimizer(self, parameters: Sequence[Tensor]) -> torch.optim.Optimizer:
        common: dict[str, Any] = {"lr": self.rate, "weight_decay": self.recipe.weight_decay}
        if self.recipe.optimizer == "adam":
            return torch.optim.Adam(parameters, fused=True, **common)
        return torch.optim.RMSprop(parameters, alpha=0.9, eps=1e-7, foreach=True, **common)


def _clip(parameters: Sequence[nn.Parameter], norm: float) -> None:
    """Scale each member's gradient down to the norm where it is longer."""
    grads = [p.grad for p in parameters if p.grad is not None]
    square = torch.stack([g.flatten(1).square().sum(1) for g in grads]).sum(0)
    factor = (norm / (square.sqrt() + 1e-6)).clamp(max=1)
    for g in grads:
        g.mul_(factor.view(-1, *[1] * (g.dim() - 1)))


class _Snapshot:
    """Members as they were at a moment that each of them chose."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.state: dict[str, Tensor] = {}
        self.taken: Tensor | None = None

    def take(self, members: Bool[Tensor, " members"]) -> None:
        """Keep the present state of the members marked."""
        if not members.any():
            return
        state = self.net.state_dict()
        if self.taken is None:
            self.state = {name: value.clone() for name, value in state.items()}
            self.taken = members.clone()
            return
        self.state = _mix(members, state, self.state)
        self.taken = self.taken | members

    def restore(self) -> None:
        """Give the members for which there is a state that state back."""
        if self.taken is not None:
            self.net.load_state_dict(_mix(self.taken, self.state, self.net.state_dict()))


def _mix(
    members: Tensor, here: Mapping[str, Tensor], there: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Take the members marked from here, the others from there."""
    return {
        name: torch.where(members.view(-1, *[1] * (value.dim() - 1)), value, there[name])
        for name, value in here.items()
    }


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
            p.grad = None


@contextmanager
def _looking(net: Net) -> Iterator[None]:
    """Let a hook look at the network: eval mode, no gradients."""
    net.eval()
    with torch.no_grad():
        yield


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
