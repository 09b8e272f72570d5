"""Write docs/methods.md from what the methods' own files say: ``make docs``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from askew.deep.catalog import Entry, Parameter, catalog

PAGE = Path(__file__).parent / "methods.md"
INTRODUCTION = """\
# Methods

<!-- Written by `make docs` from the methods' own files; change those, not this page. -->

Every method is one file in `src/askew/deep/methods/`. `Detector(DeepSAD())` makes an estimator of
one, `Detector(AnoOnly(DeepSAD()))` of one with a wrapper around it. `askew methods` lists them in a
terminal, `askew cite METHOD` prints the BibTeX entry. To add one: [adding a
method](adding-a-method.md).

Labels are the kinds of verdict that a method learns from; all other rows count as not looked at. Of
a kind that is needed there must be one row at least.
"""
WRAPPERS = """\
Wrappers go around a method, or around another wrapper, and change how it learns.
"""


def page(entries: Sequence[Entry]) -> str:
    """Give the whole page: tables of all, then a section each."""
    methods = [entry for entry in entries if not entry.wrapper]
    wrappers = [entry for entry in entries if entry.wrapper]
    parts = [INTRODUCTION, _table(methods)]
    if wrappers:
        parts += [WRAPPERS, _table(wrappers)]
    return "\n".join([*parts, *map(_section, [*methods, *wrappers])])


def _table(entries: Sequence[Entry]) -> str:
    rows = [("name", "what it does", "labels", "images", "paper"), ("---",) * 5]
    for entry in entries:
        link = f"[{entry.name}](#{entry.name.lower()})"
        images = ("as its base" if entry.wrapper else "yes") if entry.images else "no"
        paper = entry.paper.short if entry.paper else ""
        rows.append((link, _markdown(_line(entry)), entry.told_labels(), images, paper))
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in r)} |\n" for r in rows)


def _section(entry: Entry) -> str:
    parts = [f"## {entry.name}", _markdown(_line(entry)) + ".", _markdown(entry.text)]
    if entry.paper is not None:
        title = re.sub("[{}]", "", entry.paper.title)
        title = f"[{title}]({entry.paper.link})" if entry.paper.link else title
        parts.append(f"Paper: {entry.paper.short}, {title}, {entry.paper.venue}.")
    parts.append(f"Labels: {entry.told_labels()}.")
    if entry.wrapper:
        parts.append(f"Wraps: {', '.join(entry.wraps)}.")
    for reason in dict.fromkeys(entry.refuses.values()):
        names = [name for name, why in entry.refuses.items() if why == reason]
        parts.append(f"Refuses {', '.join(names)}: {_markdown(reason)}.")
    if entry.outermost:
        parts.append("Nothing goes around it.")
    if entry.parameters:
        parts.append("Parameters:")
        parts.append("\n".join(map(_parameter, entry.parameters)))
    parts += [_markdown(entry.source), _markdown(entry.departs)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _parameter(parameter: Parameter) -> str:
    default = "" if parameter.default is None else f" = {parameter.default}"
    text = _markdown(parameter.text).replace("\n", "\n  ")
    return f"- `{parameter.name}{default}`" + (f": {text}" if text else "")


def _line(entry: Entry) -> str:
    return entry.line[:1].upper() + entry.line[1:]


def _markdown(text: str) -> str:
    """Turn the little reStructuredText of a docstring into Markdown, code left as it is."""
    parts = re.split(r"(``.*?``|^ {4}.*$)", text, flags=re.MULTILINE)
    parts[::2] = [re.sub(r"([*<])", r"\\\1", part).replace("::\n", ":\n") for part in parts[::2]]
    parts[1::2] = [part.replace("``", "`") for part in parts[1::2]]
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(catalog()), encoding="utf-8")
