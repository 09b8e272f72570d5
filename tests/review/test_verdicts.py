"""What holds of a row, by hand."""

from __future__ import annotations

import random

import pytest

from askew.errors import MethodError
from askew.labels import Label
from askew.review.verdicts import Line, Rule, Verdict, standings

A, N, U = Verdict.ANOMALY, Verdict.NORMAL, Verdict.UNSURE


def told(*said: tuple[str, Verdict] | int, key: str = "a") -> list[Line]:
    """Lines on one row: (reviewer, verdict), or the number of the line that is taken back."""
    return [
        Line(key, None, undoes=what, number=number)
        if isinstance(what, int)
        else Line(key, what[1], what[0], number=number)
        for number, what in enumerate(said, 1)
    ]


@pytest.mark.parametrize(
    ("said", "latest", "majority"),
    [
        ([("ana", A)], A, A),
        ([("ana", A), ("ana", N)], N, N),
        ([("ana", A), ("ben", N)], N, N),
        ([("ana", A), ("ben", A), ("cem", N)], N, A),
        ([("ana", A), ("ben", N), ("cem", N), ("dan", A)], A, A),
        ([("ana", N), ("ben", A), ("cem", A), ("dan", N)], N, N),
        # Who speaks again speaks once, and last.
        ([("ana", A), ("ben", N), ("ana", A)], A, A),
        ([("ana", A), ("ana", A), ("ben", N)], N, N),
        ([("ana", A), ("ben", U)], U, A),
        ([("ana", A), ("ben", U), ("cem", U)], U, A),
        ([("ana", U), ("ben", U)], U, U),
        ([("ana", A), ("ben", N), 2], A, A),
        ([("ana", A), ("ana", N), 2], A, A),
        ([("ana", A), ("ana", N), 1], N, N),
    ],
)
def test_the_verdict_that_holds(
    said: list[tuple[str, Verdict] | int], latest: Verdict, majority: Verdict
) -> None:
    lines = told(*said)
    random.Random(0).shuffle(lines)
    assert standings(lines)["a"].verdict is latest
    assert standings(lines, "majority")["a"].verdict is majority


def test_each_reviewers_last_word_and_whether_they_disagree() -> None:
    lines = told(("ana", A), ("ben", N), ("ana", U), ("ben", A), 4)
    standing = standings(lines)["a"]
    assert standing.by == {"ana": U, "ben": N}
    assert standing.disputed
    assert not standings(told(("ana", A), ("ben", A)))["a"].disputed


@pytest.mark.parametrize("rule", ["latest", "majority"])
def test_a_row_whose_verdicts_are_all_taken_back_has_none(rule: Rule) -> None:
    lines = told(("ana", A), ("ben", N), 2, 1)
    assert standings(lines, rule) == {}
    assert standings([], rule) == {}


def test_unsure_never_trains() -> None:
    assert [verdict.label for verdict in (A, N, U)] == [
        Label.ANOMALY,
        Label.NORMAL,
        Label.UNLABELED,
    ]


def test_a_rule_that_is_not_there() -> None:
    with pytest.raises(MethodError, match="no rule 'first'; give one of latest, majority"):
        standings([], "first")  # type: ignore[arg-type]
