"""Reasons come from the model; their words from the schema."""

from __future__ import annotations

import doctest
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import askew.reasons
from askew.reasons import SCREENED, explain
from askew.table import to_frame
from askew.table.encode import encode, groups
from askew.table.schema import Schema, infer_schema


def test_examples_are_true() -> None:
    outcome = doctest.testmod(askew.reasons)
    assert outcome.attempted > 0
    assert outcome.failed == 0


def opened(table: pd.DataFrame) -> tuple[Schema, Any, NDArray[np.float32]]:
    frame = to_frame(table)
    schema = infer_schema(frame)
    return schema, frame, encode(schema, frame)


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": rng.normal(size=100),
            "b": rng.normal(size=100),
            "kind": rng.choice(["x", "y", "z"], 100, p=[0.8, 0.15, 0.05]),
            "gap": np.where(rng.random(100) < 0.1, np.nan, rng.normal(size=100)),
            "day": pd.Timestamp("2026-01-05 12:00") + pd.to_timedelta(rng.integers(0, 5, 100), "D"),
        }
    )


def test_a_gain_is_what_the_score_loses_when_the_column_turns_typical(table: pd.DataFrame) -> None:
    table.loc[0, ["a", "b"]] = [8.0, 5.0]
    schema, frame, x = opened(table)
    where = dict(groups(schema))
    a, b = where["a"].start, where["b"].start

    def score(x: NDArray[np.float32]) -> NDArray[np.float64]:
        z: NDArray[np.float64] = x.astype(np.float64)
        return 2.0 * z[:, a] + 1.0 * z[:, b] + 0.5 * z[:, a] * z[:, b]

    (first, *_) = explain(score, schema, frame, x[:1], top=5)
    xa, xb = float(x[0, a]), float(x[0, b])
    found = {reason.column: reason.gain for reason in first}
    assert found == pytest.approx({"a": 2 * xa + 0.5 * xa * xb, "b": xb + 0.5 * xa * xb})
    assert [reason.column for reason in first] == ["a", "b"]


def test_a_column_the_model_does_not_use_is_never_a_reason(table: pd.DataFrame) -> None:
    table.loc[0, "a"] = 50.0  # far out, yet the model looks at b only
    table.loc[0, "b"] = 3.0
    schema, frame, x = opened(table)
    b = dict(groups(schema))["b"].start
    (why, *_) = explain(lambda x: x[:, b].astype(float), schema, frame, x[:1])
    assert [reason.column for reason in why] == ["b"]


def test_a_typical_row_has_no_reasons(table: pd.DataFrame) -> None:
    schema, frame, x = opened(table)
    b = dict(groups(schema))["b"].start
    low = int(np.argmin(x[:, b]))
    found = explain(lambda x: x[:, b].astype(float), schema, frame, x)
    assert found[low] == []


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("a", 80.0, r"a 80: higher than all rows, typical -1\.\d+ to 1\.\d+"),
        ("a", -80.0, r"a -80: lower than all rows, typical"),
        ("kind", "z", r'kind "z": in \d(\.\d)? % of rows, most often "x" \(\d\d %\)'),
        ("kind", "new", r'kind "new": never seen in training, most often "x"'),
        ("gap", np.nan, r"gap is missing, as in \d+ of the training rows"),
        (
            "day",
            pd.Timestamp("2026-01-10 12:00"),
            r"day 2026-01-10 12:00:00: later than all rows, typical 2026-01-05 to 2026-01-09",
        ),
    ],
)
def test_words(table: pd.DataFrame, column: str, value: object, said: str) -> None:
    row = table.iloc[[0]].copy()
    row[column] = [value]
    text = worded(table, row, column)
    assert re.search(said, text), text


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([-9.0], r"a -9: lower than 98 % of rows, typical \S+ to \S+; the lowest of all"),
        ([9.0, 8.0], r"a 9: higher than 99 % of rows, typical \S+ to \S+; the highest of all"),
        ([8.0, 9.0], r"a 8: higher than 98 % of rows, typical \S+ to \S+"),
        ([9.0] * 10, r"a 9: higher than 90 % of rows, typical \S+ to \S+"),  # not alone
    ],
)
def test_the_greatest_and_the_least_are_told(
    table: pd.DataFrame, values: list[float], said: str
) -> None:
    table.loc[: len(values) - 1, "a"] = values
    text = worded(table, table.iloc[[0]], "a")
    assert re.fullmatch(said, text), text


def worded(table: pd.DataFrame, row: pd.DataFrame, column: str) -> str:
    """Give the one reason of a row, which is a column of it."""
    schema, _, _ = opened(table)
    frame = to_frame(row)
    x = encode(schema, frame)
    middle = x.copy()
    place = dict(groups(schema))[column]

    def away(z: NDArray[np.float32]) -> NDArray[np.float64]:
        """Score by how near the column is to this row's, so that it is always the reason."""
        gap: NDArray[np.float64] = np.abs(z[:, place] - middle[0, place]).sum(1).astype(float)
        return -gap

    ((reason,),) = explain(away, schema, frame, x)
    return reason.text


def test_of_many_columns_the_furthest_from_typical_are_asked() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(300, 3 * SCREENED)))
    table.loc[0, 7] = 30.0
    schema, frame, x = opened(table)
    asked = []

    def score(x: NDArray[np.float32]) -> NDArray[np.float64]:
        asked.append(len(x))
        total: NDArray[np.float64] = x.sum(1).astype(float)
        return total

    (why, *_) = explain(score, schema, frame, x[:1])
    assert why[0].column == "7"
    assert max(asked) == SCREENED
