"""Judging, taking back, leasing: what a store does."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, select

from askew.errors import StoreError
from askew.review.store import csv_file, leasing
from askew.review.store.database import Database
from askew.review.store.entries import (
    CHUNK,
    STANDS,
    check,
    check_undone,
    check_wish,
    last_number,
    line_of,
    new_lines,
    read_lines,
    write_lines,
)
from askew.review.store.migrating import prepare
from askew.review.store.schema import leases, lines
from askew.review.verdicts import Judgment, Line, Question, Rule, Standing, Verdict, settle


def _utc_now() -> datetime:
    return datetime.now(UTC)


def open_store(
    place: str | os.PathLike[str],
    *,
    timeout: float = 5.0,
    clock: Callable[[], datetime] = _utc_now,
) -> Store:
    """Open a store of verdicts; make it where there is none, migrate an older one.

    Before an SQLite file is migrated, it is copied to ``FILE.backup-REVISION``.

    Parameters
    ----------
    place
        Path of an SQLite file, or a URL: ``postgresql://USER@HOST/DATABASE``, ``sqlite:///FILE``.
    timeout
        Seconds to wait while another program writes.
    clock
        Gives the present, with its zone.

    Raises
    ------
    StoreError
        It cannot be opened, belongs to another program or to a newer version of Askew.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, open_store(f"{folder}/verdicts.db") as store:
    ...     _ = store.add([Judgment("tx-8812", Verdict.ANOMALY, "ana")])
    ...     print(store.standings()["tx-8812"].verdict)
    anomaly
    """
    database = Database(place, timeout)
    try:
        prepare(database)
    except BaseException:
        database.close()
        raise
    return Store(database, clock)


class Store:
    """Lines that are only ever added, and leases that run out.

    Threads may share a store; each process opens its own. Every method raises ``StoreError``
    where the database fails. What has been returned is on the disk.

    Parameters
    ----------
    database, clock
        See `open_store`.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._open = True

    def add(self, judgments: Sequence[Judgment]) -> list[Line]:
        """Write judgments, all or none, and end their reviewers' leases of those rows.

        A verdict that leaves ``why``, ``place``, ``model`` and ``turn`` all unset takes them from
        such a lease, also from one that has run out, until the row is leased anew.

        Returns
        -------
        The lines as they stand, in the order given.

        Raises
        ------
        LabelError
            An empty key, text or a number that cannot be stored, or an undo of what does not
            stand.
        """
        for judgment in judgments:
            check(judgment)
        with self._writing() as connection:
            check_undone(connection, [j for j in judgments if j.verdict is None])
            return self._append(connection, judgments)

    def undo(self, reviewer: str) -> Line | None:
        """Take back the last line of `reviewer` that stands, by one more line.

        Returns
        -------
        The line taken back; None where nothing is left.
        """
        with self._writing() as connection:
            row = connection.execute(
                select(lines)
                .where(lines.c.reviewer == reviewer, STANDS)
                .order_by(lines.c.number.desc())
                .limit(1)
            ).first()
            if row is None:
                return None
            line = line_of(row)
            self._append(connection, [Judgment(line.key, None, reviewer, undoes=line.number)])
            return line

    def lines(self, since: int = 0) -> list[Line]:
        """Read the lines with a number above `since`, in order.

        Numbers are given in the order of commit and without gaps: whoever has read up to a number
        misses nothing by asking for what comes after it.
        """
        with self._reading() as connection:
            return read_lines(connection, since)

    def standings(self, rule: Rule = "latest") -> dict[str, Standing]:
        """Find what holds of each judged row; as `askew.review.verdicts.standings` does.

        Raises
        ------
        MethodError
            There is no such rule.
        """
        said = select(lines.c.key, lines.c.reviewer, lines.c.verdict)
        with self._reading() as connection:
            rows = connection.execute(said.where(STANDS).order_by(lines.c.number)).all()
        verdict = {one.value: one for one in Verdict}
        return settle(((key, reviewer, verdict[word]) for key, reviewer, word in rows), rule)

    def lease(
        self, wishes: Sequence[Question], n: int, reviewer: str, seconds: float = 300
    ) -> list[Question]:
        """Lease rows to a reviewer, so that nobody else is shown them.

        The verdict that answers takes on why, when and by what model the row was asked: see `add`.

        Parameters
        ----------
        wishes
            Best first, a row at its first place; their turns are not read.
        n
            Leases at most.
        reviewer
            Whose other leases stay as they are.
        seconds
            Until a lease runs out. Time is this machine's: where several share a store, their
            clocks should agree.

        Returns
        -------
        The first `n` wishes that nobody else holds and nobody's verdict stands on. New ones have
        turns that no question of the store has had, rising in this order; those that the reviewer
        holds already are renewed, and stay as they were first asked.

        Raises
        ------
        LabelError
            A wish with an empty key, or with text or a place that cannot be stored.
        """
        if n < 1:
            return []
        wanted: dict[str, Question] = {}
        for wish in wishes:
            wanted.setdefault(wish.key, wish)
        queue = list(wanted.values())
        chosen: list[Question] = []
        with self._writing() as connection:
            now = self._now()
            start, size = 0, min(2 * n, CHUNK)  # most often the first few will do
            while len(chosen) < n and start < len(queue):
                part = queue[start : start + size]
                for wish in part:
                    check_wish(wish)
                chosen += leasing.askable(connection, part, reviewer, now)
                start, size = start + size, CHUNK
            until = now + timedelta(seconds=seconds)
            return leasing.ask(connection, chosen[:n], reviewer, until)

    def release(self, keys: Iterable[str], reviewer: str) -> None:
        """End the leases that `reviewer` holds of these rows; the questions are withdrawn."""
        with self._writing() as connection:
            leasing.end(connection, keys, reviewer)

    def questions(self, reviewer: str) -> list[Question]:
        """Read what is before `reviewer` now, in the order of turns."""
        with self._reading() as connection:
            return leasing.of_reviewer(connection, reviewer, self._now())

    def leased(self) -> dict[str, str]:
        """Tell who holds which row now."""
        held = select(leases.c.key, leases.c.reviewer).where(leasing.running(self._now()))
        with self._reading() as connection:
            return {key: reviewer for key, reviewer in connection.execute(held)}

    def export_csv(self, path: str | os.PathLike[str]) -> int:
        """Write all lines to a CSV file that `import_csv` reads; return how many.

        Raises
        ------
        FileError
            The file cannot be written.
        """
        found = self.lines()
        csv_file.write_lines(path, found)
        return len(found)

    def import_csv(
        self, source: str | os.PathLike[str] | Iterable[Mapping[str, str]]
    ) -> tuple[int, int]:
        """Add the lines of a CSV file that the store does not have yet, all or none.

        Parameters
        ----------
        source
            A file, or rows that map its columns to text: ``key`` and ``verdict`` (in any word or
            digit that `askew.labels.read_labels` takes), perhaps ``reviewer``, ``at`` (ISO 8601,
            UTC where it names no zone), ``note``, ``model``, ``why``, ``place`` and
            ``turn`` (whole numbers, blank where nobody asked); besides, as `export_csv` writes
            them, ``uid`` and ``undoes``. A row without uid is known by its key, verdict, reviewer
            and time.

        Returns
        -------
        How many lines were added, and how many were there already.

        Raises
        ------
        FileError
            The file cannot be read, or its columns are others.
        LabelError
            A cell that cannot be read; line and value are named.
        """
        rows = csv_file.read_rows(source)
        with self._writing() as connection:
            new = new_lines(connection, rows, self._now())
            write_lines(connection, new)
        return len(new), len(rows) - len(new)

    def close(self) -> None:
        """Close the store; it may be closed twice."""
        self._open = False
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _append(self, connection: Connection, judgments: Sequence[Judgment]) -> list[Line]:
        """Write judgments under the next numbers; only one transaction at a time comes here."""
        if not judgments:
            return []
        at, first = self._now(), last_number(connection) + 1
        added = [
            Line(
                judgment.key,
                None if judgment.verdict is None else Verdict(judgment.verdict),
                judgment.reviewer,
                judgment.note,
                judgment.model,
                judgment.why,
                judgment.place,
                judgment.turn,
                judgment.undoes,
                number,
                secrets.token_hex(16),
                at,
            )
            for number, judgment in enumerate(leasing.answer(connection, judgments), first)
        ]
        write_lines(connection, added)
        return added

    def _now(self) -> datetime:
        return self._clock().astimezone(UTC)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        self._check_open()
        with self._database.reading() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        self._check_open()
        with self._database.writing() as connection:
            yield connection

    def _check_open(self) -> None:
        if not self._open:
            raise StoreError(f"the store {self._database.name} is closed; open it again.")
