"""The cells of one column as numbers, instants or strings, whatever library holds them.

Every frame's column passes through Arrow, so that pandas, polars, Arrow and NumPy input of the
same data give the same cells to the last bit. Missing is null, NaN, NaT or an empty string.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from askew.errors import DataError, SchemaError
from askew.table.checks import shortened
from askew.table.columns import FLOAT32_MAX, category_text

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw
    import pyarrow as pa
    from numpy.typing import NDArray

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

# Cells cast at a time while looking for the first that cannot be.
_SEARCH = 4096


def as_arrow(series: nw.Series[Any]) -> pa.Array:
    """Give a column as one Arrow array, (n,); a categorical as text.

    pandas columns that mix types (numbers and words, as spreadsheets have them) become strings.

    Raises
    ------
    DataError
        A type that Arrow does not know, such as complex numbers.
    """
    import narwhals.stable.v2 as nw
    import pyarrow as pa

    try:
        array = series.to_arrow()
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        if series.dtype != nw.Object:
            raise DataError(
                f"column {series.name!r} holds {series.dtype}, which cannot be read; "
                "convert the column or drop it"
            ) from error
        cells = [None if _is_missing(v) else category_text(v) for v in series.to_list()]
        array = pa.array(cells, pa.large_string())
    if array.null_count == len(array):
        # A column that holds nothing can be read as any kind, whatever type it came with.
        return pa.nulls(len(array))
    if pa.types.is_dictionary(array.type):
        # A categorical, even of numbers: its user has said that they are names.
        return strings(array.dictionary_decode(), series.name)
    return array


def _is_missing(value: object) -> bool:
    # NaN and NaT differ from themselves; comparing pd.NA with itself gives no truth value.
    return value is None or str(value) == "<NA>" or bool(value != value)


def numbers(array: pa.Array, name: str, first_row: int = 0) -> NDArray[np.float64]:
    """Read a column as numbers.

    Parameters
    ----------
    array : pyarrow.Array, (n,)
        Numbers, booleans (0 and 1), decimals, durations (seconds), times of day (hours), or text
        whose every cell is a number.
    name : str
        For the message.
    first_row : int
        The row of the table with which ``array`` begins, from 0; for the message.

    Returns
    -------
    array, (n,), float64
        NaN where missing.

    Raises
    ------
    SchemaError
        A cell that is no number.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, divisor = array.type, 1.0
    if pa.types.is_boolean(kind):
        array = pc.cast(array, pa.uint8())
    elif pa.types.is_duration(kind):
        array, divisor = pc.cast(array, pa.int64()), _PER_SECOND[kind.unit]
    elif pa.types.is_time(kind):
        plain = pa.int32() if pa.types.is_time32(kind) else pa.int64()
        array, divisor = pc.cast(array, plain), 3600.0 * _PER_SECOND[kind.unit]
    elif is_string(kind):
        array = strings(array, name)
    elif not (is_number(kind) or pa.types.is_null(kind)):
        raise _unreadable(array, name, first_row, "numbers were")
    # Not `safe`: an integer above 2**53 may lose its last digits.
    array = _cast(
        array, lambda a: pc.cast(a, pa.float64(), safe=False), name, first_row, "numbers were"
    )
    values: NDArray[np.float64] = array.to_numpy(zero_copy_only=False)
    return values if divisor == 1.0 else values / divisor


def check_range(block: NDArray[np.float64], names: list[str], first_row: int = 0) -> None:
    """Refuse infinities and numbers beyond float32.

    Parameters
    ----------
    block : array, (n, len(names)), float64
        NaN passes: it is missing.
    names : list of str
    first_row : int
        The row of the table with which ``block`` begins, from 0.

    Raises
    ------
    DataError
        Naming the column and the row of the first such cell.
    """
    beyond = np.abs(block) > FLOAT32_MAX
    if not beyond.any():
        return
    row, column = np.unravel_index(int(beyond.argmax()), block.shape)
    value = float(block[row, column])
    what = "an infinite number" if np.isinf(value) else "beyond what can be computed with (3.4e38)"
    raise DataError(
        f"column {names[column]!r}, row {first_row + int(row) + 1:,} (counted from 1): {value:g} "
        f"is {what}; correct the cell or leave it blank"
    )


def instants(
    array: pa.Array, name: str, tz: str | None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Read a column as what the clock on the wall showed.

    Parameters
    ----------
    array : pyarrow.Array, (n,)
        Dates, times with or without zone, or text in ISO 8601.
    name : str
        For the message.
    tz : str or None
        The zone of the clock. Times with a zone are shown in it (in their own where it is None);
        times without are taken to be in it already.

    Returns
    -------
    microseconds : array, (n,), int64
        Since 1970, by the wall clock; 0 where missing.
    missing : array, (n,), bool

    Raises
    ------
    SchemaError
        A cell that is no date.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if is_string(array.type):
        array = _parse_dates(strings(array, name), name)
    elif not (pa.types.is_temporal(array.type) or pa.types.is_null(array.type)) or (
        pa.types.is_time(array.type) or pa.types.is_duration(array.type)
    ):
        raise _unreadable(array, name, 0, "dates were")
    zone = getattr(array.type, "tz", None)

    def wall_clock(part: pa.Array) -> pa.Array:
        if zone is not None:
            part = pc.local_timestamp(pc.cast(part, pa.timestamp(part.type.unit, tz or zone)))
        # Nanoseconds are cut to microseconds; elsewhere a loss is a date out of range.
        cut = getattr(part.type, "unit", "") == "ns"
        return pc.cast(part, pa.timestamp("us"), safe=not cut)

    array = _cast(array, wall_clock, name, 0, "dates were")
    missing = pc.is_null(array).to_numpy(zero_copy_only=False)
    micros = pc.cast(array, pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return micros, missing


def _parse_dates(array: pa.Array, name: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    def parse(part: pa.Array) -> pa.Array:
        try:
            return pc.cast(part, pa.timestamp("us"))
        except pa.ArrowException:
            return pc.cast(part, pa.timestamp("us", "UTC"))

    return _cast(array, parse, name, 0, "dates were")


def strings(array: pa.Array, name: str) -> pa.Array:
    """Read a column as text, (n,), null where missing or empty.

    Whole numbers lose a trailing ``.0``: pandas turns integers to floats where one is missing.

    Raises
    ------
    SchemaError
        Lists, records or bytes.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_floating(kind):
        encoded = pc.dictionary_encode(pc.cast(array, pa.float64()))
        words = [
            None if v is None or v != v else category_text(v)
            for v in encoded.dictionary.to_pylist()
        ]
        array = pa.array(words, pa.large_string()).take(encoded.indices)
    elif pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise _unreadable(array, name, 0, "text was")
    array = _cast(array, lambda a: pc.cast(a, pa.large_string()), name, 0, "text was")
    blank = pc.equal(array, "")
    if not pc.any(blank).as_py():
        return array
    return pc.if_else(blank, pa.scalar(None, pa.large_string()), array)


def is_string(kind: pa.DataType) -> bool:
    """Whether the type is one of Arrow's three kinds of text."""
    import pyarrow as pa

    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def is_number(kind: pa.DataType) -> bool:
    """Whether the type is a number as such: an integer, a float or a decimal."""
    import pyarrow as pa

    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _cast(
    array: pa.Array, cast: Callable[[pa.Array], pa.Array], name: str, first_row: int, wanted: str
) -> pa.Array:
    """``cast(array)``, or a SchemaError that names the first cell for which it fails."""
    import pyarrow as pa

    try:
        return cast(array)
    except pa.ArrowException as error:
        for step in (_SEARCH, 1):
            for start in range(0, len(array), step):
                try:
                    cast(array.slice(start, step))
                except pa.ArrowException:
                    first_row, array = first_row + start, array.slice(start, step)
                    break
        raise _unreadable(array, name, first_row, wanted) from error


def _unreadable(array: pa.Array, name: str, first_row: int, wanted: str) -> SchemaError:
    """Make the error for the first cell of ``array`` that is not missing."""
    import pyarrow.compute as pc

    valid = pc.is_valid(array).to_numpy(zero_copy_only=False)
    at = int(valid.argmax())
    try:
        found = repr(array[at].as_py())
    except (OverflowError, ValueError):
        # A date beyond Python's calendar.
        found = f"{array.type} {array[at].value}"
    return SchemaError(
        f"column {name!r}, row {first_row + at + 1:,} (counted from 1): found "
        f"{shortened(found)}, where {wanted} expected; correct the cell, or leave it blank"
    )
