"""Lines as CSV: Askew's own, and those that people write by hand."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from askew.atomic import replacing
from askew.errors import FileError, LabelError
from askew.labels import read_labels
from askew.review.verdicts import Line, Verdict
from askew.table.dialect import dialect_of

_NEEDED = ("key", "verdict")
_COLUMNS = (
    "uid",
    "key",
    "verdict",
    "reviewer",
    "at",
    "note",
    "model",
    "why",
    "place",
    "turn",
    "undoes",
)


@dataclass(frozen=True)
class Row:
    """One line of a file; ``where`` says where it stands, ``undoes`` the uid it takes back."""

    where: str
    uid: str
    key: str
    verdict: Verdict | None
    reviewer: str
    at: datetime | None
    note: str
    model: str
    why: str
    place: int | None
    turn: int | None
    undoes: str


def write_lines(path: str | os.PathLike[str], lines: Sequence[Line]) -> None:
    """Write all lines, in order, whole or not at all.

    Raises
    ------
    FileError
        The file cannot be written.
    """
    uids = {line.number: line.uid for line in lines}
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for line in lines:
            cells = {
                **vars(line),
                "verdict": line.verdict or "",
                "at": f"{line.at:%Y-%m-%dT%H:%M:%S.%fZ}",
                "undoes": "" if line.undoes is None else uids[line.undoes],
            }
            writer.writerow([cells[column] for column in _COLUMNS])


def read_rows(source: str | os.PathLike[str] | Iterable[Mapping[str, str]]) -> list[Row]:
    """Read a CSV file, whatever its header is separated by, or mappings from its columns.

    A row without ``uid`` is named by its content and by how often the same content stands above
    it, so that the same file read again names the same lines.

    Raises
    ------
    FileError
        The file cannot be read, or its columns are not those of verdicts.
    LabelError
        A cell that cannot be read.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            data = path.read_bytes()
            text = io.StringIO(data.decode("utf-8-sig"), newline="")
            separator = dialect_of(data, ",").separator
            cells = list(_cells(csv.reader(text, delimiter=separator, strict=True), path))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            if isinstance(error, FileError):
                raise
            reason = getattr(error, "strerror", None) or error
            raise FileError(f"{path} cannot be read as a CSV file in UTF-8: {reason}") from error
    else:
        cells = [(f"row {number}", dict(row)) for number, row in enumerate(source, 1)]
        for where, row in cells:
            _check_columns(list(row), where)
    return _rows(cells)


def _cells(reader: Iterable[list[str]], path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    rows = iter(reader)
    header = [name.strip() for name in next(rows, [])]
    _check_columns(header, str(path))
    for cells in rows:
        if not cells:
            continue
        where = f"line {reader.line_num} of {path.name}"  # type: ignore[attr-defined]
        if len(cells) != len(header):
            raise FileError(
                f"{where} has {len(cells)} cells and the header names {len(header)} "
                "columns; quote cells that hold what separates them."
            )
        yield where, dict(zip(header, cells, strict=True))


def _check_columns(names: Sequence[str], where: str) -> None:
    strange = [name for name in names if name not in _COLUMNS]
    if strange or len(set(names)) < len(names) or not set(_NEEDED) <= set(names):
        raise FileError(
            f"{where} has the columns {', '.join(map(repr, names)) or '(none)'}; verdicts need "
            f"{' and '.join(_NEEDED)}, and may have {', '.join(_COLUMNS)}, each once. Rename or "
            "drop the others."
        )


def _rows(cells: list[tuple[str, dict[str, str]]]) -> list[Row]:
    verdicts = _verdicts({where: row["verdict"] for where, row in cells})
    seen: dict[str, int] = {}
    rows = []
    for where, row in cells:
        get = row.get
        verdict, at, undoes = verdicts[where], _instant(get("at", ""), where), get("undoes", "")
        key, reviewer = row["key"], get("reviewer", "")
        if (verdict is None) == (not undoes):
            raise LabelError(
                f"{where} has the verdict {row['verdict']!r} and undoes {undoes!r}; give one of "
                "the two."
            )
        uid = get("uid", "")
        if not uid:
            content = [
                key,
                verdict,
                reviewer,
                at.isoformat() if at else "",
                *([undoes] * bool(undoes)),
            ]
            told = json.dumps(content)
            seen[told] = seen.get(told, 0) + 1
            if seen[told] > 1:
                told += str(seen[told])
            uid = hashlib.sha256(told.encode()).hexdigest()[:32]
        rows.append(
            Row(
                where, uid, key, verdict, reviewer, at,
                get("note", ""), get("model", ""), get("why", ""),
                _count(row, "place", where), _count(row, "turn", where), undoes,
            )
        )  # fmt: skip
    return rows


def _verdicts(words: dict[str, str]) -> dict[str, Verdict | None]:
    """Read verdicts by where they stand, with the reader that every surface of Askew shares."""
    kinds = {word: where for where, word in words.items()}
    try:
        said = read_labels({where: word for word, where in kinds.items()}, n_rows=len(kinds),
                           keys=list(kinds.values()), column="verdict").words()  # fmt: skip
    except LabelError:
        # Again with all of them, for a message that counts.
        read_labels(words, n_rows=len(words), keys=list(words), column="verdict")
        raise
    known = {
        word: None if name is None else Verdict(name)
        for word, name in zip(kinds, said, strict=True)
    }
    return {where: known[word] for where, word in words.items()}


def _count(row: dict[str, str], name: str, where: str) -> int | None:
    text = row.get(name, "")
    if not text.strip():
        return None
    # 19 digits: whether these are too large is checked with all other lines.
    if not re.fullmatch("[0-9]{1,19}", text.strip()):
        raise LabelError(
            f"{where} has the {name} {text!r}; write a whole number of 0 or more and below "
            "2**62, or leave the cell blank."
        )
    return int(text)


def _instant(text: str, where: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise LabelError(
            f"{where} has the time {text!r}; write it as 2026-05-31 or 2026-05-31T14:05:00+02:00 "
            "(without a zone it is UTC)."
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
