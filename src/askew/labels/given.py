"""What was handed over as verdicts, opened: bare values, the keys they carry, and a name."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from askew.errors import LabelError

_NAMED, _ROWS_NAMED = 5, 3  # how many bad values a message lists, and rows for each


@dataclass(frozen=True)
class Given:
    """Verdicts before they are read: bare values, the keys they carry, and a name."""

    values: NDArray[Any]
    ids: list[Hashable] | None = None
    name: str | None = None
    pandas: Any = None
    in_order: bool = False  # the ids are 0, 1, 2, ... because nobody chose any

    @property
    def is_numeric(self) -> bool:
        """Whether this is an array of numbers, where -1 may say "not looked at"."""
        return self.values.dtype.kind in "biuf"


def is_missing(value: Any) -> bool:
    """Whether a cell is empty: blank, or one of the marks for missing of any library."""
    if isinstance(value, str):
        return not value.strip()
    # By name, since pd.NA and NaT are known only to a library that may not be installed.
    return str(value).lower() in {"none", "nan", "nat", "<na>"}


def open_verdicts(y: Any) -> Given:
    """Open whatever verdicts can come in.

    Raises
    ------
    LabelError
        For what holds no verdicts, or more than one column.
    """
    if isinstance(y, Mapping):
        return Given(_objects(y.values()), ids=list(y))
    if isinstance(y, np.ma.MaskedArray):
        y = np.asarray(y.tolist(), dtype=object)  # None where masked, that is, missing
    if isinstance(y, np.ndarray):
        return Given(_column(y))
    if isinstance(y, Sequence) and not isinstance(y, (str, bytes)):
        numeric = all(isinstance(value, (bool, int, float, np.number, np.bool_)) for value in y)
        return Given(_column(np.asarray(y, dtype=None if numeric else object)))
    series = _series(y)
    if series is not None:
        return series
    if hasattr(y, "__array__"):
        return Given(_column(np.asarray(y)))
    raise LabelError(
        f"y is of type {type(y).__name__}, which holds no verdicts: give an array, a list, a "
        "Series, a column of a table, or a mapping {row key: verdict}."
    )


def _series(y: Any) -> Given | None:
    """Open a column of a frame library, whichever is loaded; None for all other objects."""
    from narwhals.stable.v2 import from_native, maybe_get_index
    from narwhals.stable.v2.dependencies import is_into_dataframe, is_into_series

    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is not None and isinstance(y, pyarrow.Array):
        y = pyarrow.chunked_array([y])
    if is_into_dataframe(y):
        frame = from_native(y, eager_only=True)
        if frame.shape[1] != 1:
            raise LabelError(
                f"y is a table of {frame.shape[1]} columns ({some(frame.columns)}), and verdicts "
                "are one: pass that column alone."
            )
        series = frame[:, 0]
    elif is_into_series(y):
        series = from_native(y, series_only=True)
    else:
        return None
    index: Any = maybe_get_index(series)
    return Given(
        _objects(series.to_list()),
        ids=None if index is None else as_list(index),
        # A pandas column made of an array is called 0, and a name may even be a tuple.
        name=series.name if isinstance(series.name, str) and series.name else None,
        pandas=None if index is None else series.to_native(),
        in_order=type(index).__name__ == "RangeIndex" and (index.start, index.step) == (0, 1),
    )


def _column(array: NDArray[Any]) -> NDArray[Any]:
    """Return `array` as (n,), with text, dates and the like as Python objects."""
    if array.ndim == 2 and array.shape[1] == 1:
        from sklearn.utils.validation import column_or_1d

        array = column_or_1d(array, warn=True)
    if array.ndim != 1:
        raise LabelError(
            f"y has shape {array.shape}; verdicts are one column of shape (n,), one for each row."
        )
    return array if array.dtype.kind in "biuf" else _objects(array.tolist())


def _objects(values: Iterable[Any]) -> NDArray[np.object_]:
    return np.fromiter(values, dtype=object)


def as_list(keys: Any) -> list[Hashable]:
    """Return keys as Python objects, which are equal wherever they come from."""
    if isinstance(keys, np.ndarray) and keys.dtype.kind == "M":
        # numpy turns stamps in nanoseconds into bare integers, which match no date.
        keys = keys.astype("datetime64[us]")
    for method in ("tolist", "to_pylist", "to_list"):
        if hasattr(keys, method):
            return list(getattr(keys, method)())
    return list(keys)


def tally(values: NDArray[Any], chosen: NDArray[np.bool_], ids: list[Hashable] | None) -> str:
    """Return the most frequent of the chosen values, how often each stands, and first where."""
    seen: dict[str, list[int]] = {}
    for number in np.flatnonzero(chosen).tolist():
        seen.setdefault(_quoted(values[number]), []).append(number)
    most = sorted(seen.items(), key=lambda item: -len(item[1]))
    parts = []
    for value, numbers in most[:_NAMED]:
        first = numbers[:_ROWS_NAMED]
        noun = ("row" if ids is None else "id") + ("s" if len(first) > 1 else "")
        rows = some(first if ids is None else [ids[number] for number in first])
        parts.append(f"{_short(value)} ({times(len(numbers))}, first at {noun} {rows})")
    if len(most) > _NAMED:
        parts.append(f"and {len(most) - _NAMED:,} more values")
    return "; ".join(parts) + (" (rows counted from 0)" if ids is None else "")


def times(count: int) -> str:
    """Say how often: ``once``, ``1,200 times``."""
    return "once" if count == 1 else f"{count:,} times"


def some(ids: Sequence[Hashable]) -> str:
    """Name the first three."""
    first = ", ".join(_short(_quoted(key)) for key in ids[:_ROWS_NAMED])
    return f"{first}, ..." if len(ids) > _ROWS_NAMED else first


def _quoted(value: Any) -> str:
    # repr, since a cell may hold a line break or what moves a terminal's cursor.
    return repr(str(value)) if isinstance(value, str) else str(value)


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
