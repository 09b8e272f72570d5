"""Columns as plain JSON, and back: what a model file says of its columns is not trusted.

A model file may come from anywhere. Reading takes only the keys it knows, each of its type and in
its range; nothing in the data is ever looked up as a name or called.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from askew.errors import ModelFileError
from askew.table.checks import shortened
from askew.table.columns import (
    FLOAT32_MAX,
    LEVELS,
    PARTS,
    SMALLEST_SCALE,
    TAIL_LEVELS,
    Column,
    Kind,
    Part,
)


def column_to_json(column: Column) -> dict[str, Any]:
    """Plain JSON; `column_from_json` is the way back."""
    data: dict[str, Any] = {f.name: getattr(column, f.name) for f in fields(column)}
    data["kind"] = str(column.kind)
    data["categories"] = [list(pair) for pair in column.categories]
    data["parts"] = [
        {f.name: getattr(part, f.name) for f in fields(part)}
        | {"quantiles": list(part.quantiles), "tails": list(part.tails)}
        for part in column.parts
    ]
    return data


def column_from_json(data: object) -> Column:
    """Read what `column_to_json` wrote; anything else is refused.

    Raises
    ------
    ModelFileError
        A key too many or too few, a value of another type, out of its range or out of order.
    """
    read = Reader(data, "column", [f.name for f in fields(Column)])
    name = read.text("name")
    read.where = f"column {name!r}"
    try:
        kind = Kind(read.text("kind"))
    except ValueError as error:
        raise read.fault("kind", "one of " + ", ".join(Kind)) from error
    column = Column(
        name=name,
        kind=kind,
        used=read.flag("used"),
        why=read.text("why"),
        n_missing=read.count("n_missing"),
        parts=tuple(_part_from_json(item, name) for item in read.items("parts")),
        categories=tuple(_category_from_json(item, read) for item in read.items("categories")),
        latest=read.optional_text("latest"),
        has_time=read.flag("has_time"),
        tz=read.optional_text("tz"),
    )
    _check_whole(column, read)
    return column


def _check_whole(column: Column, read: Reader) -> None:
    """Refuse a column whose fields contradict each other."""
    holds_parts = column.kind in (Kind.NUMBER, Kind.DATE, Kind.TEXT) and column.used
    names = [part.name for part in column.parts]
    if holds_parts != bool(names) or len(set(names)) != len(names):
        raise read.fault("parts", "parts of different names exactly where they are used")
    if not set(names) <= PARTS.get(column.kind, frozenset()):
        raise read.fault("parts", f"only parts that a {column.kind} has")
    if column.kind is Kind.NUMBER and len(names) > 1:
        raise read.fault("parts", "one part for a number")
    holds_categories = column.kind is Kind.CATEGORY and column.used
    counts = [count for _, count in column.categories]
    if holds_categories != bool(counts) or len(column.counts) != len(counts):
        raise read.fault("categories", "different values exactly where they are used")
    if counts != sorted(counts, reverse=True) or (counts and counts[-1] < 1):
        raise read.fault("categories", "the most frequent first, each seen at least once")
    if column.used and column.kind in (Kind.IDENTIFIER, Kind.UNKNOWN):
        raise read.fault("used", f"false for the kind {column.kind}")
    holds_latest = column.kind is Kind.DATE and column.used
    if holds_latest != (column.latest is not None):
        raise read.fault("latest", "a date exactly where it is used")
    if column.tz is not None and not re.fullmatch(r"[A-Za-z0-9_+\-/:]{1,64}", column.tz):
        raise read.fault("tz", "the name of a time zone")
    try:
        naive = column.latest is None or datetime.fromisoformat(column.latest).tzinfo is None
    except ValueError:
        naive = False
    if not naive:
        raise read.fault("latest", "an ISO 8601 date without offset")


def _category_from_json(item: object, read: Reader) -> tuple[str, int]:
    if (
        isinstance(item, (list, tuple))
        and len(item) == 2
        and isinstance(item[0], str)
        and type(item[1]) is int
    ):
        return item[0], item[1]
    raise read.fault("categories", "pairs of a value and a count")


def _part_from_json(data: object, column: str) -> Part:
    read = Reader(data, f"a part of column {column!r}", [f.name for f in fields(Part)])
    cycle = read.values["cycle"]
    part = Part(
        name=read.text("name"),
        quantiles=read.numbers("quantiles", len(LEVELS)),
        tails=read.numbers("tails", len(TAIL_LEVELS)),
        center=read.number("center"),
        scale=read.number("scale"),
        cycle=None if cycle is None else read.number("cycle"),
    )
    if any(a > b for a, b in zip(part.ordered, part.ordered[1:], strict=False)):
        raise read.fault("quantiles", "numbers in rising order, the tails at their places")
    if not part.low <= part.center <= part.high:
        raise read.fault("center", "a number between the lowest and the highest quantile")
    if part.scale < SMALLEST_SCALE:
        raise read.fault("scale", f"a number of at least {SMALLEST_SCALE:g}")
    if part.cycle is not None and part.cycle <= 0:
        raise read.fault("cycle", "a positive period or null")
    return part


class Reader:
    """Takes typed values out of untrusted JSON; every fault is a ModelFileError that names it."""

    def __init__(self, data: object, where: str, names: Sequence[str]) -> None:
        self.where = where
        if not isinstance(data, dict):
            raise ModelFileError(
                f"the schema is damaged: {where} is {type(data).__name__}; an object was expected"
            )
        self.values: dict[str, Any] = data
        wrong = set(data).symmetric_difference(names)
        if wrong:
            raise ModelFileError(
                f"the schema is damaged: {where} lacks or adds {sorted(map(str, wrong))[:3]}; "
                "load the file as Askew saved it, or fit again"
            )

    def fault(self, key: str, expected: str) -> ModelFileError:
        """Say what is wrong with the value of ``key``."""
        found = repr(self.values[key])
        return ModelFileError(
            f"the schema is damaged: {key} of {self.where} is {shortened(found)}; {expected} "
            "was expected. Load the file as Askew saved it, or fit again"
        )

    def _get(self, key: str, fits: Callable[[Any], bool], expected: str) -> Any:
        if not fits(self.values[key]):
            raise self.fault(key, expected)
        return self.values[key]

    def text(self, key: str) -> str:
        """Return a string."""
        return str(self._get(key, lambda v: isinstance(v, str), "a text"))

    def optional_text(self, key: str) -> str | None:
        """Return a string or None."""
        return None if self.values[key] is None else self.text(key)

    def flag(self, key: str) -> bool:
        """Return true or false."""
        return bool(self._get(key, lambda v: isinstance(v, bool), "true or false"))

    def count(self, key: str) -> int:
        """Return a whole number, 0 or more."""
        return int(self._get(key, lambda v: type(v) is int and v >= 0, "a count"))

    def number(self, key: str) -> float:
        """Return a finite number."""
        return float(self._get(key, _is_number, "a finite number"))

    def numbers(self, key: str, n: int) -> tuple[float, ...]:
        """Return ``n`` finite numbers."""
        expected = f"a list of {n} finite numbers"
        values = self._get(key, lambda v: isinstance(v, (list, tuple)) and len(v) == n, expected)
        if not all(_is_number(value) for value in values):
            raise self.fault(key, expected)
        return tuple(float(value) for value in values)

    def items(self, key: str) -> Sequence[object]:
        """Return a list, its items unread."""
        items: Sequence[object] = self._get(key, lambda v: isinstance(v, (list, tuple)), "a list")
        return items


def _is_number(value: object) -> bool:
    # Compared before any conversion: an integer of 400 digits overflows float().
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return -FLOAT32_MAX <= value <= FLOAT32_MAX and math.isfinite(value)
