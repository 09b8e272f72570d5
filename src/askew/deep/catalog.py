"""What there is to choose from: every registered method, told from what its own file says.

The command line and the documents print these entries; nothing about a method is written twice.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass
from typing import Any

from askew.deep.method import Method, Wrapper
from askew.deep.methods import METHODS
from askew.deep.paper import Paper
from askew.errors import MethodError
from askew.labels import Label


@dataclass(frozen=True)
class Parameter:
    """One hyper-parameter."""

    name: str
    default: str | None  # as Python writes it; None where it has to be given
    text: str


@dataclass(frozen=True)
class Entry:
    """One method or wrapper; a wrapper's labels and needs are those beside its base's."""

    name: str
    line: str  # what it does, without a final stop
    text: str  # the same at more length, in paragraphs
    paper: Paper | None
    labels: tuple[str, ...]  # the kinds of verdict it learns from, in words
    needs: tuple[str, ...]  # those of which there must be a row
    images: bool
    outermost: bool  # whether nothing goes around it
    wrapper: bool
    wraps: tuple[str, ...]  # the methods that a wrapper goes around
    refuses: Mapping[str, str]  # the others, each with the reason
    parameters: tuple[Parameter, ...]
    source: str
    departs: str  # how it differs from its source; empty where nothing is said

    def told_labels(self) -> str:
        """Say in words what labels it learns from."""
        kinds = [f"{kind} (needed)" if kind in self.needs else kind for kind in self.labels]
        if self.wrapper:
            return ", ".join(["its base's", *kinds])
        return ", ".join(kinds) or "none"


def catalog() -> list[Entry]:
    """Describe every registered method: methods, then wrappers, each as they were published."""
    entries = map(entry_of, METHODS.values())
    return sorted(entries, key=lambda e: (e.wrapper, e.paper.year if e.paper else math.inf))


def entry_of(kind: type[Method]) -> Entry:
    """Describe one method, registered or not."""
    about = inspect.cleandoc(sys.modules[kind.__module__].__doc__ or "")
    itself = inspect.getdoc(kind) or ""
    return Entry(
        name=kind.__name__,
        line=(about or itself).partition("\n")[0].split(": ", 1)[-1].rstrip("."),
        text=_flow(re.split(r"\n[^\n]+\n---", itself)[0]),
        paper=kind.paper,
        outermost=kind.outermost,
        **_abilities(kind),
        parameters=_parameters(kind, itself),
        source=_flow(_after(about, "Source:").partition("Departs from")[0]),
        departs=_flow(_after(about, "Departs from")),
    )


def _abilities(kind: type[Method]) -> dict[str, Any]:
    """Find out by making one what it learns from and what it goes around."""
    if not issubclass(kind, Wrapper):
        made = kind()
        return {
            "labels": _words(made.uses),
            "needs": _words(made.needs),
            "images": made.takes_images,
            "wrapper": False,
            "wraps": (),
            "refuses": {},
        }
    wrapped: dict[str, Wrapper] = {}
    refuses: dict[str, str] = {}
    for name, base in METHODS.items():
        if issubclass(base, Wrapper):
            continue
        try:
            wrapped[name] = kind(base())
        except MethodError as e:
            refuses[name] = str(e).split(": ", 1)[-1]
    return {
        "labels": _words({*kind.adds, *kind.demands}),
        "needs": _words(kind.demands),
        "images": any(made.takes_images for made in wrapped.values()),
        "wrapper": True,
        "wraps": tuple(wrapped),
        "refuses": refuses,
    }


def _words(kinds: Iterable[Label]) -> tuple[str, ...]:
    """Name kinds of verdict, anomalies first."""
    return tuple(kind.name.lower() for kind in sorted(kinds, reverse=True))


def _parameters(kind: type[Method], doc: str) -> tuple[Parameter, ...]:
    """Put the fields' defaults beside what the numpydoc section says of them."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^[^\n]+\n---|\Z)", doc, re.M | re.S)
    told: dict[str, str] = {}
    for names, text in re.findall(
        r"^(\S[^\n]*)\n((?:[ ]+[^\n]*\n?|\n)*)", section[1] if section else "", re.M
    ):
        told |= {name: _flow(text) for name in names.partition(" :")[0].split(", ")}
    return tuple(
        Parameter(field.name, _default(field), told.get(field.name, ""))
        for field in dataclasses.fields(kind)
    )


def _default(field: dataclasses.Field[object]) -> str | None:
    if field.default_factory is not MISSING:
        return repr(field.default_factory())
    return None if field.default is MISSING else repr(field.default)


def _after(text: str, start: str) -> str:
    """Give the text from a line that starts so; empty where there is none."""
    found = re.search(rf"^{start}.*", text, re.M | re.S)
    return found[0] if found else ""


def _flow(text: str) -> str:
    """Make one line of each paragraph and of each list item; keep what is indented as code is."""
    lines = inspect.cleandoc(text).strip()
    return re.sub(r"(?<=\S) {2,}", " ", re.sub(r"(?<!\n)\n(?!\n|- | {4})\s*", " ", lines))
