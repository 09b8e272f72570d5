"""What is told of the methods agrees with what they are."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from askew.deep import METHODS
from askew.deep.catalog import Entry, catalog, entry_of
from askew.deep.method import Wrapper
from askew.errors import MethodError

ENTRIES = {entry.name: entry for entry in catalog()}
every = pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)


def test_every_registered_method_is_told_of_once_and_wrappers_last() -> None:
    told = [entry.name for entry in catalog()]
    kinds = [issubclass(METHODS[name], Wrapper) for name in told]
    assert sorted(told) == sorted(METHODS)
    assert kinds == sorted(kinds)


@every
def test_a_line_says_what_it_does(entry: Entry) -> None:
    assert 10 < len(entry.line) < 100
    assert entry.line[-1].isalpha() or entry.line[-1] in ")0123456789"
    assert "`" not in entry.line
    assert entry.text
    assert entry.source.startswith("Source: ")


@every
def test_a_paper_can_be_found(entry: Entry) -> None:
    paper = entry.paper
    assert paper is not None
    assert paper.authors
    assert all(", " in author for author in paper.authors)
    assert 1990 <= paper.year <= 2030
    assert not paper.title.endswith(".")
    assert paper.link.startswith("https://")


def test_a_key_stands_for_one_paper() -> None:
    papers = {entry.paper for entry in ENTRIES.values() if entry.paper}
    assert len({paper.key for paper in papers}) == len(papers)


@every
def test_labels_are_those_that_it_uses_and_needs(entry: Entry) -> None:
    kind = METHODS[entry.name]
    for base in entry.wraps or [None]:
        made = kind() if base is None else kind(METHODS[base]())
        used, needed = ({k.name.lower() for k in kinds} for kinds in (made.uses, made.needs))
        assert set(entry.labels) <= used
        assert set(entry.needs) <= needed
        if base is None:
            assert (set(entry.labels), set(entry.needs)) == (used, needed)
    assert set(entry.needs) <= set(entry.labels)


@every
def test_defaults_and_words_are_told_of_every_parameter(entry: Entry) -> None:
    kind = METHODS[entry.name]
    made = kind(METHODS[entry.wraps[0]]()) if entry.wrapper else kind()
    params = made.get_params(deep=False)
    assert {parameter.name for parameter in entry.parameters} == set(params)
    for parameter in entry.parameters:
        assert parameter.text, parameter.name
        if parameter.name == "base":
            assert parameter.default is None
        else:
            assert parameter.default == repr(params[parameter.name])


@every
def test_a_wrapper_wraps_what_it_says_and_refuses_the_rest(entry: Entry) -> None:
    if not entry.wrapper:
        assert not entry.wraps
        return
    methods = {name for name, other in ENTRIES.items() if not other.wrapper}
    assert entry.wraps
    assert {*entry.wraps, *entry.refuses} == methods
    for name in entry.wraps:
        METHODS[entry.name](METHODS[name]()).validate()
    for name, reason in entry.refuses.items():
        with pytest.raises(MethodError, match=re.escape(f"cannot wrap {name}: {reason}")):
            METHODS[entry.name](METHODS[name]())


OWN = '''
"""Own: look at rows, and
look again.

Source: nobody's "work",
read twice.
Departs from that work:

- in one
  thing,
- in another.
"""

from dataclasses import dataclass, field

from askew.deep import Reconstruct
from askew.labels import Label


@dataclass(eq=False, repr=False)
class Own(Reconstruct):
    """Score a row by
    ``its`` looks.

    Twice::

        looks = 2

    Parameters
    ----------
    low, high
        From where
        to where.

        And no further.
    widths
        Of nothing.

    Attributes
    ----------
    low
        Something else.
    """

    uses = (Label.NORMAL, Label.ANOMALY)
    needs = (Label.NORMAL,)
    takes_images = False
    outermost = True

    low: float = 0.5
    high: str = "top"
    widths: tuple[int, ...] = field(default_factory=lambda: (1, 2))
'''


def test_an_entry_is_read_from_the_methods_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_method.py").write_text(OWN.lstrip())
    monkeypatch.syspath_prepend(tmp_path)
    entry = entry_of(importlib.import_module("own_method").Own)
    assert entry.line == "look at rows, and"
    assert entry.text == "Score a row by ``its`` looks.\n\nTwice::\n\n    looks = 2"
    assert entry.source == 'Source: nobody\'s "work", read twice.'
    assert entry.departs == "Departs from that work:\n\n- in one thing,\n- in another."
    assert (entry.labels, entry.needs) == (("anomaly", "normal"), ("normal",))
    assert (entry.wrapper, entry.images, entry.outermost) == (False, False, True)
    told = {p.name: (p.default, p.text) for p in entry.parameters[-3:]}
    span = "From where to where.\n\nAnd no further."
    assert told == {
        "low": ("0.5", span),
        "high": ("'top'", span),
        "widths": ("(1, 2)", "Of nothing."),
    }
