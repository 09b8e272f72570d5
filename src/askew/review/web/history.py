"""What has been judged, newest first, as the page shows and searches it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from askew.review.session import Session
from askew.review.verdicts import Line


@dataclass(frozen=True)
class Entry:
    """A judged row.

    Parameters
    ----------
    key
        Of the row.
    verdict
        What holds of it.
    mine
        What the history's reviewer says of it; None where they said nothing.
    by
        The verdict of each reviewer, the one who spoke last at the end.
    disputed
        Whether they disagree.
    note
        The reviewer's own where there is one, else the latest.
    at
        When the latest verdict was given, UTC.
    number
        Of its line.
    """

    key: str
    verdict: str
    mine: str | None
    by: tuple[tuple[str, str], ...]
    disputed: bool
    note: str
    at: datetime
    number: int


class History:
    """Reads a session's store as it grows. Threads may share it.

    Parameters
    ----------
    session
        Whose store it is.
    reviewer
        Whose own verdicts and notes are told apart.
    """

    def __init__(self, session: Session, reviewer: str) -> None:
        self._session, self._reviewer = session, reviewer
        self._lock = Lock()
        self._lines: dict[str, list[Line]] = {}
        self._undone: set[int] = set()
        self._entries: dict[str, Entry] = {}
        self._sorted: list[Entry] | None = None
        self.number = 0

    def entries(self) -> list[Entry]:
        """Give every row on which a verdict stands, the latest first."""
        self._read()
        with self._lock:
            if self._sorted is None:
                self._sorted = sorted(self._entries.values(), key=lambda entry: -entry.number)
            return self._sorted

    def of(self, key: str) -> Entry | None:
        """Give the entry of a row; None where no verdict stands."""
        self._read()
        return self._entries.get(key)

    def search(self, text: str) -> list[Entry]:
        """Find entries by a part of key, note, verdict or reviewer, whatever the case."""
        wanted = text.strip().casefold()
        return [
            entry
            for entry in self.entries()
            if wanted
            in " ".join(
                (entry.key, entry.verdict, entry.note, *(who for who, _ in entry.by))
            ).casefold()
        ]

    def disputed(self) -> list[Entry]:
        """Give the rows on which reviewers disagree."""
        return [entry for entry in self.entries() if entry.disputed]

    def last(self) -> str | None:
        """Give the key of the verdict given last."""
        found = self.entries()
        return found[0].key if found else None

    def beside(self, key: str) -> tuple[str | None, str | None]:
        """Give the keys of the verdicts before and after that of a row; before any, the last."""
        keys = [entry.key for entry in self.entries()]
        if key not in keys:
            return (keys[0] if keys else None), None
        at = keys.index(key)
        return (keys[at + 1] if at + 1 < len(keys) else None), (keys[at - 1] if at else None)

    def _read(self) -> None:
        with self._lock:
            new = self._session.store.lines(since=self.number)
            if not new:
                return
            for line in new:
                self._lines.setdefault(line.key, []).append(line)
                if line.undoes is not None:
                    self._undone.add(line.undoes)
            standing = self._session.standing
            for key in {line.key for line in new}:
                held = standing.get(key)
                said = [
                    line
                    for line in self._lines[key]
                    if line.verdict is not None and line.number not in self._undone
                ]
                if held is None or not said:
                    self._entries.pop(key, None)
                    continue
                me = self._reviewer
                own = [line for line in said if line.reviewer == me]
                self._entries[key] = Entry(
                    key=key,
                    verdict=str(held.verdict),
                    mine=str(held.by[me]) if me in held.by else None,
                    by=tuple((who, str(verdict)) for who, verdict in held.by.items()),
                    disputed=held.disputed,
                    note=(own or said)[-1].note,
                    at=said[-1].at,
                    number=said[-1].number,
                )
            self.number, self._sorted = new[-1].number, None
