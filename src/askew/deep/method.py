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
        after_fit                          e.g. keep reference codes
    score                                  any time later

Hooks get the whole table as ``Rows`` with one member; they run in eval mode, without gradients;
they pass over it with ``nets.in_chunks``. What they learn goes into buffers of the network, whose
``state_dict`` is all that is saved.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from jaxtyping import Float
from sklearn.base import BaseEstimator
from torch import Generator, Tensor, nn

from askew.deep import draws
from askew.deep.nets import Net
from askew.deep.rows import Rows, Term
from askew.errors import MethodError
from askew.labels import Label

Batch = Mapping[str, Any]  # Rows where row numbers were drawn, Tensors where quantities were


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
    milestones
        Epochs after which the learning rate is divided by ten.
    keep
        ``"last"``: the weights of the last epoch; ``"best"``: a member's weights at the end of
        the epoch with its lowest mean training loss.
    """

    optimizer: Literal["adam", "rmsprop"] = "adam"
    learning_rate: float = 1e-3
    epochs: int = 50
    batch_size: int = 128
    steps_per_epoch: int | None = None
    weight_decay: float = 0.0
    clip_norm: float | None = None
    milestones: tuple[int, ...] = ()
    keep: Literal["last", "best"] = "last"

    def __post_init__(self) -> None:
        require(self.optimizer in ("adam", "rmsprop"), "optimizer", self.optimizer, "adam, rmsprop")
        require(self.keep in ("last", "best"), "keep", self.keep, "last, best")
        for name in ("learning_rate", "epochs", "batch_size"):
            require(getattr(self, name) > 0, name, getattr(self, name), "greater than 0")
        for name in ("steps_per_epoch", "clip_norm"):
            value = getattr(self, name)
            require(value is None or value > 0, name, value, "greater than 0, or None")
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or greater")


class Method(BaseEstimator, ABC):  # type: ignore[misc]  # BaseEstimator only for get_params, clone
    """A published detector, as its paper states it.

    A subclass is a dataclass with ``eq=False, repr=False``; its fields are its hyper-parameters.
    """

    uses: ClassVar[tuple[Label, ...]] = ()  # the kinds of verdict its objective tells apart
    needs: ClassVar[tuple[Label, ...]] = ()  # the kinds without which it cannot train

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

    def stages(self) -> tuple[Method, ...]:
        """Give what is trained on the one network, in turn; pretraining comes first."""
        return (self,)

    def trainable(self, net: Net) -> Iterable[nn.Parameter]:
        """Give the parameters that this stage moves."""
        return net.parameters()

    # Hooks do nothing unless a method has a use for them; hence no abstractmethod.

    def before_fit(self, net: Net, rows: Rows) -> None:
        """Act before the first epoch, on all rows."""

    def before_epoch(self, net: Net, rows: Rows, means: Mapping[str, Tensor]) -> None:
        """Act before an epoch; ``means`` are the last epoch's mean losses (members,) by term."""

    def after_fit(self, net: Net, rows: Rows) -> None:
        """Act after the last epoch, on all rows."""


def require(holds: bool, name: str, found: object, expected: str) -> None:
    """Raise ``MethodError`` unless a hyper-parameter is as expected."""
    if not holds:
        raise MethodError(f"{name} is {found!r}; expected {expected}")
