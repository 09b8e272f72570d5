"""Convolutional encoder and decoder with a leading member axis, for rows that are images.

Source: the networks for MNIST, Fashion-MNIST and CIFAR-10 of Ruff et al., "Deep Semi-Supervised
Anomaly Detection", ICLR 2020, as in the authors' code; one rule here gives all three.
Departs from that code: CIFAR's decoder starts from torch's initial weights, as the others do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from askew.deep.nets import BatchNorm, Linear, mlp, uniform

KERNEL = 5
STRIDED = (64, 128, 256, 512)  # maps of the strided blocks
SEED = 4  # height and width of the maps that a decoder starts from

Activation = Callable[[], nn.Module]


class Conv(nn.Module):
    """One convolution a member; transposed where asked."""

    def __init__(
        self,
        generators: Sequence[Generator],
        inputs: int,
        outputs: int,
        *,
        bias: bool = False,
        transposed: bool = False,
        kernel: int = KERNEL,
        stride: int = 1,
        padding: int = 2,
    ) -> None:
        super().__init__()
        maps = (inputs, outputs) if transposed else (outputs, inputs)
        bound = 1 / math.sqrt(maps[1] * kernel**2)  # as torch.nn.Conv2d and ConvTranspose2d
        self.weight = nn.Parameter(uniform(generators, (*maps, kernel, kernel), bound))
        self.bias = nn.Parameter(uniform(generators, (outputs,), bound)) if bias else None
        self.transposed, self.stride, self.padding = transposed, stride, padding

    def forward(
        self, x: Float[Tensor, "members rows inputs height width"]
    ) -> Float[Tensor, "members rows outputs _ _"]:
        """Convolve each member's images with its own kernels."""
        convolve = F.conv_transpose2d if self.transposed else F.conv2d
        # A loop, for one grouped convolution over all members takes a slower route on CPUs.
        parts = []
        for k in range(len(x)):
            bias = None if self.bias is None else self.bias[k]
            parts.append(
                convolve(x[k], self.weight[k], bias, stride=self.stride, padding=self.padding)
            )
        return torch.stack(parts)


class Halve(nn.Module):
    """The greatest of each 2 x 2 block."""

    def forward(self, x: Tensor) -> Tensor:
        """Halve height and width, dropping an odd last line."""
        out = F.max_pool2d(x.flatten(0, 1), 2)
        return out.view(*x.shape[:2], *out.shape[1:])


class Grow(nn.Module):
    """Nearest-neighbour upsampling to a given size."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Grow height and width."""
        out = F.interpolate(x.flatten(0, 1), size=self.size)
        return out.view(*x.shape[:2], *out.shape[1:])


def conv_encoder(
    generators: Sequence[Generator],
    shape: tuple[int, ...],
    channels: Sequence[int],
    dense: Sequence[int],
    *,
    activation: Activation,
    batch_norm: bool = True,
    bias: bool = False,
) -> nn.Sequential:
    """Blocks of convolution, norm, activation and halving; then dense layers down to the code.

    Parameters
    ----------
    generators
        One a member.
    shape
        (channels, height, width) of one image.
    channels
        Maps of each block.
    dense
        Widths of the dense layers; the last is the code's and is linear alone.
    activation, batch_norm, bias
        As ``mlp`` takes them.
    """
    maps, height, width = shape
    layers: list[nn.Module] = []
    for outputs in channels:
        layers.append(Conv(generators, maps, outputs, bias=bias))
        layers += _tail(generators, outputs, activation, batch_norm)
        layers.append(Halve())
        maps, height, width = outputs, height // 2, width // 2
    layers.append(nn.Flatten(2))
    widths = (maps * height * width, *dense)
    layers.append(mlp(generators, widths, activation=activation, batch_norm=batch_norm, bias=bias))
    return nn.Sequential(*layers)


def conv_decoder(
    generators: Sequence[Generator],
    shape: tuple[int, ...],
    channels: Sequence[int],
    dense: Sequence[int],
    *,
    activation: Activation,
    batch_norm: bool = True,
    bias: bool = False,
) -> nn.Sequential:
    """Mirror ``conv_encoder``: dense layers, 4 x 4 maps, then growing and convolving.

    Sizes double from 4 on and are cut, by a wider padding, to where doubling ends at the image's
    own: 4, 8, 16 cut to 14, 28. The first dense width is a multiple of 16.
    """
    maps = dense[0] // SEED**2
    layers: list[nn.Module] = []
    for inputs, outputs in zip(dense[:0:-1], dense[-2::-1], strict=True):
        layers.append(Linear(generators, inputs, outputs, bias=bias))
        if batch_norm:
            layers.append(BatchNorm(len(generators), outputs))
    layers += [nn.Unflatten(2, (maps, SEED, SEED)), activation()]
    targets = (*reversed(channels), shape[0])
    size = (SEED, SEED)
    for i, outputs in enumerate(targets):
        after = len(targets) - 1 - i
        wanted = (math.ceil(shape[1] / 2**after), math.ceil(shape[2] / 2**after))
        grown, padding = _grow(size, wanted, last=after == 0)
        if grown != size:
            layers.append(Grow(grown))
        layers.append(Conv(generators, maps, outputs, bias=bias, transposed=True, padding=padding))
        size = (grown[0] - 2 * (padding - 2), grown[1] - 2 * (padding - 2))
        if after:
            layers += _tail(generators, outputs, activation, batch_norm)
        maps = outputs
    return nn.Sequential(*layers)


def strided_encoder(
    generators: Sequence[Generator], shape: tuple[int, ...], *, width: int = 128
) -> nn.Sequential:
    """Four strided 4 x 4 blocks of 64 to 512 maps, then a dense code; edges padded to fit."""
    (top, bottom), (left, right) = (_margins(side) for side in shape[1:])
    layers: list[nn.Module] = [nn.ZeroPad2d((left, right, top, bottom))]
    maps = shape[0]
    for outputs in STRIDED:
        layers.append(Conv(generators, maps, outputs, kernel=4, stride=2, padding=1))
        layers += [BatchNorm(len(generators), outputs), nn.LeakyReLU(0.2, inplace=True)]
        maps = outputs
    low = [_low(side) for side in shape[1:]]
    layers += [nn.Flatten(2), Linear(generators, maps * low[0] * low[1], width, bias=False)]
    return nn.Sequential(*layers)


def strided_decoder(
    generators: Sequence[Generator], shape: tuple[int, ...], *, width: int = 128
) -> nn.Sequential:
    """Mirror ``strided_encoder``."""
    (top, bottom), (left, right) = (_margins(side) for side in shape[1:])
    low = (_low(shape[1]), _low(shape[2]))
    maps = STRIDED[-1]
    layers: list[nn.Module] = [Linear(generators, width, maps * low[0] * low[1], bias=False)]
    layers.append(nn.Unflatten(2, (maps, *low)))
    for outputs in (*STRIDED[-2::-1], shape[0]):
        layers += [BatchNorm(len(generators), maps), nn.LeakyReLU(0.2, inplace=True)]
        layers.append(
            Conv(generators, maps, outputs, kernel=4, stride=2, padding=1, transposed=True)
        )
        maps = outputs
    return nn.Sequential(*layers, nn.ZeroPad2d((-left, -right, -top, -bottom)))


def _low(side: int) -> int:
    return -(-side // 16)  # four blocks halve four times


def _margins(side: int) -> tuple[int, int]:
    """Give the lines to add on either side so that a side halves without a rest."""
    missing = 16 * _low(side) - side
    return missing // 2, missing - missing // 2


def _grow(
    size: tuple[int, int], wanted: tuple[int, int], *, last: bool
) -> tuple[tuple[int, int], int]:
    """Give the size to grow to and the padding of the convolution that follows.

    Doubling where that is enough and what is too much can be cut off; else straight to ``wanted``.
    """
    if size == wanted:
        return size, 2
    double = (2 * size[0], 2 * size[1])
    over = (double[0] - wanted[0], double[1] - wanted[1])
    if over in ((0, 0), (2, 2), (4, 4)):
        return double, 2 + over[0] // 2
    if over == (1, 1) and not last:  # an odd line cannot be cut off here; the next step does
        return double, 2
    return wanted, 2


def _tail(
    generators: Sequence[Generator], maps: int, activation: Activation, batch_norm: bool
) -> list[nn.Module]:
    return [*([BatchNorm(len(generators), maps)] if batch_norm else []), activation()]
