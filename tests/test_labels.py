"""Verdicts are read in one way, and what has two readings is refused with both named."""

import doctest
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import DataConversionWarning
from sklearn.model_selection import GridSearchCV, cross_val_score

from askew.errors import LabelError, LabelWarning, MethodError, ModelFileError
from askew.labels import (
    Label,
    LabelledKFold,
    Reading,
    convert,
    folds,
    labels_from_deep_sad,
    labels_from_outlier,
    labels_from_positives,
    read_labels,
    reading,
)

NAN = float("nan")
# Machines are shared: a slow example is no failure.
properties = settings(deadline=None, max_examples=60)


def values(y: Any, n_rows: int | None = None, **options: Any) -> list[int]:
    read = read_labels(y, n_rows=len(y) if n_rows is None else n_rows, **options)
    assert read.values.dtype == np.int8
    codes: list[int] = read.values.tolist()
    return codes


def refusal(y: Any, n_rows: int | None = None, **options: Any) -> str:
    with pytest.raises(LabelError) as caught:
        read_labels(y, n_rows=len(y) if n_rows is None else n_rows, **options)
    assert isinstance(caught.value, ValueError)
    return str(caught.value)


# -- the reading, told -----------------------------------------------------------------------------


def test_reading_is_told_with_separators_and_column() -> None:
    codes = np.repeat([1, 0, -1], [23, 61, 9_916])
    assert (
        str(read_labels(codes, n_rows=10_000, column="verdict"))
        == 'Labels: 23 anomaly, 61 normal, 9,916 not looked at (column "verdict")'
    )
    assert str(read_labels(codes, n_rows=10_000)) == (
        "Labels: 23 anomaly, 61 normal, 9,916 not looked at"
    )


def test_unsure_is_told_and_never_trains() -> None:
    read = read_labels(["anomaly", " Unsure ", None, "normal", "unsure"], n_rows=5)
    assert read.values.tolist() == [1, -1, -1, 0, -1]
    assert (
        read.reading.n_anomaly,
        read.reading.n_normal,
        read.reading.n_unsure,
        read.reading.n_unlabeled,
    ) == (1, 1, 2, 1)
    assert str(read) == "Labels: 1 anomaly, 1 normal, 2 unsure, 1 not looked at"
    assert read.words() == ["anomaly", "unsure", None, "normal", "unsure"]


def test_no_verdicts() -> None:
    read = read_labels(None, n_rows=3)
    assert read.values.tolist() == [-1, -1, -1]
    assert str(read) == "Labels: none; ranks without verdicts"
    assert read.reading.remark() is None
    only_unsure = read_labels(["unsure", ""], n_rows=2, column="v")
    assert str(only_unsure) == 'Labels: none, 1 unsure; ranks without verdicts (column "v")'


@pytest.mark.parametrize(
    ("y", "words"),
    [
        ([1, -1, -1], "taken as mostly normal"),
        ([0, -1, -1], "nothing is known of what an anomaly looks like"),
    ],
)
def test_one_kind_alone_has_a_remark(y: list[int], words: str) -> None:
    remark = read_labels(y, n_rows=3).reading.remark()
    assert remark is not None
    assert words in remark


def test_both_kinds_have_no_remark() -> None:
    assert read_labels([1, 0, -1], n_rows=3).reading.remark() is None


def test_reading_is_kept_as_json() -> None:
    read = read_labels(["yes", "no", "normal", "unsure", ""], n_rows=5, zero_is_unlabeled=True)
    assert json.loads(json.dumps(read.reading.to_json())) == {
        "column": None,
        "n_anomaly": 1,
        "n_normal": 1,
        "n_unsure": 1,
        "n_unlabeled": 2,
        "zero_is_unlabeled": True,
    }
    assert Reading.from_json(read.reading.to_json()) == read.reading
    with pytest.raises(ModelFileError, match="damaged"):
        Reading.from_json({"column": None})


def test_module_is_light_and_reads_an_array_without_frame_libraries() -> None:
    heavy = "'torch', 'sklearn', 'pandas', 'polars', 'pyarrow', 'narwhals'"
    program = (
        "import sys, numpy as np; from askew.labels import read_labels; "
        "read_labels(np.array([1, 0, -1]), n_rows=3); "
        f"sys.exit(str([m for m in ({heavy}) if m in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.strip() == ""


@pytest.mark.parametrize("module", [reading, convert, folds])
def test_examples_are_true(module: ModuleType) -> None:
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0
    assert outcome.failed == 0


# -- what a value says -----------------------------------------------------------------------------

SPELLINGS: dict[int, list[Any]] = {
    Label.ANOMALY: ["anomaly", "true", "yes", "1", "1.0", 1, 1.0, True, np.int64(1), np.True_],
    Label.NORMAL: ["normal", "false", "no", "0", "0.0", 0, 0.0, -0.0, False, np.float32(0)],
    Label.UNLABELED: [None, NAN, np.nan, pd.NaT, pd.NA, "", "  ", "\t", np.datetime64("NaT")],
}


@pytest.mark.parametrize(("code", "spellings"), SPELLINGS.items())
def test_spellings(code: int, spellings: list[Any]) -> None:
    assert values(np.array(spellings, dtype=object)) == [code] * len(spellings)


@st.composite
def spelled(draw: st.DrawFn) -> tuple[list[int], list[Any]]:
    codes = draw(st.lists(st.sampled_from(sorted(SPELLINGS)), max_size=20))
    cells = [draw(st.sampled_from(SPELLINGS[code])) for code in codes]
    return codes, [
        f" {draw(st.sampled_from([cell.upper(), cell.title()]))}\n"
        if isinstance(cell, str)
        else cell
        for cell in cells
    ]


@properties
@given(spelled())
def test_words_read_as_their_codes(pair: tuple[list[int], list[Any]]) -> None:
    codes, cells = pair
    assert values(pd.Series(cells, dtype=object)) == codes
    assert values(dict(enumerate(cells)), n_rows=len(codes)) == codes


@properties
@given(st.lists(st.sampled_from([1, 0, None]), min_size=1, max_size=20))
def test_every_container_reads_alike(cells: list[int | None]) -> None:
    codes = [-1 if cell is None else cell for cell in cells]
    containers: list[Any] = [
        np.array(cells, dtype=object),
        pd.Series(cells, dtype="Int64"),
        pd.Series(cells, dtype="float64"),
        pd.Series(cells, dtype="boolean"),
        pd.Series(cells, dtype="category"),
        pd.DataFrame({"v": pd.Series(cells, dtype="Int64")}),
        pl.Series(cells, dtype=pl.Int8),
        pl.Series(cells, dtype=pl.Int8).cast(pl.Boolean),
        pl.DataFrame({"v": pl.Series(cells, dtype=pl.Int8)}),
        pa.array(cells, pa.int8()),
        pa.chunked_array([pa.array(cells, pa.float64())]),
        pa.table({"v": pa.array(cells, pa.int8())}),
        np.ma.array([cell or 0 for cell in cells], mask=[cell is None for cell in cells]),
    ]
    for container in containers:
        assert values(container) == codes, type(container)


def test_text_columns_of_each_library() -> None:
    cells = ["anomaly", None, "normal"]
    for column in (pd.Series(cells), pl.Series(cells), pa.array(cells), cells, tuple(cells)):
        assert values(column) == [1, -1, 0]
    assert values(np.array(["yes", "", "no"])) == [1, -1, 0]


def test_name_of_a_series_is_its_column_unless_one_is_given() -> None:
    assert read_labels(pd.Series([1], name="verdict"), n_rows=1).column == "verdict"
    assert read_labels(pl.DataFrame({"v": [1]}), n_rows=1).column == "v"
    assert read_labels(pd.Series([1], name="a"), n_rows=1, column="b").column == "b"
    assert read_labels(pd.DataFrame([[1]]), n_rows=1).column is None
    assert read_labels(pl.Series([1]), n_rows=1).column is None


def test_zero_as_not_looked_at_leaves_the_word_normal() -> None:
    cells = [0, "0", "false", "No", 0.0, "normal", 1]
    assert values(cells, zero_is_unlabeled=True) == [-1, -1, -1, -1, -1, 0, 1]
    assert values(np.array([0, 1, 0]), zero_is_unlabeled=True) == [-1, 1, -1]


def test_bad_cells_are_listed_by_frequency_with_ids() -> None:
    cells = ["b", "odd", "odd", "odd", "odd", "b", *"cdefg", "anomaly"]
    ids = [f"tx-{number}" for number in range(len(cells))]
    message = refusal(pd.Series(cells, index=ids, name="verdict"), keys=ids)
    assert 'column "verdict" holds' in message
    assert "'odd' (4 times, first at ids 'tx-1', 'tx-2', 'tx-3')" in message
    assert "'b' (2 times, first at ids 'tx-0', 'tx-5'); 'c' (once, first at id 'tx-6')" in message
    assert message.index("'odd'") < message.index("'b'") < message.index("'c'")
    assert "and 2 more values" in message
    assert "'f'" not in message
    assert "anomaly or normal" in message
    assert "unsure" in message
    assert "blank" in message


def test_bad_cells_without_keys_are_found_by_row_number() -> None:
    message = refusal(["anomaly", "maybe", "nan", None])
    assert "'maybe' (once, first at row 1)" in message
    assert "'nan' (once, first at row 2)" in message
    assert "rows counted from 0" in message
    assert "at row 1" in refusal(pd.Series([1, "maybe"]))


def test_a_list_is_found_by_the_ids_of_its_table() -> None:
    assert "at id 'b'" in refusal([None, "maybe"], keys=["a", "b"])


def test_what_a_cell_holds_is_shown_short_and_escaped() -> None:
    message = refusal(["x" * 1_000, "two\nlines\x1b[2J"])
    assert "x" * 41 not in message
    assert "\n" not in message
    assert "\x1b" not in message


@pytest.mark.parametrize("minus", [-1, -1.0, "-1", " -1.0 ", np.int8(-1)])
@pytest.mark.parametrize("container", [pd.Series, lambda cells: dict(enumerate(cells)), list])
def test_minus_one_in_a_frame_has_two_readings(
    minus: Any, container: Callable[[list[Any]], Any]
) -> None:
    message = refusal(container([minus, None, 1]), n_rows=3)
    assert "once" in message
    assert "two readings" in message
    assert 'If it means "not looked at", leave those cells blank' in message
    assert 'If it means "anomaly"' in message
    assert "askew.labels.labels_from_outlier(y)" in message


# -- arrays of numbers -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "int64", "float32", "float64"])
def test_minus_one_in_an_array_is_not_looked_at(dtype: str) -> None:
    codes = [1, 0, -1, -1, 0]
    assert values(np.array(codes, dtype)) == codes
    assert values(np.array(codes, dtype).tolist()) == codes


def test_bools_are_fully_judged() -> None:
    assert values(np.array([True, False])) == [1, 0]
    assert values([True, False]) == [1, 0]


def test_nan_in_an_array_is_not_looked_at_and_makes_minus_one_an_error() -> None:
    assert values(np.array([1, np.nan, 0])) == [1, -1, 0]
    assert values([1, NAN, 0]) == [1, -1, 0]
    assert "two readings" in refusal(np.array([1, np.nan, -1]))


def test_an_array_of_nan_alone_is_refused() -> None:
    assert "y=None" in refusal(np.full(3, np.nan))
    # A column that nobody has filled in yet is no mistake.
    assert values(pd.Series([NAN, NAN])) == [-1, -1]


@pytest.mark.parametrize("plus", [2, 3, 40])
def test_guard_against_the_code_of_outlier_detectors(plus: int) -> None:
    y = np.array([-1] + [1] * plus)
    message = refusal(y)
    assert f"-1 (once) and 1 ({plus} times)" in message
    assert "labels_from_outlier" in message
    assert "np.where(y == -1, np.nan, y)" in message
    assert values(labels_from_outlier(y)) == [1] + [0] * plus
    assert values(np.where(y == -1, np.nan, y)) == [-1] + [1] * plus


def test_guard_against_outlier_codes_needs_a_majority() -> None:
    assert values(np.array([-1, 1])) == [-1, 1]
    assert values(np.array([1, 1])) == [1, 1]
    assert values(np.array([-1, 1, 1, 0])) == [-1, 1, 1, 0]


@pytest.mark.parametrize("dtype", [int, float])
def test_guard_against_the_code_of_deep_sad(dtype: type) -> None:
    y: NDArray[Any] = np.array([-1, 0, 0, 0, 1], dtype)
    message = refusal(y)
    assert "-1 (once), 0 (3 times) and 1 (once)" in message
    assert "labels_from_deep_sad" in message
    assert "np.where(y == -1, np.nan, y)" in message
    assert values(labels_from_deep_sad(y)) == [1, -1, -1, -1, 0]
    assert values(np.where(y == -1, np.nan, y)) == [-1, 0, 0, 0, 1]


def test_guard_against_deep_sad_needs_all_three_and_a_majority() -> None:
    assert values(np.array([-1, 0, 0, 1])) == [-1, 0, 0, 1]
    assert values(np.array([-1, 0, 0, 0])) == [-1, 0, 0, 0]
    assert values(np.array([1, 0, 0, 0])) == [1, 0, 0, 0]


def test_two_numbers_for_not_looked_at_are_refused() -> None:
    assert "labels_from_deep_sad" in refusal(np.array([-1, -1, 0, 1]), zero_is_unlabeled=True)


@pytest.mark.parametrize(
    ("y", "shown"),
    [
        ([0, 1, 2, 2], "2 (2 times, first at rows 2, 3)"),
        ([0.0, 1.0, 0.5], "0.5 (once, first at row 2)"),
        ([np.inf, 1.0], "inf (once"),
        ([-np.inf, np.nan], "-inf (once"),
        ([-2, 1], "-2 (once"),
    ],
)
def test_other_numbers_are_refused_as_scikit_learn_expects(y: list[float], shown: str) -> None:
    message = refusal(np.array(y))
    assert shown in message
    assert "Unknown label type" in message
    assert "Only binary classification is supported." in message
    assert refusal(y) == message


def test_column_vector_is_read_with_scikit_learns_warning() -> None:
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed when a 1d array"):
        assert values(np.array([[1], [0], [-1]])) == [1, 0, -1]
    with pytest.warns(DataConversionWarning):
        assert values([["anomaly"], [None]]) == [1, -1]


@pytest.mark.parametrize("shape", [(2, 2), (1, 2), (2, 1, 1), ()])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    message = refusal(np.ones(shape), n_rows=2)
    assert str(shape) in message
    assert "(n,)" in message


def test_wrong_length_names_both() -> None:
    threes: list[Any] = [np.ones(3), [1, 1, 1], pl.Series([1, 1, 1]), pd.Series([1, 1, 1])]
    for y in threes:
        message = refusal(y, n_rows=2_000)
        assert "3 verdicts" in message
        assert "2,000 rows" in message


@pytest.mark.parametrize(
    ("y", "kind"), [("verdict", "str"), (b"\x01", "bytes"), ({1, 0}, "set"), (1, "int")]
)
def test_what_holds_no_verdicts_is_refused(y: object, kind: str) -> None:
    message = refusal(y, n_rows=1)
    assert f"of type {kind}" in message
    assert "mapping {row key: verdict}" in message


@pytest.mark.parametrize("library", [pd, pl])
def test_a_table_of_several_columns_is_refused(library: Any) -> None:
    message = refusal(library.DataFrame({"amount": [1], "b": [0], "c": [1], "d": [0]}))
    assert "4 columns" in message
    assert "'amount', 'b', 'c', ..." in message


# -- whose verdict it is ---------------------------------------------------------------------------


@properties
@given(st.data())
def test_a_series_is_matched_by_index_whatever_its_order(data: st.DataObject) -> None:
    keys = data.draw(st.lists(st.integers() | st.text(), min_size=1, max_size=15, unique=True))
    judged = data.draw(st.dictionaries(st.sampled_from(keys), st.sampled_from([0, 1, None])))
    order = data.draw(st.permutations(list(judged)))
    expected = [-1 if judged.get(key) is None else judged[key] for key in keys]
    series = pd.Series(
        [judged[key] for key in order], index=pd.Index(order, dtype=object), dtype="Int64"
    )
    assert values(series, n_rows=len(keys), keys=keys) == expected
    assert values({key: judged[key] for key in order}, len(keys), keys=keys) == expected


def test_a_series_without_table_keys_names_rows_by_number() -> None:
    assert values(pd.Series([1, 0], index=[3, 1]), n_rows=4) == [-1, 0, -1, 1]
    # Filtered and shuffled frames keep their index: their order is not the table's.
    assert values(pd.Series([1, 0, None], index=[2, 0, 1])) == [0, -1, 1]
    assert values(pd.Series([0, 0, 1])[1:], n_rows=3) == [-1, 0, 1]
    assert values({3: "anomaly"}, n_rows=4) == [-1, -1, -1, 1]


def test_a_default_index_is_matched_too_where_the_table_has_keys() -> None:
    assert values(pd.Series([1, 0, 0]), keys=[2, 1, 0]) == [0, 0, 1]


@pytest.mark.parametrize(
    "make",
    [
        list,
        pd.Index,
        np.array,
        pl.Series,
        pa.array,
        lambda days: np.array(days, "datetime64[ns]"),
    ],
)
def test_keys_come_from_any_library(make: Callable[[list[Any]], Any]) -> None:
    days = list(pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03"]).to_pydatetime())
    series = pd.Series([1, 0], index=pd.DatetimeIndex([days[2], days[0]]))
    assert values(series, n_rows=3, keys=make(days)) == [0, -1, 1]


def test_a_label_for_an_id_that_is_not_there() -> None:
    verdicts = {"a": 1, "w": 1, "x": 0, "y": None, "z": 1}
    for y in (verdicts, pd.Series(verdicts, dtype=object)):
        message = refusal(y, n_rows=2, keys=["a", "b"])
        assert "a label for an id that is not there: 'w', 'x', 'y', ... (4 of 5)" in message
        assert "y.to_numpy()" in message
        assert "types" not in message


@pytest.mark.parametrize("key", [-1, 4, "0"])
def test_row_numbers_that_are_not_there(key: Any) -> None:
    assert "an id that is not there" in refusal({key: 1}, n_rows=4)


def test_ids_of_another_type_are_pointed_out() -> None:
    message = refusal({"17": 1}, n_rows=2, keys=[17, 18])
    assert "different types (int and str)" in message


def test_two_verdicts_for_one_id_are_refused() -> None:
    message = refusal(pd.Series([1, 1, 0], index=["a", "a", "b"]), n_rows=2, keys=["a", "b"])
    assert "more than one verdict for an id: 'a'" in message


def test_an_id_of_several_rows_gets_no_verdict() -> None:
    message = refusal({"b": 1}, n_rows=4, keys=["a", "b", "b", "c"])
    assert "an id that several rows of the table have: 'b'" in message
    # Repeated ids that nobody judged harm nothing.
    assert values({"a": 1}, n_rows=4, keys=["a", "b", "b", "c"]) == [1, -1, -1, -1]


def test_keys_that_do_not_fit_the_table_are_refused() -> None:
    message = refusal([1, 0], keys=["a"])
    assert "2 rows and 1 keys" in message


# -- all rows judged -------------------------------------------------------------------------------


def mostly_zero(n_rows: int, zeros: int) -> NDArray[np.int64]:
    return np.repeat([0, 1], [zeros, n_rows - zeros])


def test_many_rows_nearly_all_zero_warn() -> None:
    y = mostly_zero(2_000, 1_601)
    for given_y in (y, y.astype(float), y.astype(bool), pd.Series(y), y.astype(str)):
        with pytest.warns(LabelWarning) as caught:
            assert values(given_y, column="v") == y.tolist()
        message = str(caught[0].message)
        assert 'column "v": all 2,000 rows' in message
        assert "399 anomaly and 1,601 normal (80% are 0)" in message
        assert "labels_from_positives(y)" in message
        assert "--zero-unlabeled" in message


@pytest.mark.parametrize(
    ("n_rows", "zeros", "warned"),
    [
        (2_000, 1_600, False),
        (2_000, 1_601, True),
        (1_000, 999, False),
        (1_001, 1_000, True),
    ],
)
def test_boundary_of_the_warning(n_rows: int, zeros: int, warned: bool) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_labels(mostly_zero(n_rows, zeros), n_rows=n_rows)
    assert [warning.category for warning in caught] == [LabelWarning] * warned


def test_no_warning_where_zero_is_stated_or_a_word_or_a_row_is_open() -> None:
    y = mostly_zero(2_000, 1_990)
    assert sum(values(y, zero_is_unlabeled=True)) == 10 - 1_990
    assert values(labels_from_positives(y)).count(-1) == 1_990
    assert values(np.where(y == 0, "normal", "anomaly")).count(0) == 1_990
    assert values([None, *y[1:].tolist()]).count(0) == 1_989


# -- converters ------------------------------------------------------------------------------------

CONVERTERS: list[tuple[Callable[[Any], Any], dict[int, int]]] = [
    (labels_from_outlier, {1: 0, -1: 1}),
    (labels_from_deep_sad, {1: 0, 0: -1, -1: 1}),
    (labels_from_positives, {1: 1, 0: -1}),
]
each_converter = pytest.mark.parametrize(("convert", "meaning"), CONVERTERS)


@each_converter
@properties
@given(data=st.data())
def test_converters_are_inverted_by_their_table(
    convert: Callable[[Any], Any], meaning: dict[int, int], data: st.DataObject
) -> None:
    theirs = data.draw(st.lists(st.sampled_from(sorted(meaning)), min_size=1, max_size=20))
    converted = convert(np.array(theirs))
    assert converted.dtype == np.float64
    back = {ours: code for code, ours in meaning.items()}
    ours = [-1 if np.isnan(value) else int(value) for value in converted]
    assert [back[code] for code in ours] == theirs
    if set(ours) != {-1}:
        assert values(converted) == ours


@each_converter
def test_converters_keep_keys_and_what_is_missing(
    convert: Callable[[Any], Any], meaning: dict[int, int]
) -> None:
    series = convert(pd.Series([1, None], index=["b", "a"], name="v"))
    assert (series.index.tolist(), series.name) == (["b", "a"], "v")
    assert values(series, keys=["a", "b"]) == [-1, meaning[1]]
    mapping = convert({"b": "1", "a": " "})
    assert values(mapping, keys=["a", "b"]) == [-1, meaning[1]]
    assert_array_equal(convert(pl.Series([1.0, None])), [meaning[1], np.nan])
    assert convert(pd.DataFrame({"v": [1]}, index=["b"])).to_dict() == {"b": meaning[1]}


@each_converter
@pytest.mark.parametrize("strange", [2, 0.5, "anomaly", np.inf])
def test_converters_refuse_other_values(
    convert: Callable[[Any], Any], meaning: dict[int, int], strange: Any
) -> None:
    with pytest.raises(LabelError, match="first at row 1") as caught:
        convert([1, strange, 1])
    assert str(strange) in str(caught.value)
    for code in meaning:
        assert f"{code} (" in str(caught.value)


@pytest.mark.parametrize(
    ("convert", "code"), [(labels_from_outlier, 0), (labels_from_positives, -1)]
)
def test_converters_refuse_each_others_codes(convert: Callable[[Any], Any], code: int) -> None:
    with pytest.raises(LabelError, match=f"y holds {code} "):
        convert([1, code])


# -- folds -----------------------------------------------------------------------------------------


@properties
@given(
    n_splits=st.integers(2, 6),
    extra=st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 20)),
    random_state=st.none() | st.integers(0, 2**32),
)
def test_folds(n_splits: int, extra: tuple[int, int, int], random_state: int | None) -> None:
    counts = [n_splits + extra[0], n_splits + extra[1], extra[2]]
    codes = np.random.default_rng(0).permutation(np.repeat([1.0, 0.0, np.nan], counts))
    table = np.zeros((len(codes), 2))
    folds = list(LabelledKFold(n_splits, random_state=random_state).split(table, codes))
    assert len(folds) == n_splits
    unlabeled = set(np.flatnonzero(np.isnan(codes)))
    for train, test in folds:
        assert np.issubdtype(train.dtype, np.integer)
        assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(codes)))
        assert (np.diff(train) > 0).all()
        assert (np.diff(test) > 0).all()
        assert unlabeled <= set(train)
    tested = np.concatenate([test for _, test in folds])
    assert sorted(tested) == np.flatnonzero(~np.isnan(codes)).tolist()
    for part in (
        [len(test) for _, test in folds],
        [np.sum(codes[test] == 1) for _, test in folds],
        [np.sum(codes[test] == 0) for _, test in folds],
    ):
        assert max(part) - min(part) <= 1


def parts_of(y: Any, **options: Any) -> list[list[int]]:
    folds = LabelledKFold(2, **options).split(np.zeros((len(y), 1)), y)
    return [test.tolist() for _, test in folds]


def test_folds_are_the_same_on_every_call_and_shuffled_by_seed() -> None:
    y = np.repeat([1, 0, -1], [10, 10, 30])
    assert parts_of(y, random_state=0) == parts_of(y, random_state=0)
    assert parts_of(y, random_state=0) != parts_of(y, random_state=1)
    assert parts_of(y) == [list(range(0, 20, 2)), list(range(1, 20, 2))]


@pytest.mark.parametrize(
    ("n_anomaly", "n_normal", "remedy"),
    [(3, 61, "n_splits=3 or judge more"), (61, 4, "n_splits=4 or judge"), (1, 61, ": judge more")],
)
def test_too_few_verdicts_for_the_folds(n_anomaly: int, n_normal: int, remedy: str) -> None:
    y = np.repeat([1, 0, -1], [n_anomaly, n_normal, 100])
    with pytest.raises(LabelError, match="5 folds need 5 known anomalies and 5") as caught:
        next(LabelledKFold().split(y, y))
    assert f"holds {n_anomaly} and {n_normal}" in str(caught.value)
    assert remedy in str(caught.value)


def test_no_verdicts_no_folds() -> None:
    with pytest.raises(LabelError, match="holds 0 and 0"):
        next(LabelledKFold().split(np.zeros((9, 1)), None))


@pytest.mark.parametrize("n_splits", [1, 0, 2.0, "5"])
def test_number_of_folds_is_checked(n_splits: Any) -> None:
    with pytest.raises(MethodError, match="from 2 up"):
        LabelledKFold(n_splits)


def test_splitter_says_what_it_is() -> None:
    assert repr(LabelledKFold(3, random_state=7)) == "LabelledKFold(n_splits=3, random_state=7)"
    assert LabelledKFold(3).get_n_splits() == 3


def test_a_series_is_cut_by_position_once_its_order_is_that_of_the_table() -> None:
    y = pd.Series(["yes", "no", None, "yes", "no"], index=list("edcba"))
    expected = [[0, 1], [3, 4]]
    cv = LabelledKFold(2)
    for table in (np.zeros((5, 1)), pd.DataFrame({"a": range(5)}, index=y.index)):
        assert [test.tolist() for _, test in cv.split(table, y)] == expected
    with pytest.raises(LabelError, match=r"y\.reindex\(X\.index\)"):
        next(cv.split(pd.DataFrame({"a": range(5)}, index=list("abcde")), y))


class FarFromNormal(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Distance from the mean of rows not known as anomalies, in the given column."""

    def __init__(self, column: int = 0) -> None:
        self.column = column

    def fit(self, X: Any, y: Any) -> "FarFromNormal":
        label = read_labels(y, n_rows=len(X)).values
        assert (label == Label.UNLABELED).sum() == 30
        self.classes_ = np.array([0, 1])
        self.center_ = X[label != Label.ANOMALY, self.column].mean()
        return self

    def decision_function(self, X: Any) -> Any:
        return np.abs(X[:, self.column] - self.center_) - 3

    def predict(self, X: Any) -> Any:
        return (self.decision_function(X) > 0).astype(int)


@pytest.mark.parametrize("scoring", ["average_precision", "roc_auc"])
def test_grid_search_with_rows_not_looked_at(scoring: str) -> None:
    y = np.repeat([1, 0, -1], [10, 20, 30])
    noise = np.random.default_rng(0).normal(size=(60, 2))
    table = noise + np.outer(y == 1, [0, 9])
    cv = LabelledKFold(3, random_state=0)
    search = GridSearchCV(FarFromNormal(), {"column": [0, 1]}, scoring=scoring, cv=cv)
    search.fit(table, y)
    assert search.best_params_ == {"column": 1}
    assert search.best_score_ == 1.0
    scores = cross_val_score(FarFromNormal(1), table, y, scoring=scoring, cv=cv)
    assert scores.tolist() == [1.0, 1.0, 1.0]


# -- two neighboring integers ----------------------------------------------------------------------


def test_one_and_two_are_read_as_scikit_learn_reads_classes_and_said_so() -> None:
    with pytest.warns(LabelWarning, match="2 is taken for anomaly and 1 for normal"):
        read = read_labels(np.array([1, 2, 1]), n_rows=3)
    assert_array_equal(read.values, [0, 1, 0])


@pytest.mark.parametrize("codes", [[0, 2, 0], [1, 2, 3], [-2, -1, -2], [1.0, 2.0, 1.0]])
def test_other_codes_stay_an_error(codes: list[float]) -> None:
    with pytest.raises(LabelError):
        read_labels(np.array(codes), n_rows=3)


def test_labels_that_were_read_are_taken_as_they_are() -> None:
    read = read_labels(["anomaly", "", "unsure"], n_rows=3, column="v")
    assert read_labels(read, n_rows=3) is read
    with pytest.raises(LabelError, match="3 verdicts and the table has 4 rows"):
        read_labels(read, n_rows=4)


def test_a_pandas_column_of_one_and_two_is_read_likewise_and_a_files_is_not() -> None:
    with pytest.warns(LabelWarning, match="2 is taken for anomaly"):
        read = read_labels(pd.Series([1, 2, 1]), n_rows=3)
    assert_array_equal(read.values, [0, 1, 0])
    with pytest.raises(LabelError, match="2 "):
        read_labels(pa.chunked_array([[1, 2, 1]]), n_rows=3)


def test_nothing_but_anomalies_cannot_be_trained_on() -> None:
    read_labels([1, -1], n_rows=2).check_trainable()
    read_labels([0, 0], n_rows=2).check_trainable()
    with pytest.raises(LabelError, match="all 2 rows are labelled anomaly, a single class"):
        read_labels([1, 1], n_rows=2).check_trainable()
