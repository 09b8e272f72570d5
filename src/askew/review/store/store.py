"""Judging, taking back, leasing: what a store does."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, bindparam, delete, insert, select

from askew.errors import StoreError
from askew.review.store import csv_file
from askew.review.store.database import Database
from askew.review.store.entries import (
    CHUNK,
    STANDS,
    among,
    check,
    check_undone,
    last_number,
    line_of,
    new_lines,
    read_lines,
    write_lines,
)
from askew.review.store.migrating import prepare
from askew.review.store.schema import leases, lines
from askew.review.verdicts import Judgment, Line, Rule, Standing, Verdict, settle


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
        """Write judgments, all or none, and release their reviewers' leases of those rows.

        Returns
        -------
        The lines as they stand, in the order given.

        Raises
        ------
        LabelError
            An empty key, text that cannot be stored, or an undo of what does not stand.
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
        self, wishes: Sequence[str], n: int, reviewer: str, seconds: float = 300
    ) -> list[str]:
        """Lease rows to a reviewer, so that nobody else is shown them.

        Parameters
        ----------
        wishes
            Keys, best first.
        n
            Leases at most.
        reviewer
            Whose other leases stay as they are.
        seconds
            Until a lease runs out. Time is this machine's: where several share a store, their
            clocks should agree.

        Returns
        -------
        The first `n` wishes that nobody else holds and nobody's verdict stands on; those that the
        reviewer holds already among them, renewed.
        """
        if n < 1:
            return []
        wanted = list(dict.fromkeys(wishes))
        chosen: list[str] = []
        with self._writing() as connection:
            now = self._now()
            connection.execute(delete(leases).where(leases.c.until <= now))
            start, size = 0, min(2 * n, CHUNK)  # most often the first few will do
            while len(chosen) < n and start < len(wanted):
                part = wanted[start : start + size]
                taken = _taken(connection, part, reviewer)
                chosen += [key for key in part if key not in taken]
                start, size = start + size, CHUNK
            chosen = chosen[:n]
            _drop(connection, chosen, reviewer)
            until = now + timedelta(seconds=seconds)
            rows = [{"key": key, "reviewer": reviewer, "until": until} for key in chosen]
            if rows:
                connection.execute(insert(leases), rows)
        return chosen

    def release(self, keys: Iterable[str], reviewer: str) -> None:
        """End the leases that `reviewer` holds of these rows."""
        with self._writing() as connection:
            _drop(connection, keys, reviewer)

    def leased(self) -> dict[str, str]:
        """Tell who holds which row now."""
        running = select(leases.c.key, leases.c.reviewer).where(leases.c.until > self._now())
        with self._reading() as connection:
            return {key: reviewer for key, reviewer in connection.execute(running)}

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
            UTC where it names no zone), ``note``, ``model``, ``why``; besides, as `export_csv`
            writes them, ``uid`` and ``undoes``. A row without uid is known by its key, verdict,
            reviewer and time.

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
                judgment.undoes,
                number,
                secrets.token_hex(16),
                at,
            )
            for number, judgment in enumerate(judgments, first)
        ]
        write_lines(connection, added)
        held = [{"k": line.key, "r": line.reviewer} for line in added if line.verdict is not None]
        if held:
            connection.execute(_RELEASE, held)
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


_RELEASE = delete(leases).where(leases.c.key == bindparam("k"), leases.c.reviewer == bindparam("r"))


def _drop(connection: Connection, keys: Iterable[str], reviewer: str) -> None:
    rows = [{"k": key, "r": reviewer} for key in keys]
    if rows:
        connection.execute(_RELEASE, rows)


def _taken(connection: Connection, keys: Sequence[str], reviewer: str) -> set[str]:
    """Find which rows are held by others, or judged."""
    held = select(leases.c.key).where(
        among(connection, leases.c.key, keys), leases.c.reviewer != reviewer
    )
    # An undo carries the key of what it takes back, so these lines are all there is to know.
    said = connection.execute(
        select(lines.c.key, lines.c.number, lines.c.verdict, lines.c.undoes).where(
            among(connection, lines.c.key, keys)
        )
    ).all()
    undone = {undoes for _, _, _, undoes in said}
    judged = {key for key, number, verdict, _ in said if verdict and number not in undone}
    return judged | set(connection.scalars(held))
