"""Requests that wait together are scored together, by one thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Self

import narwhals.stable.v2 as nw
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from askew.model import Askew
from askew.reasons import Reason
from askew.serving.bodies import Rows
from askew.serving.faults import BusyError, TooLargeError

BATCH = 1024  # rows scored at a time: what a short request waits for behind a long one
HELD = 512 * 1024 * 1024  # bytes of rows that wait, and of what is found of them
REASON = 256  # bytes of a reason
STOPPED = "scoring has stopped; start the server again"

_log = logging.getLogger(__name__)


@dataclass
class Scored:
    """What was found of some rows.

    Parameters
    ----------
    score, percentile
        (n,) as the columns of ``Askew.rank``.
    reasons
        Of each row, the strongest first.
    """

    score: NDArray[np.float64]
    percentile: NDArray[np.float64]
    reasons: list[list[Reason]]

    @classmethod
    def joined(cls, parts: list[Scored]) -> Scored:
        """Put pieces of one request together."""
        return cls(
            np.concatenate([part.score for part in parts]),
            np.concatenate([part.percentile for part in parts]),
            [row for part in parts for row in part.reasons],
        )


@dataclass
class _Job:
    rows: Rows
    n_reasons: int
    begun: int = 0  # rows taken into a batch so far
    parts: list[Scored] = field(default_factory=list)
    future: Future[Scored] = field(default_factory=Future)

    def piece(self, n: int) -> Piece:
        """Take the next rows."""
        start, self.begun = self.begun, min(self.begun + n, len(self.rows))
        return Piece(self, slice(start, self.begun))

    @property
    def left(self) -> bool:
        return self.begun < len(self.rows) and not self.future.done()


@dataclass(frozen=True)
class Piece:
    """Some rows of one request."""

    job: _Job
    where: slice

    @property
    def x(self) -> NDArray[np.float32]:
        """Give the encoded rows."""
        return self.job.rows.x[self.where]

    @property
    def table(self) -> pa.Table:
        """Give the rows."""
        return self.job.rows.table.slice(self.where.start, self.where.stop - self.where.start)


class Batcher:
    """Scores rows by a model, off the caller's thread.

    Each batch takes as many rows of every request that waits, so that a long one does not hold up
    the others. Rows are scored and explained each by itself: what stands beside them changes
    nothing. Rows and what is found of them are held until ``release``. Close it, or use it as a
    context.

    Parameters
    ----------
    model
        Fitted.
    told
        Called with the number of rows of every batch.
    """

    def __init__(self, model: Askew, told: Callable[[int], None] = lambda n: None) -> None:
        self.model, self._told = model, told
        self._waiting: list[_Job] = []
        self._held = 0
        self._closed = False
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="askew-scoring", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether what is submitted will be scored."""
        return self._thread.is_alive()

    def submit(self, rows: Rows, n_reasons: int) -> Future[Scored]:
        """Line rows up to be scored, each with so many reasons at the most.

        Raises
        ------
        TooLargeError
            The rows and their reasons are more than is held at all.
        BusyError
            Too much is held already, or nothing is scored any more.
        """
        cost = self._cost(rows, n_reasons)
        if cost > HELD:
            raise TooLargeError(
                f"the rows and their reasons would take {cost:,} bytes, and {HELD:,} are held at "
                "once; send fewer rows in a request, or ask for fewer reasons"
            )
        job = _Job(rows, n_reasons)
        job.future.set_running_or_notify_cancel()  # nobody may cancel it from here on
        with self._changed:
            if self._closed:
                raise BusyError(STOPPED)
            if self._held + cost > HELD:
                raise BusyError("too many rows are waiting; try again in a second")
            self._held += cost
            self._waiting.append(job)
            self._changed.notify()
        return job.future

    def release(self, rows: Rows, n_reasons: int) -> None:
        """Hold what was submitted, and what was found of it, no longer."""
        with self._changed:
            self._held -= self._cost(rows, n_reasons)

    def _cost(self, rows: Rows, n_reasons: int) -> int:
        """Give the bytes that a request takes until its reply is written."""
        return rows.n_bytes + REASON * len(rows) * min(n_reasons, len(self.model.schema_.used))

    def close(self) -> None:
        """Score what waits, and take nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        pieces: list[Piece] = []
        try:
            while pieces := self._next():
                self._told(sum(len(piece.x) for piece in pieces))
                self._score(pieces)
        except BaseException:
            _log.exception("scoring has stopped")
        finally:
            with self._changed:
                self._closed = True
                left = [*(piece.job for piece in pieces), *self._waiting]
                self._waiting = []
            for job in left:
                self._fail(job, RuntimeError(STOPPED))

    def _next(self) -> list[Piece]:
        """Wait for rows; nothing where it was closed and all is done."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            jobs = self._waiting[:BATCH]
            pieces = [job.piece(max(1, BATCH // len(jobs))) for job in jobs]
            self._waiting = [job for job in self._waiting if job.left]
            return pieces

    def _score(self, pieces: list[Piece]) -> None:
        """Score a batch; where it fails as a whole, only the request at fault shall fail."""
        try:
            found = self._scored(pieces)
        except Exception as error:
            if len(pieces) > 1:
                for piece in pieces:
                    self._score([piece])
                return
            _log.exception("rows could not be scored")
            self._fail(pieces[0].job, error)
        else:
            for piece, scored in zip(pieces, found, strict=True):
                self._hand_out(piece, scored)

    def _hand_out(self, piece: Piece, scored: Scored) -> None:
        job = piece.job
        job.parts.append(scored)
        if piece.where.stop == len(job.rows):
            try:
                job.future.set_result(Scored.joined(job.parts))
            except Exception as error:
                _log.exception("scores could not be handed out")
                self._fail(job, error)

    def _fail(self, job: _Job, error: Exception) -> None:
        with self._changed:
            self._waiting = [other for other in self._waiting if other is not job]
        if not job.future.done():
            job.future.set_exception(error)

    def _scored(self, pieces: list[Piece]) -> list[Scored]:
        score = self.model.score_encoded(np.concatenate([piece.x for piece in pieces]))
        percentile = self.model.percentile_of(score)
        ends = np.cumsum([len(piece.x) for piece in pieces])[:-1]
        return [
            Scored(*part)
            for part in zip(
                np.split(score, ends),
                np.split(percentile, ends),
                self._explained(pieces),
                strict=True,
            )
        ]

    def _explained(self, pieces: list[Piece]) -> list[list[list[Reason]]]:
        """Give each piece its rows' reasons; pieces whose columns have one type go together."""
        found: list[list[list[Reason]]] = [[[] for _ in piece.x] for piece in pieces]
        alike: dict[pa.Schema, list[int]] = {}
        for i, piece in enumerate(pieces):
            if piece.job.n_reasons:
                alike.setdefault(piece.job.rows.table.schema, []).append(i)
        for numbers in alike.values():
            chosen = [pieces[i] for i in numbers]
            said = iter(
                self.model.explain_encoded(
                    nw.from_native(pa.concat_tables(p.table for p in chosen), eager_only=True),
                    np.concatenate([piece.x for piece in chosen]),
                    top=max(piece.job.n_reasons for piece in chosen),
                )
            )
            for i, piece in zip(numbers, chosen, strict=True):
                found[i] = [next(said)[: piece.job.n_reasons] for _ in piece.x]
        return found
