"""What a method is: its hyper-parameters and a few functions on tensors.

A method knows no data, no device, no loop and no file. The loop (``train.py``) calls its hooks in
this order::

    network                                once, for the method that was asked for
    for each stage of stages():            (the method itself is the last of its stages)
        before_fit                         e.g. set a center
        for each epoch:
            before_epoch                   e.g. a new quantile, new term weights
            draw                           row numbers for all its steps, a member at a time
            for each step: terms           per-row losses by name
            done                           which members may stop
        after_fit                          e.g. keep reference codes
    score                                  any time later

Hooks get the whole table as ``Rows`` with one member; they run in eval mode, without gradients;
they pass over it with ``nets.in_chunks``. What they learn goes into buffers of the network, whose
``state_dict`` is all that is saved.

A wrapper is a method that has another as its ``base``: ``AnoOnly(DeepSAD())``. It asks of the base
nothing but the hooks below, so any wrapper fits any base that has what it needs, wrapped or not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from jaxtyping import Bool, Float
from sklearn.base import BaseEstimator
from torch import Generator, Tensor, nn

from askew.deep import draws
from askew.deep.nets import Net
from askew.deep.paper import Paper
from askew.deep.rows import Rows, Term
from askew.errors import MethodError
from askew.labels import Label

Batch = Mapping[str, Any]  # Rows where row numbers were drawn, Tensors where quantities were
Scale = Literal["minmax", "standard"]


@dataclass(frozen=True)
class Recipe:
    """How a paper trains its method. ``Detector`` overrides it, field by field.

    Parameters
    ----------
    optimizer
        ``"adam"`` (betas 0.9, 0.999) or ``"rmsprop"`` (decay 0.9, epsilon 1e-7, as Keras).
    learning_rate
        Positive.
    epochs
        Epochs of one stage, at least 1.
    batch_size
        Rows a step; the table's rows where it has fewer.
    steps_per_epoch
        None: as many as one pass over the table takes.
    weight_decay
        L2 penalty that the optimiser adds to the gradient.
    clip_norm
        Greatest gradient norm of a member, None for no clipping.
    clip_value
        Greatest absolute value of a gradient's entry, None for no clipping.
    milestones
        Epochs after which the learning rate is divided by ten.
    keep
        ``"last"``: the weights of the last epoch; ``"best"``: a member's weights at the end of
        the epoch with its lowest mean training loss.
    scale
        How a table's columns are scaled first: ``"minmax"`` to [0, 1], ``"standard"`` to mean 0
        and deviation 1. ``Detector`` does it.
    """

    optimizer: Literal["adam", "rmsprop"] = "adam"
    learning_rate: float = 1e-3
    epochs: int = 50
    batch_size: int = 128
    steps_per_epoch: int | None = None
    weight_decay: float = 0.0
    clip_norm: float | None = None
    clip_value: float | None = None
    milestones: tuple[int, ...] = ()
    keep: Literal["last", "best"] = "last"
    scale: Scale = "minmax"

    def __post_init__(self) -> None:
        require(self.optimizer in ("adam", "rmsprop"), "optimizer", self.optimizer, "adam, rmsprop")
        require(self.keep in ("last", "best"), "keep", self.keep, "last, best")
        for name in ("learning_rate", "epochs", "batch_size"):
            require(getattr(self, name) > 0, name, getattr(self, name), "greater than 0")
        for name in ("steps_per_epoch", "clip_norm", "clip_value"):
            value = getattr(self, name)
            require(value is None or value > 0, name, value, "greater than 0, or None")
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or greater")


class Method(BaseEstimator, ABC):  # type: ignore[misc]  # BaseEstimator only for get_params, clone
    """A published detector, as its paper states it.

    A subclass is a dataclass with ``eq=False, repr=False``; its fields are its hyper-parameters.
    """

    paper: ClassVar[Paper | None] = None
    outermost: ClassVar[bool] = False  # whether nothing may be wrapped around it

    # Properties only so that a wrapper can ask its base; a method sets plain class attributes.

    @property
    def uses(self) -> tuple[Label, ...]:
        """The kinds of verdict its objective tells apart."""
        return ()

    @property
    def needs(self) -> tuple[Label, ...]:
        """The kinds of verdict without which it cannot train."""
        return ()

    @property
    def rebuilds(self) -> bool:
        """Whether it is trained to give back its input (``Rows.target``)."""
        return False

    @property
    def takes_images(self) -> bool:
        """Whether its rows may have the shape (channels, height, width)."""
        return False

    def validate(self) -> None:
        """Raise ``MethodError`` where a hyper-parameter is out of its range."""

    @abstractmethod
    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Make the untrained network of all stages, one member a generator.

        Parameters
        ----------
        shape
            Of one row: (d,) for a table, (channels, height, width) for images.
        generators
            One a member, on the CPU.
        """

    def recipe(self) -> Recipe:
        """Give the training settings of the paper."""
        return Recipe()

    def draw(self, label: Tensor, size: draws.Size, generator: Generator) -> dict[str, Tensor]:
        """Draw what the steps of an epoch see (see ``draws.py``); half anomalies by default."""
        return draws.balanced(label, size, generator)

    @abstractmethod
    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Give the per-row losses by name. Pure: no draw, no assignment, no ``.item()``."""

    @abstractmethod
    def score(
        self, net: Net, x: Float[Tensor, "members rows *shape"]
    ) -> Float[Tensor, "members rows"]:
        """Score each row by itself; higher is more anomalous."""

    def latent(
        self, net: Net, x: Float[Tensor, "members rows *shape"]
    ) -> Float[Tensor, "members rows width"]:
        """Give the code of each row, for a wrapper that reads it."""
        return net.encode(x)

    def stages(self) -> tuple[Method, ...]:
        """Give what is trained on the one network, in turn; pretraining comes first."""
        return (self,)

    def trainable(self, net: Net) -> Iterable[nn.Parameter]:
        """Give the parameters that this stage moves."""
        return net.parameters()

    def set_training(self, net: Net) -> None:
        """Turn on the training mode of what this stage moves."""
        net.train()

    # Hooks do nothing unless a method has a use for them; hence no abstractmethod.

    def before_fit(self, net: Net, rows: Rows) -> None:
        """Act before the first epoch, on all rows."""

    def before_epoch(self, net: Net, rows: Rows, means: Mapping[str, Tensor]) -> None:
        """Act before an epoch; ``means`` are the last epoch's mean losses (members,) by term.

        They are empty before the first epoch, and unweighted.
        """

    def done(self, net: Net, rows: Rows) -> Bool[Tensor, " members"] | None:
        """Say after an epoch which members have trained enough; None: all go on."""
        return None

    def after_fit(self, net: Net, rows: Rows) -> None:
        """Act after the last epoch, on all rows."""


@dataclass(eq=False, repr=False)
class Wrapper(Method):
    """A method made of another, in the place of that one's last stage.

    Passes every hook on to its base; a subclass overrides what it changes. One that comes *after*
    its base instead overrides ``stages`` with ``(*self.base.stages(), self)`` and does not pass
    ``before_fit`` on: a center that is set twice undoes the training.
    """

    adds: ClassVar[tuple[Label, ...]] = ()  # the kinds of verdict it uses beside its base's
    demands: ClassVar[tuple[Label, ...]] = ()  # the kinds it needs beside its base's

    base: Method

    def __post_init__(self) -> None:
        if not isinstance(self.base, Method):
            raise MethodError(f"base is {self.base!r}; expected a method such as DeepSAD()")
        reason = "nothing goes around it" if self.base.outermost else self.objection(self.base)
        if reason:
            raise MethodError(f"{type(self).__name__} cannot wrap {describe(self.base)}: {reason}")

    def objection(self, base: Method) -> str:
        """Say why this base makes no sense; empty where it does."""
        return ""

    @property
    def uses(self) -> tuple[Label, ...]:
        """The kinds of verdict that the base or the wrapper tells apart."""
        return tuple(kind for kind in Label if kind in (*self.base.uses, *self.adds))

    @property
    def needs(self) -> tuple[Label, ...]:
        """The kinds of verdict that the base or the wrapper needs."""
        return tuple(kind for kind in Label if kind in (*self.base.needs, *self.demands))

    @property
    def rebuilds(self) -> bool:
        """Whether the base is trained to give back its input."""
        return self.base.rebuilds

    @property
    def takes_images(self) -> bool:
        """Whether the base takes images."""
        return self.base.takes_images

    def validate(self) -> None:
        """Check the base, also one that was set later."""
        self.__post_init__()
        self.base.validate()

    def recipe(self) -> Recipe:
        """Give the base's settings."""
        return self.base.recipe()

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        """Make the base's network."""
        return self.base.network(shape, generators)

    def draw(self, label: Tensor, size: draws.Size, generator: Generator) -> dict[str, Tensor]:
        """Draw what the base draws."""
        return self.base.draw(label, size, generator)

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        """Give the base's terms."""
        return self.base.terms(net, batch)

    def score(self, net: Net, x: Tensor) -> Tensor:
        """Give the base's score."""
        return self.base.score(net, x)

    def latent(self, net: Net, x: Tensor) -> Tensor:
        """Give the base's code."""
        return self.base.latent(net, x)

    def stages(self) -> tuple[Method, ...]:
        """Train the base's earlier stages, then itself."""
        return (*self.base.stages()[:-1], self)

    def trainable(self, net: Net) -> Iterable[nn.Parameter]:
        """Move what the base moves; all, unless the base says otherwise."""
        return self.base.trainable(net)

    def set_training(self, net: Net) -> None:
        """Turn on the training mode as the base does."""
        self.base.set_training(net)

    def before_fit(self, net: Net, rows: Rows) -> None:
        """Let the base act."""
        self.base.before_fit(net, rows)

    def before_epoch(self, net: Net, rows: Rows, means: Mapping[str, Tensor]) -> None:
        """Let the base act."""
        self.base.before_epoch(net, rows, means)

    def done(self, net: Net, rows: Rows) -> Bool[Tensor, " members"] | None:
        """Ask the base."""
        return self.base.done(net, rows)

    def after_fit(self, net: Net, rows: Rows) -> None:
        """Let the base act."""
        self.base.after_fit(net, rows)


def describe(method: Method) -> str:
    """Name a method and what it wraps: ``AnoOnly(DeepSAD)``."""
    name = type(method).__name__
    return f"{name}({describe(method.base)})" if isinstance(method, Wrapper) else name


def layers(method: Method) -> list[Method]:
    """Give a method and all that it wraps, outermost first."""
    return [method, *(layers(method.base) if isinstance(method, Wrapper) else [])]


def require(holds: bool, name: str, found: object, expected: str) -> None:
    """Raise ``MethodError`` unless a hyper-parameter is as expected."""
    if not holds:
        raise MethodError(f"{name} is {found!r}; expected {expected}")
