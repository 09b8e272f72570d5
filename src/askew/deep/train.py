"""The one loop. It knows no method: it draws rows, asks for terms and steps."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from askew.deep.method import Batch, Method, Recipe
from askew.deep.nets import Net, in_chunks
from askew.deep.rows import Rows
from askew.errors import ConvergenceWarning, FitError

History = list[dict[str, Tensor]]  # by epoch, over all stages: mean weighted loss (members,) a term


def spawn(random_state: int | np.random.RandomState | None, members: int) -> list[Generator]:
    """Make one generator a member; member i's depends on the seed and on i alone."""
    if not isinstance(random_state, int | np.integer | None):
        random_state = int(random_state.randint(2**31))
    root = np.random.SeedSequence(random_state)
    seeds = [child.generate_state(1, np.uint64)[0] for child in root.spawn(members)]
    return [Generator().manual_seed(int(seed >> np.uint64(1))) for seed in seeds]


def train(
    method: Method,
    x: Float[Tensor, "n *shape"],
    label: Int[Tensor, " n"],
    *,
    generators: Sequence[Generator],
    device: str | torch.device = "cpu",
    threads: int = 1,
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
        for stage in method.stages():
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
                f"{type(method).__name__} needs at least one row labelled {kind.name.lower()} "
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
    size = (recipe.steps_per_epoch or -(-len(label) // batch), batch)
    with _looking(net):
        stage.before_fit(net, rows)
    parameters = list(stage.trainable(net))
    optimizer = _optimizer(recipe, parameters)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, list(recipe.milestones), gamma=0.1)
    best = _Best(net, len(generators)) if recipe.keep == "best" else None
    means: dict[str, Tensor] = {}
    losses = []
    for epoch in range(recipe.epochs):
        with _looking(net):
            stage.before_epoch(net, rows, means)
        drawn = _draw(stage, label, size, generators, rows.x.device)
        means = _epoch(stage, net, rows, drawn, size[0], optimizer, parameters, recipe.clip_norm)
        history.append(means)
        losses.append(torch.stack(list(means.values())).sum(0))
        _check_finite(stage, means, epoch)
        if best is not None:
            best.offer(losses[-1])
        schedule.step()
    if best is not None:
        best.restore()
    _check_learned(stage, losses)
    with _looking(net):
        stage.after_fit(net, rows)


def _epoch(
    stage: Method,
    net: Net,
    rows: Rows,
    drawn: Mapping[str, Tensor],
    steps: int,
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[nn.Parameter],
    clip_norm: float | None,
) -> dict[str, Tensor]:
    """Take the steps of one epoch; give each term's mean loss (members,)."""
    total: dict[str, Tensor] = {}
    net.train()
    for step in range(steps):
        terms = stage.terms(net, _gather(rows, drawn, step))
        means = {name: term.mean() for name, term in terms.items()}
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(means.values())).sum().backward()  # type: ignore[no-untyped-call]
        if clip_norm is not None:
            _clip(parameters, clip_norm)
        optimizer.step()
        for name, mean in means.items():
            total[name] = total.get(name, 0) + mean.detach()
    net.eval()
    return {name: value / steps for name, value in total.items()}


def _draw(
    stage: Method,
    label: Tensor,
    size: tuple[int, int],
    generators: Sequence[Generator],
    device: torch.device,
) -> dict[str, Tensor]:
    """Draw an epoch for every member: name -> (steps, members, ...)."""
    draws = [stage.draw(label, size, generator) for generator in generators]
    return {name: torch.stack([d[name] for d in draws], 1).to(device) for name in draws[0]}


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


def _optimizer(recipe: Recipe, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    common: dict[str, Any] = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameters, fused=True, **common)
    return torch.optim.RMSprop(parameters, alpha=0.9, eps=1e-7, foreach=True, **common)


def _clip(parameters: Sequence[nn.Parameter], norm: float) -> None:
    """Scale each member's gradient down to the norm where it is longer."""
    grads = [p.grad for p in parameters if p.grad is not None]
    square = torch.stack([g.flatten(1).square().sum(1) for g in grads]).sum(0)
    factor = (norm / (square.sqrt() + 1e-6)).clamp(max=1)
    for g in grads:
        g.mul_(factor.view(-1, *[1] * (g.dim() - 1)))


class _Best:
    """Each member's state after the epoch with its lowest loss."""

    def __init__(self, net: Net, members: int) -> None:
        self.net = net
        self.loss: Tensor | None = None
        self.state: dict[str, Tensor] = {}
        self.members = members

    def offer(self, loss: Float[Tensor, " members"]) -> None:
        state = self.net.state_dict()
        if self.loss is None:
            self.loss = loss.clone()
            self.state = {name: value.clone() for name, value in state.items()}
            return
        better = loss < self.loss
        self.loss = torch.where(better, loss, self.loss)
        for name, value in state.items():
            mask = better.view(-1, *[1] * (value.dim() - 1))
            self.state[name] = torch.where(mask, value, self.state[name])

    def restore(self) -> None:
        self.net.load_state_dict(self.state)


@contextmanager
def _looking(net: Net) -> Iterator[None]:
    """Let a hook look at the network: eval mode, no gradients."""
    net.eval()
    with torch.no_grad():
        yield


def _check_finite(stage: Method, means: Mapping[str, Tensor], epoch: int) -> None:
    for name, value in means.items():
        bad = (~value.isfinite()).nonzero().flatten().tolist()
        if bad:
            raise FitError(
                f"{type(stage).__name__}: the loss term {name!r} is not a finite number in epoch "
                f"{epoch + 1}, member {bad[0]}; lower learning_rate, set clip_norm, or look for "
                "wild values in the table"
            )


def _check_learned(stage: Method, losses: Sequence[Tensor]) -> None:
    if len(losses) < 2:
        return
    stuck = (losses[-1] >= losses[0]).nonzero().flatten().tolist()
    if stuck:
        warnings.warn(
            f"{type(stage).__name__}: the loss did not fall from the first epoch to the last "
            f"({float(losses[0][stuck[0]]):.4g} to {float(losses[-1][stuck[0]]):.4g}) in "
            f"{len(stuck)} of {len(losses[0])} members; train longer, or change learning_rate",
            ConvergenceWarning,
            stacklevel=2,
        )
