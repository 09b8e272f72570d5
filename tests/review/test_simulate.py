"""Playing the expert: who is asked, what is told, what the curves count, and the command for it."""

from __future__ import annotations

import doctest
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

import askew.review.picture
import askew.strategies
from askew.cli.main import main
from askew.errors import DataError, FitError, LabelError, MethodError
from askew.labels import read_labels
from askew.rankers import ActiveBlend, IsolationTrees, KernelLogistic
from askew.review import Simulation, simulate
from askew.review.picture import Chart, Curve, draw
from askew.table import to_frame
from askew.table.encode import encode
from askew.table.schema import infer_schema


class FirstColumn(BaseEstimator):  # type: ignore[misc]
    """Score by the first column; keep what was told."""

    told: ClassVar[list[list[float]]] = []
    asked_members: ClassVar[int] = 0

    def fit(self, X: NDArray[np.float32], y: NDArray[Any]) -> Self:
        FirstColumn.told.append(np.asarray(y, float).tolist())
        return self

    def decision_function(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        return X[:, 0]

    def member_scores(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        FirstColumn.asked_members += 1
        return X


@pytest.fixture(autouse=True)
def _forget() -> None:
    FirstColumn.told = []
    FirstColumn.asked_members = 0


def blobs(n: int = 300, n_odd: int = 24, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two kinds of far rows, of which one alone is odd: an isolation forest wastes half."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    x[:n_odd] += [5, 0, 0, 0]
    x[n_odd : 2 * n_odd] += [0, 6, 0, 0]
    order = rng.permutation(n)
    return x[order], (order < n_odd).astype(int)


def test_examples_are_true() -> None:
    for module in (sys.modules["askew.review.simulate"], askew.review.picture):
        outcome = doctest.testmod(module)
        assert outcome.attempted > 0
        assert outcome.failed == 0


def test_each_verdict_is_told_before_the_next_question() -> None:
    x = np.array([[5.0, 0], [4, 0], [3, 1], [2, 0], [1, 1]])
    played = simulate(x, [0, 1, 0, 1, 0], budget=3, ranker=FirstColumn())
    assert played.order.tolist() == [0, 1, 2]
    assert played.found.tolist() == [0, 1, 1]
    expected = [[-1.0] * 5, [0, -1, -1, -1, -1], [0, 1, -1, -1, -1]]
    np.testing.assert_array_equal(FirstColumn.told, expected)


def test_curves_and_areas_by_hand() -> None:
    played = Simulation(
        found=np.array([1, 1, 2, 2]),
        order=np.array([7, 1, 2, 3]),
        static=np.array([0, 1, 1, 1]),
        random=np.array([0.2, 0.4, 0.6, 0.8]),
        n_rows=10,
        n_anomalies=2,
    )
    assert played.area == 6 / 7  # the ideal finds 1, 2, 2, 2
    assert played.area_static == 3 / 7
    assert played.area_random == pytest.approx(2 / 7)
    told = json.loads(json.dumps(played.to_json()))
    assert told["found"] == [1, 1, 2, 2]
    assert told["order"] == [7, 1, 2, 3]
    assert (told["area"], told["n_left_out"]) == (6 / 7, 0)


def test_static_and_random_are_what_they_say() -> None:
    x, y = blobs()
    played = simulate(x, y, budget=40, random_state=3, ranker=FirstColumn())
    scores = IsolationTrees(random_state=3).fit(x).decision_function(x)
    assert played.static.tolist() == np.cumsum(y[np.argsort(-scores)])[:40].tolist()
    np.testing.assert_allclose(played.random, np.arange(1, 41) * 24 / 300)
    assert (played.n_rows, played.n_anomalies, played.n_left_out) == (300, 24, 0)


def test_learns_what_the_forest_cannot_know() -> None:
    x, y = blobs()
    played = simulate(x, y, budget=40)
    assert played.found[-1] == 24
    assert played.static[-1] < 20
    assert played.found.tolist() == np.cumsum(y[played.order]).tolist()


def test_a_seed_decides_every_draw() -> None:
    x, y = blobs()
    one, same, other = (simulate(x, y, budget=20, random_state=seed) for seed in (1, 1, 2))
    assert one.order.tolist() == same.order.tolist()
    assert one.order.tolist() != other.order.tolist()


def test_no_row_is_asked_twice_and_the_budget_ends_with_the_rows() -> None:
    x, y = blobs(n=60, n_odd=6)
    for strategy in askew.strategies.STRATEGIES:
        played = simulate(x, y, budget=500, strategy=strategy, ranker=FirstColumn())
        assert sorted(played.order.tolist()) == list(range(60))
        assert played.found[-1] == played.static[-1] == 6
        assert played.random[-1] == pytest.approx(6)


def test_rows_without_a_truth_take_no_part() -> None:
    x, y = blobs(n=80, n_odd=8)
    truth = np.where(np.arange(80) % 4 == 0, np.nan, y)
    played = simulate(x, truth, budget=80, ranker=FirstColumn())
    judged = np.flatnonzero(np.arange(80) % 4)
    assert sorted(played.order.tolist()) == judged.tolist()
    assert played.found.tolist() == np.cumsum(y[played.order]).tolist()
    assert (played.n_rows, played.n_anomalies, played.n_left_out) == (60, y[judged].sum(), 20)
    alone, among = (simulate(*given, budget=4) for given in ((x[judged], y[judged]), (x, truth)))
    assert judged[alone.order].tolist() == among.order.tolist()


class Anew(BaseEstimator):  # type: ignore[misc]
    """The default, fitted from nothing each time."""

    def fit(self, X: NDArray[np.float32], y: NDArray[Any]) -> Self:
        label = np.where(np.isnan(np.asarray(y, float)), -1, y).astype(np.int8)
        self.model = ActiveBlend(random_state=4).learn(X.copy(), label)
        return self

    def decision_function(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return self.model.decision_function(X)


def test_relearning_is_learning_anew() -> None:
    x, y = blobs(n=60, n_odd=8)
    kept = simulate(x, y, budget=10, random_state=4)
    anew = simulate(x, y, budget=10, random_state=4, ranker=Anew())
    assert kept.order.tolist() == anew.order.tolist()


def test_the_forest_is_grown_once(monkeypatch: pytest.MonkeyPatch) -> None:
    grown = []
    module = sys.modules["askew.rankers.leaf_kernel"]
    grow = module.isolation_trees

    def counted(*given: Any) -> Any:
        grown.append(1)
        return grow(*given)

    monkeypatch.setattr(module, "isolation_trees", counted)
    x, y = blobs(n=60, n_odd=6)
    simulate(x, y, budget=1)
    once = len(grown)
    simulate(x, y, budget=4)
    assert len(grown) == 2 * once > 0


def test_what_was_given_stays_as_it_was() -> None:
    x, y = blobs(n=60, n_odd=6)
    x = x.astype(np.float32)
    before = x.copy()
    ranker = ActiveBlend(random_state=0)
    simulate(x, y, budget=5, ranker=ranker)
    np.testing.assert_array_equal(x, before)
    assert x.flags.writeable
    assert not hasattr(ranker, "trees_")


def test_a_ranker_that_needs_verdicts_waits() -> None:
    ranker = KernelLogistic(random_state=0)
    x, y = blobs(n=100, n_odd=10)
    played = simulate(x, y, budget=30, ranker=ranker)
    scores = IsolationTrees(random_state=0).fit(x).decision_function(x)
    alone = 1 + np.flatnonzero(np.diff(y[played.order]))[0]  # the first of the other kind
    assert played.order[: alone + 1].tolist() == np.argsort(-scores)[: alone + 1].tolist()
    assert played.order.tolist() != np.argsort(-scores)[:30].tolist()
    assert played.found[-1] == 10


class NeverFits(FirstColumn):
    def fit(self, X: NDArray[np.float32], y: NDArray[Any]) -> Self:
        raise FitError("a fit that cannot go on")


def test_a_fit_that_fails_with_both_kinds_known_is_told() -> None:
    x, y = blobs(n=60, n_odd=6)
    with pytest.raises(FitError, match="cannot go on"):
        simulate(x, y, budget=60, ranker=NeverFits())


class ReadsLabels(FirstColumn):
    def fit(self, X: NDArray[np.float32], y: NDArray[Any]) -> Self:
        read_labels(y, n_rows=len(X))
        return self


@pytest.mark.parametrize("n_odd", [2, 18])
def test_labels_have_one_reading_however_many_rows_are_judged(n_odd: int) -> None:
    x = np.arange(20.0)[::-1, np.newaxis]
    truth = (np.arange(20) < n_odd).astype(int)
    assert simulate(x, truth, budget=20, ranker=ReadsLabels()).found[-1] == n_odd


def test_members_are_scored_for_who_looks_at_them() -> None:
    x = np.array([[5.0, 0], [4, 9], [3, 3], [2, 2]])
    truth = [1, 0, 0, 0]
    assert simulate(x, truth, budget=1, ranker=FirstColumn()).order.tolist() == [0]
    assert FirstColumn.asked_members == 0
    # The widest apart for its distance from the cut.
    assert simulate(
        x, truth, budget=1, ranker=FirstColumn(), strategy="uncertain"
    ).order.tolist() == [0]
    assert FirstColumn.asked_members == 1


def test_a_frame_is_encoded_as_askew_does(payments: pd.DataFrame) -> None:
    payments.loc[payments.index[40:60], "amount"] = None
    truth = pd.Series("normal", index=payments.index[::-1])
    truth[payments.index[:8]] = "anomaly"
    frame = to_frame(payments)
    x = encode(infer_schema(frame), frame)
    y = (np.arange(200) < 8).astype(int)
    assert simulate(payments, truth, budget=6).order.tolist() == (
        simulate(x, y, budget=6).order.tolist()
    )


def test_all_rows_judged_is_what_is_meant() -> None:
    # read_labels would ask whether 0 means "not looked at"; warnings are errors here.
    x, y = blobs(n=1500)
    assert simulate(x, y, budget=2, ranker=FirstColumn()).n_rows == 1500


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        ([0] * 6, "6 of 6 rows, no anomaly"),
        ([1] * 6, "6 of 6 rows, every one an anomaly"),
        ([None] * 6, "0 of 6 rows, no anomaly"),
        ([1, 0, "maybe", 0, 0, 0], "maybe"),
        ([1, 0], "2 verdicts and the table has 6 rows"),
    ],
)
def test_a_truth_with_nothing_to_find_is_refused(truth: list[Any], said: str) -> None:
    with pytest.raises(LabelError, match=said):
        simulate(np.eye(6), truth)


@pytest.mark.parametrize(
    ("x", "options", "error", "said"),
    [
        (np.eye(4), {"budget": 0}, MethodError, "budget is 0"),
        (np.eye(4), {"budget": 2.5}, MethodError, "budget is 2.5"),
        (np.eye(4), {"strategy": "best"}, MethodError, "'best'; give one of suspicious"),
        (np.full((4, 2), np.nan), {}, DataError, "8 cells"),
        (np.full((4, 2), 1e300), {}, DataError, "8 cells"),
        (np.arange(4.0), {}, DataError, r"shape \(4,\)"),
        (np.empty((4, 0)), {}, DataError, r"shape \(4, 0\)"),
        ([["a"], ["b"], ["c"], ["d"]], {}, DataError, "no matrix of numbers"),
    ],
)
def test_what_cannot_be_played_is_refused(
    x: Any, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        simulate(x, [1, 0, 0, 0], **options)


def test_importing_the_room_is_light() -> None:
    script = (
        "import sys, askew.review;"
        "print([m for m in ('torch', 'sklearn', 'scipy', 'pyarrow') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_picture_is_whole_and_to_scale() -> None:
    chart = Chart(
        "a < b", [Curve("ours & theirs", [1, 2, 4], [0, 1, 3], [2, 3, 4]), Curve("x", [0, 1, 1])]
    )
    drawn = draw([chart], title="t", x_label="judged", y_label="found", size=(158, 96))
    root = ET.fromstring(drawn)
    name = "{http://www.w3.org/2000/svg}"
    texts = [text.text for text in root.iter(f"{name}text")]
    assert {"t", "judged", "found", "a < b", "ours & theirs", "x"} <= set(texts)
    assert [t for t in texts if t and t.isdigit()] == ["0", "1", "2", "3", "4", "0", "1", "2", "3"]
    lines = [path.get("d") for path in root.iter(f"{name}path") if path.get("class") == "curve"]
    # 100 wide for 3 verdicts, 40 high for 4 found; the first curve is drawn last.
    assert lines[-1] == "M44.0 70.0L77.3 60.0L110.7 50.0L144.0 30.0"
    assert lines[-2] == "M44.0 70.0L77.3 70.0L110.7 60.0L144.0 60.0"
    (band,) = (path.get("d") for path in root.iter(f"{name}path") if path.get("class") == "band")
    assert band is not None
    assert band.startswith("M44.0 70.0L77.3 50.0")
    assert band.endswith("L77.3 70.0L44.0 70.0Z")
    assert "prefers-color-scheme: dark" in drawn


def test_charts_stand_side_by_side() -> None:
    charts = [Chart(str(i), [Curve("a", [1, 2])]) for i in range(5)]
    root = ET.fromstring(
        draw(charts, title="t", x_label="x", y_label="y", columns=2, size=(100, 90))
    )
    places = [g.get("transform") for g in root.iter("{http://www.w3.org/2000/svg}g")]
    assert places == [
        f"translate({x} {y})" for x, y in ((0, 72), (100, 72), (0, 162), (100, 162), (0, 252))
    ]
    assert (root.get("width"), root.get("height")) == ("200", "366")


# -- the command -----------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `askew simulate cells.csv` with more arguments; give what it said on both channels."""
    monkeypatch.chdir(tmp_path)
    x, y = blobs(n=120, n_odd=12)
    table = pd.DataFrame(x, columns=list("abcd")).assign(verdict=np.where(y, "anomaly", "normal"))
    table.loc[:9, "verdict"] = None
    table.insert(0, "id", 1.5 * np.arange(120))  # would rank, were it not named
    table.to_csv("cells.csv", index=False)

    def call(*arguments: str, code: int = 0) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["askew", "simulate", "cells.csv", *arguments])
        capsys.readouterr()
        left = 0
        try:
            main()
        except SystemExit as exit:
            left = int(exit.code or 0)
        told = capsys.readouterr()
        assert left == code, told.err
        return told.out, told.err

    return call


def test_the_command_plays_as_python_does(run: Any) -> None:
    out, _ = run("--label", "verdict", "--id", "id", "--budget", "12", "--seeds", "2", "--json")
    told = json.loads(out)
    table = pd.read_csv("cells.csv")
    expected = [
        simulate(table[list("abcd")], table["verdict"], budget=12, random_state=seed).to_json()
        for seed in (0, 1)
    ]
    assert told["runs"] == expected
    assert told["left_out"] == 10
    assert [line["verdicts"] for line in told["table"]] == [10, 12]
    at_10 = [run["static"][9] for run in expected]
    assert told["table"][0]["static"] == {
        "mean": np.mean(at_10),
        "low": min(at_10),
        "high": max(at_10),
    }


def test_the_command_says_what_it_means(run: Any) -> None:
    out, _ = run("--label", "verdict", "--budget", "16", "--seeds", "1", "--svg", "curve.svg")
    told = json.loads(run("--label", "verdict", "--budget", "16", "--seeds", "1", "--json")[0])
    n, last = told["anomalies"], {k: told["table"][-1][k] for k in ("found", "static", "random")}
    assert f"Rows: 110, {n} of them anomalies; 10 without a truth left out" in out
    ours, static, chance = (f"{at['mean']:.1f}" for at in last.values())
    assert (
        f"With 16 verdicts Askew finds {ours} of the {n} anomalies, against {static} by the "
        f"isolation forest's list and {chance} by chance." in out
    )
    assert ["16", ours, static, chance] in [line.split() for line in out.splitlines()]
    assert "Written: curve.svg" in out
    title = ET.parse("curve.svg").getroot().get("aria-label")
    assert title == f"cells.csv: {n} anomalies in 110 rows"


def test_the_command_says_where_verdicts_bring_nothing(run: Any) -> None:
    out, _ = run("--label", "verdict", "--budget", "4", "--seeds", "1", "--strategy", "random")
    assert "verdicts bring nothing beyond the list" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--label"),
        (("--label", "truth"), "'truth', which the file lacks"),
        (("--label", "id"), "1.5 (once"),
        (("--label", "verdict", "--strategy", "best"), "'best'; give one of suspicious"),
        (("--label", "verdict", "--budget", "0"), "--budget"),
        (("--label", "verdict", "--kind", "a"), "COLUMN=KIND"),
        (("--label", "truth", "--svg", "gone/curve.svg"), "no such folder"),
    ],
)
def test_the_command_refuses_well(run: Any, arguments: tuple[str, ...], said: str) -> None:
    out, err = run(*arguments, code=2)
    assert out == ""
    assert said in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err
