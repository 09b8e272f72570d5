"""Layers at scoring: one pass for a map, its norm and its activation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from askew.deep.nets import CHUNK, BatchNorm, Layers, Linear, mlp, settled

ACTIVATIONS: list[Callable[[], nn.Module]] = [nn.ReLU, partial(nn.LeakyReLU, 0.2), nn.Tanh]


def generators(members: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(k) for k in range(members)]


def made(activation: Callable[[], nn.Module], *, bias: bool) -> Layers:
    """Make layers whose norms have seen something."""
    drawn = generators(2)
    layers = mlp(drawn, (5, 70, 33), activation=activation, batch_norm=True, bias=bias)
    layers.append(BatchNorm(2, 33, affine=True))
    layers.append(activation())
    layers.append(Linear(drawn, 33, 3, bias=bias))
    assert isinstance(layers, Layers)
    for norm in layers:
        if isinstance(norm, BatchNorm):
            norm.mean += torch.randn(norm.mean.shape, generator=drawn[0])
            norm.var *= 0.5 + torch.rand(norm.var.shape, generator=drawn[0])
            if norm.scale is not None and norm.shift is not None:
                nn.init.uniform_(norm.scale, 0.5, 2, generator=drawn[0])
                nn.init.normal_(norm.shift, generator=drawn[0])
    return layers.eval()


def one_by_one(layers: Layers, x: torch.Tensor) -> torch.Tensor:
    for layer in layers:
        x = layer(x)
    return x


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=["relu", "leaky", "tanh"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [7, CHUNK])
def test_one_pass_gives_what_the_layers_give_one_by_one(
    activation: Callable[[], nn.Module], bias: bool, rows: int
) -> None:
    layers = made(activation, bias=bias)
    x = torch.randn(2, rows, 5, generator=generators(1)[0])
    with torch.inference_mode():
        torch.testing.assert_close(layers(x), one_by_one(layers, x), rtol=1e-4, atol=1e-5)
        with settled(layers):
            torch.testing.assert_close(layers(x), one_by_one(layers, x), rtol=1e-4, atol=1e-5)


def test_what_was_settled_is_forgotten_behind_it() -> None:
    layers = made(nn.ReLU, bias=True)
    x = torch.randn(2, 9, 5, generator=generators(1)[0])
    with torch.inference_mode(), settled(layers):
        before = layers(x)
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.mul_(2)
    after = layers(x)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, one_by_one(layers, x), rtol=1e-4, atol=1e-5)


def test_in_training_the_batch_is_what_norms_see() -> None:
    layers = made(nn.ReLU, bias=True).train()
    x = torch.randn(2, 40, 5, generator=generators(1)[0])
    norm = layers[1]
    assert isinstance(norm, BatchNorm)
    before = norm.mean.clone()
    layers(x)
    mapped = layers[0](x).mean(-2, keepdim=True)
    torch.testing.assert_close(norm.mean, before + 0.1 * (mapped - before))
