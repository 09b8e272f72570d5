"""Questions in the table of leases: who is asked what, until when, and what an answer takes on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from askew.review.store.entries import CHUNK, among
from askew.review.store.schema import leases, lines
from askew.review.verdicts import Judgment, Question

_FACTS = (leases.c.key, leases.c.why, leases.c.place, leases.c.model, leases.c.turn)


def running(now: datetime) -> ColumnElement[bool]:
    """Write that a lease runs."""
    return leases.c.until > now


def of_reviewer(connection: Connection, reviewer: str, now: datetime) -> list[Question]:
    """Read the questions that are before a reviewer, by turn."""
    mine = select(*_FACTS).where(running(now), leases.c.reviewer == reviewer)
    return [Question(*row) for row in connection.execute(mine.order_by(leases.c.turn))]


def askable(
    connection: Connection, wishes: Sequence[Question], reviewer: str, now: datetime
) -> list[Question]:
    """Leave out what others hold or somebody has judged; what the reviewer holds is as first asked.

    At most `CHUNK` wishes at a time.
    """
    keys = [wish.key for wish in wishes]
    rows = connection.execute(
        select(leases.c.reviewer, *_FACTS).where(
            running(now), among(connection, leases.c.key, keys)
        )
    )
    held = {facts[0]: Question(*facts) if holder == reviewer else None for holder, *facts in rows}
    judged = _judged(connection, keys)
    found = [
        held[wish.key] if wish.key in held else replace(wish, turn=None)
        for wish in wishes
        if wish.key not in judged
    ]
    return [question for question in found if question is not None]


def ask(
    connection: Connection, chosen: Sequence[Question], reviewer: str, until: datetime
) -> list[Question]:
    """Write leases of `chosen` over what stood there, and give new ones their turns."""
    turns = count(_last_turn(connection) + 1)
    asked = [one if one.turn is not None else replace(one, turn=next(turns)) for one in chosen]
    if asked:
        connection.execute(_CLEAR, [{"k": one.key} for one in asked])
        rows = [vars(one) | {"reviewer": reviewer, "until": until} for one in asked]
        connection.execute(insert(leases), rows)
    return asked


def end(connection: Connection, keys: Iterable[str], reviewer: str) -> None:
    """End the leases that a reviewer has of these rows, run out or not."""
    rows = [{"k": key, "r": reviewer} for key in keys]
    if rows:
        connection.execute(_END, rows)


def answer(connection: Connection, judgments: Sequence[Judgment]) -> list[Judgment]:
    """End the leases of the rows that their holders judge; judgments take on what they leave open.

    A lease that has run out lends its facts still, for nobody else was asked since.
    """
    keys = list(dict.fromkeys(one.key for one in judgments if one.verdict is not None))
    held: dict[tuple[str, str], Question] = {}
    for start in range(0, len(keys), CHUNK):
        rows = connection.execute(
            select(leases.c.reviewer, *_FACTS).where(
                leases.c.until.is_not(None),
                among(connection, leases.c.key, keys[start : start + CHUNK]),
            )
        )
        held |= {(facts[0], holder): Question(*facts) for holder, *facts in rows}
    told, ended = [], []
    for judgment in judgments:
        by = judgment.key, judgment.reviewer
        if judgment.verdict is not None and by in held:
            question = held.pop(by)
            ended.append({"k": question.key, "r": judgment.reviewer})
            if _is_open(judgment):
                judgment = replace(judgment, **vars(question))
        told.append(judgment)
    if ended:
        connection.execute(_END, ended)
    return told


def _is_open(judgment: Judgment) -> bool:
    return (judgment.why, judgment.place, judgment.model, judgment.turn) == ("", None, "", None)


def _judged(connection: Connection, keys: Sequence[str]) -> set[str]:
    # An undo carries the key of what it takes back, so these lines are all there is to know.
    said = connection.execute(
        select(lines.c.key, lines.c.number, lines.c.verdict, lines.c.undoes).where(
            among(connection, lines.c.key, keys)
        )
    ).all()
    undone = {undoes for _, _, _, undoes in said}
    return {key for key, number, verdict, _ in said if verdict and number not in undone}


def _last_turn(connection: Connection) -> int:
    """Find the highest turn so far; only one transaction at a time comes here."""
    highest = [
        select(func.coalesce(func.max(table.c.turn), 0)).scalar_subquery()
        for table in (leases, lines)
    ]
    return max(int(turn) for turn in connection.execute(select(*highest)).one())


_CLEAR = delete(leases).where(leases.c.key == bindparam("k"))
_END = (
    update(leases)
    .where(leases.c.key == bindparam("k"), leases.c.reviewer == bindparam("r"))
    .values(until=None)
)
