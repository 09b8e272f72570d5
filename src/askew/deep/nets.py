"""Layers and networks with a leading member axis: an ensemble is one wider batch.

A tensor is (members, rows, ...); every parameter and buffer begins with the member axis too.
Each member draws its own initial weights from its own generator, so member 3 starts the same in
an ensemble of 4 and of 40.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

Init = Literal["torch", "glorot", "glorot_normal"]

LANES = 16
CHUNK = 2048  # rows a scoring pass: one big pass is four times slower and takes a gigabyte
LARGE = 2048  # entries of a weight from which on oneDNN is worth its set-up
ONE_DNN = hasattr(torch.ops.mkldnn, "_linear_pointwise")


class Linear(nn.Module):
    """One affine map a member.

    Parameters
    ----------
    generators
        One a member.
    inputs, outputs
        Widths.
    bias
        Whether there is one.
    init
        ``"torch"``: weights and bias uniform in ±1/sqrt(inputs), as ``torch.nn.Linear``;
        ``"glorot"``: weights uniform in ±sqrt(6 / (inputs + outputs)), bias zero, as Keras;
        ``"glorot_normal"``: weights normal with the same variance, bias zero.
    """

    def __init__(
        self,
        generators: Sequence[Generator],
        inputs: int,
        outputs: int,
        *,
        bias: bool = True,
        init: Init = "torch",
    ) -> None:
        super().__init__()
        self.coarse = False  # whether training multiplies in bfloat16 (see ``coarsely``)
        glorot = init != "torch"
        bound = math.sqrt(6 / (inputs + outputs)) if glorot else 1 / math.sqrt(inputs)
        if init == "glorot_normal":
            drawn = [torch.randn(inputs, outputs, generator=g) for g in generators]
            self.weight = nn.Parameter(torch.stack(drawn) * (bound / math.sqrt(3)))
        else:
            self.weight = nn.Parameter(uniform(generators, (inputs, outputs), bound))
        self.bias = (
            nn.Parameter(uniform(generators, (1, outputs), 0.0 if glorot else bound))
            if bias
            else None
        )

    def forward(
        self, x: Float[Tensor, "members rows inputs"]
    ) -> Float[Tensor, "members rows outputs"]:
        """Map each member's rows by its own weights."""
        if not self.training:
            return _alike(x, *_widened(self.weight, self.bias), self.weight.shape[-1])
        if self.coarse:
            out = torch.bmm(x.bfloat16(), self.weight.bfloat16()).to(x.dtype)
            return out if self.bias is None else out + self.bias
        if self.bias is None:
            return torch.bmm(x, self.weight)
        return torch.baddbmm(self.bias, x, self.weight)


def _widened(weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Add zero columns up to a multiple of ``LANES``.

    Matrix products of a few columns (5 to 11, with one common library) take other routes for the
    rows at the edge of a block, and differ there in the last bit. So all rows are on one route.
    """
    missing = -weight.shape[-1] % LANES
    if missing:
        weight = nn.functional.pad(weight, (0, missing))
        bias = None if bias is None else nn.functional.pad(bias, (0, missing))
    return weight, bias


def _alike(
    x: Float[Tensor, "members rows inputs"],
    weight: Float[Tensor, "members inputs wide"],
    bias: Float[Tensor, "members 1 wide"] | None,
    outputs: int,
    after: nn.Module | None = None,
) -> Float[Tensor, "members rows outputs"]:
    """Map rows so that a row's result does not depend on its place among the others.

    Weight and bias are ``_widened``; ``after`` is an activation.
    """
    large = x.shape[1] % CHUNK == 0 and weight[0].numel() >= LARGE
    plain = x.dtype == torch.float32 and x.device.type == "cpu"
    if ONE_DNN and large and plain and not torch.is_grad_enabled():
        out = _mapped(x, weight, bias, after)
    else:
        out = torch.bmm(x, weight)
        out = out if bias is None else out + bias
        out = out if after is None else after(out)
    return out if outputs == out.shape[-1] else out[..., :outputs]


def _mapped(
    x: Float[Tensor, "members rows inputs"],
    weight: Float[Tensor, "members inputs outputs"],
    bias: Float[Tensor, "members 1 outputs"] | None,
    after: nn.Module | None,
) -> Float[Tensor, "members rows outputs"]:
    """Map many rows by oneDNN, which makes use of any processor.

    Torch's library of matrix products knows its maker's own processors alone, and takes twice as
    long on others. The kernel is the one that torch's compiler calls; it has no slope.
    """
    affine = torch.ops.mkldnn._linear_pointwise
    how = ("none", []) if after is None else _on_the_way_out(after)
    assert how is not None
    parts = [
        affine(x[k], weight[k].T, None if bias is None else bias[k, 0], *how, "")
        for k in range(len(x))
    ]
    return parts[0].unsqueeze(0) if len(parts) == 1 else torch.stack(parts)


def _on_the_way_out(activation: nn.Module) -> tuple[str, list[float]] | None:
    """Say to oneDNN what is to be done to a result; None for what it is not trusted with."""
    if isinstance(activation, nn.ReLU):
        return "relu", []
    if isinstance(activation, nn.LeakyReLU):
        return "leaky_relu", [activation.negative_slope]
    return None


class BatchNorm(nn.Module):
    """Batch normalization over the rows, a member at a time.

    For (members, rows, width), or (members, rows, maps, height, width) with one mean a map.

    In training the batch's own mean and biased variance are used and the running ones are moved
    towards the mean and the unbiased variance by ``momentum``; otherwise the running ones are.
    """

    def __init__(
        self,
        members: int,
        width: int,
        *,
        affine: bool = False,
        eps: float = 1e-4,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.register_buffer("mean", torch.zeros(members, 1, width))
        self.register_buffer("var", torch.ones(members, 1, width))
        self.scale = nn.Parameter(torch.ones(members, 1, width)) if affine else None
        self.shift = nn.Parameter(torch.zeros(members, 1, width)) if affine else None

    if TYPE_CHECKING:
        mean: Tensor
        var: Tensor

    def forward(
        self, x: Float[Tensor, "members rows width *image"]
    ) -> Float[Tensor, "members rows width *image"]:
        """Normalize, then scale and shift where affine."""
        if x.dim() > 3:
            return self._maps(x)
        if not self.training:
            scale, shift = self.fixed()
            return torch.addcmul(shift, x, scale)
        mean = x.mean(-2, keepdim=True)
        var = (x - mean).square().mean(-2, keepdim=True)
        with torch.no_grad():
            rows = x.shape[-2]
            self.mean.lerp_(mean, self.momentum)
            self.var.lerp_(var * (rows / max(rows - 1, 1)), self.momentum)
        x = (x - mean) * torch.rsqrt(var + self.eps)
        if self.scale is None or self.shift is None:
            return x
        return x * self.scale + self.shift

    def fixed(self) -> tuple[Tensor, Tensor]:
        """Give the scale and the shift, (members, 1, width), that stand for the running ones."""
        scale = torch.rsqrt(self.var + self.eps)
        if self.scale is not None:
            scale = scale * self.scale
        shift = -self.mean * scale
        return scale, shift if self.shift is None else shift + self.shift

    def _maps(self, x: Tensor) -> Tensor:
        """Normalize the maps of images, over rows and places, by torch's own routine."""
        parts = [
            nn.functional.batch_norm(
                x[k],
                self.mean[k, 0],
                self.var[k, 0],
                None if self.scale is None else self.scale[k, 0],
                None if self.shift is None else self.shift[k, 0],
                self.training,
                self.momentum,
                self.eps,
            )
            for k in range(len(x))
        ]
        return torch.stack(parts)


class Layers(nn.Sequential):
    """Layers one after another; at scoring a map, its norm and its activation are one pass."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.ready: list[Callable[[Tensor], Tensor]] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Apply them in their order."""
        for step in self if self.training else self.ready or self.passes():
            x = step(x)
        return x

    def passes(self) -> list[Callable[[Tensor], Tensor]]:
        """Give what scoring does, by the parameters as they are now."""
        left = list(self)
        passes: list[Callable[[Tensor], Tensor]] = []
        while left:
            layer = left.pop(0)
            if not isinstance(layer, Linear):
                passes.append(layer)
                continue
            weight: Tensor = layer.weight
            bias: Tensor | None = layer.bias
            if left and isinstance(left[0], BatchNorm):
                scale, shift = left[0].fixed()
                weight = weight * scale
                bias = shift if bias is None else torch.addcmul(shift, bias, scale)
                left.pop(0)
            after = left.pop(0) if left and _on_the_way_out(left[0]) else None
            weight, bias = _widened(weight, bias)
            outputs = layer.weight.shape[-1]
            passes.append(partial(_alike, weight=weight, bias=bias, outputs=outputs, after=after))
        return passes


@contextmanager
def settled(module: nn.Module) -> Iterator[None]:
    """Within, layers prepare their passes once: no parameter may change."""
    layers = [one for one in module.modules() if isinstance(one, Layers)]
    for one in layers:
        one.ready = one.passes()
    try:
        yield
    finally:
        for one in layers:
            one.ready = None


def mlp(
    generators: Sequence[Generator],
    widths: Sequence[int],
    *,
    activation: Callable[[], nn.Module],
    batch_norm: bool = False,
    bias: bool = True,
    activate_last: bool = False,
    init: Init = "torch",
) -> nn.Sequential:
    """Blocks of linear, batch norm (without scale and shift), activation.

    Parameters
    ----------
    generators
        One a member.
    widths
        Input, hidden, output; with one entry the network is the identity.
    activation
        Makes an activation layer.
    batch_norm, bias, init
        As the layers take them.
    activate_last
        Whether the last block has its norm and activation too; otherwise it is linear alone.
    """
    layers: list[nn.Module] = []
    for i in range(1, len(widths)):
        layers.append(Linear(generators, widths[i - 1], widths[i], bias=bias, init=init))
        if i < len(widths) - 1 or activate_last:
            if batch_norm:
                layers.append(BatchNorm(len(generators), widths[i]))
            layers.append(activation())
    return Layers(*layers)


class Net(nn.Module):
    """Encoder, neck, head: rows -> code -> output. The neck is a socket, empty unless filled.

    Parameters
    ----------
    encoder
        (members, rows, *shape) -> (members, rows, width).
    head
        (members, rows, width) -> whatever the method reads.
    width
        Width of the code.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, *, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.neck: nn.Module = nn.Identity()
        self.head = head
        self.width = width
        self._passes: dict[tuple[str, int], tuple[Tensor, Tensor]] | None = None

    if TYPE_CHECKING:  # a method registers buffers of its own (a center, a quantile)

        def __getattr__(self, name: str) -> Any: ...
        def __call__(self, x: Tensor) -> Tensor: ...  # noqa: D102

    @contextmanager
    def once(self) -> Iterator[None]:
        """Within, a second pass of the same tensor gives the first one's result.

        So a wrapper that reads its base's code or score does not encode a batch twice, nor count
        it twice in the running statistics. No parameter may change within.
        """
        self._passes = {}
        try:
            yield
        finally:
            self._passes = None

    def encode(
        self, x: Float[Tensor, "members rows *shape"]
    ) -> Float[Tensor, "members rows width"]:
        """Give the code of each row."""
        return self._pass("code", x, lambda: self.neck(self.encoder(x)))

    def forward(
        self, x: Float[Tensor, "members rows *shape"]
    ) -> Float[Tensor, "members rows *out"]:
        """Give the head's output for each row."""
        return self._pass("out", x, lambda: self.head(self.encode(x)))

    def _pass(self, name: str, x: Tensor, work: Callable[[], Tensor]) -> Tensor:
        if self._passes is None:
            return work()
        key = (name, id(x))
        if key not in self._passes:
            self._passes[key] = (x, work())  # x is held, for an id may be used again
        return self._passes[key][1]


def in_chunks(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "_ rows *shape"], members: int
) -> Float[Tensor, "members rows *out"]:
    """Apply a row-wise function to all rows, ``CHUNK`` at a time (an eighth where images).

    The last chunk is filled up with zero rows, so that every pass has the same shape and a row's
    result does not depend, to the last bit, on how many rows come with it.
    """
    chunk = CHUNK if x.dim() == 3 else CHUNK // 8
    parts = []
    for start in range(0, x.shape[1], chunk):
        part = x[:, start : start + chunk]
        missing = chunk - part.shape[1]
        if missing:
            part = torch.cat([part, part.new_zeros(part.shape[0], missing, *part.shape[2:])], 1)
        out = function(part.expand(members, *part.shape[1:]))
        parts.append(out[:, : chunk - missing])
    return torch.cat(parts, 1)


@contextmanager
def coarsely(module: nn.Module, yes: bool) -> Iterator[None]:
    """Multiply in bfloat16 in training for a while, where asked; weights stay as they are."""
    layers = [layer for layer in module.modules() if isinstance(layer, Linear)]
    for layer in layers:
        layer.coarse = yes
    try:
        yield
    finally:
        for layer in layers:
            layer.coarse = False


def mean_code(
    net: Net, x: Float[Tensor, "1 rows *shape"], among: Bool[Tensor, "1 rows"]
) -> Float[Tensor, "members 1 width"]:
    """Give the mean code of the rows marked; zeros where none is."""
    codes = in_chunks(net.encode, x, len(next(net.parameters())))
    return (codes * among.unsqueeze(-1)).sum(1, keepdim=True) / among.sum().clamp(min=1)


def length(x: Float[Tensor, "*rows width"], *, least: float = 1e-12) -> Float[Tensor, "*rows"]:
    """Give each row's Euclidean norm; ``least`` under the root keeps its slope finite at zero."""
    return (x.square().sum(-1) + least).sqrt()


def squared_weights(module: nn.Module) -> Float[Tensor, "members 1"]:
    """Add up the squared weights of all affine layers, biases left out."""
    weights = [layer.weight for layer in module.modules() if isinstance(layer, Linear)]
    return torch.stack([w.square().sum((-2, -1)) for w in weights]).sum(0).unsqueeze(-1)


def uniform(generators: Sequence[Generator], shape: tuple[int, ...], bound: float) -> Tensor:
    """Draw each member's tensor from its own generator, uniform in ±bound."""
    return torch.stack([(2 * torch.rand(shape, generator=g) - 1) * bound for g in generators])


def apart(generators: Sequence[Generator], name: str) -> list[Generator]:
    """Give an attachment generators of its own, from the members' seeds and its name.

    They draw nothing from the ones given: a base with a wrapper of no weight is the base itself.
    """
    seeds = [
        np.random.SeedSequence([generator.initial_seed(), zlib.crc32(name.encode())])
        for generator in generators
    ]
    return [seeded(seed) for seed in seeds]


def seeded(seed: np.random.SeedSequence) -> Generator:
    """Make a generator from a seed sequence."""
    return Generator().manual_seed(int(seed.generate_state(1, np.uint64)[0] >> np.uint64(1)))
