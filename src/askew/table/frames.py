"""The data boundary: what a user has, as one frame.

Files are read by `read_table`; pandas, polars and Arrow tables and NumPy arrays become one
narwhals frame; rows get the keys by which verdicts find them.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

from askew.errors import DataError
from askew.table.checks import listed, repeated_names

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw
    from numpy.typing import NDArray


def to_frame(X: Any) -> nw.DataFrame[Any]:
    """Wrap a user's table, whatever library it comes from.

    Parameters
    ----------
    X : DataFrame or Table, (n, d)
        A pandas or polars DataFrame, a pyarrow Table or RecordBatch, or a narwhals frame of one.
        Names that are not strings (pandas allows numbers) become strings.

    Returns
    -------
    narwhals.DataFrame
        A view on the same data; pandas' index is not a column of it, see `row_keys`.

    Raises
    ------
    DataError
        Anything else; a repeated column name.
    """
    import narwhals.stable.v2 as nw

    X = _eager(X)
    names = [str(name) for name in (X.column_names if hasattr(X, "column_names") else X.columns)]
    repeated = repeated_names(names)
    if repeated:
        raise DataError(
            f"the column name {listed(repeated)} stands in the table more than once; "
            "every column needs a name of its own"
        )
    if hasattr(X, "iloc") and list(X.columns) != names:
        X = X.set_axis(names, axis=1)
    return nw.from_native(X, eager_only=True)


def _eager(X: Any) -> Any:
    """Unwrap the native eager table in ``X``; anything else is a DataError."""
    import narwhals.stable.v2 as nw

    X = X.to_native() if hasattr(X, "to_native") else X
    if nw.dependencies.is_polars_lazyframe(X):
        raise DataError("found a polars LazyFrame; call .collect() on it first")
    if type(X).__module__.startswith("pyarrow") and type(X).__name__ == "RecordBatch":
        import pyarrow as pa

        return pa.Table.from_batches([X])
    if nw.dependencies.is_into_dataframe(X):
        return X
    kind = f"{type(X).__module__}.{type(X).__qualname__}"
    raise DataError(
        f"found {kind}; a pandas or polars DataFrame, a pyarrow Table or a two-dimensional NumPy "
        "array of numbers was expected"
    )


def array_frame(X: NDArray[Any]) -> nw.DataFrame[Any]:
    """Wrap a matrix of numbers as a frame with the columns ``x0``, ``x1``, ….

    Parameters
    ----------
    X : array, (n, d)
        Floats, integers or booleans; an object array whose cells are numbers or None.

    Returns
    -------
    narwhals.DataFrame
        Backed by pyarrow, (n, d). NaN stays NaN: missing.

    Raises
    ------
    DataError
        Not two-dimensional, or not numbers.

    Examples
    --------
    >>> array_frame(np.eye(2)).columns
    ['x0', 'x1']
    """
    import narwhals.stable.v2 as nw
    import pyarrow as pa

    X = np.asarray(X)
    if X.ndim != 2:
        raise DataError(
            f"Expected 2D array (rows, columns), got an array of {X.ndim} dimension(s) instead. "
            "Reshape your data: X.reshape(-1, 1) for one column, X.reshape(1, -1) for one row"
        )
    # Column after column in memory, so that each is handed to Arrow without a copy of its own.
    columns = np.asfortranarray(_as_numbers(X))
    table = pa.Table.from_arrays(
        [pa.array(column) for column in columns.T], names=[f"x{i}" for i in range(X.shape[1])]
    )
    return nw.from_native(table, eager_only=True)


def _as_numbers(X: NDArray[Any]) -> NDArray[Any]:
    if X.dtype.kind == "f":
        # Arrow has no long double, and no arithmetic on half precision.
        return X if X.dtype in (np.float32, np.float64) else X.astype(np.float64)
    if X.dtype.kind in "biu":
        return X
    if X.dtype.kind != "O":
        raise DataError(
            f"an array of {X.dtype} was found; every column of an array must hold numbers. "
            "Complex data not supported; put words and dates into a pandas or polars DataFrame"
        )
    try:
        return X.astype(np.float64)
    except (TypeError, ValueError) as error:
        row, column, value = _first_not_number(X)
        raise DataError(
            f"column {f'x{column}'!r}, row {row + 1:,}: found {value!r}; every column of an array "
            "must hold numbers. Put words and dates into a pandas or polars DataFrame"
        ) from error


def _first_not_number(X: NDArray[Any]) -> tuple[int, int, object]:
    for (row, column), value in np.ndenumerate(X):
        try:
            np.asarray([value], dtype=object).astype(np.float64)
        except (TypeError, ValueError):
            return row, column, value
    # Each cell converts alone: the fault is a number too large for a float.
    return 0, 0, X[0, 0]


def row_keys(X: Any, id_column: str | None = None) -> list[Hashable] | None:
    """Give the keys by which verdicts find their rows.

    Parameters
    ----------
    X : DataFrame, Table or array, (n, d)
        As the user gave it.
    id_column : str, optional
        The column that names the rows.

    Returns
    -------
    list of length n, or None
        The id column's values where it is named; else the pandas index where ``X`` has one;
        else None: rows are known by their position.

    Raises
    ------
    DataError
        No such column, a missing or repeated id, a repeated index entry.
    """
    if id_column is None:
        index = getattr(X, "index", None)
        if not hasattr(X, "iloc") or index is None:
            return None
        keys: list[Hashable] = index.tolist()
        if not index.is_unique:
            raise DataError(
                f"the index names rows twice: {_repeats(keys)}; make it unique "
                "(X.reset_index(drop=True) counts the rows), or name an id column"
            )
        return keys
    frame = to_frame(X)
    if id_column not in frame.columns:
        raise DataError(
            f"there is no id column {id_column!r}; the columns are {listed(frame.columns, 10)}"
        )
    keys = frame.get_column(id_column).to_list()
    return _checked_ids(keys, id_column)


def _checked_ids(keys: list[Hashable], id_column: str) -> list[Hashable]:
    # NaN and pandas' NaT differ from themselves; pd.NA neither equals nor differs.
    missing = [
        i for i, key in enumerate(keys) if key is None or str(key) in ("<NA>", "NaT", "nan", "")
    ]
    if missing:
        rows = ", ".join(f"{i + 1:,}" for i in missing[:3])
        raise DataError(
            f"id column {id_column!r}: {len(missing):,} of {len(keys):,} ids are missing, "
            f"the first in row {rows}; every row needs an id (rows count from 1)"
        )
    try:
        distinct = len(set(keys))
    except TypeError as error:
        raise DataError(
            f"id column {id_column!r} holds lists or records; an id is a number, a string or a date"
        ) from error
    if distinct < len(keys):
        raise DataError(
            f"id column {id_column!r}: ids stand there more than once: {_repeats(keys)}; "
            "every row needs an id of its own"
        )
    return keys


def _repeats(keys: list[Hashable], most: int = 3) -> str:
    """Name the first repeated keys, each with the two rows (counted from 1) where it stands."""
    first: dict[Hashable, int] = {}
    said: dict[Hashable, str] = {}
    for row, key in enumerate(keys, start=1):
        if key in first and key not in said:
            said[key] = f"{key!r} in rows {first[key]:,} and {row:,}"
        first.setdefault(key, row)
    text = ", ".join(list(said.values())[:most])
    return f"{text} and {len(said) - most:,} more" if len(said) > most else text
