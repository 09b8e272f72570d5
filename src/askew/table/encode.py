"""Schema and frame to a float32 matrix: what the rankers see.

Each row is encoded by the schema alone, never by the rows beside it: the same row gives the same
numbers in any batch, in any order, from any library.

==========  =====================================================================================
kind        features
==========  =====================================================================================
number      distance from the median in robust standard deviations, linear to ±4, logarithmic
            beyond
category    one 0/1 feature for each of up to 32 frequent values (one for the two of a two-valued
            column), one for all rare ones, one for values never seen at fit, and how rare it is
date        age as a number; weekday and hour as points on a circle, so that 23:50 is near 0:10
text        length, words, shares of digits and capitals, as numbers
==========  =====================================================================================

Every column that had missing cells at fit has one more 0/1 feature that says so; a missing cell is
otherwise encoded as a typical one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from askew.errors import TableWarning
from askew.table import cells
from askew.table.checks import listed
from askew.table.columns import Column, Kind, Part
from askew.table.parts import parts_of
from askew.table.schema import Schema, check_names

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["LINEAR", "encode", "feature_names", "groups", "parts_of", "typical"]

LINEAR = 4.0
"""Robust standard deviations up to which a number is kept in proportion. A normal column has one
row in 16,000 beyond; a wild value of 1e30 deviations ends at 73 instead of hiding all others."""

MAX_FREQUENT = 32
"""Categories with a feature of their own; beyond, more columns cost more than they tell."""

MIN_COUNT = 2
"""A value seen once is rare whichever it is; a feature of its own would only name its row."""

NEW_COUNT = 0.5
"""A value never seen counts as half a row: rarer than the rarest."""

# Cells encoded at a time: 8 MiB as float64, which stays in cache and bounds the memory.
_CELLS = 1 << 20


def encode(schema: Schema, frame: nw.DataFrame[Any]) -> NDArray[np.float32]:
    """Encode a table.

    Parameters
    ----------
    schema : Schema
        Of the training table.
    frame : narwhals.DataFrame, (n, d)
        The training table or a later one with the same columns.

    Returns
    -------
    array, (n, n_features), float32
        Contiguous and finite.

    Raises
    ------
    SchemaError
        Other columns than at fit, or a cell that cannot be read as its column's kind.
    DataError
        An infinity or a number beyond float32.

    Warns
    -----
    TableWarning
        Cells are missing in a column that had none missing at fit; they are taken for typical.

    Examples
    --------
    >>> import numpy as np
    >>> from askew.table.schema import infer_schema
    >>> from askew.table import array_frame
    >>> frame = array_frame(np.array([[1.0], [2.0], [3.0], [1e30]]))
    >>> encode(infer_schema(frame, from_array=True), frame).astype(float).round(1).tolist()
    [[-0.7], [0.0], [0.7], [72.7]]
    """
    check_names(schema, frame.columns)
    where = dict(groups(schema))
    out = np.empty((len(frame), len(feature_names(schema))), dtype=np.float32)
    gaps: list[str] = []
    numeric: list[tuple[Column, pa.Array]] = []
    # By position: a frame from an array has names of its own.
    for name, column in zip(frame.columns, schema.columns, strict=True):
        if not column.used:
            continue
        array = cells.as_arrow(frame.get_column(name))
        if column.kind is Kind.NUMBER:
            numeric.append((column, array))
            continue
        view = out[:, where[column.name]]
        fill = _fill_category if column.kind is Kind.CATEGORY else _fill_parts
        if fill(column, array, view) and not column.n_missing:
            gaps.append(column.name)
    gaps += _fill_numbers(numeric, [where[column.name] for column, _ in numeric], out)
    _warn_of_gaps(gaps)
    return out


def groups(schema: Schema) -> list[tuple[str, slice]]:
    """Tell which features belong to which input column.

    Returns
    -------
    list of (str, slice)
        One entry for each used column, in order; together they cover all features.
    """
    ends = accumulate((len(_features(column)) for column in schema.used), initial=0)
    slices = (slice(a, b) for a, b in pairwise(ends))
    return [(column.name, where) for column, where in zip(schema.used, slices, strict=True)]


def feature_names(schema: Schema) -> list[str]:
    """Name every feature, (n_features,), such as ``job = student`` or ``when: hour sin``."""
    return [name for column in schema.used for name in _features(column)]


def typical(schema: Schema) -> NDArray[np.float32]:
    """Encode the typical row, (n_features,): medians, most frequent categories, nothing missing.

    Setting one column's slice (see `groups`) to it tells what that column adds to a row's score.
    """
    row = np.empty((1, len(feature_names(schema))), dtype=np.float32)
    for name, where in groups(schema):
        column = schema.column(name)
        if column.kind is Kind.CATEGORY:
            row[:, where] = _category_table(column)[:1]
        else:
            middle = {part.name: np.array([part.center]) for part in column.parts}
            _write_parts(column, middle, row[:, where])
    return np.ascontiguousarray(row[0])


def _features(column: Column) -> list[str]:
    """Name a column's features; the one place that fixes their order."""
    names = []
    if column.kind is Kind.CATEGORY:
        own, rare = _own_features(column)
        names = [f"{column.name} = {value}" for value in own]
        names += [f"{column.name}: rare"] if rare else []
        names += [f"{column.name}: never seen", f"{column.name}: rarity"]
    for part in column.parts:
        name = column.name if column.kind is Kind.NUMBER else f"{column.name}: {part.name}"
        names += [name] if part.cycle is None else [f"{name} sin", f"{name} cos"]
    return names + ([f"{column.name} missing"] if column.n_missing else [])


def _own_features(column: Column) -> tuple[list[str], bool]:
    """Values with a feature of their own, and whether others are left for "rare"."""
    values = [value for value, _ in column.categories]
    if len(values) <= 2:
        # The less frequent of two values says all: the first is typical, and all zeros.
        return values[1:], False
    own = [v for v, count in column.categories[:MAX_FREQUENT] if count >= MIN_COUNT]
    return own, len(own) < len(values)


def _category_table(column: Column) -> NDArray[np.float32]:
    """Encode every value a category column can hold, (n_values + 2, n_features).

    Rows in the order of ``column.categories``, then a new value, then a missing one.
    """
    own, rare = _own_features(column)
    values = [value for value, _ in column.categories]
    counts = np.array([count for _, count in column.categories] + [NEW_COUNT, column.n_missing])
    counts[-1] = counts[-1] or counts[0]
    table = np.zeros((len(counts), len(_features(column))), dtype=np.float32)
    for feature, value in enumerate(own):
        table[values.index(value), feature] = 1.0
    if rare:
        table[len(own) : len(values), len(own)] = 1.0
    new = len(own) + rare
    table[-2, new] = 1.0
    # How many times rarer than the most frequent value, as a logarithm: 0 for what is usual.
    table[:, new + 1] = _squash(np.maximum(np.log(counts[0] / counts), 0.0))
    if column.n_missing:
        table[-1, -1] = 1.0
    else:
        table[-1] = table[0]
    return table


def _fill_category(column: Column, array: pa.Array, out: NDArray[np.float32]) -> bool:
    """Write a category column's features; tell whether a cell is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = cells.strings(array, column.name)
    known = pa.array([value for value, _ in column.categories], pa.large_string())
    codes = pc.index_in(text, value_set=known, skip_nulls=True).fill_null(len(known))
    codes = codes.to_numpy(zero_copy_only=False)
    if text.null_count:
        codes = np.where(pc.is_null(text).to_numpy(zero_copy_only=False), len(known) + 1, codes)
    out[...] = _category_table(column)[codes]
    return bool(text.null_count)


def _fill_parts(column: Column, array: pa.Array, out: NDArray[np.float32]) -> bool:
    """Write a date's or text's features; tell whether a cell is missing."""
    return _write_parts(column, parts_of(column, array), out)


def _write_parts(
    column: Column, found: Mapping[str, NDArray[np.float64]], out: NDArray[np.float32]
) -> bool:
    missing = np.isnan(found[column.parts[0].name])
    features = (f for part in column.parts for f in _part_features(part, found[part.name]))
    for i, feature in enumerate(features):
        out[:, i] = feature
    if column.n_missing:
        out[:, -1] = missing
    return bool(missing.any())


def _part_features(part: Part, values: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    filled = np.where(np.isnan(values), part.center, values)
    if part.cycle is None:
        yield _squash((filled - part.center) / part.scale)
    else:
        angle = filled * (2.0 * math.pi / part.cycle)
        yield np.sin(angle)
        yield np.cos(angle)


def _fill_numbers(
    found: list[tuple[Column, pa.Array]], where: list[slice], out: NDArray[np.float32]
) -> list[str]:
    """Write all number columns, a tile of rows at a time; name those with unforeseen gaps."""
    if not found:
        return []
    names = [column.name for column, _ in found]
    parts = [column.parts[0] for column, _ in found]
    center, scale = (np.array([getattr(p, key) for p in parts]) for key in ("center", "scale"))
    flagged = np.array([column.n_missing > 0 for column, _ in found])
    value_at = np.array([place.start for place in where])
    gaps = np.zeros(len(found), dtype=bool)
    step = max(1, _CELLS // len(found))
    for start in range(0, len(out), step):
        tiles = [cells.numbers(a.slice(start, step), c.name, start) for c, a in found]
        block = np.stack(tiles, axis=1)
        cells.check_range(block, names, start)
        missing = np.isnan(block)
        np.copyto(block, center, where=missing)
        rows = out[start : start + step]
        rows[:, value_at] = _squash((block - center) / scale)
        rows[:, value_at[flagged] + 1] = missing[:, flagged]
        gaps |= missing.any(axis=0)
    return [names[i] for i in np.flatnonzero(gaps & ~flagged)]


def _squash(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep ``z`` to ±4, then let it grow as a logarithm: continuous in value and slope.

    Rising throughout, so that order is kept: z for |z| <= 4, else sign(z) (4 + log(1 + |z| - 4)).
    """
    size = np.abs(z)
    far = size > LINEAR
    if far.any():
        z[far] = np.copysign(LINEAR + np.log1p(size[far] - LINEAR), z[far])
    return z


def _warn_of_gaps(names: list[str]) -> None:
    if names:
        warnings.warn(
            f"cells are missing in {listed(names)}, where none was at fit; they are ranked as if "
            "they were typical. Fill them, or fit again on a table that has such gaps",
            TableWarning,
            stacklevel=3,
        )
