"""Keys of rows that nobody named."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import narwhals.stable.v2 as nw
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from askew.table import content_keys


def keys(frame: Any) -> list[str]:
    return content_keys(nw.from_native(frame, eager_only=True))


def one(cell: Any, kind: pa.DataType | None = None) -> str:
    return keys(pa.table({"c": pa.array([cell], type=kind)}))[0]


def test_a_key_follows_its_row_whatever_the_order_and_the_library() -> None:
    frame = pd.DataFrame(
        {"n": [1.5, None, 3.0], "s": ["x", "y", None], "t": pd.to_datetime(["2026-01-02"] * 3)}
    )
    first = keys(frame)
    assert len(set(first)) == 3
    assert keys(frame.iloc[::-1]) == first[::-1]
    assert keys(frame[["t", "s", "n"]]) == first
    assert keys(pl.from_pandas(frame)) == first
    assert keys(pa.Table.from_pandas(frame)) == first


def test_copies_are_counted() -> None:
    a, b, c, d = keys(pd.DataFrame({"n": [1, 1, 2, 1]}))
    assert (b, d) == (f"{a}#2", f"{a}#3")
    assert c != a


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (one(1), one(1.0)),
        (one(1, pa.int8()), one(Decimal("1.00"))),
        (one(0.0), one(-0.0)),
        (one(None, pa.float64()), one(None, pa.string())),
        (one(float("nan")), one(None, pa.float64())),
        (one("x"), one("x", pa.dictionary(pa.int32(), pa.string()))),
        (one("x"), one("x", pa.large_string())),
        (one(datetime(2026, 1, 2), pa.timestamp("s")), one(datetime(2026, 1, 2))),
        (one(datetime(2026, 1, 2), pa.timestamp("ns")), one(date(2026, 1, 2))),
        (
            one(datetime(2026, 1, 2, 12, tzinfo=UTC)),
            one(datetime(2026, 1, 2, 12, tzinfo=UTC), pa.timestamp("ms", "Europe/Paris")),
        ),
    ],
)
def test_equal_values_have_one_key(left: str, right: str) -> None:
    assert left == right


def test_other_values_columns_and_kinds_have_others() -> None:
    found = [one(cell) for cell in (1, 2, 1.5, "1", "", None, True, [1], date(2026, 1, 2))]
    found.append(keys(pa.table({"d": [1]}))[0])
    found.append(keys(pa.table({"c": [1], "d": [None]}))[0])
    assert len(set(found)) == len(found)


def test_swapped_cells_have_another_key() -> None:
    assert keys(pa.table({"a": [1], "b": [2]})) != keys(pa.table({"a": [2], "b": [1]}))
