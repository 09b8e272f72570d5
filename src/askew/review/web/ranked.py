"""The ranked table, a page at a time: sorted and filtered here, not in the browser."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from askew.errors import DataError, MethodError
from askew.labels import Label
from askew.ranking import order_of, shared_ranks
from askew.review.session import Ranking, Session
from askew.review.web.words import Cell, cell

SIZE = 50  # rows of a page
WIDE = 8  # columns of the table that are shown, from the first
KEPT = 8  # columns whose order is kept
RANK = "askew_rank"

FILTERS: dict[str, str] = {
    "all": "all rows",
    "anomaly": "anomaly",
    "normal": "normal",
    "unsure": "unsure",
    "judged": "judged",
    "open": "not judged",
    "disputed": "reviewers disagree",
}


@dataclass(frozen=True)
class Row:
    """A row of the ranked table; ``verdict`` is None where there is none."""

    key: str
    row: int
    rank: int
    score: float
    verdict: str | None
    disputed: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Page:
    """A page of the ranked table.

    Parameters
    ----------
    rows
        ``SIZE`` at most.
    columns
        Names of the cells.
    number, n_pages
        From 1; there is one page at least.
    n_rows
        That pass the filters.
    sort, descending, verdict, column, holds
        As asked for.
    """

    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    number: int
    n_pages: int
    n_rows: int
    sort: str
    descending: bool
    verdict: str
    column: str
    holds: str


class NoSuchColumnError(DataError):
    """A name that no column of the table has."""


class RankedTable:
    """Pages of a session's table by the ranking in force. Threads may share it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._frame = session.prepared.table.frame
        # The column that names the rows stands before the cells already.
        self._shown = tuple(session.prepared.table.columns.columns[:WIDE])
        self._row = {key: row for row, key in enumerate(session.keys)}
        self._lock = Lock()
        self._orders: OrderedDict[str, NDArray[np.intp]] = OrderedDict()

    @property
    def columns(self) -> list[str]:
        """All columns, by which it may be sorted and filtered."""
        return list(self._frame.columns)

    def page(
        self,
        number: int = 1,
        *,
        sort: str = RANK,
        descending: bool = False,
        verdict: str = "all",
        column: str = "",
        holds: str = "",
    ) -> Page:
        """Give a page; one beyond the last is the last.

        Parameters
        ----------
        number
            From 1.
        sort, descending
            ``"askew_rank"`` or a column; missing cells come last. Equal cells are by rank.
        verdict
            A name in ``FILTERS``.
        column, holds
            Only rows whose cell of this column holds this text, whatever the case.

        Raises
        ------
        NoSuchColumnError
            There is no such column.
        MethodError
            There is no such filter.
        """
        for name in ({sort} - {RANK}) | ({column} - {""}):
            if name not in self._frame.columns:
                raise NoSuchColumnError(f"the table has no column {name[:100]!r}")
        if verdict not in FILTERS:
            raise MethodError(f"verdict is {verdict!r}; give one of {', '.join(FILTERS)}")
        ranking = self._session.ranking
        ranked = self._kept(
            f"ranking {ranking.model.id_}", lambda: _by_rank(ranking, self._session)
        )
        order = ranked if sort == RANK else self._by_column(sort, descending, ranked)
        if sort == RANK and descending:
            order = order[::-1]
        wanted = self._wanted(verdict)
        if column and holds:
            wanted = wanted & self._holding(column, holds)
        order = order[wanted[order]]
        n_pages = max(1, -(-len(order) // SIZE))
        number = min(number, n_pages)
        rows = order[(number - 1) * SIZE : number * SIZE]
        return Page(
            rows=self._rows(ranking, rows, ranked),
            columns=self._shown,
            number=number,
            n_pages=n_pages,
            n_rows=len(order),
            sort=sort,
            descending=descending,
            verdict=verdict,
            column=column,
            holds=holds,
        )

    def _rows(
        self, ranking: Ranking, rows: NDArray[np.intp], ranked: NDArray[np.intp]
    ) -> tuple[Row, ...]:
        if not len(rows):
            return ()
        ranks = shared_ranks(ranking.scores[ranked])
        place = np.empty(len(ranked), np.intp)
        place[ranked] = np.arange(len(ranked))
        standing, label = self._session.standing, self._session.label
        cells = self._frame.select(self._shown)[rows.tolist()].rows()
        found = []
        for row, values in zip(rows.tolist(), cells, strict=True):
            key = self._session.keys[row]
            held = standing.get(key)
            given = {Label.ANOMALY: "anomaly", Label.NORMAL: "normal"}.get(Label(int(label[row])))
            found.append(
                Row(
                    key=key,
                    row=row,
                    rank=int(ranks[place[row]]),
                    score=float(ranking.scores[row]),
                    verdict=given if held is None else str(held.verdict),
                    disputed=held is not None and held.disputed,
                    cells=tuple(cell(value) for value in values),
                )
            )
        return tuple(found)

    def _wanted(self, verdict: str) -> NDArray[np.bool_]:
        label = self._session.label
        if verdict == "all":
            return np.ones(len(label), bool)
        if verdict in ("anomaly", "normal"):
            return np.asarray(label == Label[verdict.upper()])
        standing = self._session.standing
        unsure = self._mask(key for key, held in standing.items() if held.verdict == "unsure")
        if verdict == "unsure":
            return unsure
        if verdict == "disputed":
            return self._mask(key for key, held in standing.items() if held.disputed)
        judged = (label != Label.UNLABELED) | unsure
        return np.asarray(judged if verdict == "judged" else ~judged)

    def _mask(self, keys: Any) -> NDArray[np.bool_]:
        mask = np.zeros(len(self._session.keys), bool)
        mask[[self._row[key] for key in keys]] = True
        return mask

    def _holding(self, column: str, text: str) -> NDArray[np.bool_]:
        found = pc.match_substring(self._texts(column), text, ignore_case=True)
        return np.asarray(found.fill_null(False).to_numpy(zero_copy_only=False), bool)

    def _texts(self, column: str) -> pa.Array:
        cells = _array(self._frame, column)
        try:
            return cells.cast(pa.large_string())
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # nested, or not text at all
            return pa.array([None if v is None else str(v) for v in cells.to_pylist()])

    def _by_column(self, name: str, descending: bool, ranked: NDArray[np.intp]) -> NDArray[np.intp]:
        """Sort by a column; equal cells stay by rank."""
        codes = self._kept(f"column {name}", lambda: self._codes(name))
        keys = codes[ranked]
        if descending:
            keys = np.where(keys == len(codes), keys, -keys)
        return ranked[np.argsort(keys, kind="stable")]

    def _codes(self, name: str) -> NDArray[np.intp]:
        """Give each cell of a column its place by size, equal ones alike; missing ones highest."""
        cells = _array(self._frame, name)
        try:
            rank = pc.rank(cells, sort_keys="ascending", tiebreaker="min")
        except (pa.ArrowNotImplementedError, TypeError):
            cells = self._texts(name)
            rank = pc.rank(cells, sort_keys="ascending", tiebreaker="min")
        codes: NDArray[np.intp] = rank.to_numpy(zero_copy_only=False).astype(np.intp) - 1
        missing = cells.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
        codes[missing] = len(codes)
        return codes

    def _kept(self, name: str, make: Callable[[], NDArray[np.intp]]) -> NDArray[np.intp]:
        with self._lock:
            if name not in self._orders:
                self._orders[name] = make()
            self._orders.move_to_end(name)
            while len(self._orders) > KEPT:
                self._orders.popitem(last=False)
            return self._orders[name]


def _by_rank(ranking: Ranking, session: Session) -> NDArray[np.intp]:
    return order_of(ranking.scores, session.prepared.x)


def _array(frame: Any, name: str) -> pa.Array:
    cells = frame.get_column(name).to_arrow()
    return cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
