"""The threshold and the curve view: what they show is what the session reckons."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from askew.review.estimates import Estimate
from askew.review.verdicts import Judgment, Verdict
from askew.review.web import thresholds
from askew.review.web.charts import curve_chart, threshold_chart
from askew.review.web.common import KEPT
from askew.review.web.curves import BINS, GROUPS, POINTS, Curve, Histogram, curve_of
from askew.review.web.thresholds import DRAWN, Stop, stops_of, threshold_of
from tests.review.web import Site, site_on, words_in


@pytest.fixture
def site(payments: pd.DataFrame, tmp_path: Path) -> Iterator[Site]:
    with site_on(payments, tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Of 200 rows 45 random checks are judged, so that the estimates stand; each tenth is odd."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(200, 3)), columns=list("abc"))
    table["a"] += 6 * (table.index % 10 == 0)
    table.index = pd.Index([f"r{i:03d}" for i in range(200)], name="id")
    with site_on(table, tmp_path_factory.mktemp("judged"), strategy="random") as opened:
        session = opened.session
        odd = {key: key.endswith("0") for key in session.keys}
        session.tell(
            {card.key: "anomaly" if odd[card.key] else "normal" for card in session.ask(45)}
        )
        session.refit()
        yield opened


def get(site: Site, path: str, **query: Any) -> Any:
    reply = site.client.get(path, params=query)
    assert reply.status_code == 200, reply.text
    return reply.json()


def figure_in(text: str, name: str) -> tuple[str, str]:
    """Find what a figure says, and the class of its box."""
    found = re.search(rf'<div(?: class="(\w+)")?>\s*<dt>{name}</dt>\s*<dd>(.*?)</dd>', text)
    assert found is not None, text
    return found.group(2), found.group(1) or ""


# -- threshold -------------------------------------------------------------------------------------


@pytest.mark.parametrize("alerts", [1, 20, 77, 200])
def test_the_threshold_view_shows_what_the_session_reckons(judged: Site, alerts: int) -> None:
    session = judged.session
    expected, scores = session.estimate(alerts), session.ranking.scores
    told = get(judged, "/api/threshold", alerts=alerts)
    text = judged.get(f"/threshold?alerts={alerts}")
    for name in ("precision", "recall"):
        one = getattr(expected, name)
        assert {key: told[name][key] for key in ("value", "low", "high", "level", "n_needed")} == {
            key: getattr(one, key) for key in ("value", "low", "high", "level", "n_needed")
        }
        assert figure_in(text, name.capitalize()) == (
            one.describe(),
            "withheld" if one.withheld else "",
        )
    assert (told["alerts"], told["n_alerts"], told["n_rows"]) == (alerts, alerts, 200)
    assert (scores > told["cut"]).sum() == alerts
    assert told["share"] == alerts / 200
    assert figure_in(text, "Score cut") == (f"{told['cut']:.4f}", "")
    assert figure_in(text, "Share of rows") == (f"{100 * alerts / 200:.2g} %", "") or alerts == 200
    top = session.label[np.argsort(-scores)[:alerts]]
    assert (told["n_judged"], told["n_anomaly"]) == ((top >= 0).sum(), (top == 1).sum())
    assert f"askew threshold MODEL --alerts {alerts}" in text


def test_the_estimates_stand_where_there_are_checks_enough(judged: Site) -> None:
    told = get(judged, "/api/threshold", alerts=200)
    assert told["recall"]["value"] == 1
    assert 0 < told["precision"]["low"] <= told["precision"]["value"] < told["precision"]["high"]
    assert f"precision {told['precision']['value']:.2g} [" in told["text"]
    assert told["text"].endswith(f"from {told['n_judged']} verdicts")
    assert "top 1e+02 %" not in told["text"]
    text = judged.get("/threshold?alerts=200")
    assert "90 % interval" in words_in(text)
    assert told["text"][1:] in words_in(text)
    assert '<svg class="chart"' in text


def test_what_is_withheld_is_shown_greyed_with_its_reason(site: Site) -> None:
    site.session.tell({"tx-0000": "anomaly"})
    told = get(site, "/api/threshold", alerts=20)
    assert told["precision"]["value"] is None
    assert told["text"].endswith("precision not known")
    text = site.get("/threshold?alerts=20")
    expected = site.session.estimate(20)
    assert figure_in(text, "Precision") == (expected.precision.describe(), "withheld")
    assert figure_in(text, "Recall") == (expected.recall.describe(), "withheld")
    assert expected.recall.describe().startswith("withheld: needs about")


def test_without_a_verdict_the_threshold_view_says_what_is_missing(site: Site) -> None:
    text = site.get("/threshold")
    assert "The top 20 rows" in words_in(text)
    assert "Nothing can be drawn yet" in words_in(text)
    assert '<svg class="chart"' not in text
    assert len(re.findall(r'<tr><th scope="row">[\d,]+</th>', text)) == len(stops_of(200))
    assert "0 random checks of the whole table" in words_in(text)


def test_the_table_beside_the_chart_holds_its_estimates(judged: Site) -> None:
    rows = re.findall(
        r'<tr><th scope="row">([\d,]+)</th>\s*<td.*?>(.*?)</td>\s*<td.*?>(.*?)</td>',
        judged.get("/threshold"),
    )
    assert [int(row[0].replace(",", "")) for row in rows] == [1, 2, 5, 10, 20, 50, 100, 200]
    for alerts, precision, recall in rows:
        expected = judged.session.estimate(int(alerts))
        assert (precision, recall) == (expected.precision.describe(), expected.recall.describe())
    assert [stop["alerts"] for stop in get(judged, "/api/threshold")["stops"]] == stops_of(200)


def test_neighbors_in_the_chart_are_joined_only_where_both_are_known(judged: Site) -> None:
    view = threshold_of(judged.desk, 20)
    known = Estimate(0.5, 0.25, 0.75, 0.9, 30)
    missing = Estimate(None, None, None, 0.9, 3, 17)
    precision = [known, known, missing, known]
    drawn = [Stop(10**i, one, missing) for i, one in enumerate(precision)]
    chart = threshold_chart(type(view)(**vars(view) | {"drawn": drawn, "stops": [1, 1000]}))
    assert chart.count("<circle") == chart.count('class="of-precision-range"') == 3
    assert chart.count('class="of-precision-line"') == 1
    assert "of-recall" not in chart
    ends = re.search(r'of-precision-range" d="M[\d.]+ ([\d.]+)V([\d.]+)"', chart)
    point = re.search(r'cy="([\d.]+)"', chart)
    assert ends is not None
    assert point is not None
    low, high, middle = float(ends.group(1)), float(ends.group(2)), float(point.group(1))
    assert high < middle < low
    assert middle == pytest.approx((low + high) / 2, abs=0.1)


def test_the_slider_stops_lead_to_their_numbers(judged: Site) -> None:
    stops = stops_of(200)
    for i, alerts in enumerate(stops):
        text = judged.get(f"/threshold?stop={i}")
        assert f'value="{alerts}"' in text
        assert re.search(rf'type="range"[^>]* value="{i}"', text)
    assert judged.get("/threshold?stop=100") == judged.get("/threshold?alerts=200")
    # Between two stops the slider stands at the lower one; the number is the exact one.
    text = judged.get("/threshold?alerts=73")
    assert re.search(rf'type="range"[^>]* value="{stops.index(50)}"[^>]*"73 alerts"', text)
    assert 'aria-valuetext="1 alert"' in judged.get("/threshold?alerts=1")


@pytest.mark.parametrize(
    ("n_rows", "stops"),
    [(1, [1]), (2, [1, 2]), (10, [1, 2, 5, 10]), (12, [1, 2, 5, 10, 12])],
)
def test_stops_end_with_all_rows(n_rows: int, stops: list[int]) -> None:
    assert stops_of(n_rows) == stops
    assert len(stops_of(10**9)) <= 100


def test_a_number_beyond_the_rows_is_all_of_them(judged: Site) -> None:
    assert get(judged, "/api/threshold", alerts=10**9) == get(judged, "/api/threshold", alerts=200)
    for bad in ({"alerts": 0}, {"alerts": 10**9 + 1}, {"alerts": "x"}, {"alerts": ""}):
        assert judged.client.get("/api/threshold", params=bad).status_code == 422
        assert judged.client.get("/threshold", params=bad).status_code == 422


def test_htmx_gets_the_figures_alone(judged: Site) -> None:
    reply = judged.client.get("/threshold?stop=4", headers={"hx-request": "true"})
    assert reply.headers["hx-replace-url"] == "/threshold?alerts=20"
    assert reply.text.lstrip().startswith("<h2>The top 20 rows</h2>")
    assert "<form" not in reply.text
    assert reply.text.strip() in judged.get("/threshold?alerts=20")


def test_rows_that_score_the_same_are_told(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1.0] * 20 + [9.0] * 5, "b": [2.0] * 20 + [7.0] * 5})
    with site_on(table, tmp_path) as site:
        told = get(site, "/api/threshold", alerts=3)
        assert (told["n_alerts"], told["n_tied"]) == (0, 5)
        assert told["precision"] is None
        text = site.get("/threshold?alerts=3")
        assert figure_in(text, "Precision") == ("no row is above the cut", "withheld")
        assert "the next 5 score the same" in words_in(text)
        # The estimates are of the rows that are alerts, not of the number asked for.
        few = get(site, "/api/threshold", alerts=7)
        assert (few["n_alerts"], few["n_tied"]) == (5, 20)
        assert few["precision"]["text"] == site.session.estimate(5).precision.describe()
        assert few["precision"]["text"] != site.session.estimate(7).precision.describe()


# -- curve -----------------------------------------------------------------------------------------


def test_the_curve_counts_what_stands_in_the_order_of_judging(site: Site) -> None:
    session = site.session
    for key, verdict in [
        ("tx-0000", "anomaly"),
        ("tx-0050", "normal"),
        ("tx-0001", "anomaly"),
        ("tx-0060", "unsure"),
        ("tx-0002", "normal"),
    ]:
        session.tell({key: verdict})
    assert curve_of(site.desk).found.tolist() == [1, 1, 2, 2, 2]
    session.undo()
    assert curve_of(site.desk).found.tolist() == [1, 1, 2, 2]
    # A change of mind holds of the row where it was first judged.
    session.tell({"tx-0050": "anomaly"})
    assert curve_of(site.desk).found.tolist() == [1, 2, 3, 3]
    session.undo()
    # What was taken back and is said again was first said then.
    session.undo()
    session.undo()
    session.tell({"tx-0070": "normal"})
    session.tell({"tx-0001": "anomaly"})
    assert curve_of(site.desk).found.tolist() == [1, 1, 1, 2]
    told = get(site, "/api/curve")
    assert (told["n_judged"], told["n_found"]) == (4, 2)
    assert told["points"] == [
        {"n_judged": i + 1, "n_found": found} for i, found in enumerate([1, 1, 1, 2])
    ]
    assert "2 anomalies found in 4 rows judged" in words_in(site.get("/curve"))


def test_the_diagonal_is_the_estimated_rate(judged: Site) -> None:
    expected = judged.session.estimate(100).rate
    assert expected.value is not None
    told = get(judged, "/api/curve")
    assert told["rate"]["value"] == expected.value
    text = judged.get("/curve")
    assert f"at the estimated rate of {expected.describe()}" in words_in(text)
    assert f"would have brought about {told['n_judged'] * expected.value:.1f}" in words_in(text)
    assert text.count('class="at-random"') == text.count('class="unsure-band"') == 1


def test_without_an_estimate_there_is_no_diagonal_but_the_reason(site: Site) -> None:
    site.session.tell({"tx-0000": "anomaly"})
    text = site.get("/curve")
    assert 'class="at-random"' not in text
    reason = site.session.estimate(100).rate.describe()
    assert f"The line of random looking is {reason}" in words_in(text)
    assert 'class="of-found-line"' in text


def test_without_a_verdict_the_curve_view_says_what_will_be_there(site: Site) -> None:
    text = site.get("/curve")
    assert "Nothing is judged yet" in text
    assert text.count('<svg class="chart"') == 1  # the scores are there already
    told = get(site, "/api/curve")
    assert (told["n_judged"], told["n_found"], told["points"]) == (0, 0, [])
    assert sum(told["histogram"]["open"]) == 200


def test_the_histogram_holds_every_row_once(site: Site) -> None:
    said = {"tx-0000": "anomaly", "tx-0001": "anomaly", "tx-0100": "normal", "tx-0110": "unsure"}
    for key, verdict in said.items():
        site.session.tell({key: verdict})
    site.session.refit()
    told = get(site, "/api/curve")["histogram"]
    edges, scores = told["edges"], site.session.ranking.scores
    assert len(edges) == BINS + 1
    assert (edges[0], edges[-1]) == (scores.min(), scores.max())
    slow = {group: [0] * BINS for group in GROUPS}
    for key, score in zip(site.session.keys, scores.tolist(), strict=True):
        i = max(j for j in range(BINS) if edges[j] <= score)
        slow[said.get(key, "open")][i] += 1
    assert {group: told[group] for group in GROUPS} == slow
    assert [sum(told[group]) for group in GROUPS] == [2, 1, 1, 196]
    text = words_in(site.get("/curve"))
    assert "anomaly: 2 rows, tallest bar" in text
    assert "not judged: 196 rows, tallest bar" in text


def test_a_verdict_of_the_file_is_in_the_histogram_but_not_in_the_curve(
    payments: pd.DataFrame, tmp_path: Path
) -> None:
    given = pd.Series({"tx-0000": "anomaly", "tx-0001": "anomaly", "tx-0100": "normal"})
    with site_on(payments, tmp_path, verdicts=given) as site:
        site.session.tell({"tx-0002": "normal", "tx-0001": "unsure", "tx-0100": "anomaly"})
        told = get(site, "/api/curve")
        assert (told["n_judged"], told["n_found"], told["n_given"]) == (3, 1, 1)
        assert [sum(told["histogram"][group]) for group in GROUPS] == [2, 1, 1, 196]
        assert "1 row came with a verdict in the file and is not part" in words_in(
            site.get("/curve")
        )


def test_verdicts_on_rows_of_another_table_are_passed_over(site: Site) -> None:
    site.session.store.add([Judgment("elsewhere", Verdict.ANOMALY, "bo")])
    site.session.tell({"tx-0050": "normal"})
    assert curve_of(site.desk).found.tolist() == [0]
    assert get(site, "/api/curve")["histogram"]["anomaly"] == [0] * BINS


def test_equal_scores_make_one_bar(site: Site) -> None:
    ranking = site.session.ranking
    site.session._ranking = replace(ranking, scores=np.full(200, -2.5))
    histogram = curve_of(site.desk).histogram
    # The score lies on the edge in the middle, which belongs to the bin above it.
    assert histogram.edges[BINS // 2] == -2.5
    assert histogram.counts["open"].tolist() == [200 * (i == BINS // 2) for i in range(BINS)]
    assert (np.diff(histogram.edges) > 0).all()
    assert "not judged: 200 rows, tallest bar 200" in words_in(site.get("/curve"))


def test_a_long_curve_is_thinned_and_keeps_its_end() -> None:
    nothing = np.zeros(1, np.int64)
    histogram = Histogram(np.array([0.0, 1.0]), dict.fromkeys(GROUPS, nothing))
    found = np.cumsum(np.arange(100_000) % 7 == 0)
    curve = Curve(found, 0, Estimate(0.1, 0.05, 0.2, 0.9, 40), histogram)
    points = curve.points()
    assert len(points) == POINTS
    assert points[0] == (1, 1)
    assert points[-1] == (100_000, found[-1])
    assert all(found[judged - 1] == n for judged, n in points)
    assert len(curve_chart(curve)) < 20_000


# -- both ------------------------------------------------------------------------------------------


def test_hostile_names_stand_as_text(payments: pd.DataFrame, tmp_path: Path) -> None:
    hostile = '"><script>alert(1)</script>{{ 7 * 7 }}'
    table = payments.rename(index={"tx-0000": hostile}, columns={"amount": hostile})
    table["country"] = [hostile, hostile[::-1]] * 100
    with site_on(table, tmp_path, reviewer=hostile) as site:
        site.app.state.table = f"{hostile}.csv"
        site.session.tell({hostile: "anomaly"}, note=hostile)
        for path in ("/threshold", "/curve"):
            text = site.get(path)
            assert "<script>alert" not in text
            assert f"{hostile}.csv" in words_in(text)
            # The policy of the page would refuse them.
            assert not re.search(r'\sstyle="|<style|\son\w+="', text)


def test_headings_go_down_one_level_at_a_time(judged: Site) -> None:
    for path in ("/threshold", "/curve"):
        text = judged.get(path)
        levels = [int(level) for level in re.findall(r"<h(\d)", text)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert set(levels[1:]) == {2}
        assert f'<a href="{path}" aria-current="page">' in text


def test_figures_are_reckoned_once_until_something_changes(
    judged: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    reckon = judged.session.estimate

    def counted(k: int, **options: Any) -> Any:
        asked.append(k)
        return reckon(k, **options)

    def judge_one() -> None:
        row = int(np.flatnonzero(judged.session.label == -1)[0])
        judged.session.tell({judged.session.keys[row]: "anomaly"})

    judge_one()
    monkeypatch.setattr(judged.session, "estimate", counted)
    before = get(judged, "/api/threshold", alerts=200)
    assert sorted(asked) == stops_of(200)
    judged.get("/threshold?alerts=200")
    get(judged, "/api/threshold", alerts=33)
    assert asked[len(stops_of(200)) :] == [33]
    judge_one()
    after = get(judged, "/api/threshold", alerts=200)
    assert len(asked) == 2 * len(stops_of(200)) + 1
    assert after["n_anomaly"] == before["n_anomaly"] + 1


def test_the_picture_rests_on_few_estimates_however_long_the_table(
    judged: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thresholds, "stops_of", lambda n: list(range(1, n + 1)))
    drawn = [stop.alerts for stop in threshold_of(judged.desk).drawn]
    assert len(drawn) == DRAWN
    assert (drawn[0], drawn[-1]) == (1, 200)


def test_little_is_kept(site: Site) -> None:
    made = []
    for i in [*range(KEPT + 1), KEPT, 0]:
        site.desk.kept(i, lambda i=i: made.append(i))  # type: ignore[misc]
    assert made == [*range(KEPT + 1), 0]
    assert len(site.desk._common._results) == KEPT


def test_what_failed_is_made_anew(site: Site) -> None:
    with pytest.raises(ZeroDivisionError):
        site.desk.kept("it", lambda: 1 // 0)
    assert site.desk.kept("it", lambda: 7) == 7


def test_what_another_asks_is_not_waited_for_unless_it_is_the_same(site: Site) -> None:
    begun, go, made = threading.Event(), threading.Event(), []

    def slow() -> bool:
        begun.set()
        made.append("slow")
        return go.wait(20)

    with ThreadPoolExecutor(2) as others:
        first = others.submit(site.desk.kept, "slow", slow)
        assert begun.wait(20)
        same = others.submit(site.desk.kept, "slow", slow)
        wait([same], 0.2)  # time to go wrong
        site.desk.kept("quick", go.set)
        assert (first.result(), same.result()) == (True, True)
    assert made == ["slow"]
