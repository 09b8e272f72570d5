"""What a parameter or a saved value must be."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import Any

import numpy as np

from askew.errors import MethodError, ModelFileError


def check_alerts(n: float) -> int:
    """Refuse a number of alerts that is no whole number, 1 or more."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise MethodError(f"alerts is {n!r}; expected a whole number, 1 or more")
    return int(n)


def check_share(name: str, value: float) -> None:
    """Refuse a parameter that is no number between 0 and 1; both ends are out."""
    if not is_number(value) or not 0 < value < 1:
        raise MethodError(f"{name} is {value!r}; expected a number between 0 and 1")


def members(data: object, cls: type[Any]) -> dict[str, Any]:
    """Take a saved dataclass apart; a ModelFileError where it has other members."""
    names = [field.name for field in fields(cls)]
    if not isinstance(data, dict) or set(data) != set(names):
        raise ModelFileError(
            f"the {cls.__name__.lower()} of the model is damaged: expected {', '.join(names)}; "
            "set the threshold again"
        )
    return dict(data)


def require(right: bool, name: str) -> None:
    """Refuse a saved value that is not right."""
    if not right:
        raise ModelFileError(f"the model's threshold is damaged at {name}; set it again")


def is_number(value: object) -> bool:
    """Whether it is a finite number."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
    )


def is_share(value: Any) -> bool:
    """Whether it lies in [0, 1]."""
    return is_number(value) and 0 <= value <= 1


def is_count(value: Any) -> bool:
    """Whether it is a whole number, 0 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
