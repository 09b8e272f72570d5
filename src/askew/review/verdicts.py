"""Verdicts as people give them: what one line says, and what holds of a row after many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from askew.errors import MethodError
from askew.labels import Label

Rule = Literal["latest", "majority"]


class Verdict(StrEnum):
    """What a reviewer says of a row."""

    ANOMALY = "anomaly"
    NORMAL = "normal"
    UNSURE = "unsure"

    @property
    def label(self) -> Label:
        """The label that trains; unsure never does."""
        return {"anomaly": Label.ANOMALY, "normal": Label.NORMAL}.get(self, Label.UNLABELED)


@dataclass(frozen=True)
class Question:
    """A row to be judged, and why it is asked.

    Parameters
    ----------
    key
        Of the row: its id as text, or the hash of its content.
    why
        A name of ``strategies`` such as ``"suspicious"`` or ``"random"``.
    place
        How many rows without a verdict the model scores higher, 0 or more; None if unknown.
    model
        Id of the model whose ranking asks.
    turn
        Position among all questions of the store, from 1, which gives it; None until then.
    """

    key: str
    why: str = ""
    place: int | None = None
    model: str = ""
    turn: int | None = None


@dataclass(frozen=True)
class Judgment:
    """One line to be written.

    Parameters
    ----------
    key
        Of the row: its id as text, or the hash of its content.
    verdict
        What was said of it; None takes back the line that ``undoes`` names.
    reviewer
        Who said it.
    note
        In the reviewer's words.
    model
        Id of the model whose ranking asked.
    why
        Why the row was asked, a name of ``strategies`` such as ``"suspicious"`` or ``"random"``;
        empty where the reviewer came to the row by themselves.
    place
        How many rows without a verdict the model of that moment scored higher, 0 or more; None
        where nobody asked.
    turn
        Position of the question among those asked, 0 or more, rising in the order in which rows
        were chosen; None where nobody asked.
    undoes
        Number of the line that this one takes back.
    """

    key: str
    verdict: Verdict | None
    reviewer: str = ""
    note: str = ""
    model: str = ""
    why: str = ""
    place: int | None = None
    turn: int | None = None
    undoes: int | None = None


@dataclass(frozen=True)
class Line(Judgment):
    """A line as it stands in the store.

    Parameters
    ----------
    number
        Position in the store, rising from 1.
    uid
        Names the line in any store, so that importing it twice changes nothing.
    at
        When it was written, UTC.
    """

    number: int = 0
    uid: str = ""
    at: datetime = field(default_factory=lambda: datetime.min)


@dataclass(frozen=True)
class Standing:
    """What holds of a row: its verdict by the rule, and each reviewer's last one."""

    verdict: Verdict
    by: Mapping[str, Verdict]

    @property
    def disputed(self) -> bool:
        """Whether reviewers disagree."""
        return len(set(self.by.values())) > 1


def standings(lines: Iterable[Line], rule: Rule = "latest") -> dict[str, Standing]:
    """Find what holds of each judged row after all lines, undone ones left out.

    ``"latest"``: the verdict of the highest line number still standing. ``"majority"``: among
    each reviewer's last standing verdict the most frequent, the latest among equals; unsure
    counts only where nobody says anything else.

    Parameters
    ----------
    lines
        In any order; all lines of the store, since an undo may stand far from what it takes back.

    Returns
    -------
    Standings by row key. ``by`` holds the reviewers in the order in which they last spoke.

    Raises
    ------
    MethodError
        There is no such rule.
    """
    lines = sorted(lines, key=lambda line: line.number)
    undone = {line.undoes for line in lines}
    return settle(
        (
            (line.key, line.reviewer, line.verdict)
            for line in lines
            if line.verdict is not None and line.number not in undone
        ),
        rule,
    )


def settle(said: Iterable[tuple[str, str, Verdict]], rule: Rule = "latest") -> dict[str, Standing]:
    """Do the same from what stands alone: key, reviewer and verdict, in the order of lines.

    Raises
    ------
    MethodError
        There is no such rule.
    """
    if rule not in _RULES:
        raise MethodError(f"there is no rule {rule!r}; give one of {', '.join(_RULES)}.")
    resolve = _RULES[rule]
    held: dict[str, dict[str, Verdict]] = {}
    for key, reviewer, verdict in said:
        by = held.setdefault(key, {})
        by.pop(reviewer, None)  # who speaks again goes to the end
        by[reviewer] = verdict
    return {key: Standing(resolve(list(by.values())), by) for key, by in held.items()}


def _majority(verdicts: Sequence[Verdict]) -> Verdict:
    sure = [verdict for verdict in verdicts if verdict is not Verdict.UNSURE]
    counts = Counter(reversed(sure or verdicts))  # most_common keeps this order among equals
    return counts.most_common(1)[0][0]


_RULES: dict[Rule, Callable[[Sequence[Verdict]], Verdict]] = {
    "latest": lambda verdicts: verdicts[-1],
    "majority": _majority,
}
