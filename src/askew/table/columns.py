"""What is known of one column: its kind, its numeric parts, its categories, as plain data.

A *part* is a number that a person would read off a cell: the value itself, the hours of a time,
the weekday of a date, the words of a text. Parts keep the training values' quantiles, so that a
later value can be placed among them; no training row is kept.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

LEVELS = tuple(i / 100 for i in range(101))
"""Where a part's quantiles are taken, as shares of the rows."""

TAIL_LEVELS = (0.0001, 0.001, 0.999, 0.9999)
"""Further quantiles, for "higher than 99.9 % of rows"."""

FLOAT32_MAX = 3.4028234663852886e38
"""Beyond this a number cannot be computed with."""

SMALLEST_SCALE = 1e-200
"""Keeps a value divided by a scale inside float64, whatever the two are."""

_ORDERED_LEVELS = (0.0, *TAIL_LEVELS[:2], *LEVELS[1:-1], *TAIL_LEVELS[2:], 1.0)


class Kind(StrEnum):
    """What a column holds.

    Whether it takes part in the ranking is `Column.used`, and why or why not `Column.why`.
    """

    NUMBER = "number"
    CATEGORY = "category"
    DATE = "date"
    TEXT = "text"
    IDENTIFIER = "identifier"
    UNKNOWN = "unknown"
    """Lists, records, bytes, or nothing at all: never used."""


PARTS = {
    Kind.NUMBER: frozenset({"value", "seconds", "hours"}),
    Kind.DATE: frozenset({"age", "weekday", "hour"}),
    Kind.TEXT: frozenset({"characters", "words", "digits", "capitals"}),
}
"""The parts that a column of each kind may have."""


@dataclass(frozen=True)
class Part:
    """One numeric measure of a column, with its distribution over the training rows.

    Parameters
    ----------
    name : str
        ``value``; ``seconds`` of a duration, ``hours`` of a time of day; ``age`` (days before the
        latest training value), ``weekday`` (0 Monday to 6 Sunday), ``hour`` (0 to 24) of a date;
        ``characters``, ``words``, ``digits`` and ``capitals`` (shares of the characters) of a text.
    quantiles : tuple of 101 floats
        At `LEVELS`: the lowest value first, the highest last. Missing cells don't count.
    tails : tuple of 4 floats
        Quantiles at `TAIL_LEVELS`.
    center : float
        The median.
    scale : float
        The robust standard deviation, above 0.
    cycle : float, optional
        The period of a measure that runs in a circle: 7 for weekdays, 24 for hours.
    """

    name: str
    quantiles: tuple[float, ...]
    tails: tuple[float, ...]
    center: float
    scale: float
    cycle: float | None = None

    @property
    def low(self) -> float:
        """The lowest training value."""
        return self.quantiles[0]

    @property
    def high(self) -> float:
        """The highest training value."""
        return self.quantiles[-1]

    @cached_property
    def ordered(self) -> tuple[float, ...]:
        """Quantiles and tails together, lowest first; one for each of 105 levels."""
        return (self.low, *self.tails[:2], *self.quantiles[1:-1], *self.tails[2:], self.high)


@dataclass(frozen=True)
class Column:
    """One input column: what it is, and what the training rows held.

    Parameters
    ----------
    name, kind, used
        A column that is not used has no parts and no categories.
    why : str
        A short phrase for the decision, such as ``"12 different values"`` or ``"constant"``.
    n_missing : int
        Missing cells among the training rows.
    parts : tuple of Part
        One for a number, up to three for a date, up to four for a text, none for a category.
        A part that never differs is left out.
    categories : tuple of (str, int)
        Every value of a category column and how often it stood there, most frequent first.
    latest : str, optional
        A date column's latest training value, ISO 8601 without offset; ages count from it.
    has_time : bool
        Whether a date column holds times of day.
    tz : str, optional
        The time zone in which a date column's clock is read.
    """

    name: str
    kind: Kind
    used: bool
    why: str
    n_missing: int
    parts: tuple[Part, ...] = ()
    categories: tuple[tuple[str, int], ...] = ()
    latest: str | None = None
    has_time: bool = False
    tz: str | None = None

    def part(self, name: str) -> Part:
        """Return the part of that name; KeyError when the column has none such."""
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """How often each category stood in the training rows."""
        return dict(self.categories)


def share_below(part: Part, value: float) -> float:
    """Share of the training rows whose value is lower, in [0, 1].

    True to one percent; in the outermost percent, where a column can be very long, never more
    than is certain.

    Parameters
    ----------
    part : Part
    value : float
        Not NaN.
    """
    ordered = part.ordered
    at = bisect_left(ordered, value)
    if at in (0, len(ordered)):
        return float(at > 0)
    # The quantile at a share p is the value of a row (the inverted distribution function), so a
    # value above it is above at least that share of the rows; the rest is interpolation.
    lower, upper = _ORDERED_LEVELS[at - 1], _ORDERED_LEVELS[at]
    if ordered[at] == value or lower >= LEVELS[-2] or upper <= LEVELS[1]:
        return lower
    return lower + (upper - lower) * (value - ordered[at - 1]) / (ordered[at] - ordered[at - 1])


def share_above(part: Part, value: float) -> float:
    """Share of the training rows whose value is higher, in [0, 1]; see `share_below`."""
    ordered = part.ordered
    at = bisect_right(ordered, value)
    if at in (0, len(ordered)):
        return float(at == 0)
    lower, upper = _ORDERED_LEVELS[at - 1], _ORDERED_LEVELS[at]
    certain = 1.0 - upper
    if ordered[at - 1] == value or lower >= LEVELS[-2] or upper <= LEVELS[1]:
        return certain
    return certain + (upper - lower) * (ordered[at] - value) / (ordered[at] - ordered[at - 1])


def percentile_of(part: Part, value: float) -> float:
    """Where a value lies among the training values, 0 to 100.

    A value that many rows share lies in the middle of them.

    Parameters
    ----------
    part : Part
    value : float
        Finite.
    """
    return 50.0 * (share_below(part, value) + 1.0 - share_above(part, value))


def typical_range(part: Part) -> tuple[float, float]:
    """Return the range that holds the middle 80 % of the training values: 10 % to 90 %."""
    return part.quantiles[10], part.quantiles[90]


def share_of(column: Column, value: object) -> float:
    """Share of the training rows that hold this category; None asks for the missing ones.

    Parameters
    ----------
    column : Column
        Of kind category.
    value : str, number, bool or None
        Numbers and booleans are looked up as they are kept: as text.

    Returns
    -------
    float
        In [0, 1]; 0 for a value never seen.
    """
    total = sum(column.counts.values()) + column.n_missing
    count = column.n_missing if value is None else column.counts.get(category_text(value), 0)
    return count / total if total else 0.0


def category_text(value: object) -> str:
    """Write a cell as the text by which its category is known.

    Examples
    --------
    >>> [category_text(v) for v in (True, 3, 3.0, 2.5, "x")]
    ['true', '3', '3', '2.5', 'x']
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        # pandas turns whole numbers to floats as soon as one of them is missing.
        return str(int(value))
    return str(value)
