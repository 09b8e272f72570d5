"""Askew: fit, rank, refit, and what it does with the tables people have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.ensemble import IsolationForest

from askew import Askew
from askew.deep import Detector, DevNet
from askew.errors import (
    AskewError,
    DataError,
    LabelError,
    LabelWarning,
    SchemaError,
    TableWarning,
)
from askew.ranking import COLUMNS, order_of, shared_ranks


@pytest.fixture
def model(payments: pd.DataFrame, verdicts: pd.Series) -> Askew:
    return Askew(random_state=0).fit(payments, verdicts)


class TestRank:
    def test_odd_rows_come_first_with_the_users_index(
        self, model: Askew, payments: pd.DataFrame
    ) -> None:
        ranked = model.rank(payments)
        assert set(ranked.index[:8]) == set(payments.index[:8])
        assert ranked.index.name == "tx"
        assert list(ranked.columns) == [*payments.columns, *COLUMNS]
        assert ranked["askew_rank"].tolist() == list(range(1, 201))
        assert ranked["askew_score"].is_monotonic_decreasing
        pd.testing.assert_frame_equal(ranked.loc[payments.index, payments.columns], payments)

    def test_the_tables_order_can_be_kept(self, model: Askew, payments: pd.DataFrame) -> None:
        ranked = model.rank(payments, sort=False)
        assert ranked.index.equals(payments.index)
        assert set(ranked["askew_rank"].iloc[:8]) == set(range(1, 9))

    def test_every_kind_of_frame_comes_back_as_it_came(
        self, payments: pd.DataFrame, verdicts: pd.Series
    ) -> None:
        flat = payments.reset_index()
        y = verdicts.reindex(payments.index).tolist()
        polars_table, arrow_table = pl.from_pandas(flat), pa.Table.from_pandas(flat)
        expected = None
        for table in (flat, polars_table, arrow_table):
            model = Askew(id_column="tx", random_state=0).fit(table, y)
            ranked = model.rank(table)
            assert type(ranked) is type(table)
            column: Any = ranked["tx"]
            ids = list(map(str, column.to_pylist() if table is arrow_table else column))
            expected = expected or ids
            assert ids == expected

    def test_reasons_name_the_odd_columns_in_words(
        self, model: Askew, payments: pd.DataFrame
    ) -> None:
        first = model.rank(payments).loc["tx-0000"]
        said = " | ".join(first[f"askew_reason_{i}"] for i in (1, 2, 3))
        assert (
            "amount 9,850: higher than all rows, typical " in said
            or "amount 9,850: higher than 9" in said
        )
        assert (
            'country "PA": in 2 % of rows, most often "DE" (' in said
            or "hour 3.2, lower than" in said
        )

    def test_only_the_first_rows_are_explained(self, model: Askew, payments: pd.DataFrame) -> None:
        ranked = model.rank(payments, explained=3)
        assert ranked["askew_reason_1"].notna().tolist() == [True] * 3 + [False] * 197

    def test_percentile_is_the_share_of_training_rows_below(
        self, model: Askew, payments: pd.DataFrame
    ) -> None:
        ranked = model.rank(payments)
        below = [(ranked["askew_score"] < s).mean() * 100 for s in ranked["askew_score"]]
        np.testing.assert_allclose(ranked["askew_percentile"], below, atol=0.6)

    def test_a_row_scores_alike_alone_in_any_order_and_any_company(
        self, model: Askew, payments: pd.DataFrame
    ) -> None:
        scores = model.decision_function(payments)
        order = np.random.default_rng(0).permutation(len(payments))
        np.testing.assert_array_equal(model.decision_function(payments.iloc[order]), scores[order])
        np.testing.assert_array_equal(model.decision_function(payments.iloc[[7]]), scores[[7]])
        twice = pd.concat([payments, payments.set_axis([f"b{i}" for i in range(200)])])
        np.testing.assert_array_equal(model.decision_function(twice)[200:], scores)

    def test_predict_is_one_exactly_where_the_score_is_above_zero(
        self, model: Askew, payments: pd.DataFrame
    ) -> None:
        np.testing.assert_array_equal(
            model.predict(payments), model.decision_function(payments) > 0
        )

    def test_equal_scores_share_a_rank_and_their_order_is_not_the_files(self) -> None:
        scores = np.array([1.0, 3.0, 1.0, 2.0])
        x = np.array([[5.0], [0.0], [4.0], [0.0]], dtype=np.float32)
        order = order_of(scores, x)
        other = np.array([2, 1, 0, 3])
        np.testing.assert_array_equal(x[order], x[other][order_of(scores[other], x[other])])
        assert shared_ranks(scores[order]).tolist() == [1, 2, 3, 3]


class TestVerdicts:
    def test_verdicts_are_matched_by_index_never_by_place(
        self, payments: pd.DataFrame, verdicts: pd.Series
    ) -> None:
        straight = Askew(random_state=0).fit(payments, verdicts)
        turned = Askew(random_state=0).fit(payments, verdicts.iloc[::-1])
        assert straight.verdicts_ == turned.verdicts_
        assert straight.verdicts_["tx-0003"] == 1
        assert straight.verdicts_["tx-0110"] == 0
        shown = straight.rank(payments)["askew_verdict"]
        assert shown.dropna().to_dict() == verdicts.to_dict()

    def test_no_verdicts_work_and_say_so(self, payments: pd.DataFrame) -> None:
        model = Askew(random_state=0).fit(payments)
        assert str(model.labels_) == "Labels: none; ranks without verdicts"
        assert len(set(model.rank(payments).index[:8]) & set(payments.index[:8])) >= 6

    @pytest.mark.parametrize("kind", ["anomaly", "normal"])
    def test_one_kind_alone_works_and_says_what_it_means(
        self, payments: pd.DataFrame, verdicts: pd.Series, kind: str
    ) -> None:
        model = Askew(random_state=0).fit(payments, verdicts[verdicts == kind])
        remark = model.labels_.remark()
        assert remark is not None
        assert ("Only anomalies" if kind == "anomaly" else "Only normal rows") in remark
        assert len(set(model.rank(payments).index[:8]) & set(payments.index[:8])) >= 6

    def test_a_verdict_moves_its_row(self, payments: pd.DataFrame, verdicts: pd.Series) -> None:
        model = Askew(random_state=0).fit(payments, verdicts)
        before = model.rank(payments)["askew_rank"]["tx-0150"]
        after = model.refit(payments, {"tx-0150": "anomaly"})
        assert after.rank(payments)["askew_rank"]["tx-0150"] < before

    def test_a_mostly_normal_truth_is_warned_of_once(self) -> None:
        X = np.random.default_rng(0).normal(size=(1200, 2))
        y = (np.arange(1200) < 60).astype(int)
        X[:60] += 3
        with pytest.warns(LabelWarning) as caught:
            Askew(random_state=0).fit(X, y)
        assert len(caught) == 1
        assert "95% are 0" in str(caught[0].message)

    def test_an_unsure_verdict_is_shown_and_never_trains(
        self, payments: pd.DataFrame, verdicts: pd.Series
    ) -> None:
        more = pd.concat([verdicts, pd.Series({"tx-0001": "unsure"})])
        plain, unsure = (Askew(random_state=0).fit(payments, y) for y in (verdicts, more))
        np.testing.assert_array_equal(
            plain.decision_function(payments), unsure.decision_function(payments)
        )
        assert unsure.rank(payments, verdicts=more)["askew_verdict"]["tx-0001"] == "unsure"

    def test_a_label_for_an_id_that_is_not_there_is_refused(self, payments: pd.DataFrame) -> None:
        with pytest.raises(LabelError, match="tx-9999"):
            Askew().fit(payments, {"tx-9999": "anomaly"})


class TestRefit:
    def test_a_refit_adds_verdicts_names_its_parent_and_leaves_it_alone(
        self, model: Askew, payments: pd.DataFrame
    ) -> None:
        before = model.decision_function(payments)
        after = model.refit(payments, {"tx-0001": 1, "tx-0020": "anomaly"})
        assert after.parent_ == model.id_ != after.id_
        assert after.labels_.n_anomaly == 4
        assert after.verdicts_["tx-0020"] == 1
        np.testing.assert_array_equal(model.decision_function(payments), before)

    def test_the_same_verdicts_in_any_order_give_the_same_model(
        self, model: Askew, payments: pd.DataFrame
    ) -> None:
        one = model.refit(payments, {"tx-0001": 1, "tx-0030": 0})
        two = model.refit(payments, {"tx-0030": 0}).refit(payments, {"tx-0001": 1})
        np.testing.assert_array_equal(
            one.decision_function(payments), two.decision_function(payments)
        )
        assert one.id_ == two.id_

    def test_rows_known_by_number_are_refused_in_another_table(self) -> None:
        rng = np.random.default_rng(0)
        X = rng.normal(size=(50, 3))
        model = Askew(random_state=0).fit(X, np.r_[1, 0, [-1] * 48])
        again = model.refit(X, {5: 1})
        assert again.verdicts_ == {0: 1, 1: 0, 5: 1}
        with pytest.raises(DataError, match="know their rows by number"):
            model.refit(X[::-1], {5: 1})
        assert set(model.rank(X)["askew_verdict"].to_pylist()) == {"anomaly", "normal", None}
        assert set(model.rank(X[::-1])["askew_verdict"].to_pylist()) == {None}


class TestTables:
    def test_the_schema_is_checked(self, model: Askew, payments: pd.DataFrame) -> None:
        with pytest.raises(ValueError, match="now missing:\n- note"):
            model.decision_function(payments.drop(columns="note"))
        with pytest.raises(ValueError, match="unseen at fit time:\n- extra"):
            model.decision_function(payments.assign(extra=1))
        with pytest.raises(ValueError, match="same order"):
            model.decision_function(payments[payments.columns[::-1]])
        with pytest.raises(SchemaError, match="amount"):
            model.decision_function(payments.assign(amount="many"))
        for table in (pl.from_pandas(payments), pa.Table.from_pandas(payments)):
            with pytest.raises((SchemaError, ValueError), match="feature names should match"):
                model.decision_function(
                    table[["amount", "note"]]
                    if isinstance(table, pl.DataFrame)
                    else table.select(["amount", "note"])
                )

    def test_an_array_works_at_both_ends(self) -> None:
        X = np.random.default_rng(0).normal(size=(60, 4))
        X[0] = 9
        model = Askew(random_state=0).fit(X)
        assert model.rank(X)["x0"][0].as_py() == 9
        assert model.n_features_in_ == 4

    def test_more_columns_than_rows_work_with_a_word(self) -> None:
        X = np.random.default_rng(0).normal(size=(20, 40))
        X[3] += 5
        with pytest.warns(TableWarning, match="more columns than rows"):
            model = Askew(random_state=0).fit(X)
        assert int(np.argmax(model.decision_function(X))) == 3

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            (pd.DataFrame({"a": [1.0]}), "1 sample"),
            (pd.DataFrame({"a": [1.0, 1], "b": ["x", "x"]}), "all 2 rows are identical"),
            (pd.DataFrame({"a": [1.0, np.inf], "b": [1.0, 2]}), "'a'.* row 2"),
            (pd.DataFrame({"a": [1.0, 1e300], "b": [1.0, 2]}), "'a'.* row 2"),
            (pd.DataFrame({"a": [None, None]}, dtype=object), "none of the 1 columns|identical"),
        ],
    )
    def test_tables_that_cannot_be_used_are_refused(
        self, table: pd.DataFrame, message: str
    ) -> None:
        with pytest.raises(AskewError, match=message):
            Askew().fit(table)

    def test_duplicate_and_missing_ids_are_refused(self, payments: pd.DataFrame) -> None:
        flat = payments.reset_index()
        flat.loc[3, "tx"] = "tx-0001"
        with pytest.raises(DataError, match="'tx-0001' in rows 2 and 4"):
            Askew(id_column="tx").fit(flat)

    def test_inputs_stay_as_they_are(self, payments: pd.DataFrame, verdicts: pd.Series) -> None:
        table, y = payments.copy(deep=True), verdicts.copy(deep=True)
        Askew(random_state=0).fit(payments, verdicts).rank(payments)
        pd.testing.assert_frame_equal(payments, table)
        pd.testing.assert_series_equal(verdicts, y)


class TestRankers:
    def test_any_estimator_that_scores_can_rank(
        self, payments: pd.DataFrame, verdicts: pd.Series
    ) -> None:
        detector = Detector(DevNet(), members=2, random_state=0)
        model = Askew(detector).fit(payments, verdicts)
        assert set(model.rank(payments).index[:4]) <= set(payments.index[:8])

    def test_a_ranker_that_cannot_be_saved_is_refused_at_save(
        self, payments: pd.DataFrame, tmp_path: Any
    ) -> None:
        model = Askew(_Forest()).fit(payments)
        with pytest.raises(AskewError, match="a _Forest cannot be saved"):
            model.save(tmp_path / "m.askew")
        assert list(tmp_path.iterdir()) == []

    def test_clone_refits_alike(self, payments: pd.DataFrame, verdicts: pd.Series) -> None:
        model = Askew(random_state=3)
        first = model.fit(payments, verdicts).decision_function(payments)
        again = clone(model).fit(payments, verdicts).decision_function(payments)
        np.testing.assert_array_equal(first, again)


class _Forest(IsolationForest):  # type: ignore[misc]
    def fit(self, X: Any, y: Any = None) -> Any:
        return super().fit(X)
