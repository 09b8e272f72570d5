"""What a column is: the rules by which its kind is told from its type and its values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from askew.errors import DataError
from askew.table import cells
from askew.table.checks import shortened
from askew.table.columns import Column, Kind, Part
from askew.table.parts import DAY, date_parts, measure, text_parts

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

MIN_ROWS = 20
"""Fewer rows than this can differ everywhere by chance; no identifier or text is told from them."""

MANY_VALUES = 50
"""Up to this many categories are kept however few rows each has: a person can still list them."""

ROWS_PER_VALUE = 10
"""With many values, fewer rows than this for each say nothing about what is usual for it."""

MAX_VALUES = 1000
"""A column with more values is left out: all of them are kept, so that a new one is known as new,
and a schema has to stay small."""

TEXT_WORDS = 3.0
"""From this many words on average a text is prose; names and addresses mostly have fewer."""

TEXT_DISTINCT = 0.5
"""Prose repeats seldom: at least this share of its cells differ. Set phrases are categories."""

DENSE = 2.0
"""Whole numbers that all differ and fill at least half (1 / 2) of their range were counted out:
20 random draws from 40 numbers all differ once in 300 times, 50 from 100 never in practice."""

ID_NAME = re.compile(
    r"(?i:(^|[\W_])(id|ids|uuid|guid|key|index)$|^(unnamed: \d+|__index_level_\d+__|)$)|[a-z]I[dD]$"
)
"""Names that people give to identifiers; the empty one is a spreadsheet's or pandas' row number."""

LIKE_NUMBERS = 0.5
"""Where at least this share of a column's words are numbers as people write them, it is told."""

PLAIN_NUMBER = r"^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$"
WRITTEN_NUMBER = (
    r"^[+-]?[$€£¥]?[ ]?([0-9]+|[0-9]{1,3}([.,' \x{A0}][0-9]{3})+)([.,][0-9]+)?[ ]?[%$€£¥]?$"
)
"""A number with marks of currency, percent or thousands, or a decimal comma."""

# Cells measured at a time: 32 MiB as float64.
_CELLS = 4_000_000

_NUMBER_WORDS = {"seconds": "durations, in seconds", "hours": "times of day, in hours"}


@dataclass(frozen=True)
class Found:
    """A column as it came in: its name, its cells, and the kind that was asked for, if any."""

    name: str
    array: pa.Array
    asked: str | None = None


def decide(found: Iterable[Found], from_array: bool = False) -> dict[str, Column]:
    """Decide what every column is.

    Parameters
    ----------
    found : iterable of Found
        Read once, one column at a time.
    from_array : bool
        The columns are those of a matrix: every one is a number.

    Returns
    -------
    dict of str to Column
        By name.

    Raises
    ------
    DataError
        An infinity or a number beyond float32; a column that is not of the kind asked for.
    """
    columns: dict[str, Column] = {}
    numeric: list[Found] = []
    for one in found:
        kind = Kind.NUMBER if from_array and one.asked is None else _kind(one)
        if kind is Kind.NUMBER:
            numeric.append(one)
        else:
            columns[one.name] = _other(one, kind)
    columns.update((c.name, c) for c in _numbers(numeric, from_array))
    return columns


def _kind(one: Found) -> Kind:
    """Tell the kind from what was asked and from the type; unknown where there is no way."""
    import pyarrow as pa

    if one.asked == "ignore":
        return Kind.UNKNOWN
    if one.asked is not None:
        return Kind(one.asked)
    kind = one.array.type
    if cells.is_number(kind) or pa.types.is_duration(kind) or pa.types.is_time(kind):
        return Kind.NUMBER
    if cells.is_string(kind) or pa.types.is_boolean(kind):
        return Kind.CATEGORY
    return Kind.DATE if pa.types.is_temporal(kind) else Kind.UNKNOWN


def _other(one: Found, kind: Kind) -> Column:
    import pyarrow as pa

    if one.asked == "ignore":
        return _left_out(one, kind, "ignored, as asked")
    if pa.types.is_null(one.array.type):
        return _left_out(one, kind, "all missing")
    if kind is Kind.IDENTIFIER:
        return _left_out(one, kind, "identifier, as asked")
    if kind is Kind.UNKNOWN:
        return _left_out(one, kind, f"values of type {one.array.type} cannot be ranked")
    if kind is Kind.DATE:
        return _date(one)
    text = cells.strings(one.array, one.name)
    if text.null_count == len(text):
        return _left_out(one, kind, "all missing", text.null_count)
    return _text(one, text) if kind is Kind.TEXT else _category(one, text)


def _left_out(one: Found, kind: Kind, why: str, n_missing: int | None = None) -> Column:
    n_missing = one.array.null_count if n_missing is None else n_missing
    return Column(one.name, kind, used=False, why=why, n_missing=n_missing)


def _category(one: Found, text: pa.Array) -> Column:
    """Decide on a column of words: a category, or what its values betray it to be instead."""
    import pyarrow as pa

    counts = text.drop_null().value_counts()
    n_values, n_present = len(counts), len(text) - text.null_count
    if one.asked is None and n_present >= MIN_ROWS:
        if n_values >= TEXT_DISTINCT * n_present and _words(text) >= TEXT_WORDS:
            return _text(one, text)
        if n_values == n_present:
            why = f"identifier: every value differs{_nearly_numbers(text)}"
            return _left_out(one, Kind.IDENTIFIER, why, text.null_count)
    crowded = n_values > MANY_VALUES and n_present < ROWS_PER_VALUE * n_values
    if n_values > MAX_VALUES or (crowded and one.asked is None):
        why = f"{n_values:,} different values in {n_present:,} rows"
        if one.asked is not None:
            raise DataError(
                f"column {one.name!r} was asked for as a category but has {why}; a category has "
                f"at most {MAX_VALUES:,}: ask for 'text' or 'ignore'"
            )
        return _left_out(one, Kind.CATEGORY, why + _nearly_numbers(text), text.null_count)
    if n_values == 1 and text.null_count == 0:
        return _left_out(one, Kind.CATEGORY, "constant")
    pairs = zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True)
    # Equal counts go by name, so that the order of the rows leaves no trace.
    categories = tuple(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))
    is_flag = pa.types.is_boolean(one.array.type)
    why = "true or false" if is_flag else _values(n_values)
    if one.asked is None and not is_flag:
        why += _nearly_numbers(text)
    return Column(one.name, Kind.CATEGORY, True, why, text.null_count, categories=categories)


def _nearly_numbers(text: pa.Array) -> str:
    """Tell what keeps a column of words from being one of numbers, where most of it looks so."""
    import pyarrow.compute as pc

    present = text.drop_null()
    plain = pc.match_substring_regex(present, PLAIN_NUMBER)
    n_plain = pc.sum(plain).as_py()
    if n_plain == len(present):  # written as text on purpose, 007 or so
        return ""
    if n_plain >= LIKE_NUMBERS * len(present):
        other = pc.min(present.filter(pc.invert(plain))).as_py()  # whatever the order of the rows
        found = shortened(repr(other))
        return f"; {n_plain:,} of {len(present):,} cells are numbers, {found} is not"
    written = pc.match_substring_regex(present, WRITTEN_NUMBER)
    if pc.sum(written).as_py() >= LIKE_NUMBERS * len(present):
        return (
            f"; most look like numbers, as {pc.min(present.filter(written)).as_py()!r}: write all "
            "alike and without marks of currency, percent or thousands"
        )
    return ""


def _values(n: int) -> str:
    return "one value, or missing" if n == 1 else f"{n:,} different values"


def _words(text: pa.Array) -> float:
    return float(np.nanmean(text_parts(text)["words"]))


def _text(one: Found, text: pa.Array) -> Column:
    found = text_parts(text)
    why = f"free text, {np.nanmean(found['words']):.0f} words on average"
    return _of_parts(Column(one.name, Kind.TEXT, True, why, text.null_count), found)


def _date(one: Found) -> Column:
    zone = getattr(one.array.type, "tz", None)
    micros, missing = cells.instants(one.array, one.name, zone)
    if missing.all():
        return _left_out(one, Kind.DATE, "all missing", len(missing))
    latest = int(micros[~missing].max())
    has_time = bool((micros[~missing] % DAY != 0).any())
    column = Column(
        one.name,
        Kind.DATE,
        used=True,
        why="dates with a time of day" if has_time else "dates",
        n_missing=int(missing.sum()),
        latest=str(np.datetime64(latest, "us")),
        has_time=has_time,
        tz=zone,
    )
    return _of_parts(column, date_parts(micros, missing, latest))


def _of_parts(column: Column, found: Mapping[str, NDArray[np.float64]]) -> Column:
    """Add the parts that differ between rows; a column of which none does is left out."""
    parts = measure(list(found), np.stack(list(found.values())))
    varied = tuple(part for part in parts if part.low < part.high)
    if varied or column.n_missing:
        # Where only some cells are missing, that alone may set a row apart.
        return replace(column, parts=varied or tuple(parts[:1]))
    constant = "constant" if column.kind is Kind.DATE else "texts of one length and make-up"
    return Column(column.name, column.kind, used=False, why=constant, n_missing=0)


def _numbers(found: list[Found], from_array: bool) -> Iterator[Column]:
    n_rows = len(found[0].array) if found else 0
    step = max(1, _CELLS // max(1, n_rows))
    for start in range(0, len(found), step):
        few = found[start : start + step]
        block = np.stack([cells.numbers(one.array, one.name) for one in few])
        cells.check_range(block.T, [one.name for one in few])
        n_missing = np.count_nonzero(np.isnan(block), axis=1).tolist()
        some = [i for i, n in enumerate(n_missing) if n < n_rows]
        names = [_part_name(few[i].array.type) for i in some]
        parts = dict(zip(some, measure(names, block[some]), strict=True)) if some else {}
        for i, one in enumerate(few):
            yield _number(one, parts.get(i), n_missing[i], from_array)


def _number(one: Found, part: Part | None, n_missing: int, from_array: bool) -> Column:
    if part is None:
        return _left_out(one, Kind.NUMBER, "all missing", n_missing)
    if one.asked is None and not from_array and _counts_rows(one):
        return _left_out(one, Kind.IDENTIFIER, "identifier: every value differs", n_missing)
    if part.low == part.high:
        if n_missing == 0:
            return _left_out(one, Kind.NUMBER, "constant")
        why = _values(1)
    else:
        why = _NUMBER_WORDS.get(part.name) or _plain_number(one.array.type)
    return Column(one.name, Kind.NUMBER, True, why, n_missing, parts=(part,))


def _part_name(kind: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_duration(kind):
        return "seconds"
    return "hours" if pa.types.is_time(kind) else "value"


def _plain_number(kind: pa.DataType) -> str:
    import pyarrow as pa

    return "whole numbers" if pa.types.is_integer(kind) else "numbers"


def _counts_rows(one: Found) -> bool:
    """Whether whole numbers name or count the rows: all differ, and rise, are dense or say so."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_integer(one.array.type) or len(one.array) - one.array.null_count < MIN_ROWS:
        return False
    present = one.array.drop_null()
    values = present.to_numpy()
    if bool((values[1:] > values[:-1]).all() or (values[1:] < values[:-1]).all()):
        return True
    span = int(values.max()) - int(values.min()) + 1
    if span < len(values) or not (span <= DENSE * len(values) or ID_NAME.search(one.name)):
        return False
    return bool(pc.count_distinct(present).as_py() == len(values))
