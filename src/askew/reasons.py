"""Why a row stands out, from the model itself.

For each row and column the model is asked again, with that column set to what is typical (the
median, the most frequent category, nothing missing). What the score loses is what the column adds.
Only the words, where a value lies among the others, come from the schema.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from askew.table.encode import groups, parts_of, typical
from askew.table.schema import (
    Column,
    Kind,
    Part,
    Schema,
    category_text,
    share_above,
    share_below,
    share_of,
    typical_range,
)

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

Score = Callable[[NDArray[np.float32]], NDArray[np.float64]]

CELLS = 1 << 23  # encoded cells scored at a time: 32 MiB of float32
SCREENED = 64  # columns asked about in a row of a wide table: those furthest from typical
LEAST = 0.05  # of the row's distance from a typical row's score; less is noise

ALONE = 0.98  # of the rows lie below the greatest at least, where it is told to be that

# How to say that a measure is high, or low, where "higher" and "lower" would sound odd.
_SIDES = {  # greater, less, greatest, least
    "age": ("earlier", "later", "earliest", "latest"),
    "hour": ("later", "earlier", "latest", "earliest"),
    "weekday": ("later in the week", "earlier in the week", "latest in the week", "earliest"),
    "characters": ("longer", "shorter", "longest", "shortest"),
}
_PLAIN_SIDES = ("higher", "lower", "highest", "lowest")

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Reason:
    """One column's share in a row's score.

    Parameters
    ----------
    column
        Its name.
    gain
        What the score loses when the column is set to what is typical; greater than 0.
    text
        The value and where it lies, such as ``amount 9,850: higher than 99 % of rows, typical 40
        to 300``.
    """

    column: str
    gain: float
    text: str


def explain(
    score: Score,
    schema: Schema,
    frame: nw.DataFrame[Any],
    x: NDArray[np.float32],
    *,
    top: int = 3,
) -> list[list[Reason]]:
    """Say for each row which columns make it stand out, the strongest first.

    Parameters
    ----------
    score
        Of the model, (n, n_features) -> (n,), higher = more anomalous.
    schema
        Of the training table.
    frame
        The rows, (n, d).
    x
        The same rows encoded, (n, n_features).
    top
        Reasons a row, at the most. A row has fewer where fewer columns raise its score.
    """
    if not len(x):
        return []
    gains, base = _gains(score, schema, x)
    floor = LEAST * np.maximum(base - score(typical(schema)[np.newaxis])[0], 0.0)
    said = [_Words(column, frame.get_column(column.name)) for column in schema.used]
    return [
        [
            Reason(schema.used[j].name, float(gains[i, j]), said[j].about(i))
            for j in np.argsort(-gains[i], kind="stable")[:top]
            if gains[i, j] > floor[i]
        ]
        for i in range(len(x))
    ]


def _gains(
    score: Score, schema: Schema, x: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score every row as it is, (n,), and what each used column adds to it, (n, columns)."""
    middle, where = typical(schema), [place for _, place in groups(schema)]
    base = score(x)
    gains = np.zeros((len(x), len(where)))
    pairs = _pairs(x, middle, where)
    step = max(1, CELLS // x.shape[1])
    for start in range(0, len(pairs), step):
        row, column = pairs[start : start + step].T
        changed = x[row]
        for j in np.unique(column):
            changed[np.ix_(column == j, np.arange(where[j].start, where[j].stop))] = middle[
                where[j]
            ]
        gains[row, column] = base[row] - score(changed)
    return gains, base


def _pairs(
    x: NDArray[np.float32], middle: NDArray[np.float32], where: Sequence[slice]
) -> NDArray[np.intp]:
    """List the (row, column) pairs to ask about: columns that are not typical already.

    Of more than ``SCREENED`` such columns the furthest from typical: a cut of the work, not a
    reason by itself.
    """
    away = np.stack([np.abs(x[:, place] - middle[place]).max(1) for place in where], axis=1)
    if away.shape[1] > SCREENED:
        least = np.partition(away, -SCREENED, axis=1)[:, -SCREENED, np.newaxis]
        away[away < least] = 0
    return np.argwhere(away > 0)


class _Words:
    """The wording of one column, for the rows of one frame."""

    def __init__(self, column: Column, cells: Any) -> None:
        self.column = column
        self.cells = cells
        self.parts = {} if column.kind is Kind.CATEGORY else parts_of(column, cells)
        seen = sum(column.counts.values()) if column.kind is Kind.CATEGORY else 0
        self.rows = seen + column.n_missing

    def about(self, row: int) -> str:
        value = self.cells[row]
        name = self.column.name
        if self.column.kind is Kind.CATEGORY:
            return f"{name} {self._category(value)}"
        measures = {part: self.parts[part][row] for part in self.parts}
        if any(np.isnan(v) for v in measures.values()):
            return f"{name} is missing{self._how_often_missing()}"
        part = max(self.column.parts, key=lambda p: _oddness(p, measures[p.name]))
        place = self._place(part, measures[part.name])
        if self.column.kind is Kind.NUMBER:
            return f"{name} {number(measures[part.name])}: {place}"
        shown = f"{name} {_short(str(value))}"
        if part.name == "age":
            return f"{shown}: {place}"
        return f"{shown}: {part.name} {self._measure(part, measures[part.name])}, {place}"

    def _place(self, part: Part, value: float) -> str:
        """Say where a value lies among the training values, and what is typical."""
        below, above = share_below(part, value), share_above(part, value)
        low, high = typical_range(part)
        ends = [self._measure(part, end, 3) for end in (low, high)]
        # The greater the age, the earlier the date.
        ends = ends[::-1] if part.name == "age" else ends
        span = "typical " + (ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}")
        if low <= value <= high:
            return f"within the {span}, yet telling in this row"
        more, less, most, least = _SIDES.get(part.name, _PLAIN_SIDES)
        side, end, share = (more, most, below) if below >= above else (less, least, above)
        if share >= 1:
            return f"{side} than all rows, {span}"
        alone = share >= ALONE and value in (part.low, part.high)
        end = f"; the {end} of all" if alone else ""
        return f"{side} than {percent(share)} of rows, {span}{end}"

    def _measure(self, part: Part, value: float, digits: int = 4) -> str:
        if part.name == "weekday":
            return WEEKDAYS[int(value) % 7]
        if part.name == "hour":
            return f"{int(value):02d}:{int(value % 1 * 60):02d}"
        if part.name == "age":
            latest = datetime.fromisoformat(str(self.column.latest))
            return f"{latest - timedelta(days=value):%Y-%m-%d}"
        if part.name in ("digits", "capitals"):
            return percent(value)
        return number(value, digits)

    def _category(self, value: object) -> str:
        usual, count = self.column.categories[0]
        often = f'most often "{_short(usual)}" ({percent(count / max(self.rows, 1))})'
        if value is None or value != value:  # NaN
            return f"is missing{self._how_often_missing()}"
        share = share_of(self.column, value)
        text = _short(category_text(value))
        if share == 0:
            return f'"{text}": never seen in training, {often}'
        return f'"{text}": in {percent(share)} of rows, {often}'

    def _how_often_missing(self) -> str:
        if self.column.n_missing == 0:
            return ", and never was in training"
        return f", as in {self.column.n_missing:,} of the training rows"


def _oddness(part: Part, value: float) -> float:
    return 1 - 2 * min(1 - share_below(part, value), 1 - share_above(part, value))


def number(value: float, digits: int = 4) -> str:
    """Write a number for reading: so many digits, thousands set apart.

    Examples
    --------
    >>> [number(v) for v in (9850, 0.00123456, 12.3456, 1234567.8, -3.0, 1e30)]
    ['9,850', '0.001235', '12.35', '1,234,568', '-3', '1e+30']
    """
    if abs(value) >= 1e15 or 0 < abs(value) < 1e-4:
        return f"{value:.{digits}g}"
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def percent(share: float) -> str:
    """Write a share for reading; what is not all or nothing never reads so.

    Examples
    --------
    >>> [percent(v) for v in (0.5, 0.999, 0.99999, 1.0, 0.002, 0.00001, 0.0)]
    ['50 %', '99.9 %', '99.9 %', '100 %', '0.2 %', 'under 0.1 %', '0 %']
    """
    hundred = 100 * share
    if 0 < hundred < 0.1:
        return "under 0.1 %"
    if 10 <= hundred <= 90 or hundred in (0, 100):
        return f"{hundred:.0f} %"
    return f"{min(hundred, 99.9):.1f} %".replace(".0 %", " %")


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
