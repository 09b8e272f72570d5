from __future__ import annotations

import datetime as dt
import math
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from askew.errors import DataError, SchemaError, TableWarning
from askew.table import array_frame, to_frame
from askew.table import encode as encoding
from askew.table.cells import as_arrow
from askew.table.columns import FLOAT32_MAX
from askew.table.encode import encode, feature_names, groups, parts_of, typical
from askew.table.schema import Kind, Schema, infer_schema

N = 40
RNG = np.random.default_rng(3)
START = dt.datetime(2024, 1, 1)


def rich(n: int = N, seed: int = 0) -> pa.Table:
    """One column of every kind, with gaps in each."""
    rng = np.random.default_rng(seed)

    def gaps(values: Any) -> list[Any]:
        return [None if rng.random() < 0.1 else value for value in values]

    return pa.table(
        {
            "n": pa.array(gaps(rng.normal(10.0, 2.0, n).tolist()), pa.float64()),
            "i": pa.array(rng.integers(0, 50, n)),
            "c": pa.array(gaps(rng.choice(["a", "b", "c", "d"], n, p=[0.5, 0.3, 0.15, 0.05]))),
            "b": pa.array(gaps((rng.random(n) < 0.2).tolist()), pa.bool_()),
            "t": pa.array(
                gaps([START + dt.timedelta(minutes=int(m)) for m in rng.integers(0, 99_999, n)]),
                pa.timestamp("us"),
            ),
            "w": pa.array(gaps([" ".join(rng.choice(["Pay", "12", "of"], 6)) for _ in range(n)])),
        }
    )


def fit(table: Any) -> Schema:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TableWarning)
        return infer_schema(to_frame(table), kinds={"w": "text"} if "w" in names(table) else None)


def names(table: Any) -> list[str]:
    return to_frame(table).columns


def one(train: Any, later: Any, **kinds: str) -> tuple[list[str], NDArray[np.float32]]:
    """Features of a single column ``c``: their names after the column's, and their values."""
    anchor = {"anchor": list(range(3, 3 + len(train)))[::-1] if len(train) < 20 else None}
    table = pa.table({"c": train} | {k: v for k, v in anchor.items() if v})
    schema = infer_schema(to_frame(table), kinds=kinds)
    frame = pa.table({"c": later} | ({"anchor": [3] * len(later)} if anchor["anchor"] else {}))
    where = dict(groups(schema))["c"]
    said = [name.removeprefix("c").removeprefix(":").strip() for name in feature_names(schema)]
    return said[where], encode(schema, to_frame(frame))[:, where]


# --- the whole matrix


def test_the_matrix_is_float32_contiguous_and_finite() -> None:
    table = rich()
    schema = fit(table)
    x = encode(schema, to_frame(table))
    assert x.shape == (N, len(feature_names(schema)))
    assert x.dtype == np.float32
    assert x.flags.c_contiguous
    assert np.isfinite(x).all()
    assert len({column.kind for column in schema.used}) == 4


def test_an_empty_later_table_gives_no_rows() -> None:
    schema = fit(rich())
    assert encode(schema, to_frame(rich().slice(0, 0))).shape == (0, len(feature_names(schema)))


def test_groups_cover_all_features_in_order() -> None:
    schema = fit(rich())
    assert [name for name, _ in groups(schema)] == [column.name for column in schema.used]
    covered = [i for _, where in groups(schema) for i in range(where.start, where.stop)]
    assert covered == list(range(len(feature_names(schema))))
    for name, where in groups(schema):
        assert where.stop > where.start
        assert all(feature.startswith(name) for feature in feature_names(schema)[where])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.randoms())
@pytest.mark.filterwarnings("ignore::askew.errors.TableWarning")
def test_a_row_is_encoded_alike_in_any_company(seed: int, n: int, random: Any) -> None:
    schema = fit(rich())
    table = rich(n, seed)
    x = encode(schema, to_frame(table))
    order = list(range(n))
    random.shuffle(order)
    np.testing.assert_array_equal(encode(schema, to_frame(table.take(order))), x[order])
    at = order[0]
    np.testing.assert_array_equal(encode(schema, to_frame(table.slice(at, 1))), x[at : at + 1])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-FLOAT32_MAX, FLOAT32_MAX), min_size=1, max_size=70),
    st.integers(1, 70),
)
def test_wild_numbers_are_encoded_alike_in_any_company(values: list[float], at: int) -> None:
    schema = infer_schema(array_frame(RNG.normal(size=(50, 1))), from_array=True)
    X = np.array(values)[:, None]
    x = encode(schema, array_frame(X))
    parts = [encode(schema, array_frame(half)) for half in (X[:at], X[at:]) if len(half)]
    np.testing.assert_array_equal(np.concatenate(parts), x)


@pytest.mark.filterwarnings("ignore::askew.errors.TableWarning")
def test_a_table_of_many_tiles_is_encoded_like_one(monkeypatch: pytest.MonkeyPatch) -> None:
    table = rich(200)
    schema = fit(table)
    whole = encode(schema, to_frame(table))
    monkeypatch.setattr(encoding, "_CELLS", 14)
    np.testing.assert_array_equal(encode(schema, to_frame(table)), whole)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
@pytest.mark.filterwarnings("ignore::askew.errors.TableWarning")
def test_every_library_gives_the_same_matrix(seed: int) -> None:
    table = rich(N, seed)
    schema = fit(rich())
    x = encode(schema, to_frame(table))
    pandas = table.to_pandas()
    plain = pandas.astype({"c": object, "b": object})
    chunked = pa.concat_tables([table.slice(0, 7), table.slice(7)])
    nan = table.set_column(0, "n", pa.array(pandas["n"].to_numpy()))
    for native in (pandas, plain, pl.from_arrow(table), chunked, nan):
        np.testing.assert_array_equal(encode(schema, to_frame(native)), x)


def test_an_array_and_a_frame_of_the_same_numbers_are_one() -> None:
    X = RNG.normal(size=(30, 4))
    X[3, 2] = np.nan
    expected = encode(infer_schema(array_frame(X), from_array=True), array_frame(X))
    named = [f"x{i}" for i in range(4)]
    for native in (pd.DataFrame(X, columns=named), pl.DataFrame(X, schema=named)):
        frame = to_frame(native)
        np.testing.assert_array_equal(encode(infer_schema(frame), frame), expected)
    for other in (X.tolist(), np.asfortranarray(X)):
        frame = array_frame(np.asarray(other))
        schema = infer_schema(frame, from_array=True)
        np.testing.assert_array_equal(encode(schema, frame), expected)


def test_later_columns_have_to_be_those_of_the_fit() -> None:
    schema = fit(rich())
    with pytest.raises(SchemaError, match="Feature names seen at fit time, yet now missing"):
        encode(schema, to_frame(rich().drop_columns(["n"])))
    words = rich().set_column(0, "n", pa.array(["1.5", "much"] * (N // 2)))
    with pytest.raises(SchemaError, match=r"column 'n', row 2 .* found 'much'"):
        encode(schema, to_frame(words))


def test_a_matrix_is_matched_by_position() -> None:
    X = RNG.normal(size=(30, 2))
    schema = infer_schema(array_frame(X), from_array=True)
    frame = to_frame(pd.DataFrame(X, columns=["a", "b"]))
    np.testing.assert_array_equal(encode(schema, frame), encode(schema, array_frame(X)))


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
def test_what_cannot_be_computed_with_is_named(
    value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "_CELLS", 20)
    X = RNG.normal(size=(30, 2))
    schema = infer_schema(array_frame(X), from_array=True)
    X[23, 1] = value
    with pytest.raises(DataError, match=r"column 'x1', row 24 \(counted from 1\)"):
        encode(schema, array_frame(X))


# --- numbers


@pytest.mark.parametrize("z", [0.0, 1.0, -3.9, 4.0, -4.0, 4.5, -10.0, 1e3, 1e30, -1e30])
def test_numbers_are_linear_to_four_and_logarithmic_beyond(z: float) -> None:
    train = np.linspace(-1.0, 1.0, 101)
    schema = infer_schema(array_frame(train[:, None]), from_array=True)
    (part,) = schema.columns[0].parts
    # The middle half of these is 1 wide; the median is 0.
    assert part.center == pytest.approx(0.0)
    assert part.scale == pytest.approx(1.0 / 1.349)
    got = float(encode(schema, array_frame(np.array([[z / 1.349]])))[0, 0])
    expected = z if abs(z) <= 4.0 else math.copysign(4.0 + math.log(abs(z) - 3.0), z)
    assert got == pytest.approx(expected, rel=1e-6)


@settings(deadline=None)
@given(
    st.lists(st.floats(-FLOAT32_MAX, FLOAT32_MAX), min_size=2, max_size=40, unique=True),
    st.lists(st.floats(-FLOAT32_MAX, FLOAT32_MAX), min_size=1, max_size=40),
)
def test_order_is_kept(train: list[float], later: list[float]) -> None:
    schema = infer_schema(array_frame(np.array(train)[:, None]), from_array=True)
    z = encode(schema, array_frame(np.sort([*later, *train])[:, None]))[:, 0]
    assert np.isfinite(z).all()
    assert (np.diff(z) >= 0).all()


def test_the_narrowest_column_meets_the_widest_value() -> None:
    schema = infer_schema(array_frame(np.array([[0.0], [1e-300], [2e-300]])), from_array=True)
    z = encode(schema, array_frame(np.array([[FLOAT32_MAX], [-FLOAT32_MAX]])))[:, 0]
    assert np.isfinite(z).all()
    assert z[0] > 100.0 > -100.0 > z[1]


def test_close_values_stay_apart_in_the_linear_range() -> None:
    train = np.linspace(0.0, 1.0, 1001)[:, None]
    z = encode(infer_schema(array_frame(train), from_array=True), array_frame(train))[:, 0]
    assert (np.diff(z) > 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1e30, -1e30, FLOAT32_MAX, 1e6]))
def test_a_wild_row_flattens_nothing_and_stands_out(seed: int, wild: float) -> None:
    values = np.random.default_rng(seed).normal(100.0, 15.0, 200)
    spread = []
    for X in (values[:, None], np.append(values, wild)[:, None]):
        frame = array_frame(X)
        x = encode(infer_schema(frame, from_array=True), frame)[:, 0]
        spread.append(x[:200].std())
    assert 0.9 < spread[1] / spread[0] < 1.1
    assert abs(x[200]) > np.abs(x[:200]).max() + 4.0
    assert abs(x[200]) < 100.0


def test_the_rarer_a_flag_the_further_out() -> None:
    reached = []
    for n_rare in (300, 100, 30, 5):
        X = np.zeros((1000, 1))
        X[:n_rare] = 1.0
        reached.append(encode(infer_schema(array_frame(X), from_array=True), array_frame(X))[0, 0])
    assert reached == sorted(reached)
    assert reached[0] > 1.0


def test_a_missing_number_is_typical_and_flagged() -> None:
    said, x = one([1.0, 2.0, 3.0, None], [2.0, None, math.nan])
    assert said == ["", "missing"]
    assert x.tolist() == [[0.0, 0.0], [0.0, 1.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("train", "later"),
    [
        ([1.0, 2.0, 3.0, 4.0], [2.0, None]),
        (["a", "b", "b", "c"], ["b", None]),
        ([START, START + dt.timedelta(1), START + dt.timedelta(2)], [START, None]),
    ],
)
def test_a_gap_where_none_was_is_told(train: Any, later: Any) -> None:
    with pytest.warns(TableWarning, match="cells are missing in 'c', where none was at fit"):
        said, x = one(train, later)
    assert "missing" not in said
    table = pa.table({"c": train, "anchor": [3, 4, 5, 6][: len(train)]})
    where = dict(groups(infer_schema(to_frame(table))))["c"]
    np.testing.assert_array_equal(x[1], typical(infer_schema(to_frame(table)))[where])


def test_gaps_that_were_there_at_fit_are_not_told() -> None:
    table = rich()
    encode(fit(table), to_frame(table))


# --- categories


def test_a_category_has_its_feature_and_its_rarity() -> None:
    train = ["a"] * 6 + ["b"] * 3 + ["c"] * 2 + ["d"]
    said, x = one(train, ["a", "b", "c", "d", "z"])
    assert said == ["= a", "= b", "= c", "rare", "never seen", "rarity"]
    expected = np.zeros((5, 6))
    expected[np.arange(5), np.arange(5)] = 1.0
    # Times rarer than "a"; a new value counts as half a row: 12 times, squashed a little.
    expected[:, 5] = np.log([1, 2, 3, 6, 12])
    np.testing.assert_allclose(x, expected, rtol=1e-6)


def test_two_values_need_one_feature() -> None:
    said, x = one(["yes", "no", "no", "no"], ["no", "yes", "maybe"])
    assert said == ["= yes", "never seen", "rarity"]
    expected = np.array([[0, 0, 0], [1, 0, math.log(3)], [0, 1, math.log(6)]])
    np.testing.assert_allclose(x, expected, rtol=1e-6)


def test_a_missing_category_has_its_flag_and_its_rarity() -> None:
    said, x = one(["a", "a", "b", "b", "b", None, ""], ["b", None, ""])
    assert said == ["= a", "never seen", "rarity", "missing"]
    rarity = np.float32(math.log(3 / 2))
    assert x.tolist() == [[0, 0, 0, 0], [0, 0, rarity, 1], [0, 0, rarity, 1]]


def test_one_value_and_gaps_tell_only_the_gaps() -> None:
    said, x = one(["a", "a", None], ["a", None, "z"])
    assert said == ["never seen", "rarity", "missing"]
    np.testing.assert_allclose(x[:, [0, 2]], [[0, 0], [0, 1], [1, 0]])


def test_only_frequent_values_have_features_of_their_own() -> None:
    train = [f"v{i:02}" for i in range(40) for _ in range(40 - i)]
    schema = infer_schema(to_frame(pa.table({"c": train})))
    said = feature_names(schema)
    assert said[0] == "c = v00"
    assert said[31] == "c = v31"
    assert said[32:] == ["c: rare", "c: never seen", "c: rarity"]
    x = encode(schema, to_frame(pa.table({"c": ["v39", "v31", "v40"]})))
    assert [row.nonzero()[0].tolist()[0] for row in x] == [32, 31, 33]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=3, max_size=60),
    st.text(min_size=1, max_size=3),
)
def test_an_unseen_category_lands_in_its_own_bucket(train: list[str], value: str) -> None:
    table = pa.table({"c": [*train, "a", "b"]})
    schema = infer_schema(to_frame(table))
    at = feature_names(schema).index("c: never seen")
    known = encode(schema, to_frame(table))
    assert (known[:, at] == 0.0).all()
    x = encode(schema, to_frame(pa.table({"c": [value]})))[0]
    seen = value in schema.column("c").counts
    assert x[at] == (not seen)
    if not seen:
        # Rarer than the rarest: trees, which never saw the bucket filled, follow this one.
        assert x[at + 1] > known[:, at + 1].max()
        assert (x[:at] == 0.0).all()


def test_a_category_is_known_by_its_text() -> None:
    said, x = one([1, 2, 2, 3, 3, 3], [3.0, 2.0, 9.0], c="category")
    assert said == ["= 3", "= 2", "rare", "never seen", "rarity"]
    assert x[:, :4].argmax(axis=1).tolist() == [0, 1, 3]
    flags = one([True, False, False], ["false", "true"])[1]
    assert flags[:, 0].tolist() == [0.0, 1.0]


# --- dates and text


def test_a_date_becomes_what_a_person_reads_off_it() -> None:
    times = [dt.datetime(2024, 2, 29, 18), dt.datetime(2024, 3, 1, 6), None]
    table = pa.table({"t": times})
    schema = infer_schema(to_frame(table))
    later = pa.table({"t": [dt.datetime(2024, 3, 3, 12), None, times[0]]})
    parts = parts_of(schema.column("t"), to_frame(later).get_column("t"))
    np.testing.assert_array_equal(parts["age"], [-2.25, np.nan, 0.5])
    np.testing.assert_array_equal(parts["weekday"], [6.0, np.nan, 3.0])
    np.testing.assert_array_equal(parts["hour"], [12.0, np.nan, 18.0])


def test_dates_before_1970_have_weekdays_and_hours_too() -> None:
    times = [dt.datetime(1969, 7, 20, 20, 15), dt.datetime(1900, 1, 1), START]
    schema = infer_schema(to_frame(pa.table({"t": times})))
    parts = parts_of(schema.column("t"), pa.array(times))
    assert parts["weekday"].tolist() == [float(t.weekday()) for t in times]
    assert parts["hour"].tolist() == [20.25, 0.0, 0.0]


def test_midnight_is_near_to_both_its_sides() -> None:
    hours = [START + dt.timedelta(hours=h) for h in range(0, 24 * 9, 5)]
    at = [START, START + dt.timedelta(hours=23.5), START + dt.timedelta(hours=12)]
    said, x = one(hours, at)
    assert said == ["age", "weekday sin", "weekday cos", "hour sin", "hour cos"]
    hour = x[:, 3:]
    near, far = np.linalg.norm(hour[0] - hour[1]), np.linalg.norm(hour[0] - hour[2])
    assert near == pytest.approx(2 * math.sin(math.pi * 0.5 / 24), rel=1e-5)
    assert far == pytest.approx(2.0)


def test_the_clock_is_read_in_the_zone_of_the_fit() -> None:
    zone = pa.timestamp("us", "Europe/Zurich")
    noon = [dt.datetime(2024, 7, 1, 10, tzinfo=dt.UTC) + dt.timedelta(hours=h) for h in range(9)]
    schema = infer_schema(to_frame(pa.table({"t": pa.array(noon, zone)})))
    column = schema.column("t")
    assert column.tz == "Europe/Zurich"
    for later in (
        pa.array(noon, zone),
        pa.array(noon, pa.timestamp("ns", "America/New_York")),
        pa.array([t.isoformat() for t in noon]),
        # Without a zone the clock is taken to be the same one.
        pa.array([t.replace(tzinfo=None) + dt.timedelta(hours=2) for t in noon]),
    ):
        assert parts_of(column, later)["hour"].tolist() == [float(h) for h in range(12, 21)]


def test_a_text_becomes_its_length_and_make_up() -> None:
    texts = ["Pay 12 Now", "the rent of May", None, ""]
    schema = infer_schema(to_frame(pa.table({"w": texts})), kinds={"w": "text"})
    parts = parts_of(schema.column("w"), pa.array([*texts, "é 1"]))
    assert [part.name for part in schema.column("w").parts] == list(parts)
    np.testing.assert_array_equal(parts["characters"], [10, 15, np.nan, np.nan, 3])
    np.testing.assert_array_equal(parts["words"], [3, 4, np.nan, np.nan, 2])
    np.testing.assert_array_equal(parts["digits"], [0.2, 0.0, np.nan, np.nan, 1 / 3])
    np.testing.assert_array_equal(parts["capitals"], [0.2, 1 / 15, np.nan, np.nan, 0.0])


def test_durations_and_times_of_day_are_seconds_and_hours() -> None:
    table = pa.table(
        {
            "long": [dt.timedelta(minutes=m) for m in (1, 2, 9)],
            "at": [dt.time(6), dt.time(12, 30), dt.time(23)],
        }
    )
    schema = infer_schema(to_frame(table))
    long, at = schema.columns
    assert parts_of(long, table["long"].combine_chunks())["seconds"].tolist() == [60, 120, 540]
    assert parts_of(at, as_arrow(to_frame(table).get_column("at")))["hours"].tolist() == [
        6,
        12.5,
        23,
    ]


def test_a_date_out_of_reach_is_named() -> None:
    schema = infer_schema(to_frame(pa.table({"t": [START, START + dt.timedelta(1)]})))
    far = pa.array([0, 2**60], pa.int64()).cast(pa.timestamp("s"))
    with pytest.raises(SchemaError, match="column 't', row 2"):
        encode(schema, to_frame(pa.table({"t": far})))


# --- the typical row


def test_the_typical_row_is_the_encoding_of_medians() -> None:
    table = rich()
    schema = fit(table)
    row = typical(schema)
    assert row.shape == (len(feature_names(schema)),)
    where = dict(groups(schema))
    middle = {
        "n": pa.array([schema.column("n").parts[0].center]),
        "i": pa.array([schema.column("i").parts[0].center]),
        "c": pa.array([schema.column("c").categories[0][0]]),
        "b": pa.array([False]),
    }
    rest = table.slice(0, 1)
    for name, value in middle.items():
        rest = rest.set_column(rest.column_names.index(name), name, value)
    x = encode(schema, to_frame(rest))[0]
    for name in middle:
        np.testing.assert_array_equal(x[where[name]], row[where[name]])
    said = dict(zip(feature_names(schema), row.tolist(), strict=True))
    assert said["n"] == said["t: age"] == said["w: characters"] == said["t missing"] == 0.0
    hour = schema.column("t").part("hour").center
    assert said["t: hour sin"] == pytest.approx(math.sin(2 * math.pi * hour / 24), abs=1e-6)


def test_reading_the_schema_needs_no_heavy_library() -> None:
    code = (
        "import sys, askew.table.schema, askew.table, askew.table.encode\n"
        "heavy = {'pyarrow', 'pandas', 'polars', 'narwhals', 'torch', 'sklearn'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0


def test_kinds_are_plain_words() -> None:
    assert [str(kind) for kind in Kind] == [
        "number",
        "category",
        "date",
        "text",
        "identifier",
        "unknown",
    ]
