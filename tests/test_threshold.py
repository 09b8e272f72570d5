"""Cuts in the user's units: what they are, what they rest on, and when they are refused."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats

from askew.errors import AskewError, DataError, MethodError, ModelFileError, ThresholdError
from askew.threshold import (
    MIN_EACH,
    Calibration,
    Evidence,
    Precision,
    Threshold,
    asked_for,
    by_alerts,
    by_fdr,
    by_precision,
    calibrate,
    default_cut,
    held_out,
    precision_above,
)

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]


def labels(said: str) -> Labels:
    """Read verdicts from the highest score down: ``A``, ``N`` and ``.`` for none."""
    return np.array([{"A": 1, "N": 0, ".": -1}[letter] for letter in said], np.int8)


def falling(n: int) -> Floats:
    return np.arange(n, 0, -1, dtype=np.float64)


def world(rng: np.random.Generator, n: int, shift: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Draw scores of which a tenth are of anomalies, ``shift`` higher on average."""
    anomaly = rng.random(n) < 0.1
    return rng.normal(size=n) + shift * anomaly, anomaly


# -- default ---------------------------------------------------------------------------------------


def test_the_default_lies_where_both_kinds_are_best_told_apart() -> None:
    scores, label = falling(6), labels("A.AN.N")  # 6 and 4 are anomalies, 3 and 1 normal
    assert default_cut(scores, label) == 3.5


def test_the_default_without_both_kinds_is_a_share() -> None:
    scores = np.arange(101.0)
    assert default_cut(scores, np.full(101, -1, np.int8)) == pytest.approx(95)
    assert default_cut(scores, np.full(101, -1, np.int8), 0.2) == pytest.approx(80)


# -- alerts ----------------------------------------------------------------------------------------


def test_as_many_alerts_as_asked() -> None:
    told = by_alerts(np.array([0.1, 0.9, 0.5, 0.7, 0.3]), 2)
    assert (told.cut, told.n_alerts, told.n_rows, told.share) == (0.5, 2, 5, 0.4)


def test_never_more_alerts_than_asked() -> None:
    told = by_alerts(np.array([9.0, 8, 7, 7, 7, 1]), 4)
    assert (told.cut, told.n_alerts, told.n_tied) == (7.0, 2, 3)
    assert told.describe() == (
        "top 33 %, about 2 rows of 4 asked for (the next 3 score the same), precision not known"
    )


def test_all_rows_where_there_are_no_more() -> None:
    told = by_alerts(np.array([3.0, 1.0, 1.0]), 3)
    assert (told.n_alerts, told.n_tied) == (3, 0)
    assert by_alerts(np.array([3.0, 1.0, 1.0]), 10).n_alerts == 3


def test_neighboring_floats_are_told_apart() -> None:
    low = 1.0
    scores = np.array([np.nextafter(low, 2), low, low - 1])
    told = by_alerts(scores, 1)
    assert ((scores - told.cut) > 0).tolist() == [True, False, False]


@pytest.mark.parametrize("n", [0, -1, 2.5, True, "7"])
def test_no_such_number_of_alerts(n: Any) -> None:
    with pytest.raises(MethodError, match="expected a whole number"):
        by_alerts(falling(5), n)


def test_no_rows_no_cut() -> None:
    with pytest.raises(DataError, match="no scores"):
        by_alerts(np.empty(0), 3)


def test_the_highest_scores_alone_do_where_they_reach() -> None:
    scores = np.array([9.0, 8, 7, 6, 6, 5, 4, 3, 2, 1])
    assert by_alerts(scores[:5], 3, n_rows=10) == by_alerts(scores, 3)
    assert by_alerts(scores, 12, n_rows=10).n_alerts == 10
    # From the fourth on they tie to the end of what is kept, and perhaps beyond.
    for n in (4, 5, 20):
        with pytest.raises(MethodError, match="of 10 scores only the highest 5 are kept; give the"):
            by_alerts(scores[:5], n, n_rows=10)


def test_a_cut_is_told_again_of_another_table() -> None:
    told = by_alerts(np.array([9.0, 8, 7, 7, 7, 1]), 4).on(np.array([7.5, 7.0, 6.0]))
    assert (told.cut, told.n_alerts, told.n_rows, told.n_tied) == (7.0, 1, 3, 0)
    assert told.describe() == "top 33 %, about 1 row, precision not known"


# -- precision -------------------------------------------------------------------------------------


def test_the_precision_of_alerts_judged_wholly() -> None:
    told = precision_above(2.0, falling(10), labels("AANAANAA.."))
    assert told is not None
    assert told.value == pytest.approx(6 / 8)
    assert told.n_verdicts == 8
    assert (told.low, told.high) == pytest.approx(tuple(stats.beta(6.5, 2.5).ppf([0.05, 0.95])))


def test_the_interval_holds_its_estimate() -> None:
    right = precision_above(0.0, falling(8), labels("A" * 8))
    wrong = precision_above(0.0, falling(8), labels("N" * 8))
    assert right is not None
    assert wrong is not None
    assert (right.value, right.high) == (1, 1)
    assert (wrong.value, wrong.low) == (0, 0)
    assert right.low == pytest.approx(1 - wrong.high)


def test_each_fourth_of_the_alerts_speaks_for_itself() -> None:
    """The queue judged all of the first fourth, 4 of 4 right, and one of each other, 0 of 1."""
    label = labels("AAAAN....N.....N")
    told = precision_above(0.0, falling(16), label)
    assert told is not None
    assert told.value == pytest.approx(1 / 4)  # all verdicts together say 4 / 7
    effective = 1 / ((1 / 4 + 1 + 1 + 1) / 16)
    a, b = effective / 4 + 0.5, effective * 3 / 4 + 0.5
    assert (told.low, told.high) == pytest.approx(tuple(stats.beta(a, b).ppf([0.05, 0.95])))


def test_a_fourth_without_verdicts_tells_nothing() -> None:
    assert precision_above(0.0, falling(16), labels("AAAAN..........N")) is None
    assert precision_above(16.0, falling(16), labels("A" * 16)) is None


def test_the_lowest_cut_that_is_precise_enough() -> None:
    """30 anomalies, then 30 normal rows: half would be enough for all, seen as an estimate."""
    label = labels("A" * 30 + "N" * 30 + "." * 40)
    told = by_precision(falling(100), label, 0.6)
    assert told.precision is not None
    assert told.precision.low >= 0.6
    n = told.n_alerts
    assert told.cut == 100 - n
    assert told.precision.value == pytest.approx(30 / n)
    # 60 cuts are 6 doublings, so one end is passed with probability 0.05 / 6.
    ends = {
        m: special.betaincinv(min(m, 30) + 0.5, max(m - 30, 0) + 0.5, 0.05 / 6)
        for m in range(1, 61)
    }
    assert n == max(m for m, low in ends.items() if low >= 0.6)
    assert told.precision.low == pytest.approx(ends[n])


def test_a_cut_never_splits_rows_that_score_the_same() -> None:
    scores = np.repeat([3.0, 2.0, 1.0], 20)
    told = by_precision(scores, labels("A" * 20 + "A" * 10 + "N" * 30), 0.5)
    assert (told.cut, told.n_alerts) == (1.0, 40)
    assert by_precision(scores, labels("A" * 20 + "A" * 5 + "N" * 35), 0.5).n_alerts == 20


def test_every_row_may_be_an_alert() -> None:
    scores = falling(20)
    told = by_precision(scores, labels("A" * 20), 0.5)
    assert told.n_alerts == 20
    assert (scores > told.cut).all()


def test_unproven_precision_is_refused_with_what_is_missing() -> None:
    label = labels("AAAA" + "N" * 6 + "." * 10)
    with pytest.raises(ThresholdError, match=r"precision of 0\.8 is not shown") as refused:
        by_precision(falling(20), label, 0.8)
    # With so many more anomalies on the top the same cut passes, with one less it does not.
    missing = refused.value.n_needed
    ends = {m: special.betaincinv(m + 4.5, 0.5, 0.05 / 4) for m in range(1, 40)}
    assert missing == min(m for m, low in ends.items() if low >= 0.8)
    assert f"At least {missing} more verdicts" in str(refused.value)
    assert "(4 anomalies): the best cut has 1 [" in str(refused.value)


def test_no_verdicts_no_precision() -> None:
    with pytest.raises(ThresholdError, match="no cut has verdicts throughout its alerts") as error:
        by_precision(falling(20), labels("." * 20), 0.5)
    assert error.value.n_needed > 1


def test_near_certainty_is_refused_at_once() -> None:
    with pytest.raises(ThresholdError) as refused:
        by_precision(falling(20), labels("A" * 20), 1 - 1e-9)
    assert refused.value.n_needed > 10**9


@pytest.mark.parametrize("p", [0, 1, 1.5, float("nan"), "0.5", True])
def test_no_such_precision(p: Any) -> None:
    with pytest.raises(MethodError, match=r"precision is .*; expected a number between 0 and 1"):
        by_precision(falling(20), labels("A" * 20), p)


@pytest.mark.parametrize("p", [0.3, 0.5, 0.7])
def test_the_precision_holds_on_fresh_rows(p: float) -> None:
    """Verdicts on half of the top, fewer below, as a queue leaves them."""
    kept = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        scores, anomaly = world(rng, 2000, shift=2.5)
        order = np.argsort(-scores)
        judged = np.concatenate([rng.permutation(order[:100])[:50], rng.permutation(order)[:60]])
        label = np.full(2000, -1, np.int8)
        label[judged] = anomaly[judged]
        try:
            told = by_precision(scores, label, p)
        except ThresholdError:
            continue
        fresh, truth = world(rng, 20_000, shift=2.5)
        kept.append(truth[fresh > told.cut].mean() >= p)
    assert len(kept) >= 50
    assert np.mean(kept) >= 0.95


# -- false discovery rate --------------------------------------------------------------------------


def test_the_false_discovery_rate_by_hand() -> None:
    """9 known normals: p-values are tenths; 0.1, 0.1, 0.2, 1, 1 pass up to i / 5 * 0.4."""
    normal = np.arange(9.0)
    told = by_fdr(np.array([-5.0, 9, 8, 20, -3]), normal, 0.4)
    assert (told.n_alerts, told.cut) == (3, 7.0)  # 8 is reached by one known normal
    assert told.calibration == tuple(range(9))
    assert told.describe() == (
        "top 60 %, about 3 rows, false discovery rate at most 0.4 from 9 known normals, "
        "precision not known"
    )
    assert by_fdr(np.array([-5.0, 9, 8, 20, -3]), normal, 0.25).n_alerts == 2


def test_a_normal_row_that_scores_the_same_counts_against() -> None:
    told = by_fdr(np.array([9.0, 9, 8, 8]), np.array([8.0] + [0.0] * 9), 0.2)
    assert (told.n_alerts, told.cut) == (4, 0.0)
    with pytest.raises(ThresholdError):
        by_fdr(np.array([9.0, 9, 8, 8]), np.array([9.0] + [0.0] * 9), 0.1)


def test_too_few_known_normals_are_refused_with_their_number() -> None:
    """4 of 100 rows stand out: 1 / (m + 1) <= 0.1 * 4 / 100 takes 249 known normals."""
    scores, normal = np.concatenate([np.full(96, -1.0), np.full(4, 50.0)]), np.arange(49.0)
    with pytest.raises(ThresholdError, match="4 of 100 rows score above all") as refused:
        by_fdr(scores, normal, 0.1)
    assert refused.value.n_needed == 200
    with pytest.raises(ThresholdError):
        by_fdr(scores, np.arange(248.0) / 10, 0.1)
    assert by_fdr(scores, np.arange(249.0) / 10, 0.1).n_alerts == 4


def test_the_rate_holds_on_average() -> None:
    shares, missed = [], 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        scores, anomaly = world(rng, 500, shift=4)
        try:
            told = by_fdr(scores, rng.normal(size=300), 0.2)
        except ThresholdError:
            missed += 1
            continue
        called = scores > told.cut
        assert called.sum() == told.n_alerts
        shares.append(1 - anomaly[called].mean())
    assert missed < 20
    # A share of 0.9 is normal, so the procedure spends 0.9 of what it may.
    assert 0.14 <= np.mean(shares) <= 0.2


def test_the_rate_is_told_again_for_new_rows() -> None:
    normal = np.arange(99.0)
    few = by_fdr(np.concatenate([np.full(20, 200.0), np.zeros(80)]), normal, 0.1)
    many = few.on(np.concatenate([np.full(60, 97.0), np.zeros(40)]))
    assert (few.n_alerts, many.n_alerts) == (20, 60)
    assert many.cut < few.cut
    with pytest.raises(ThresholdError, match="0 of 3 rows score above all"):
        few.on(np.zeros(3))


# -- probabilities ---------------------------------------------------------------------------------


def test_probabilities_are_what_the_scores_were_drawn_with() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=20_000) * 3 + 5
    label = (rng.random(20_000) < special.expit(0.8 * scores - 5)).astype(np.int8)
    label[rng.random(20_000) < 0.5] = -1
    told = calibrate(scores, label)
    assert told.slope == pytest.approx(0.8, rel=0.05)
    assert told.intercept == pytest.approx(-5, rel=0.05)
    assert told(np.array([[0.0], [6.25]])) == pytest.approx(np.array([[0.0067], [0.5]]), abs=0.02)
    assert told.n_anomaly + told.n_normal == (label != -1).sum()


def test_few_verdicts_that_are_told_apart_give_no_certainty() -> None:
    told = calibrate(falling(20), labels("A" * 10 + "N" * 10))
    assert told(np.array([20.0, 1.0])) == pytest.approx([1, 0], abs=0.1)
    # The smoothed targets, 11 / 12 and 1 / 12, hold on average within each kind.
    assert told(falling(20)).sum() == pytest.approx(10)
    assert 0.001 < told(np.array([1.0]))[0] < 0.05


@pytest.mark.parametrize(("said", "n_needed"), [("A" * 4 + "N" * 30, 6), ("AANNN" + "." * 9, 15)])
def test_probabilities_need_verdicts_of_both_kinds(said: str, n_needed: int) -> None:
    with pytest.raises(ThresholdError, match=f"probabilities need {MIN_EACH} of each") as refused:
        calibrate(falling(len(said)), labels(said))
    assert refused.value.n_needed == n_needed


def test_scores_that_fall_with_the_verdicts_tell_no_probability() -> None:
    with pytest.raises(ThresholdError, match="do not score higher"):
        calibrate(falling(20), labels("N" * 10 + "A" * 10))
    with pytest.raises(ThresholdError, match="do not score higher"):
        calibrate(np.ones(20), labels("N" * 10 + "A" * 10))


# -- held out --------------------------------------------------------------------------------------


def judged_rows() -> tuple[Floats, Labels, list[str]]:
    """Give 40 rows, 7 of them judged anomalous and 12 normal, with the keys of the 19."""
    scores = np.random.default_rng(0).normal(size=40)
    label = np.full(40, -1, np.int8)
    label[:7], label[20:32] = 1, 0
    return scores, label, [f"r{i}" for i in np.flatnonzero(label >= 0)]


def test_each_verdict_is_hidden_once_and_its_kind_evenly() -> None:
    scores, label, keys = judged_rows()
    hidden = []

    def anew(left: Labels) -> Floats:
        hidden.append(np.flatnonzero(left != label))
        assert (left[hidden[-1]] == -1).all()
        return scores

    held_out(scores, label, keys, anew)
    assert sorted(np.concatenate(hidden)) == np.flatnonzero(label >= 0).tolist()
    for kind, sizes in ((1, {1, 2}), (0, {2, 3})):
        assert {int((label[rows] == kind).sum()) for rows in hidden} == sizes


def test_a_held_out_row_gets_the_score_of_its_rank() -> None:
    scores, label, keys = judged_rows()
    np.testing.assert_array_equal(
        held_out(scores, label, keys, lambda left: 1000 * scores + 7), scores
    )

    def anew(left: Labels) -> Floats:
        """Rank a row first where its verdict of anomaly is known, last where it is hidden."""
        return np.where(left == 1, 100, np.where(label == 1, -100, scores))

    held = held_out(scores, label, keys, anew)
    rising = np.sort(scores)
    # In a fold of one or two hidden anomalies they tie at the bottom: their middle is the lowest.
    assert set(held[:7]) == {rising[0]}
    np.testing.assert_array_equal(held[label == -1], scores[label == -1])


def test_folds_follow_the_keys_and_not_the_places() -> None:
    scores, label, keys = judged_rows()
    at = dict(zip(np.flatnonzero(label >= 0).tolist(), keys, strict=True))

    def anew(left: Labels) -> Floats:
        return scores * np.where(left == -1, 1.0, 3.0)

    held = held_out(scores, label, keys, anew)
    order = np.random.default_rng(1).permutation(40)
    turned = held_out(
        scores[order],
        label[order],
        [at[row] for row in order.tolist() if row in at],
        lambda left: scores[order] * np.where(left == -1, 1.0, 3.0),
    )
    np.testing.assert_array_equal(turned, held[order])
    assert (held != scores).any()


def test_a_few_verdicts_are_hidden_one_by_one() -> None:
    label = labels("A.N.......")
    seen: list[list[int]] = []

    def anew(left: Labels) -> Floats:
        seen.append(left[:3].tolist())
        return falling(10)

    held_out(falling(10), label, ["a", "b"], anew)
    assert seen == [[-1, -1, 0], [1, -1, -1]]
    np.testing.assert_array_equal(held_out(falling(10), labels("." * 10), [], anew), falling(10))
    assert len(seen) == 2


def test_evidence_is_cut_by_the_model_and_told_by_what_it_has_not_seen() -> None:
    """As it is, the model has both anomalies on top; held out, one of them falls to the end."""
    label = labels("AANN" + "." * 6)
    held = falling(10)
    held[1] = 0.5
    evidence = Evidence(falling(10), held, label)
    told = evidence.threshold("alerts", 4)
    assert (told.cut, told.n_alerts) == (6.0, 4)
    assert told.precision == precision_above(6.0, held, label)
    assert told.precision is not None
    assert told.precision.value == pytest.approx(1 / 3)
    fdr = Evidence(held, np.where(label == 0, -held, held), label).threshold("fdr", 0.9)
    assert (fdr.n_rows, fdr.calibration) == (6, (-8.0, -7.0))  # of the rows that nobody judged


def test_precision_counts_the_rows_as_the_model_scores_them() -> None:
    label = labels("A" * 20 + "N" * 20)
    held = np.concatenate([falling(40)[:18], [0.5, 0.2], falling(40)[20:]])
    told = Evidence(falling(40), held, label).threshold("precision", 0.7)
    assert told.precision == by_precision(held, label, 0.7).precision
    assert told.n_alerts == (falling(40) > told.cut).sum() > (held > told.cut).sum()


def test_one_unit_is_asked_for() -> None:
    assert asked_for(None, 0.5, None) == ("precision", 0.5)
    assert asked_for(3, None, None) == ("alerts", 3)
    for wrong in ((0, None, None), (None, 1.0, None), (None, None, 0.0)):
        with pytest.raises(MethodError, match="expected a"):
            asked_for(*wrong)
    with pytest.raises(MethodError, match="found none; give one of alerts, precision and fdr"):
        asked_for(None, None, None)
    with pytest.raises(MethodError, match="found alerts and fdr"):
        asked_for(3, None, 0.1)


# -- kept with the model ---------------------------------------------------------------------------

TOLD = Threshold(
    "alerts", 12.0, 1.5, 3000, 12, precision=Precision(0.6, 0.4, 0.8, level=0.9, n_verdicts=31)
)
FDR = Threshold("fdr", 0.1, 1.5, 3000, 12, calibration=(0.5, 1.5))


def test_what_it_rests_on_in_words() -> None:
    assert TOLD.describe() == (
        "top 0.4 %, about 12 rows, precision 0.6 [0.4, 0.8] from 31 verdicts"
    )
    everything = Threshold("default", None, 0.0, 5, 5)
    assert everything.describe() == "top 100 %, about 5 rows, precision not known"


def test_precision_is_added_to_any_cut() -> None:
    told = by_alerts(falling(20), 4).with_precision(falling(20), labels("AANA" + "." * 16))
    assert told.precision == precision_above(16.0, falling(20), labels("AANA" + "." * 16))
    assert told.precision is not None


@pytest.mark.parametrize("told", [TOLD, FDR, Threshold("default", None, -2.0, 0, 0)])
def test_a_threshold_survives_json(told: Threshold) -> None:
    assert Threshold.from_json(json.loads(json.dumps(told.to_json()))) == told


@pytest.mark.parametrize(
    "made",
    [
        by_alerts(falling(9).astype(np.float32), np.int64(3)),  # type: ignore[arg-type]
        by_precision(falling(30), labels("A" * 30), 0.5),
        by_fdr(falling(9), np.zeros(99), 0.1),
    ],
    ids=lambda made: made.kind,
)
def test_each_kind_of_cut_survives_json(made: Threshold) -> None:
    assert Threshold.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_a_calibration_survives_json() -> None:
    told = calibrate(falling(20), labels("A" * 10 + "N" * 10))
    assert Calibration.from_json(json.loads(json.dumps(told.to_json()))) == told


GOOD_PRECISION = TOLD.to_json()["precision"]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "recall"},
        {"kind": ["alerts"]},
        {"kind": "precision"},  # 12 is no precision
        {"asked": None},
        {"asked": 0},
        {"cut": float("nan")},
        {"cut": "1.5"},
        {"cut": 10**400},
        {"n_rows": 11},
        {"n_rows": -1, "n_alerts": -2},
        {"n_alerts": 1.0},
        {"n_tied": -1},
        {"calibration": [1.0]},
        {"calibration": None},
        {"kind": "fdr", "asked": 0.1, "calibration": []},
        {"kind": "fdr", "asked": 0.1, "calibration": [2.0, 1.0]},
        {"kind": "fdr", "asked": 0.1, "calibration": ["1"]},
        {"precision": 0.6},
        {"precision": GOOD_PRECISION | {"low": -0.1}},
        {"precision": GOOD_PRECISION | {"low": 0.7}},
        {"precision": GOOD_PRECISION | {"n_verdicts": None}},
        {"more": 1},
    ],
)
def test_a_damaged_threshold_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ModelFileError, match="damaged"):
        Threshold.from_json(TOLD.to_json() | change)


@pytest.mark.parametrize(
    "change", [{"slope": 0.0}, {"intercept": None}, {"n_normal": -1}, {"a": 1}]
)
def test_a_damaged_calibration_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ModelFileError, match="damaged"):
        Calibration.from_json(Calibration(1.0, 0.0, 10, 10).to_json() | change)


@pytest.mark.parametrize("data", [None, [], {}, "alerts"])
def test_something_else_is_refused(data: object) -> None:
    with pytest.raises(ModelFileError, match="expected kind, asked, cut"):
        Threshold.from_json(data)


def test_a_refusal_keeps_its_number_between_processes() -> None:
    error = ThresholdError("not yet", 7)
    assert isinstance(error, AskewError)
    assert pickle.loads(pickle.dumps(error)).n_needed == 7
