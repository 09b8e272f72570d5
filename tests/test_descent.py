"""Optimisers with a member axis, against torch's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from askew.deep import Recipe
from askew.deep.descent import Descent

SHAPES = ((2, 3, 4), (2, 1, 4))
OPTIMISERS: dict[str, Callable[[list[Tensor], float], torch.optim.Optimizer]] = {
    "adam": lambda p, decay: torch.optim.Adam(p, lr=0.01, weight_decay=decay, fused=True),
    "rmsprop": lambda p, decay: torch.optim.RMSprop(
        p, lr=0.01, alpha=0.9, eps=1e-7, weight_decay=decay
    ),
}
both = pytest.mark.parametrize("name", OPTIMISERS)


Slopes = list[list[Tensor | None]]


def draw(steps: int = 5) -> Slopes:
    generator = Generator().manual_seed(0)
    return [[torch.randn(s, generator=generator) for s in SHAPES] for _ in range(steps)]


def recipe(name: str, **settings: Any) -> Recipe:
    return Recipe(optimizer=name, learning_rate=0.01, **settings)  # type: ignore[arg-type]


def by_torch(name: str, slopes: Slopes, decay: float) -> list[Tensor]:
    parameters = [torch.ones(s) for s in SHAPES]
    optimiser = OPTIMISERS[name](parameters, decay)
    for step in slopes:
        for p, slope in zip(parameters, step, strict=True):
            p.grad = slope
        optimiser.step()
    return parameters


@both
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_steps_are_torchs(name: str, decay: float) -> None:
    slopes = draw()
    parameters = [torch.ones(s) for s in SHAPES]
    descent = Descent(recipe(name, weight_decay=decay), parameters)
    for step in slopes:
        descent.step(step, None)
    for mine, wanted in zip(parameters, by_torch(name, slopes, decay), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-6, atol=1e-7)


@both
def test_the_same_tensors_may_hold_other_slopes(name: str) -> None:
    slopes = draw()
    parameters = [torch.ones(s) for s in SHAPES]
    descent = Descent(recipe(name), parameters)
    here: list[Tensor | None] = [torch.empty(s) for s in SHAPES]
    for step in slopes:
        for place, value in zip(here, step, strict=True):
            assert place is not None
            assert value is not None
            place.copy_(value)
        descent.step(here, None)
    for mine, wanted in zip(parameters, by_torch(name, slopes, 0.0), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-6, atol=1e-7)


@both
def test_an_idle_member_does_not_move_and_is_then_where_it_would_be(name: str) -> None:
    slopes = draw(6)
    parameters = [torch.ones(s) for s in SHAPES]
    descent = Descent(recipe(name, weight_decay=0.1), parameters)
    for i, step in enumerate(slopes):
        before = parameters[0][1].clone()
        descent.step(step, torch.tensor([True, i % 2 == 1]))
        assert torch.equal(parameters[0][1], before) == (i % 2 == 0)
    wanted = by_torch(name, slopes, 0.1), by_torch(name, slopes[1::2], 0.1)
    for i in range(2):
        torch.testing.assert_close(parameters[i][0], wanted[0][i][0], rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(parameters[i][1], wanted[1][i][1], rtol=1e-6, atol=1e-7)


@both
def test_a_parameter_moves_from_its_first_slope_on(name: str) -> None:
    slopes = draw()
    slopes[0][1] = slopes[1][1] = slopes[3][0] = None
    parameters = [torch.ones(s) for s in SHAPES]
    descent = Descent(recipe(name, weight_decay=0.1), parameters)
    for step in slopes:
        descent.step(step, None)
    for mine, wanted in zip(parameters, by_torch(name, slopes, 0.1), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-6, atol=1e-7)


@both
def test_without_any_slope_nothing_moves(name: str) -> None:
    parameters = [torch.ones(s) for s in SHAPES]
    Descent(recipe(name), parameters).step([None, None], None)
    assert all((p == 1).all() for p in parameters)


def test_the_rate_is_a_tenth_behind_each_milestone() -> None:
    descent = Descent(recipe("adam", milestones=(2, 3)), [])
    rates = []
    for epoch in range(4):
        descent.set_epoch(epoch)
        rates.append(descent.rate)
    assert rates == pytest.approx([0.01, 0.01, 0.001, 0.0001])
