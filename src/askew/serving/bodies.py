"""Bodies of requests as rows that a model can score: JSON, Arrow and Parquet."""

from __future__ import annotations

import json
import math
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any, NoReturn

import narwhals.stable.v2 as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from askew.errors import DataError, SchemaError, TableWarning
from askew.model import Askew
from askew.serving.faults import BrokenBodyError
from askew.serving.unpacking import Limits, arrow_table, parquet_table
from askew.table import cells
from askew.table.checks import listed, repeated_names
from askew.table.columns import Column, Kind, category_text
from askew.table.encode import encode, feature_names
from askew.table.parts import DAY

JSON = "application/json"
STREAM = "application/vnd.apache.arrow.stream"
FILE = "application/vnd.apache.arrow.file"
PARQUET = "application/vnd.apache.parquet"
TYPES = (JSON, STREAM, FILE, PARQUET)

ROWS = 100_000  # of a request
UNPACKED = 256 * 1024 * 1024  # bytes of a request's table, and of its encoded rows

# What a JSON cell may be; null is missing everywhere.
_TAKEN: Mapping[Kind, tuple[type, ...]] = {
    Kind.NUMBER: (int, float, bool),
    Kind.CATEGORY: (str, int, float, bool),
    Kind.TEXT: (str, int, float, bool),
    Kind.DATE: (str,),
}
_WANTED = {
    Kind.NUMBER: "a number",
    Kind.CATEGORY: "text, a number, true or false",
    Kind.TEXT: "text",
    Kind.DATE: "a date as text in ISO 8601",
}
_HOURS = re.compile(r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?")
_OFFSET = re.compile(r"\d:\d\d.*(Z|[+-][\d:]+)$")
_CALENDAR = np.array(["0001-01-01", "10000-01-01"], "datetime64[us]").astype(np.int64)


@dataclass(frozen=True)
class Rows:
    """Rows of a request, ready to be scored.

    Parameters
    ----------
    table
        (n, d): the model's columns in its order, those it does not use empty. Equal columns have
        equal types whatever the body was, unless dates are whole days in one and not in another.
    x
        The same encoded, (n, n_features) float32.
    notes
        What the reader should know of how they were read.
    """

    table: pa.Table
    x: NDArray[np.float32]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.x)

    @property
    def n_bytes(self) -> int:
        """Give what they take in memory."""
        return int(self.x.nbytes + self.table.nbytes)


class Reader:
    """Reads bodies for one model. Only one thread at a time may read.

    Parameters
    ----------
    model
        Fitted.
    """

    def __init__(self, model: Askew) -> None:
        self.schema = model.schema_
        self.used = [column.name for column in self.schema.used]
        # May be there, and are not looked at: what was left out, the rows' names, the verdicts.
        others = (*self.schema.names, model.id_column, model.labels_.column)
        self.unused = [
            name for name in dict.fromkeys(others) if name is not None and name not in self.used
        ]
        self._known, self._needed = {*self.used, *self.unused}, set(self.used)
        most = UNPACKED // (4 * len(feature_names(self.schema)))
        self.limits = Limits(max(1, min(ROWS, most)), UNPACKED)

    def read(self, body: bytes, content_type: str) -> Rows:
        """Read a body, one of ``TYPES``.

        Raises
        ------
        BrokenBodyError
            Not what the type says.
        TooLargeError
            More rows or bytes than ``limits``.
        DataError
            Columns or cells that the model cannot read; the message is one sentence.
        """
        given: Mapping[str, pa.Array]
        if content_type == JSON:
            given = self._from_json(body)
        else:
            if content_type == PARQUET:
                table = parquet_table(body, self._chosen, self.limits)
            else:
                table = arrow_table(body, self._chosen, self.limits, is_file=content_type == FILE)
            if table.num_rows == 0:
                raise _no_rows()
            frame = nw.from_native(table, eager_only=True)
            given = {name: cells.as_arrow(frame.get_column(name)) for name in self.used}
        return self._encoded({c.name: plain(c, given[c.name]) for c in self.schema.used})

    def _encoded(self, given: Mapping[str, pa.Array]) -> Rows:
        n = len(given[self.used[0]])
        columns = [given.get(name, pa.nulls(n)) for name in self.schema.names]
        table = pa.Table.from_arrays(columns, names=list(self.schema.names))
        # The list of filters is the process's own; nothing else here warns.
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", TableWarning)
            x = encode(self.schema, nw.from_native(table, eager_only=True))
        return Rows(table, x, tuple(str(warning.message) for warning in caught))

    def _chosen(self, names: list[str]) -> list[str]:
        """Check the column names of a table; give those to be read."""
        if repeated := repeated_names(names):
            raise DataError(f"the column {_listed(repeated)} stands in the body more than once")
        if missing := [name for name in self.used if name not in set(names)]:
            raise SchemaError(f"the body lacks {_listed(missing)}, which the model uses; add it")
        if unknown := [name for name in names if name not in self._known]:
            raise SchemaError(f"the model knows no column {_listed(unknown)}; leave it out")
        return self.used

    def _from_json(self, body: bytes) -> dict[str, pa.Array]:
        rows = _rows_in(body)
        self.limits.check(len(rows))
        for number, row in enumerate(rows, 1):
            if not isinstance(row, dict):
                raise DataError(f"row {number:,} is {_shown(row)}, not an object of cells")
            if not row.keys() <= self._known:
                unknown = [name for name in row if name not in self._known]
                raise SchemaError(
                    f"row {number:,} has {_listed(unknown)}, which the model does not know; "
                    "leave it out"
                )
            if not self._needed <= row.keys():
                missing = [name for name in self.used if name not in row]
                raise SchemaError(
                    f"row {number:,} lacks {_listed(missing)}; add it, null where it is unknown"
                )
        return {c.name: _cells(c, [row[c.name] for row in rows]) for c in self.schema.used}


def plain(column: Column, array: pa.Array) -> pa.Array:
    """Turn a column's cells, whatever they came as, into the one type of its kind.

    Numbers are float64, categories and texts strings, dates what the clock on the wall showed.
    Encoding the outcome gives what encoding the cells gives, to the last bit.

    Raises
    ------
    DataError
        A cell that cannot be read as the column's kind.
    """
    try:
        if column.kind is Kind.NUMBER:
            return pa.array(cells.numbers(array, column.name))
        if column.kind is not Kind.DATE:
            return cells.strings(array, column.name)
        micros, missing = cells.instants(array, column.name, column.tz)
    except DataError:
        raise
    except (pa.ArrowException, ValueError, KeyError, OverflowError) as error:
        # A time zone that is none, a date that Python cannot show.
        raise DataError(
            f"column {column.name!r} holds {str(array.type)[:60]}, which cannot be read as "
            f"{column.kind}; correct its cells, or leave them blank"
        ) from error
    beyond = (micros < _CALENDAR[0]) | (micros >= _CALENDAR[1])
    if beyond.any():
        raise DataError(
            f"column {column.name!r}, row {int(beyond.argmax()) + 1:,} (counted from 1): a date "
            "outside the years 1 to 9999; correct the cell, or leave it blank"
        )
    dates = pa.array(micros, mask=missing).cast(pa.timestamp("us"))
    whole = not column.has_time and not (micros % DAY).any()
    return dates.cast(pa.date32()) if whole else dates


def _rows_in(body: bytes) -> list[Any]:
    """Take the rows out of a JSON body."""
    try:
        given = json.loads(body.decode(), parse_constant=_no_number)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BrokenBodyError(f"the body is no JSON in UTF-8 ({error})") from error
    except RecursionError as error:
        raise DataError("the body is nested too deeply; rows hold cells, one value each") from error
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError("the body holds a number of thousands of digits; shorten it") from error
    if not isinstance(given, dict) or given.keys() != {"rows"} or type(given["rows"]) is not list:
        raise DataError(
            'the body is not of the form {"rows": [{"column": value, ...}, ...]}; send the rows so'
        )
    rows: list[Any] = given["rows"]
    if not rows:
        raise _no_rows()
    return rows


def _no_number(word: str) -> NoReturn:
    raise DataError(f"the body holds {word}, which is no JSON; write null for a missing number")


def _no_rows() -> DataError:
    return DataError("the body holds no rows; send at least one")


def _cells(column: Column, values: list[Any]) -> pa.Array:
    """Read the cells of one column out of JSON."""
    clock = column.kind is Kind.NUMBER and column.parts[0].name == "hours"
    taken = _TAKEN[column.kind] + ((str,) if clock else ())
    wanted = "a time of day such as 14:30:00, or hours" if clock else _WANTED[column.kind]
    if not set(map(type, values)) <= {*taken, type(None)}:
        row = next(i for i, v in enumerate(values) if v is not None and type(v) not in taken)
        raise _wrong(column, row, values[row], wanted)
    for row, value in enumerate(values):
        if type(value) is float and not math.isfinite(value):
            raise _wrong(column, row, value, "a finite number")
    if column.kind is Kind.DATE:
        return _dates(column, values)
    if column.kind is not Kind.NUMBER:
        return _texts(column, values)
    if clock:
        values = _each(column, values, _hours, wanted)
    try:
        return pa.array(np.array(values, dtype=np.float64))
    except OverflowError as error:  # an integer beyond float64
        row = next(
            i for i, v in enumerate(values) if type(v) is int and abs(v) > sys.float_info.max
        )
        raise _wrong(column, row, values[row], "a number up to 3.4e38") from error


def _dates(column: Column, values: list[Any]) -> pa.Array:
    """Read dates, those with an offset and those without apart, as Arrow reads no mixture."""
    offset = [bool(value and _OFFSET.search(value)) for value in values]
    texts = _texts(column, values)
    if len(set(offset)) == 1:
        return texts
    dates = np.full(len(values), np.datetime64("NaT", "us"))
    for kind in (True, False):
        mine = pc.if_else(pa.array([one is kind for one in offset]), texts, None)
        micros, missing = cells.instants(mine, column.name, column.tz)
        dates[~missing] = micros[~missing].astype("datetime64[us]")
    return pa.array(dates)


def _texts(column: Column, values: list[Any]) -> pa.Array:
    texts = [None if value is None else category_text(value) for value in values]
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:  # half of a surrogate pair
        return pa.array(_each(column, texts, str.encode, "text in Unicode"))


def _each(column: Column, values: list[Any], read: Callable[[Any], Any], wanted: str) -> list[Any]:
    """Read cell by cell; the first that cannot be read is told."""
    found = []
    for row, value in enumerate(values):
        try:
            found.append(None if value is None else read(value))
        except (ValueError, OverflowError) as error:
            raise _wrong(column, row, value, wanted) from error
    return found


def _hours(value: Any) -> float:
    if not isinstance(value, str):
        return float(value)
    if not _HOURS.fullmatch(value):
        raise ValueError(value)
    at = time.fromisoformat(value)
    seconds = at.hour * 3600 + at.minute * 60 + at.second
    return (seconds * 10**6 + at.microsecond) / (3600.0 * 10**6)


def _wrong(column: Column, row: int, value: object, wanted: str) -> SchemaError:
    return SchemaError(
        f"column {column.name!r}, row {row + 1:,} (counted from 1): found {_shown(value)}, where "
        f"{wanted} or null was expected"
    )


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if type(value) is int and abs(value) >= 1 << 64:
        return "a whole number of more than twenty digits"
    words = {True: "true", False: "false", None: "null"}
    text = words[value] if isinstance(value, bool | None) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _listed(names: list[str]) -> str:
    return listed([name if len(name) <= 60 else name[:57] + "..." for name in names])
