"""The numbers a person would read off a cell, and how they spread over the training rows."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from askew.table import cells
from askew.table.columns import LEVELS, SMALLEST_SCALE, TAIL_LEVELS, Column, Kind, Part

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw
    import pyarrow as pa
    from numpy.typing import NDArray

DAY = 86_400_000_000
"""Microseconds in a day."""

CYCLES = {"weekday": 7.0, "hour": 24.0}
"""Parts that run in a circle, and their periods."""

# Shares of the rows and how many standard deviations of a normal distribution lie between them:
# tried from the inside out, as the inner ones are moved least by odd rows.
_RANGES = ((25, 75, 1.349), (10, 90, 2.563), (5, 95, 3.290), (1, 99, 4.653))

# Mean absolute deviation of a normal distribution with standard deviation 1.
_MEAN_DEVIATION = 0.7979

# A spread below this share of the values themselves is rounding, not spread.
_ROUNDING = 1e-12


def parts_of(column: Column, series: nw.Series[Any] | pa.Array) -> dict[str, NDArray[np.float64]]:
    """Read the numeric parts of every cell.

    Parameters
    ----------
    column : Column
        A used column of kind number, date or text.
    series : narwhals.Series or pyarrow.Array, (n,)
        Its cells, of the training table or any later one.

    Returns
    -------
    dict of str to array, (n,), float64
        One entry for each of ``column.parts``, in that order; NaN where the cell is missing.

    Raises
    ------
    SchemaError
        A cell that cannot be read as the column's kind.
    """
    array = cells.as_arrow(series) if hasattr(series, "to_arrow") else series
    if column.kind is Kind.NUMBER:
        return {column.parts[0].name: cells.numbers(array, column.name)}
    if column.kind is Kind.DATE:
        micros, missing = cells.instants(array, column.name, column.tz)
        latest = np.datetime64(datetime.fromisoformat(str(column.latest)), "us")
        found = date_parts(micros, missing, int(latest.astype(np.int64)))
    else:
        found = text_parts(cells.strings(array, column.name))
    return {part.name: found[part.name] for part in column.parts}


def date_parts(
    micros: NDArray[np.int64], missing: NDArray[np.bool_], latest: int
) -> dict[str, NDArray[np.float64]]:
    """Age in days before ``latest``, weekday (0 Monday) and hour; NaN where missing, (n,) each."""
    day, of_day = np.divmod(micros, DAY)
    found = {
        "age": (latest - micros) / DAY,
        # 1970-01-01 was a Thursday.
        "weekday": (day + 3.0) % 7.0,
        "hour": of_day / (DAY / 24.0),
    }
    for values in found.values():
        values[missing] = np.nan
    return found


def text_parts(text: pa.Array) -> dict[str, NDArray[np.float64]]:
    """Length, words, and shares of digits and capitals; NaN where missing, (n,) each."""
    import pyarrow.compute as pc

    def count(pattern: str) -> NDArray[np.float64]:
        counted = pc.cast(pc.count_substring_regex(text, pattern), "float64")
        return np.asarray(counted.to_numpy(zero_copy_only=False))

    characters = np.asarray(pc.cast(pc.utf8_length(text), "float64").to_numpy(zero_copy_only=False))
    return {
        "characters": characters,
        "words": count(r"\S+"),
        "digits": count(r"\p{Nd}") / characters,
        "capitals": count(r"\p{Lu}") / characters,
    }


def measure(names: list[str], block: NDArray[np.float64]) -> list[Part]:
    """Summarize measures into parts.

    Parameters
    ----------
    names : list of m str
        The parts' names.
    block : array, (m, n), float64
        One measure per row, each with at least one value that is not NaN.

    Returns
    -------
    list of m Part
    """
    ordered = np.sort(block, axis=1)
    present = np.count_nonzero(ordered == ordered, axis=1)
    levels = np.array([*LEVELS, *TAIL_LEVELS])
    # Inverted distribution function: a quantile is the value of some row, so that whole numbers
    # stay whole, and "above the quantile at p" means above at least that share of the rows.
    # The small subtraction takes 0.07 * 100 = 7.000000000000001 for the 7 it is.
    at = np.ceil(levels * present[:, None] - 1e-9).astype(np.int64) - 1
    quantiles = np.take_along_axis(ordered, np.maximum(at, 0), axis=1)
    center = quantiles[:, 50]
    scale = _scales(ordered, quantiles, center)
    return [
        Part(
            name=name,
            quantiles=tuple(row[: len(LEVELS)].tolist()),
            tails=tuple(row[len(LEVELS) :].tolist()),
            center=float(middle),
            scale=float(spread),
            cycle=CYCLES.get(name),
        )
        for name, row, middle, spread in zip(names, quantiles, center, scale, strict=True)
    ]


def _scales(
    ordered: NDArray[np.float64], quantiles: NDArray[np.float64], center: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Robust standard deviations, (m,): the innermost range that is not empty, as a normal's.

    A column that holds one value in most rows has no inner range; its outer ones, and at last the
    mean deviation, give a scale by which the rare other values stand the further out the rarer
    they are.
    """
    noise = _ROUNDING * np.maximum(np.abs(quantiles[:, 25]), np.abs(quantiles[:, 75]))
    scale = np.zeros(len(ordered))
    for low, high, deviations in _RANGES:
        spread = (quantiles[:, high] - quantiles[:, low]) / deviations
        scale = np.where((scale == 0.0) & (spread > noise), spread, scale)
    for i in np.flatnonzero(scale == 0.0):
        # Of the sorted values, so that the order of the rows leaves no trace in the sum.
        scale[i] = np.nanmean(np.abs(ordered[i] - center[i])) / _MEAN_DEVIATION
    scale[scale == 0.0] = 1.0
    return np.maximum(scale, SMALLEST_SCALE)
