"""Tape: what a pure function of tensors did once, kept as calls that write where it wrote.

A step of training makes a hundred small tensors. Making them, finding their kernels and drawing up
the graph for the backward pass costs more than the arithmetic. Shapes do not change from step to
step, so one run tells it all: which kernels were called on which memory. Playing that again calls
the same kernels in the same order, and so gives the same bits, without the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

# What reads a value into Python, has a shape that depends on values, or draws.
UNPLAYABLE = {
    torch.Tag.data_dependent_output,
    torch.Tag.dynamic_output_shape,
    torch.Tag.nondeterministic_seeded,
}
# Kernels that take a number where a tensor would be quicker to pass.
BINARY = {"add", "div", "eq", "ge", "gt", "le", "lt", "mul", "ne", "sub"}
# Kernels that torch's own functions of the same name and arguments call, in half the time.
QUICK = BINARY | {"abs", "baddbmm", "bmm", "cat", "clamp", "exp", "gather", "log", "mean", "neg"}
QUICK |= {"pow", "reciprocal", "rsqrt", "sgn", "sqrt", "stack", "sum", "tanh", "where"}
SLOW = {torch.ops.aten.sum.default, torch.ops.aten.mean.default}  # these take no place there
# Kernels that read of a tensor its shape alone.
SHAPED = {"empty_like", "full_like", "new_empty", "new_full", "new_ones", "new_zeros"}
SHAPED |= {"ones_like", "zeros_like"}
NESTED = (list, tuple, dict)

T = TypeVar("T")


class Tape(Generic[T]):
    """A recording.

    Parameters
    ----------
    function
        Reads and writes nothing but tensors, takes the same way whatever their values, and gives
        tensors, or tuples, lists or dictionaries of them. It is called once, here.

    Attributes
    ----------
    result
        What the function gave; ``play`` writes into its tensors.
    playable
        Whether it can be played. Not where the function read a value into Python or drew.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        with _Recorder() as recorder:
            self.result = function()
        self.playable = recorder.playable
        calls = recorder.calls if self.playable else []
        wanted = {_place(tensor) for tensor in _tensors(self.result)}
        self._plays = [call.bound() for call in _needed(calls, wanted)]

    def play(self) -> None:
        """Do it again, on what the tensors hold now."""
        with torch.inference_mode():
            for play in self._plays:
                play()


class _Call:
    """One kernel, the tensors that it was called on and those it gave."""

    def __init__(
        self, op: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any], given: Any
    ) -> None:
        self.op, self.args, self.kwargs = op, args, kwargs
        self.name = op.overloadpacket.__name__
        self.given = _tensors(given)
        held = {_place(tensor) for tensor in _tensors((args, kwargs))}
        self.reads = set() if self.name in SHAPED else held
        self.makes = {_place(tensor) for tensor in self.given} - held
        self.writes = self.makes | {
            _place(tensor)
            for i, name in _written(op)
            for tensor in _tensors(args[i] if i < len(args) else kwargs.get(name))
        }

    def bound(self) -> Callable[[], object]:
        """Give the call that writes where this one wrote."""
        name = self.name
        args, kwargs = _detached(self.args), _detached(self.kwargs)
        given = _detached(self.given)
        if not self.makes:
            method = getattr(Tensor, name, None) if name in {f"{n}_" for n in QUICK} else None
            return partial(method or self.op, *args, **kwargs)
        if name in {"_to_copy", "clone"}:
            return partial(given[0].copy_, args[0])
        variant, names = _writing(self.op)
        if variant is None or len(names) != len(given):
            return partial(_copied, partial(self.op, *args, **kwargs), given)
        if name in BINARY:
            args = [args[0], _as_tensor(args[1], args[0]), *args[2:]]
        quick = name in QUICK and self.op not in SLOW
        function = getattr(torch, name) if quick else variant
        return partial(function, *args, **kwargs, **dict(zip(names, given, strict=True)))


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every kernel below autograd, of the way forward and of the way back."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[_Call] = []
        self.playable = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else the first call imports torch's compiler, for two seconds

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        given = func(*args, **kwargs)
        self.playable = self.playable and UNPLAYABLE.isdisjoint(func.tags)
        if self.playable:  # every call is held, and with it its memory: no place is used twice
            self.calls.append(_Call(func, args, kwargs, given))
        return given


def _needed(calls: Sequence[_Call], wanted: set[int]) -> list[_Call]:
    """Leave out views, what comes out the same every time, and what nobody asks for."""
    made = {place for call in calls for place in call.makes}
    outer = {place for call in calls for place in call.reads | call.writes} - made
    changing = set(outer)
    seen: set[int] = set()
    for call in calls:  # a value that is written over would not be there a second time
        changing |= call.writes & seen
        seen |= call.writes
    before = -1
    while before != len(changing):
        before = len(changing)
        for call in calls:
            if not call.reads.isdisjoint(changing):
                changing |= call.writes
    asked = wanted | {place for call in calls for place in call.writes & outer}
    kept = []
    for call in reversed(calls):
        if call.writes & changing & asked:
            kept.append(call)
            asked |= call.reads
    return kept[::-1]


@cache
def _written(op: OpOverload) -> list[tuple[int, str]]:
    """Give place and name of the arguments that a kernel writes to."""
    return [
        (i, argument.name)
        for i, argument in enumerate(op._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]


@cache
def _writing(op: OpOverload) -> tuple[OpOverload | None, tuple[str, ...]]:
    """Find the variant of a kernel that takes the places of its results, and their names."""
    wanted = [(a.name, str(a.type)) for a in op._schema.arguments]
    for name in op.overloadpacket.overloads():
        variant = getattr(op.overloadpacket, name)
        arguments = variant._schema.arguments
        names = tuple(a.name for a in arguments if a.is_out)
        if names and [(a.name, str(a.type)) for a in arguments if not a.is_out] == wanted:
            return variant, names
    return None, ()


def _copied(function: Callable[[], Any], places: Sequence[Tensor]) -> None:
    for place, value in zip(places, _tensors(function()), strict=True):
        place.copy_(value)


def _as_tensor(number: Any, beside: Tensor) -> Any:
    """Give a number as a tensor of its neighbour's type, where that says the same."""
    exact = beside.is_floating_point() or (beside.dtype == torch.int64 and type(number) is int)
    if isinstance(number, Tensor) or not exact or beside.dim() == 0:
        return number
    return torch.tensor(number, dtype=beside.dtype)


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _tensors(value: Any) -> list[Tensor]:
    """Give the tensors in nested tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, NESTED):
        parts = value.values() if isinstance(value, dict) else value
        return [tensor for part in parts for tensor in _tensors(part)]
    return []


def _detached(value: Any) -> Any:
    """Give the same memory without its history."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, dict):
        return {name: _detached(part) for name, part in value.items()}
    return [_detached(part) for part in value] if isinstance(value, NESTED) else value
