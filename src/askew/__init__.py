"""Askew: anomaly detection that asks.

``Askew`` takes a table as it is and ranks its rows; ``askew.deep`` holds the published methods.
Heavy libraries load when a name is first used, so that ``import askew`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from askew.errors import AskewError as AskewError
    from askew.labels import Label as Label
    from askew.labels import LabelledKFold as LabelledKFold
    from askew.model import Askew as Askew
    from askew.persist import load as load
    from askew.persist import save as save

_HOMES = {
    "Askew": "askew.model",
    "AskewError": "askew.errors",
    "Label": "askew.labels",
    "LabelledKFold": "askew.labels",
    "load": "askew.persist",
    "save": "askew.persist",
}

__all__ = ["Askew", "AskewError", "Label", "LabelledKFold", "load", "save"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'askew' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, *globals()]
