"""Lines in their table: how they are read, what may be written, what an import adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Row,
    Text,
    any_,
    exists,
    func,
    insert,
    literal,
    select,
)

from askew.errors import LabelError
from askew.review.store.csv_file import Row as FileRow
from askew.review.store.schema import lines
from askew.review.verdicts import Judgment, Line, Question, Verdict

CHUNK = 400  # older builds of SQLite take 999 variables in a statement
_TOO_LARGE = 2**62  # half of what a column holds: after any turn there is a next one

_later = lines.alias()
# Condition: a verdict that nobody has taken back.
STANDS = lines.c.verdict.is_not(None) & ~exists().where(_later.c.undoes == lines.c.number)


def among(
    connection: Connection, column: ColumnElement[str], texts: Sequence[str]
) -> ColumnElement[bool]:
    """Write that a column is one of some texts, of which there are `CHUNK` at most."""
    if connection.dialect.name == "postgresql":
        # One parameter: hundreds of them take longer to send than to look up.
        return column == any_(literal(texts, ARRAY(Text)))
    return column.in_(texts)


def last_number(connection: Connection) -> int:
    """Return the number of the last line, 0 in an empty store."""
    return connection.scalar(select(func.coalesce(func.max(lines.c.number), 0))) or 0


def read_lines(connection: Connection, since: int = 0) -> list[Line]:
    """Read the lines after a number, in order."""
    rows = connection.execute(select(lines).where(lines.c.number > since).order_by(lines.c.number))
    return [line_of(row) for row in rows]


def write_lines(connection: Connection, added: Sequence[Line]) -> None:
    """Write lines as they are."""
    if added:
        # Drivers differ in what they make of an enum.
        rows = [{**vars(line), "verdict": line.verdict and line.verdict.value} for line in added]
        connection.execute(insert(lines), rows)


def new_lines(connection: Connection, rows: Sequence[FileRow], now: datetime) -> list[Line]:
    """Turn rows that the store lacks into its next lines.

    Raises
    ------
    LabelError
        A row that cannot be a line, or that undoes what is no verdict.
    """
    known, undone = _known(connection, {row.uid for row in rows} | {row.undoes for row in rows})
    new: list[Line] = []
    first = last_number(connection) + 1
    for row in rows:
        if row.uid in known:
            continue
        undoes = None
        if row.undoes:
            undoes, key = known.get(row.undoes, (None, None))
            if undoes is None or key != row.key:
                raise LabelError(
                    f"{row.where} undoes {row.undoes!r}, which is the uid of no verdict on "
                    f"{row.key!r} above it or in the store; import that verdict first."
                )
            if undoes in undone:
                continue
            undone.add(undoes)
        judgment = Judgment(
            row.key,
            row.verdict,
            row.reviewer,
            row.note,
            row.model,
            row.why,
            row.place,
            row.turn,
            undoes,
        )
        try:
            check(judgment)
        except LabelError as error:
            raise LabelError(f"{row.where}: {error}") from error
        line = Line(**vars(judgment), number=first + len(new), uid=row.uid, at=row.at or now)
        known[line.uid] = line.number, line.verdict and line.key
        new.append(line)
    return new


def _known(
    connection: Connection, uids: set[str]
) -> tuple[dict[str, tuple[int, str | None]], set[int]]:
    """Find lines by uid: their number, and their key where they are verdicts; and who is undone."""
    known: dict[str, tuple[int, str | None]] = {}
    undone: set[int] = set()
    named = sorted(uids)
    for start in range(0, len(named), CHUNK):
        found = connection.execute(
            select(lines.c.uid, lines.c.number, lines.c.key, lines.c.verdict, _later.c.number)
            .outerjoin(_later, _later.c.undoes == lines.c.number)
            .where(among(connection, lines.c.uid, named[start : start + CHUNK]))
        )
        for uid, number, key, verdict, taken_back in found:
            known[uid] = number, verdict and key
            if taken_back is not None:
                undone.add(number)
    return known, undone


def line_of(row: Row[Any]) -> Line:
    """Turn a row of the table into a line."""
    cells: tuple[Any, ...] = tuple(row)
    number, uid, key, verdict, reviewer, at, note, model, why, place, turn, undoes = cells
    said = None if verdict is None else Verdict(verdict)
    return Line(key, said, reviewer, note, model, why, place, turn, undoes, number, uid, at)


def check(judgment: Judgment) -> None:
    """Raise ``LabelError`` for what cannot be a line."""
    if not judgment.key:
        raise LabelError(f"a verdict needs the key of a row; the key is empty in {judgment}.")
    if (judgment.verdict is None) == (judgment.undoes is None):
        raise LabelError(f"give a verdict, or the number of a line to undo: {judgment}.")
    if judgment.verdict is not None and judgment.verdict not in set(Verdict):
        raise LabelError(f"{judgment.verdict!r} is no verdict; give one of {', '.join(Verdict)}.")
    _check_cells(vars(judgment), texts=("key", "reviewer", "note", "model", "why"))


def check_wish(wish: Question) -> None:
    """Raise ``LabelError`` for what cannot be asked."""
    if not wish.key:
        raise LabelError(f"a question needs the key of a row; the key is empty in {wish}.")
    _check_cells(vars(wish), texts=("key", "model", "why"))


def _check_cells(cells: Mapping[str, Any], texts: Sequence[str]) -> None:
    for name in texts:
        text = cells[name]
        if not isinstance(text, str):
            raise LabelError(f"{name} is {text!r}; give it as text.")
        if "\0" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
            raise LabelError(f"{name} is {text!r}, with a character that no database keeps.")
    for name in ("place", "turn"):
        count = cells[name]
        # No bool and no number of NumPy: databases refuse them, or keep them as something else.
        if count is not None and (type(count) is not int or not 0 <= count < _TOO_LARGE):
            raise LabelError(
                f"{name} is {count!r}; give a whole number (int) of 0 or more and below 2**62, "
                "or None where nobody asked."
            )


def check_undone(connection: Connection, undos: Sequence[Judgment]) -> None:
    """Raise ``LabelError`` where what is to be undone does not stand."""
    seen = set[int | None]()
    for undo in undos:
        row = connection.execute(
            select(lines.c.key, lines.c.verdict).where(lines.c.number == undo.undoes)
        ).first()
        if row is None or row.verdict is None or row.key != undo.key:
            raise LabelError(
                f"line {undo.undoes} cannot be undone: it is no verdict on {undo.key!r}."
            )
        again = select(lines.c.number).where(lines.c.undoes == undo.undoes)
        if undo.undoes in seen or connection.scalar(again) is not None:
            raise LabelError(f"line {undo.undoes} cannot be undone: it is already.")
        seen.add(undo.undoes)
