"""Askew: fit, rank, refit, and what it does with the tables people have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.ensemble import IsolationForest

import askew
from askew import Askew
from askew import model as module
from askew.deep import Detector, DevNet
from askew.errors import (
    AskewError,
    DataError,
    FitError,
    LabelError,
    LabelWarning,
    MethodError,
    ModelFileError,
    SchemaError,
    TableWarning,
    ThresholdError,
)
from askew.rankers import ActiveBlend, KernelLogistic
from askew.ranking import COLUMNS, order_of, shared_ranks
from askew.threshold import Threshold, by_alerts, by_precision, calibrate, held_out
from tests.test_persist import rewritten


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

    def test_parts_score_as_the_whole_to_the_last_bit(
        self, model: Askew, payments: pd.DataFrame
    ) -> None:
        scores = model.decision_function(payments)
        for ends in ([1, 199], [50, 100, 150], []):
            bounds = zip([0, *ends], [*ends, 200], strict=True)
            parts = [payments.iloc[start:end] for start, end in bounds]
            found = list(model.score_parts(iter(parts)))
            assert [len(part) for part in found] == [len(part) for part in parts]
            np.testing.assert_array_equal(np.concatenate(found), scores)

    def test_a_part_is_scored_once_it_is_asked_for(
        self, model: Askew, payments: pd.DataFrame
    ) -> None:
        odd = payments.iloc[100:].assign(amount=np.where(np.arange(100) == 4, np.inf, 1.0))
        drawn = iter([payments.iloc[:100], odd])
        scored = model.score_parts(drawn)
        assert len(next(scored)) == 100
        assert len(list(drawn)) == 1
        with pytest.raises(DataError, match=r"^column 'amount'.*row 5"):
            list(model.score_parts([odd]))
        with pytest.raises(
            DataError, match=r"^counted from 1 after the first 100 rows, column 'amount'.*row 5"
        ):
            list(model.score_parts([payments.iloc[:100], odd]))

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


RANKER = ActiveBlend(n_trees=50, random_state=0)


class _Counting(IsolationForest):  # type: ignore[misc]
    """Counts the rows that it scores."""

    n_scored = 0

    def decision_function(self, X: Any) -> Any:
        type(self).n_scored += len(X)
        return -super().decision_function(X)


def test_the_table_of_the_fit_is_scored_once_and_another_anew(payments: pd.DataFrame) -> None:
    _Counting.n_scored = 0
    model = Askew(ranker=_Counting(n_estimators=20, random_state=0)).fit(payments)
    scores = model.decision_function(payments)
    assert _Counting.n_scored == len(payments)
    turned = payments.iloc[::-1]
    np.testing.assert_array_equal(model.decision_function(turned), scores[::-1])
    assert _Counting.n_scored == 2 * len(payments)
    one_more = model.decision_function(payments[:50])
    np.testing.assert_array_equal(one_more, scores[:50])
    model.set_threshold(alerts=5)
    assert (model.decision_function(payments) > 0).sum() == 5


@pytest.fixture(scope="module")
def judged() -> tuple[pd.DataFrame, pd.Series]:
    """400 rows, 40 of them odd, with verdicts on 30 odd ones and 160 others."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4))
    X[:40] += 3
    table = pd.DataFrame(X, columns=list("abcd"), index=[f"r{i}" for i in range(400)])
    rows = [*range(30), *range(100, 260)]
    return table, pd.Series({f"r{i}": int(i < 40) for i in rows})


@pytest.fixture
def active(judged: tuple[pd.DataFrame, pd.Series]) -> Askew:
    return Askew(RANKER).fit(*judged)


def by_folds(raw: Any, table: pd.DataFrame, verdicts: pd.Series) -> Any:
    """Hold the verdicts out by models of their own."""

    def anew(left: Any) -> Any:
        other = Askew(RANKER).fit(table, left)
        return other.decision_function(table) + other.offset_

    label = verdicts.reindex(table.index, fill_value=-1).to_numpy(np.int8)
    return held_out(raw, label, verdicts.index.tolist(), anew)


def state(model: Askew) -> tuple[Any, ...]:
    return model.threshold_, model.offset_, model.calibration_


class TestThreshold:
    def test_a_fit_tells_its_default(self, active: Askew, judged: Any) -> None:
        scores = active.decision_function(judged[0])
        told = active.threshold_
        assert (told.kind, told.cut, told.n_rows) == ("default", active.offset_, 400)
        assert told.n_alerts == (scores > 0).sum() > 0

    @pytest.mark.parametrize("n", [1, 12, 399])
    def test_as_many_rows_as_asked_are_called(self, active: Askew, judged: Any, n: int) -> None:
        table, _ = judged
        assert active.set_threshold(alerts=n) is active
        scores = active.decision_function(table)
        assert (scores > 0).sum() == active.predict(table).sum() == n
        assert active.threshold_.describe() == (
            f"top {100 * n / 400:.{0 if n > 40 else 2}{'f' if n > 40 else 'g'}} %, "
            f"about {n} row{'s' * (n > 1)}, precision not known"
        )
        assert set(np.flatnonzero(scores > 0)) == set(np.argsort(-scores)[:n])

    def test_rows_that_tie_are_not_called_beyond_what_was_asked(self, judged: Any) -> None:
        table, _ = judged
        twice = pd.concat([table, table.set_axis([f"b{i}" for i in range(400)])])
        model = Askew(RANKER).fit(twice).set_threshold(alerts=5)
        assert model.predict(twice).sum() == model.threshold_.n_alerts == 4
        assert "4 rows of 5 asked for (the next 2 score the same)" in model.threshold_.describe()

    def test_a_long_table_keeps_its_highest_scores(
        self, judged: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        table, verdicts = judged
        monkeypatch.setattr(module, "KEPT", 50)
        model = Askew(RANKER).fit(table, verdicts)
        raw = np.sort(model.decision_function(table) + model.offset_)[::-1]
        np.testing.assert_allclose(model.top_scores_, raw[:50])
        assert model.set_threshold(alerts=49).predict(table).sum() == 49
        with pytest.raises(MethodError, match="of 400 scores only the highest 50 are kept"):
            model.set_threshold(alerts=50)
        assert model.set_threshold(table, alerts=50).predict(table).sum() == 50

    def test_alerts_of_a_given_table_are_counted_there(self, active: Askew, judged: Any) -> None:
        table, _ = judged
        half = table.iloc[::2]  # holds some of the judged rows: precision is not told
        active.set_threshold(half, alerts=10)
        assert active.predict(half).sum() == 10 == active.threshold_.n_alerts
        assert (active.threshold_.n_rows, active.threshold_.precision) == (200, None)

    def test_held_out_scores_are_those_of_fits_without_the_verdict(
        self, active: Askew, judged: Any
    ) -> None:
        table, verdicts = judged
        raw = active.decision_function(table) + active.offset_
        label = verdicts.reindex(table.index, fill_value=-1).to_numpy(np.int8)

        held = by_folds(raw, table, verdicts)
        expected = by_precision(held, label, 0.6).on(raw)
        told = active.set_threshold(table, precision=0.6).threshold_
        assert told.precision == expected.precision
        assert told.cut == pytest.approx(expected.cut)
        assert told.n_alerts == expected.n_alerts
        assert (active.decision_function(table) > 0).sum() == told.n_alerts
        assert (held[label >= 0] != raw[label >= 0]).any()

    def test_precision_is_told_and_holds(self, active: Askew, judged: Any) -> None:
        table, _ = judged
        told = active.set_threshold(table, precision=0.6).threshold_
        assert (told.kind, told.asked) == ("precision", 0.6)
        assert told.precision is not None
        assert told.precision.low >= 0.6
        assert "verdicts" in told.describe()
        called = np.flatnonzero(active.predict(table))
        assert (called < 40).mean() >= 0.6

    def test_the_false_discovery_rate_is_one_of_the_rows_not_judged(
        self, active: Askew, judged: Any
    ) -> None:
        table, verdicts = judged
        told = active.set_threshold(table, fdr=0.3).threshold_
        assert (told.kind, told.n_rows, len(told.calibration)) == ("fdr", 210, 160)
        rest = table.drop(verdicts.index)
        assert active.predict(rest).sum() == told.n_alerts
        again = active.threshold_on(active.decision_function(rest))
        assert (again.n_alerts, again.n_rows) == (told.n_alerts, 210)
        assert again.cut == pytest.approx(0)
        with pytest.raises(ThresholdError, match="0 of 5 rows score above all"):
            active.threshold_on(np.full(5, -9.0))

    def test_it_is_told_again_of_new_rows(self, active: Askew, judged: Any) -> None:
        new = judged[0].iloc[20:60]
        scores = active.set_threshold(judged[0], precision=0.6).decision_function(new)
        again = active.threshold_on(scores)
        assert (again.n_rows, again.n_alerts) == (40, (scores > 0).sum())
        assert again.precision == active.threshold_.precision

    def test_verdicts_that_the_model_has_not_seen_need_no_fit(self, judged: Any) -> None:
        table, verdicts = judged
        model = Askew(RANKER).fit(table)
        model.ranker_.relearn = None  # would fail
        raw = model.decision_function(table) + model.offset_
        label = verdicts.reindex(table.index, fill_value=-1).to_numpy(np.int8)
        told = model.set_threshold(table, verdicts, precision=0.3).threshold_
        expected = by_precision(raw, label, 0.3)
        assert told.cut == pytest.approx(expected.cut)
        assert told == replace(expected, cut=told.cut)

    def test_a_later_verdict_counts_and_an_unsure_one_does_not(
        self, active: Askew, judged: Any
    ) -> None:
        table, _ = judged
        active.set_threshold(table, {"r250": "unsure", "r251": 1, "r300": 0}, fdr=0.3)
        assert len(active.threshold_.calibration) == 160 - 2 + 1

    def test_what_the_verdicts_do_not_carry_is_refused_and_changes_nothing(
        self, active: Askew, judged: Any
    ) -> None:
        table, _ = judged
        before = state(active.set_threshold(alerts=7))
        with pytest.raises(ThresholdError, match=r"precision of 0\.99 is not shown") as refused:
            active.set_threshold(table, precision=0.99)
        assert f"At least {refused.value.n_needed:,} more verdicts" in str(refused.value)
        assert refused.value.n_needed > 100
        with pytest.raises(ThresholdError, match="with 160 known normals") as refused:
            active.set_threshold(table, fdr=0.001)
        assert refused.value.n_needed > 1000
        assert state(active) == before

    def test_a_call_that_makes_no_sense_is_refused(self, active: Askew, judged: Any) -> None:
        table, _ = judged
        with pytest.raises(MethodError, match="found none; give one of alerts, precision and fdr"):
            active.set_threshold(table)
        with pytest.raises(MethodError, match="found alerts and precision"):
            active.set_threshold(table, alerts=3, precision=0.5)
        for unit in ("precision", "fdr"):
            with pytest.raises(MethodError, match=f"{unit} rests on .*; give the table: set_thres"):
                active.set_threshold(**{unit: 0.5})  # type: ignore[arg-type]
        for asked in ({"alerts": 0}, {"precision": 1.0}, {"fdr": 0}):
            with pytest.raises(MethodError, match="expected a"):
                active.set_threshold(table, **asked)

    def test_another_table_with_some_of_the_verdicts_is_refused(
        self, active: Askew, judged: Any
    ) -> None:
        table, _ = judged
        with pytest.raises(DataError, match=r"holds 95 of the 190 rows .* give the table of the f"):
            active.set_threshold(table.iloc[::2], precision=0.5)
        X = table.to_numpy()
        numbered = Askew(RANKER).fit(X, np.r_[1, 0, [-1] * 398])
        with pytest.raises(DataError, match="know their rows by number"):
            numbered.set_threshold(X[::-1], np.r_[1, 0, [-1] * 398], precision=0.5)

    def test_a_ranker_that_needs_anomalies_is_refused_where_all_are_hidden(
        self, judged: Any
    ) -> None:
        table, verdicts = judged
        one = verdicts[verdicts.index != "r0"].where(lambda v: v == 0).dropna()
        one = pd.concat([one, pd.Series({"r0": 1})]).astype(int)
        model = Askew(KernelLogistic(random_state=0)).fit(table, one)
        with pytest.raises(FitError, match="KernelLogistic needs at least one known anomaly"):
            model.set_threshold(table, fdr=0.3)
        assert model.set_threshold(table, alerts=5).threshold_.precision is None

    def test_any_estimator_can_be_fitted_anew(self, judged: Any) -> None:
        table, verdicts = judged
        model = Askew(_Forest(n_estimators=20, random_state=0)).fit(table, verdicts)
        scores = model.decision_function(table) + model.offset_
        told = model.set_threshold(table, alerts=40).threshold_
        # It does not learn from verdicts, so held out it scores as it is.
        label = verdicts.reindex(table.index, fill_value=-1).to_numpy(np.int8)
        assert told == by_alerts(scores, 40).with_precision(scores, label)

    def test_a_refit_cuts_by_default_again(self, active: Askew, judged: Any) -> None:
        table, _ = judged
        active.set_threshold(alerts=7).calibrate(table)
        after = active.refit(table, {"r300": 0})
        assert after.threshold_.kind == "default"
        assert after.calibration_ is None
        assert active.threshold_.kind == "alerts"
        assert active.fit(*judged).threshold_.kind == "default"
        assert not hasattr(active, "predict_proba")


class TestProbabilities:
    def test_there_are_none_before_they_are_calibrated(self, active: Askew, judged: Any) -> None:
        assert not hasattr(active, "predict_proba")
        with pytest.raises(AttributeError) as refused:
            active.predict_proba(judged[0])
        assert "call calibrate(X) with the table" in str(refused.value.__cause__)

    def test_they_rise_with_the_score_and_rest_on_held_out_verdicts(
        self, active: Askew, judged: Any
    ) -> None:
        table, verdicts = judged
        assert active.calibrate(table) is active
        assert active.calibration_ is not None
        assert (active.calibration_.n_anomaly, active.calibration_.n_normal) == (30, 160)
        p = active.predict_proba(table)
        np.testing.assert_allclose(p.sum(axis=1), 1)
        order = np.argsort(active.decision_function(table))
        assert (np.diff(p[order, 1]) >= 0).all()
        rest = ~table.index.isin(verdicts.index)
        assert p[rest, 1].sum() == pytest.approx(10, abs=6)  # ten of these are odd
        raw = active.decision_function(table) + active.offset_
        label = verdicts.reindex(table.index, fill_value=-1).to_numpy(np.int8)
        expected = calibrate(by_folds(raw, table, verdicts), label)
        assert active.calibration_.slope == pytest.approx(expected.slope)
        assert active.calibration_.slope != pytest.approx(calibrate(raw, label).slope)

    def test_they_do_not_move_with_the_threshold(self, active: Askew, judged: Any) -> None:
        table, _ = judged
        before = active.calibrate(table).predict_proba(table)
        after = active.set_threshold(alerts=3).predict_proba(table)
        np.testing.assert_allclose(after, before)

    def test_too_few_verdicts_are_refused_with_counts(
        self, payments: pd.DataFrame, verdicts: pd.Series
    ) -> None:
        model = Askew(RANKER).fit(payments, verdicts)
        with pytest.raises(ThresholdError, match="2 anomalies and 4 normals are judged") as refused:
            model.calibrate(payments)
        assert refused.value.n_needed == 14
        assert not hasattr(model, "predict_proba")


class TestKeptThreshold:
    def saved(self, model: Askew, tmp_path: Path) -> Path:
        model.save(tmp_path / "m.askew")
        return tmp_path / "m.askew"

    @pytest.mark.parametrize("unit", [{"alerts": 12}, {"precision": 0.6}, {"fdr": 0.3}])
    def test_a_loaded_model_cuts_alike(
        self, active: Askew, judged: Any, tmp_path: Path, unit: dict[str, Any]
    ) -> None:
        table, _ = judged
        active.set_threshold(table, **unit).calibrate(table)
        loaded = askew.load(self.saved(active, tmp_path))
        assert state(loaded) == state(active)
        np.testing.assert_array_equal(loaded.predict_proba(table), active.predict_proba(table))
        np.testing.assert_array_equal(
            loaded.decision_function(table), active.decision_function(table)
        )
        assert loaded.set_threshold(alerts=3).predict(table).sum() == 3
        assert loaded.set_threshold(table, **unit).threshold_ == active.threshold_

    def test_a_file_of_before_thresholds_were_kept_still_opens(
        self, active: Askew, judged: Any, tmp_path: Path
    ) -> None:
        table, _ = judged
        file = self.saved(active, tmp_path)

        def as_it_was(manifest: Any) -> None:
            for name in ("top_scores", "threshold", "calibration"):
                del manifest["estimator"]["state"][name]

        rewritten(file, as_it_was)
        old = askew.load(file)
        np.testing.assert_array_equal(old.decision_function(table), active.decision_function(table))
        told = old.threshold_
        assert (told.kind, told.cut, told.n_rows) == ("default", active.offset_, 400)
        assert told.n_alerts == pytest.approx(active.threshold_.n_alerts, abs=1)
        assert not hasattr(old, "predict_proba")
        with pytest.raises(MethodError, match=r"did not keep its highest scores; give the table"):
            old.set_threshold(alerts=12)
        assert old.set_threshold(table, alerts=12).predict(table).sum() == 12
        assert askew.load(self.saved(old, tmp_path)).threshold_ == old.threshold_

    @pytest.mark.parametrize(
        "change",
        [
            {"threshold": Threshold("alerts", 12.0, 0.5, 400, 12).to_json()},  # not the offset
            {"threshold": None},
            {"top_scores": [1.0, 2.0]},
            {"top_scores": [3.0]},
            {"top_scores": list(range(400))},  # they rise
            {"top_scores": "high"},
            {"calibration": {"slope": 0}},
        ],
    )
    def test_a_damaged_one_is_refused(
        self, active: Askew, tmp_path: Path, change: dict[str, Any]
    ) -> None:
        file = self.saved(active, tmp_path)
        rewritten(file, lambda manifest: manifest["estimator"]["state"].update(change))
        with pytest.raises(ModelFileError, match=r"m\.askew"):
            askew.load(file)


class _Forest(IsolationForest):  # type: ignore[misc]
    def fit(self, X: Any, y: Any = None) -> Any:
        return super().fit(X)


@pytest.mark.parametrize(
    "ranker", [None, Detector(DevNet(), epochs=2, random_state=0)], ids=["default", "DevNet"]
)
def test_mostly_normal_verdicts_are_not_taken_for_another_convention(ranker: Any) -> None:
    """Inside, -1, 0 and 1 with a 0 on most rows is no riddle: the reader has read them already."""
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 3)), columns=list("abc"))
    table.loc[:1] += 5
    verdicts = ["anomaly"] * 2 + ["normal"] * 14 + [None] * 4
    model = Askew(ranker, random_state=0).fit(table, verdicts)
    assert model.labels_.n_normal == 14
    assert set(model.rank(table)["askew_rank"].iloc[:2]) == {1, 2}


class TestNext:
    def test_the_most_suspicious_rows_that_nobody_judged_come_best_first(
        self, payments: pd.DataFrame
    ) -> None:
        model = Askew(RANKER, random_state=0).fit(payments, {"tx-0000": 1, "tx-0100": 0})
        ranked = model.rank(payments)
        asked = model.next(payments, 6, strategy="suspicious")
        open_rows = ranked[ranked["askew_verdict"].isna()]
        assert asked.index[0] == open_rows.index[0]
        assert asked["askew_score"].is_monotonic_decreasing
        assert not set(asked.index) & {"tx-0000", "tx-0100"}
        same = ["askew_score", "askew_rank", "askew_reason_1", *payments.columns]
        pd.testing.assert_frame_equal(asked[same], ranked.loc[asked.index, same])
        assert asked["askew_asked"].iloc[0] == "ranked 2nd"

    def test_mixed_asks_every_fifth_at_random_and_goes_on_where_the_verdicts_end(
        self, payments: pd.DataFrame
    ) -> None:
        model = Askew(RANKER, random_state=0).fit(payments)
        assert model.next(payments, 5)["askew_asked"].tolist()[4] == "random check"
        later = model.refit(payments, {"tx-0000": 1, "tx-0100": 0, "tx-0101": 0, "tx-0102": 0})
        asked = later.next(payments, 1)
        assert asked["askew_asked"].tolist() == ["random check"]
        again = later.next(payments.iloc[::-1], 1)
        assert again.index.tolist() == asked.index.tolist()

    def test_when_every_row_is_judged_there_is_none(self, payments: pd.DataFrame) -> None:
        model = Askew(RANKER, random_state=0).fit(payments, [1] * 8 + [0] * 192)
        assert len(model.next(payments, 3)) == 0

    def test_a_strategy_that_is_not_there_is_named(self, payments: pd.DataFrame) -> None:
        model = Askew(RANKER, random_state=0).fit(payments)
        with pytest.raises(MethodError, match="no strategy 'oddest'; give one of suspicious, "):
            model.next(payments, strategy="oddest")
