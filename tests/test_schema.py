from __future__ import annotations

import copy
import datetime as dt
import json
import math
import warnings
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_feature_names

from askew.errors import DataError, MethodError, ModelFileError, SchemaError, TableWarning
from askew.table import array_frame, to_frame
from askew.table.columns import FLOAT32_MAX, LEVELS
from askew.table.encode import encode
from askew.table.parts import measure
from askew.table.schema import (
    Kind,
    Part,
    Schema,
    check_columns,
    infer_schema,
    percentile_of,
    share_above,
    share_below,
    share_of,
    typical_range,
)

N = 60
RNG = np.random.default_rng(0)
DAYS = [dt.date(2024, 1, 1) + dt.timedelta(days=int(d)) for d in RNG.integers(0, 90, N)]
HOURS = [dt.datetime(2024, 1, 1) + dt.timedelta(hours=int(h)) for h in RNG.integers(0, 999, N)]
PROSE = [" ".join(RNG.choice(["pay", "the", "Rent", "12", "of", "may"], 7)) for _ in range(N)]
AMOUNTS = RNG.normal(100.0, 20.0, N)


def column(values: Any, name: str = "c", **kinds: str) -> Any:
    """What one column beside a plain number is decided to be."""
    frame = to_frame(pa.table({"other": AMOUNTS[: len(values)], name: values}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TableWarning)
        return infer_schema(frame, kinds=kinds).column(name)


def schema(**columns: Any) -> Schema:
    return infer_schema(to_frame(pa.table(columns)))


# --- what a column is


@pytest.mark.parametrize(
    ("values", "kind", "why"),
    [
        (AMOUNTS, Kind.NUMBER, "numbers"),
        (RNG.integers(0, 9, N), Kind.NUMBER, "whole numbers"),
        # All different, but neither rising nor dense: amounts in cents.
        (RNG.permutation(N) * 37 + 5, Kind.NUMBER, "whole numbers"),
        # Too few to tell.
        (list(range(19)), Kind.NUMBER, "whole numbers"),
        # Floats never name rows.
        (np.arange(N) * 1.0, Kind.NUMBER, "numbers"),
        ([Decimal(i % 7) for i in range(N)], Kind.NUMBER, "numbers"),
        ([dt.timedelta(seconds=i % 9) for i in range(N)], Kind.NUMBER, "durations, in seconds"),
        ([dt.time(i % 24) for i in range(N)], Kind.NUMBER, "times of day, in hours"),
        ([i % 2 == 0 for i in range(N)], Kind.CATEGORY, "true or false"),
        (["a", "b", "c"] * 20, Kind.CATEGORY, "3 different values"),
        (pa.array(["a", "b"] * 30).dictionary_encode(), Kind.CATEGORY, "2 different values"),
        # A category by the type that the user gave it, although its values are numbers.
        (pa.array([1, 2] * 30).dictionary_encode(), Kind.CATEGORY, "2 different values"),
        (["a", None] * 30, Kind.CATEGORY, "one value, or missing"),
        (
            ["1", "2", "10"] * 19 + ["?"] * 3,
            Kind.CATEGORY,
            "4 different values; 57 of 60 cells are numbers, '?' is not",
        ),
        (["1", "2", "?"] + ["?"] * 57, Kind.CATEGORY, "3 different values"),
        # Set phrases repeat; prose does not.
        (["very good quality indeed", "not good at all"] * 30, Kind.CATEGORY, "2 different values"),
        ([f"v{i}" for i in range(50)] + ["v0"] * 10, Kind.CATEGORY, "50 different values"),
        ([f"v{i}" for i in range(19)], Kind.CATEGORY, "19 different values"),
        (DAYS, Kind.DATE, "dates"),
        (HOURS, Kind.DATE, "dates with a time of day"),
        ([DAYS[0], None] * 30, Kind.DATE, "dates"),
        (PROSE, Kind.TEXT, "free text, 7 words on average"),
    ],
)
def test_what_is_used(values: Any, kind: Kind, why: str) -> None:
    found = column(values)
    assert (found.kind, found.used, found.why) == (kind, True, why)


@pytest.mark.parametrize(
    ("name", "values", "kind", "why"),
    [
        ("c", [f"tx-{i}" for i in range(20)], Kind.IDENTIFIER, "identifier: every value differs"),
        ("c", np.arange(N) ** 2, Kind.IDENTIFIER, "identifier: every value differs"),
        ("c", -(np.arange(N) ** 2), Kind.IDENTIFIER, "identifier: every value differs"),
        ("c", RNG.permutation(N) + 1000, Kind.IDENTIFIER, "identifier: every value differs"),
        # Neighbors here are one and the same float64.
        ("c", 2**60 + RNG.permutation(N), Kind.IDENTIFIER, "identifier: every value differs"),
        ("c", pa.array([*RNG.permutation(N - 1), None]), Kind.IDENTIFIER, "identifier: every"),
        ("tx_id", RNG.permutation(N) * 37, Kind.IDENTIFIER, "identifier: every value differs"),
        ("customerId", RNG.permutation(N) * 37, Kind.IDENTIFIER, "identifier: every value differs"),
        ("", RNG.permutation(N) * 37, Kind.IDENTIFIER, "identifier: every value differs"),
        (
            "c",
            [f"v{i}" for i in range(59)] + ["v0"],
            Kind.CATEGORY,
            "59 different values in 60 rows",
        ),
        (
            "c",
            [f"{i}.5" for i in range(58)] + ["oops", "also"],
            Kind.IDENTIFIER,
            "identifier: every value differs; 58 of 60 cells are numbers, 'also' is not",
        ),
        (
            "c",
            [*(f"{i}.5" for i in range(57)), "0.5", "n/a", "oops"],
            Kind.CATEGORY,
            "59 different values in 60 rows; 58 of 60 cells are numbers, 'n/a' is not",
        ),
        (
            "c",
            [f"${i % 59 + 1},000" for i in range(60)],
            Kind.CATEGORY,
            "59 different values in 60 rows; most look like numbers, as '$1,000': write all "
            "alike and without marks of currency, percent or thousands",
        ),
        (
            "c",
            [*(f"{i}.5" for i in range(59)), "x" * 10_000],
            Kind.IDENTIFIER,
            f"identifier: every value differs; 59 of 60 cells are numbers, '{'x' * 56}... is not",
        ),
        ("c", [f"0{i}" for i in range(60)], Kind.IDENTIFIER, "identifier: every value differs"),
        ("c", [7] * N, Kind.NUMBER, "constant"),
        ("c", ["x"] * N, Kind.CATEGORY, "constant"),
        ("c", [True] * N, Kind.CATEGORY, "constant"),
        ("c", [DAYS[0]] * N, Kind.DATE, "constant"),
        ("c", [None] * N, Kind.UNKNOWN, "all missing"),
        ("c", [math.nan] * N, Kind.NUMBER, "all missing"),
        ("c", [""] * N, Kind.CATEGORY, "all missing"),
        ("c", [[1]] * N, Kind.UNKNOWN, "values of type list<item: int64> cannot be ranked"),
        ("c", [{"a": 1}] * N, Kind.UNKNOWN, "values of type struct<a: int64> cannot be ranked"),
        ("c", [b"x"] * N, Kind.UNKNOWN, "values of type binary cannot be ranked"),
        (
            "c",
            [f"Aa bb cc 1{i:02}" for i in range(N)],
            Kind.TEXT,
            "texts of one length and make-up",
        ),
    ],
)
def test_what_is_left_out_and_why(name: str, values: Any, kind: Kind, why: str) -> None:
    found = column(values, name)
    assert (found.kind, found.used) == (kind, False)
    assert found.why.startswith(why)
    assert found.parts == found.categories == ()


@pytest.mark.parametrize("name", ["paid", "grid", "valid", "keyboard", "amount"])
def test_names_that_only_end_like_an_identifier_are_none(name: str) -> None:
    assert column(RNG.permutation(N) * 37, name).used


@pytest.mark.parametrize(
    ("values", "asked", "kind", "used"),
    [
        (list(range(N)), "number", Kind.NUMBER, True),
        ([1, 2, 3] * 20, "category", Kind.CATEGORY, True),
        (["1.5", "2.5", None] * 20, "number", Kind.NUMBER, True),
        (["2024-01-01", "2024-01-02T10:00:00"] * 30, "date", Kind.DATE, True),
        (["2024-01-01T10:00:00Z", "2024-01-02T10:00:00Z"] * 30, "date", Kind.DATE, True),
        (["a", "b b"] * 30, "text", Kind.TEXT, True),
        ([f"v{i}" for i in range(N)], "category", Kind.CATEGORY, True),
        ([1, 2] * 30, "identifier", Kind.IDENTIFIER, False),
        ([math.inf] * N, "ignore", Kind.UNKNOWN, False),
    ],
)
def test_the_user_knows_better(values: Any, asked: str, kind: Kind, used: bool) -> None:
    found = column(values, c=asked)
    assert (found.kind, found.used) == (kind, used)


def test_dates_in_text_are_read_by_their_own_clock() -> None:
    zoned = ["2024-07-01T10:00:00Z", "2024-07-02T10:00:00Z"]
    assert column(zoned, c="date").latest == "2024-07-02T10:00:00.000000"
    assert column([text[:-1] for text in zoned], c="date") == column(zoned, c="date")


def test_a_kind_that_cannot_be_is_refused() -> None:
    with pytest.raises(SchemaError, match=r"column 'c', row 2 .*: found 'x', where numbers were"):
        column(["1", "x", "y"] * 20, c="number")
    with pytest.raises(SchemaError, match=r"column 'c', row 1 .*: found 'soon', where dates were"):
        column(["soon", "2024-01-01"] * 30, c="date")
    many = to_frame(pa.table({"c": [f"v{i}" for i in range(1200)]}))
    with pytest.raises(DataError, match=r"asked for as a category but has 1,200 different values"):
        infer_schema(many, kinds={"c": "category"})
    with pytest.raises(DataError, match=r"kinds names the column 'd', which the table lacks"):
        column(AMOUNTS, d="number")
    with pytest.raises(MethodError, match=r"the kind 'float' was asked for column 'c'; one of num"):
        column(AMOUNTS, c="float")


def test_an_array_holds_numbers_only() -> None:
    X = np.column_stack([np.arange(N), RNG.permutation(N), np.ones(N, int)])
    assert X.dtype == int
    with pytest.warns(TableWarning, match="left out, as they hold one value in every row: 'x2'"):
        found = infer_schema(array_frame(X), from_array=True)
    assert found.describe() == ["3 columns: 2 numbers, 1 left out", "left out: x2 (constant)"]
    assert found.from_array


def test_categories_are_counted_most_frequent_first() -> None:
    found = column(["b", "c", "a", "c", None, "b"])
    # Equal counts go by name, whatever the order of the rows.
    assert found.categories == (("b", 2), ("c", 2), ("a", 1))
    assert found.n_missing == 1
    assert [share_of(found, value) for value in ("b", "a", None, "z")] == [2 / 6, 1 / 6, 1 / 6, 0.0]


def test_a_date_is_known_by_its_age_weekday_and_hour() -> None:
    found = column([dt.datetime(2024, 3, 1, 6), dt.datetime(2024, 2, 29, 18), None, None])
    assert [part.name for part in found.parts] == ["age", "weekday", "hour"]
    assert found.latest == "2024-03-01T06:00:00.000000"
    age, weekday, hour = found.parts
    assert (age.low, age.high) == (0.0, 0.5)
    assert (weekday.low, weekday.high, weekday.cycle) == (3.0, 4.0, 7.0)
    assert (hour.low, hour.high, hour.cycle) == (6.0, 18.0, 24.0)
    assert found.n_missing == 2


def test_what_never_differs_is_no_part() -> None:
    mondays = [dt.date(2024, 1, 1), dt.date(2024, 1, 8), dt.date(2024, 1, 22)]
    assert [part.name for part in column(mondays).parts] == ["age"]


def test_a_schema_says_what_was_decided() -> None:
    with pytest.warns(TableWarning):
        found = schema(
            tx_id=[f"t{i}" for i in range(N)],
            amount=AMOUNTS,
            country=["CH", "DE", "FR"] * 20,
            day=DAYS,
            note=PROSE,
            a=[1] * N,
            b=["x"] * N,
        )
    assert found.describe() == [
        "7 columns: 1 number, 1 category, 1 date, 1 text, 3 left out",
        "left out: tx_id (identifier: every value differs)",
        "left out: a, b (constant)",
    ]
    assert found.names == ("tx_id", "amount", "country", "day", "note", "a", "b")
    assert [c.name for c in found.used] == ["amount", "country", "day", "note"]


def test_a_category_that_one_cell_keeps_from_being_numbers_is_told() -> None:
    cells = ["1", "2", "10"] * 19 + ["?"]
    found = infer_schema(to_frame(pd.DataFrame({"nuclei": cells, "kind": ["a", "b"] * 29})))
    assert found.describe() == [
        "2 columns: 2 categories",
        "a category: nuclei (4 different values; 57 of 58 cells are numbers, '?' is not)",
    ]


# --- what a table has to have


def test_tables_with_nothing_to_rank_are_refused() -> None:
    with pytest.raises(DataError, match="found 1 sample"):
        schema(a=[1.0])
    with pytest.raises(DataError, match="found 0 sample"):
        schema(a=pa.array([], pa.float64()))
    with pytest.raises(DataError, match=r"0 feature\(s\) \(shape=\(0, 0\)\) while a minimum of 1"):
        schema()
    with pytest.raises(DataError, match="all 3 rows are identical: there is nothing to rank"):
        schema(a=[1, 1, 1], b=["x"] * 3, c=[None] * 3)
    with pytest.raises(DataError, match=r"none of the 2 columns can be used .*'id': identifier"):
        schema(id=list(range(N)), a=[1] * N)


@pytest.mark.parametrize("from_array", [False, True])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.inf, "inf is an infinite number"),
        (-math.inf, "-inf is an infinite number"),
        (3.5e38, r"3.5e\+38 is beyond what can be computed with"),
    ],
)
def test_numbers_that_cannot_be_computed_with_are_named(
    value: float, said: str, from_array: bool
) -> None:
    X = np.ones((5, 3))
    X[3, 1] = value
    with pytest.raises(DataError, match=rf"column 'x1', row 4 \(counted from 1\): {said}"):
        infer_schema(array_frame(X), from_array=from_array)


def test_the_largest_float32_is_no_fault() -> None:
    found = schema(a=[FLOAT32_MAX, -FLOAT32_MAX, 0.0])
    assert found.column("a").parts[0].high == FLOAT32_MAX


def test_odd_shapes_are_told() -> None:
    with pytest.warns(TableWarning) as told:
        schema(a=[1.0, 2.0], b=[2.0, 1.0], c=[3.0, 1.0], empty=[None, None], same=[5, 5])
    texts = [str(warning.message) for warning in told]
    assert len(texts) == 3
    assert "all their cells are missing: 'empty'" in texts[0]
    assert "one value in every row: 'same'; a later row whose value differs" in texts[1]
    assert "3 columns for 2 rows" in texts[2]


def test_an_ordinary_table_warns_of_nothing() -> None:
    schema(a=AMOUNTS, b=["x", "y", "z"] * 20, id=list(range(N)))


# --- one decision, whatever the library


def test_every_library_gives_the_same_schema() -> None:
    data = {
        "n": pa.array([1.5, None, 2.5] * 20),
        "i": pa.array(RNG.integers(0, 9, N)),
        "b": pa.array([True, False, True] * 20),
        "s": pa.array(["x", None, "y"] * 20),
        "d": pa.array(HOURS, pa.timestamp("us")),
        "z": pa.array(HOURS, pa.timestamp("ns", "Europe/Zurich")),
        "t": pa.array(PROSE),
    }
    table = pa.table(data)
    pandas = table.to_pandas()
    pandas["s"] = pandas["s"].astype(object)
    arrow = pd.DataFrame({k: pd.array(v, dtype=pd.ArrowDtype(v.type)) for k, v in data.items()})
    expected = infer_schema(to_frame(table))
    assert len(expected.used) == 7
    for native in (
        pandas,
        arrow,
        pl.from_arrow(table),
        table.to_pandas().astype({"s": "category"}),
    ):
        assert infer_schema(to_frame(native)) == expected


def test_pandas_columns_of_many_types_are_read() -> None:
    native = pd.DataFrame(
        {
            "mixed": [1, "a", None, 2.0] * 5,
            "numbers": [1, 2.5, None, True] * 5,
            "flags": [True, None, False, True] * 5,
        },
        dtype=object,
    )
    found = infer_schema(to_frame(native))
    assert found.column("mixed").categories == (("1", 5), ("2", 5), ("a", 5))
    assert found.column("mixed").n_missing == 5
    assert found.column("flags").categories == (("true", 10), ("false", 5))
    with pytest.raises(DataError, match=r"column 'z' holds .*, which cannot be read; convert"):
        infer_schema(to_frame(pd.DataFrame({"z": [1j, 2j], "a": [1, 2]})))


# --- places among the training values

finite = st.floats(-1e6, 1e6).map(lambda v: round(v, 1))


@settings(deadline=None)
@given(st.lists(finite, min_size=2, max_size=300), finite)
def test_shares_are_true_to_a_percent_and_the_tails_never_too_large(
    values: list[float], value: float
) -> None:
    (part,) = measure(["value"], np.array([values]))
    n = len(values)
    below, above = sum(v < value for v in values) / n, sum(v > value for v in values) / n
    # One level of the quantiles, or one row where there are fewer than a hundred.
    room = max(0.01, 1.0 / n) + 1e-9
    assert share_below(part, value) == pytest.approx(below, abs=room)
    assert share_above(part, value) == pytest.approx(above, abs=room)
    for said, truth in (
        (share_below(part, value), below),
        (share_above(part, value), above),
    ):
        if said >= 0.99:
            assert said <= truth + 1e-9
    assert 0.0 <= percentile_of(part, value) <= 100.0


def test_places_of_known_values() -> None:
    (part,) = measure(["value"], np.arange(10_000.0)[None])
    assert part.quantiles == (0.0, *(100.0 * i - 1 for i in range(1, 101)))
    assert typical_range(part) == (999.0, 8999.0)
    assert percentile_of(part, 4999.5) == pytest.approx(50.0, abs=0.1)
    assert percentile_of(part, 1e9) == 100.0
    assert percentile_of(part, -1.0) == 0.0
    assert share_below(part, 9_995.0) == 0.999
    assert share_below(part, 9_999.0) == 0.9999
    assert share_above(part, 5.0) == pytest.approx(0.999)
    # The many rows that share a value put it in their middle.
    (flag,) = measure(["value"], np.array([[0.0] * 97 + [1.0] * 3]))
    assert percentile_of(flag, 0.0) == pytest.approx(48.5, abs=0.51)
    assert share_below(flag, 1.0) == pytest.approx(0.97)
    assert share_above(flag, 1.0) == 0.0


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (np.random.default_rng(1).normal(5.0, 3.0, 20_000), 3.0),
        # Four rows in five are alike: the range of the middle 90 % has to serve.
        (np.r_[np.zeros(80), np.ones(20)], 1.0 / 2.563),
        (np.r_[np.zeros(92), np.ones(8)], 1.0 / 3.290),
        (np.r_[np.zeros(9990), np.ones(10)], 0.001 / 0.7979),
        # Rounding in the last digit is no spread.
        (np.r_[np.full(50, 0.3), np.full(30, 0.1 + 0.2), np.ones(20)], 0.7 / 2.563),
        (np.full(9, 4.0), 1.0),
    ],
)
def test_the_scale_is_robust(values: np.ndarray[Any, Any], scale: float) -> None:
    (part,) = measure(["value"], values[None])
    assert part.scale == pytest.approx(scale, rel=0.02)


@settings(deadline=None)
@given(st.lists(st.one_of(finite, st.just(math.nan)), min_size=1, max_size=50), st.randoms())
def test_quantiles_are_values_of_rows_in_any_order(values: list[float], random: Any) -> None:
    values = [*values, 3.0]
    (part,) = measure(["value"], np.array([values]))
    assert set(part.ordered) <= {v for v in values if v == v}
    assert (part.low, part.high) == (np.nanmin(values), np.nanmax(values))
    random.shuffle(values)
    assert measure(["value"], np.array([values])) == [part]


# --- plain JSON

columns = st.one_of(
    st.lists(st.one_of(st.floats(-1e38, 1e38), st.none()), min_size=8, max_size=8),
    st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), st.none()), min_size=8, max_size=8),
    st.lists(st.one_of(st.text(max_size=5), st.none()), min_size=8, max_size=8),
    st.lists(st.one_of(st.booleans(), st.none()), min_size=8, max_size=8),
    st.lists(
        st.one_of(st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)), st.none()),
        min_size=8,
        max_size=8,
    ),
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), columns, max_size=4))
@pytest.mark.filterwarnings("ignore::askew.errors.TableWarning")
def test_a_schema_survives_json(data: dict[str, Any]) -> None:
    found = schema(**{"": [1.5, 2, 3, 4, 5, 6, 7, 8]} | data | {"always": [1, 2] * 4})
    text = json.dumps(found.to_json(), allow_nan=False)
    assert Schema.from_json(json.loads(text)) == found


def whole() -> dict[str, Any]:
    found = schema(
        n=[1.5, None, 2.5] * 20, c=["a", "b", None] * 20, d=HOURS, id=list(range(N)), t=PROSE
    )
    data: dict[str, Any] = json.loads(json.dumps(found.to_json()))
    return data


def part_of(data: dict[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = data["columns"][0]["parts"][0]
    return part


BREAKS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no columns": lambda d: d.pop("columns"),
    "an extra key": lambda d: d.update(code="os.system"),
    "columns that are no list": lambda d: d.update(columns="abc"),
    "a column that is no object": lambda d: d.update(columns=[[1]]),
    "no column used": lambda d: d.update(columns=d["columns"][3:4]),
    "a name twice": lambda d: d.update(columns=[*d["columns"], d["columns"][0]]),
    "rows that are no count": lambda d: d.update(n_rows=-1),
    "rows that are a flag": lambda d: d.update(n_rows=True),
    "a flag that is a number": lambda d: d.update(from_array=0),
    "a kind of its own": lambda d: d["columns"][0].update(kind="pickle"),
    "a name that is no text": lambda d: d["columns"][0].update(name=3),
    "an identifier in use": lambda d: d["columns"][3].update(used=True),
    "a used number without parts": lambda d: d["columns"][0].update(parts=[]),
    "a number of two parts": lambda d: d["columns"][0].update(parts=d["columns"][2]["parts"]),
    "two parts of one name": lambda d: d["columns"][2].update(parts=[part_of(d)] * 2),
    "an unknown part": lambda d: d["columns"][2]["parts"][0].update(name="month"),
    "a category without values": lambda d: d["columns"][1].update(categories=[]),
    "a number with categories": lambda d: d["columns"][0].update(categories=[["a", 1]]),
    "a category twice": lambda d: d["columns"][1].update(categories=[["a", 2], ["a", 1]]),
    "categories out of order": lambda d: d["columns"][1].update(categories=[["a", 1], ["b", 2]]),
    "a category never seen": lambda d: d["columns"][1].update(categories=[["a", 0]]),
    "a category that is no pair": lambda d: d["columns"][1].update(categories=[["a", 1, 2]]),
    "a category that is no text": lambda d: d["columns"][1].update(categories=[[1, 1]]),
    "a date without its latest": lambda d: d["columns"][2].update(latest=None),
    "a date that is none": lambda d: d["columns"][2].update(latest="yesterday"),
    "a date with an offset": lambda d: d["columns"][2].update(latest="2024-01-01T00:00:00+02:00"),
    "a time zone that is none": lambda d: d["columns"][2].update(tz="../../etc/passwd"),
    "a hundred quantiles": lambda d: part_of(d)["quantiles"].pop(),
    "quantiles that fall": lambda d: part_of(d)["quantiles"].reverse(),
    "a quantile that is NaN": lambda d: part_of(d)["quantiles"].__setitem__(0, math.nan),
    "a quantile beyond float": lambda d: part_of(d)["quantiles"].__setitem__(100, 10**400),
    "a quantile of text": lambda d: part_of(d)["quantiles"].__setitem__(5, "1"),
    "a tail beyond the range": lambda d: part_of(d)["tails"].__setitem__(3, 1e9),
    "a center outside": lambda d: part_of(d).update(center=99.0),
    "no scale": lambda d: part_of(d).update(scale=0),
    "a scale that is a flag": lambda d: part_of(d).update(scale=True),
    "a scale that is infinite": lambda d: part_of(d).update(scale=math.inf),
    "a cycle that stands still": lambda d: part_of(d).update(cycle=0.0),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_damaged_schema_is_refused(name: str) -> None:
    data = whole()
    assert isinstance(Schema.from_json(data), Schema)
    BREAKS[name](data)
    with pytest.raises(ModelFileError, match="the schema is damaged"):
        Schema.from_json(data)


@pytest.mark.parametrize("data", [None, [], "schema", 3, {}])
def test_what_is_no_schema_is_refused(data: object) -> None:
    with pytest.raises(ModelFileError, match="the schema is damaged: the whole"):
        Schema.from_json(data)


def leaves(data: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value: its container and the key there."""
    keys = list(data) if isinstance(data, dict) else range(len(data))
    return [
        place
        for key in keys
        for place in [
            (data, key),
            *(leaves(data[key]) if isinstance(data[key], (dict, list)) else []),
        ]
    ]


WHOLE = whole()
FRAME = to_frame(
    pa.table({"n": [1.5, None], "c": ["a", "z"], "d": HOURS[:2], "id": [1, 2], "t": PROSE[:2]})
)
junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.just([]),
    st.just({}),
    st.lists(st.floats(), min_size=101, max_size=101),
)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10_000), junk)
@pytest.mark.filterwarnings("ignore::askew.errors.TableWarning")
def test_a_hostile_schema_is_refused_or_harmless(place: int, value: Any) -> None:
    data = copy.deepcopy(WHOLE)
    places = leaves(data)
    container, key = places[place % len(places)]
    container[key] = value
    try:
        found = Schema.from_json(data)
        matrix = encode(found, FRAME)
    except (ModelFileError, SchemaError):
        return
    assert np.isfinite(matrix).all()


# --- later tables


class Fitted(BaseEstimator):  # type: ignore[misc]
    def __init__(self) -> None:
        self.feature_names_in_ = np.array(["a", "b", "c"], dtype=object)


@pytest.mark.parametrize(
    "names",
    [
        ["a", "b"],
        ["a", "b", "c", "d"],
        ["a", "x", "c"],
        ["c", "b", "a"],
        [*"bcdefghijk"],
    ],
)
def test_other_columns_are_said_in_scikit_learns_words(names: list[str]) -> None:
    later = pd.DataFrame(np.ones((2, len(names))), columns=names)
    with pytest.raises(ValueError, match="feature names") as theirs:
        _check_feature_names(Fitted(), later, reset=False)
    fitted = schema(a=[1.0, 2, 3], b=[2.0, 3, 4], c=[3.0, 4, 5])
    with pytest.raises(SchemaError) as ours:
        check_columns(fitted, to_frame(later))
    assert str(ours.value).startswith(str(theirs.value))
    assert len(str(ours.value)) > len(str(theirs.value))


def test_arrays_are_matched_by_position() -> None:
    fitted = infer_schema(array_frame(RNG.normal(size=(9, 3))), from_array=True)
    check_columns(fitted, to_frame(pd.DataFrame(np.ones((2, 3)), columns=["a", "b", "c"])))
    with pytest.raises(SchemaError, match="X has 2 features, but Askew is expecting 3 features as"):
        check_columns(fitted, array_frame(np.ones((2, 2))))


def test_a_column_of_another_type_is_named() -> None:
    fitted = schema(n=AMOUNTS, c=["a", "b", "c"] * 20, d=DAYS, t=PROSE)
    good = {"n": [1.0, 2.0], "c": ["a", "b"], "d": DAYS[:2], "t": PROSE[:2]}

    def later(**changed: Any) -> None:
        check_columns(fitted, to_frame(pa.table(good | changed)))

    later()
    later(n=["1.5", None], c=[1, 2], d=["2024-01-01", ""], t=[3, 4])
    later(
        n=pa.nulls(2, pa.date32()), d=pa.nulls(2, pa.list_(pa.int8())), t=pa.nulls(2, pa.binary())
    )
    later(n=[None, None], c=[None, None], d=[None, None], t=[None, None])
    with pytest.raises(SchemaError, match=r"column 'n', row 2 .* found 'much', where numbers were"):
        later(n=["1", "much"])
    with pytest.raises(SchemaError, match=r"column 'n', row 1 .* found datetime.date.*numbers"):
        later(n=DAYS[:2])
    with pytest.raises(SchemaError, match=r"column 'c', row 1 .* found \[1\], where text was"):
        later(c=[[1], [2]])
    with pytest.raises(SchemaError, match=r"column 'd', row 2 .* found 'soon', where dates were"):
        later(d=["2024-01-01", "soon"])
    with pytest.raises(SchemaError, match=r"column 'd', row 1 .* found 7, where dates were"):
        later(d=[7, 8])


def test_levels_are_what_they_say() -> None:
    assert len(LEVELS) == 101
    part = Part("value", tuple(map(float, range(101))), (0.0, 0.1, 99.9, 100.0), 50.0, 1.0)
    assert len(part.ordered) == 105
    assert list(part.ordered) == sorted(part.ordered)
