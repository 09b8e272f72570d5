"""What the columns of a table are: decided once at fit, checked at every later table.

A schema is plain data. Reasons, drift checks and the model file all read it; the training rows are
not needed any more.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from askew.errors import DataError, MethodError, ModelFileError, SchemaError, TableWarning
from askew.table.checks import listed
from askew.table.columns import (
    Column,
    Kind,
    Part,
    category_text,
    percentile_of,
    share_above,
    share_below,
    share_of,
    typical_range,
)
from askew.table.schema_json import Reader, column_from_json, column_to_json

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

__all__ = [
    "Column",
    "Kind",
    "Part",
    "Schema",
    "category_text",
    "check_columns",
    "check_names",
    "infer_schema",
    "percentile_of",
    "share_above",
    "share_below",
    "share_of",
    "typical_range",
]

KINDS = ("number", "category", "date", "text", "identifier", "ignore")
"""What a user may ask a column to be."""

# scikit-learn's checks compare its message to the letter: five names, then an ellipsis.
_NAMES_SHOWN = 5

_PLURALS = {
    Kind.NUMBER: ("number", "numbers"),
    Kind.CATEGORY: ("category", "categories"),
    Kind.DATE: ("date", "dates"),
    Kind.TEXT: ("text", "texts"),
}


@dataclass(frozen=True)
class Schema:
    """The columns of the training table, in order.

    Parameters
    ----------
    columns : tuple of Column
        All of them, those left out as well.
    n_rows : int
        Rows of the training table.
    from_array : bool
        The table was a matrix without names: later ones are matched by position.
    """

    columns: tuple[Column, ...]
    n_rows: int
    from_array: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """All input columns, in order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def used(self) -> tuple[Column, ...]:
        """The columns that take part in the ranking, in order."""
        return tuple(column for column in self.columns if column.used)

    def column(self, name: str) -> Column:
        """Return the column of that name; KeyError when there is none."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> Mapping[str, Column]:
        return {column.name: column for column in self.columns}

    def describe(self) -> list[str]:
        """Say what was decided, a line for the whole and one for each doubt or reason to leave out.

        Returns
        -------
        list of str
            Such as ``["3 columns: 2 numbers, 1 left out", "left out: tx (identifier: every value
            differs)"]``.
        """
        counts = [
            f"{n:,} {words[n != 1]}"
            for kind, words in _PLURALS.items()
            if (n := sum(column.kind is kind for column in self.used))
        ]
        n_out = len(self.columns) - len(self.used)
        counts += [f"{n_out:,} left out"] if n_out else []
        n = len(self.columns)
        lines = [f"{n:,} {'column' if n == 1 else 'columns'}: {', '.join(counts)}"]
        lines += [f"a category: {c.name} ({c.why})" for c in self.used if "; " in c.why]
        return lines + [
            f"left out: {listed(names, quoted=False)} ({why})" for why, names in self._left_out()
        ]

    def _left_out(self) -> list[tuple[str, list[str]]]:
        """Reasons and the columns left out for each."""
        reasons: dict[str, list[str]] = {}
        for column in self.columns:
            if not column.used:
                reasons.setdefault(column.why, []).append(column.name)
        return list(reasons.items())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, without NaN; `from_json` is the way back."""
        return {
            "n_rows": self.n_rows,
            "from_array": self.from_array,
            "columns": [column_to_json(column) for column in self.columns],
        }

    @classmethod
    def from_json(cls, data: object) -> Schema:
        """Read what `to_json` wrote, trusting nothing of it.

        Raises
        ------
        ModelFileError
            A key, a type, a range or an order that `to_json` would not have written.
        """
        read = Reader(data, "the whole", ["n_rows", "from_array", "columns"])
        columns = tuple(column_from_json(item) for item in read.items("columns"))
        schema = cls(columns, n_rows=read.count("n_rows"), from_array=read.flag("from_array"))
        if len(schema._by_name) != len(columns):
            raise ModelFileError(
                "the schema is damaged: two columns have one name; load the file as Askew saved "
                "it, or fit again"
            )
        if not schema.used:
            raise ModelFileError(
                "the schema is damaged: no column is used; load the file as Askew saved it, or "
                "fit again"
            )
        return schema


def infer_schema(
    frame: nw.DataFrame[Any],
    *,
    kinds: Mapping[str, str] | None = None,
    from_array: bool = False,
) -> Schema:
    """Decide what every column of a training table is.

    Parameters
    ----------
    frame : narwhals.DataFrame, (n, d)
        From `askew.table.to_frame` or `array_frame`; without id and verdict columns.
    kinds : mapping of str to str, optional
        Columns whose kind the user knows better: ``number``, ``category``, ``date``, ``text``,
        ``identifier`` or ``ignore`` (the last two leave a column out).
    from_array : bool
        The table was a matrix: every column is a number, and none an identifier.

    Returns
    -------
    Schema

    Raises
    ------
    DataError
        Fewer than two rows, no column, rows that are all identical, no usable column, an infinity
        or a number beyond float32, a column asked for that is not there or cannot be read so.
    MethodError
        A kind that does not exist.

    Warns
    -----
    TableWarning
        Columns that hold nothing or one value only (left out), more columns than rows.

    Examples
    --------
    >>> from askew.table import array_frame
    >>> import numpy as np
    >>> infer_schema(array_frame(np.eye(3)), from_array=True).describe()
    ['3 columns: 3 numbers']
    """
    from askew.table import rules
    from askew.table.cells import as_arrow

    asked = _checked_kinds(kinds or {}, frame.columns)
    n_rows = len(frame)
    if not frame.columns:
        raise DataError(
            f"found 0 feature(s) (shape=({n_rows}, 0)) while a minimum of 1 is required."
        )
    if n_rows < 2:
        raise DataError(
            f"found {n_rows} sample(s) (rows) while a minimum of 2 is required: one row stands out "
            "from nothing. Give a table with more rows"
        )
    found = (
        rules.Found(name, as_arrow(frame.get_column(name)), asked.get(name))
        for name in frame.columns
    )
    decided = rules.decide(found, from_array)
    schema = Schema(tuple(decided[name] for name in frame.columns), n_rows, from_array)
    _check_usable(schema)
    _warn_of_shape(schema)
    return schema


def _checked_kinds(kinds: Mapping[str, str], names: list[str]) -> dict[str, str]:
    for name, kind in kinds.items():
        if name not in names:
            raise DataError(
                f"kinds names the column {name!r}, which the table lacks; "
                f"its columns are {listed(names, 10)}"
            )
        if kind not in KINDS:
            raise MethodError(
                f"the kind {kind!r} was asked for column {name!r}; one of {', '.join(KINDS)} "
                "was expected"
            )
    return {name: str(kind) for name, kind in kinds.items()}


def _check_usable(schema: Schema) -> None:
    if schema.used:
        return
    if all(column.why in ("constant", "all missing") for column in schema.columns):
        raise DataError(
            f"all {schema.n_rows:,} rows are identical: there is nothing to rank. Give a table "
            "whose rows differ"
        )
    reasons = "; ".join(f"{listed(names)}: {why}" for why, names in schema._left_out())
    raise DataError(
        f"none of the {len(schema.columns):,} columns can be used to rank rows ({reasons}). Add "
        "columns that describe the rows, or say with kinds= what a column is"
    )


def _warn_of_shape(schema: Schema) -> None:
    out = dict(schema._left_out())
    said = []
    if empty := out.get("all missing"):
        said.append(f"left out, as all their cells are missing: {listed(empty)}")
    if constant := out.get("constant"):
        said.append(
            f"left out, as they hold one value in every row: {listed(constant)}; a later row "
            "whose value differs there will not be noticed for it"
        )
    if len(schema.used) > schema.n_rows:
        said.append(
            f"{len(schema.used):,} columns for {schema.n_rows:,} rows: with more columns than rows "
            "any row looks odd in some of them; more rows or fewer columns rank better"
        )
    for text in said:
        warnings.warn(text, TableWarning, stacklevel=3)


def check_columns(schema: Schema, frame: nw.DataFrame[Any]) -> None:
    """Check that a later table has the columns of the training table.

    Parameters
    ----------
    schema : Schema
    frame : narwhals.DataFrame, (m, d)

    Raises
    ------
    SchemaError
        A column too many, missing, or at another place; a column that cannot be read as its kind
        any more, with the first row where that is so.
    """
    check_names(schema, frame.columns)
    _check_types(schema, frame)


def check_names(schema: Schema, names: list[str]) -> None:
    """Check names and order only: the part of `check_columns` that looks at no cell.

    Raises
    ------
    SchemaError
        A column too many, missing, or at another place.
    """
    if schema.from_array:
        if len(names) != len(schema.columns):
            raise SchemaError(
                f"X has {len(names)} features, but Askew is expecting {len(schema.columns)} "
                "features as input. Give as many columns as at fit"
            )
    elif tuple(names) != schema.names:
        raise SchemaError(_difference(schema.names, names))


def _difference(fitted: tuple[str, ...], found: list[str]) -> str:
    """Say how the names differ, in scikit-learn's words as far as it has some."""
    added, missing = sorted(set(found) - set(fitted)), sorted(set(fitted) - set(found))
    text = "The feature names should match those that were passed during fit.\n"
    if added:
        text += "Feature names unseen at fit time:\n" + _bullets(added)
    if missing:
        text += "Feature names seen at fit time, yet now missing:\n" + _bullets(missing)
    if not added and not missing:
        text += "Feature names must be in the same order as they were in fit.\n"
        return text + "Select the columns in the order of the training table."
    advice = ["drop the unseen columns"] if added else []
    advice += ["add the missing ones (blank where unknown)"] if missing else []
    return text + " and ".join(advice).capitalize() + ", or fit again on this table."


def _bullets(names: list[str]) -> str:
    shown = names[:_NAMES_SHOWN] + (["..."] if len(names) > _NAMES_SHOWN else [])
    return "".join(f"- {name}\n" for name in shown)


def _check_types(schema: Schema, frame: nw.DataFrame[Any]) -> None:
    import narwhals.stable.v2 as nw

    from askew.table import cells

    for name, dtype, column in zip(
        frame.columns, frame.schema.values(), schema.columns, strict=True
    ):
        if not column.used or (column.kind is Kind.NUMBER and dtype.is_numeric()):
            continue
        if column.kind is Kind.DATE and dtype in (nw.Date, nw.Datetime):
            continue
        if column.kind in (Kind.CATEGORY, Kind.TEXT) and dtype in (nw.String, nw.Boolean):
            continue
        array = cells.as_arrow(frame.get_column(name))
        if column.kind is Kind.NUMBER:
            cells.numbers(array, name)
        elif column.kind is Kind.DATE:
            cells.instants(array, name, column.tz)
        else:
            cells.strings(array, name)
