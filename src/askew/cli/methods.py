"""``askew methods`` and ``askew cite METHOD``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer

from askew.cli.app import Json, app, busy, give, say
from askew.errors import MethodError

if TYPE_CHECKING:
    from askew.deep.catalog import Entry


@app.command()
def methods(as_json: Json = False) -> None:
    """List the published methods, and the wrappers that go around them."""
    with busy("Looking"):
        from askew.deep.catalog import catalog

        entries = catalog()
    plain = [entry for entry in entries if not entry.wrapper]
    wrappers = [entry for entry in entries if entry.wrapper]
    if as_json:
        give({"methods": [*map(_plain, plain)], "wrappers": [*map(_plain, wrappers)]})
        return
    _show("Methods, as in Detector(DeepSAD())", plain, plain)
    if wrappers:
        _show("Wrappers, as in Detector(AnoOnly(DeepSAD()))", wrappers, plain)
    say("`askew cite METHOD` gives the paper; docs/methods.md has the parameters and more.")


@app.command()
def cite(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="METHOD",
            help="One method or several, as `askew methods` names them.",
            show_default=False,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Print the BibTeX entry of a method's paper."""
    with busy("Looking"):
        from askew.deep.catalog import catalog

        known = {entry.name: entry for entry in catalog()}
    found = [known[_nearest(name, known)] for name in names]
    for entry in found:
        if entry.paper is None:
            raise MethodError(f"{entry.name} names no paper")
    if as_json:
        give([{"name": entry.name, "paper": _plain(entry)["paper"]} for entry in found])
        return
    papers = dict.fromkeys(entry.paper for entry in found if entry.paper)
    say("\n\n".join(paper.bibtex() for paper in papers))


def _show(title: str, entries: Sequence[Entry], methods: Sequence[Entry]) -> None:
    """Print a name and, beside it, what it does, on what labels and by whom."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    for entry in entries:
        does = Text(entry.line[:1].upper() + entry.line[1:] + "\n")
        shown.add_row(Text(entry.name, style="bold"), does.append(_facts(entry, methods), "dim"))
    console = Console()
    console = console if console.is_terminal else Console(width=160)
    console.print(Text(title + "\n"), shown, "")


def _facts(entry: Entry, methods: Sequence[Entry]) -> str:
    """Say in a line where it was published, what it learns from and what it goes around."""
    facts = [entry.paper.short] if entry.paper else []
    facts.append(f"labels: {entry.told_labels()}")
    if entry.images:
        facts.append("takes images as its base" if entry.wrapper else "takes images")
    if entry.wrapper:
        facts.append(f"wraps {_wraps(entry, methods)}")
    return "; ".join(facts)


def _wraps(entry: Entry, methods: Sequence[Entry]) -> str:
    """Name what a wrapper goes around, or what it does not where that is shorter."""
    if len(entry.wraps) == len(methods):
        return "every method"
    if 2 * len(entry.refuses) < len(entry.wraps):
        return f"every method but {', '.join(entry.refuses)}"
    return ", ".join(entry.wraps)


def _nearest(name: str, known: Iterable[str]) -> str:
    """Find a method by its name, whatever the case; offer what comes near where there is none."""
    names = {other.casefold(): other for other in known}
    if name.casefold() in names:
        return names[name.casefold()]
    near = get_close_matches(name.casefold(), names, cutoff=0.5)
    meant = f"did you mean {' or '.join(names[n] for n in near)}? " if near else ""
    raise MethodError(f"there is no method {name!r}; {meant}`askew methods` lists them all")


def _plain(entry: Entry) -> dict[str, Any]:
    """Give an entry as plain values, the paper with how it is cited."""
    plain = dataclasses.asdict(entry)
    if entry.paper is not None:
        plain["paper"] |= {"short": entry.paper.short, "bibtex": entry.paper.bibtex()}
    return plain
