"""``make bench-quality``: runs resume, failures count, and the page says what is lost."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import critical_difference
import jsonl
import numpy as np
import pytest
import quality
import quality_board
import quality_peers
import quality_report

TABLES = ["one", "two", "three", "four"]


def line(who: str, table: str, ap: float | None, **change: Any) -> jsonl.Line:
    made = {"setting": "count5", "seed": 0, "version": quality.VERSIONS[who]}
    made |= {"release": f"{who} 1.0", "fit_s": None, "fit_cpu_s": 2.0, "score_s": 0.1}
    failed = "ValueError: no" if ap is None else None
    roc = None if ap is None else min(1.0, ap + 0.3)
    return {"who": who, "table": table, **made, "ap": ap, "roc": roc, "error": failed} | change


def lines(who: str, *ap: float | None, **change: Any) -> list[jsonl.Line]:
    return [line(who, table, one, **change) for table, one in zip(TABLES, ap, strict=True)]


def written(folder: Path, all_lines: list[jsonl.Line], tried: list[jsonl.Line]) -> str:
    board = quality_board.standing(all_lines, TABLES)
    quality_report.write(board, TABLES, tried, folder)
    return (folder / "quality.md").read_text(encoding="utf-8")


def section(page: str, title: str) -> str:
    """Give what stands between a heading and the next of any level."""
    return page.partition(f" {title}\n")[2].partition("\n#")[0]


# Runs in a file


def test_a_run_that_stands_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "quality.jsonl"
    made = iter([{"ap": 0.5}, {"ap": 0.7}, {"ap": 0.9}])
    runs = jsonl.Runs(path, ("who", "seed"))
    assert runs.once(made.__next__, who="a", seed=0)["ap"] == 0.5
    assert runs.once(made.__next__, who="a", seed=0)["ap"] == 0.5
    assert runs.once(made.__next__, who="a", seed=1)["ap"] == 0.7
    again = jsonl.Runs(path, ("who", "seed"), [{"who": "b", "seed": 0, "ap": 0.1}])
    assert again.once(made.__next__, who="a", seed=1)["ap"] == 0.7
    assert again.once(made.__next__, who="b", seed=0)["ap"] == 0.1
    assert jsonl.read(path) == [
        {"who": "a", "seed": 0, "ap": 0.5},
        {"who": "a", "seed": 1, "ap": 0.7},
    ]


def test_a_line_cut_short_is_told_and_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "quality.jsonl"
    path.write_text('{"who": "a", "ap": 0.5}\n{"who": "b", "a')
    runs = jsonl.Runs(path, ("who",))
    assert "line 2: not whole" in capsys.readouterr().err
    runs.once(lambda: {"ap": 0.7}, who="b")
    assert [one["ap"] for one in jsonl.read(path)] == [0.5, 0.7]


# One run


def split(n: int = 100) -> SimpleNamespace:
    """Make rows of which every fourth is an anomaly, higher in its column; five are labelled."""
    truth = (np.arange(n) % 4 == 0).astype(np.int8)
    x = (np.arange(n)[:, np.newaxis] / n * 0.1 + truth[:, np.newaxis]).astype(np.float32)
    y = np.full(n, -1, np.int8)
    y[np.flatnonzero(truth)[:5]] = 1
    return SimpleNamespace(X_train=x, y_train=y, y_train_true=truth, X_test=x, y_test=truth)


def played(monkeypatch: pytest.MonkeyPatch, fit: Callable[..., Any]) -> jsonl.Line:
    """Run the player ``sk.LogReg`` with another fit in its place."""
    quality.warm.cache_clear()
    monkeypatch.setattr(quality, "prepare", lambda who, seed: fit)
    tables = SimpleNamespace(split=lambda table, seed, count: split())
    return quality.run("sk.LogReg", "one", "count5", 0, tables)


def test_known_normals_are_drawn_from_normal_rows_by_the_seed() -> None:
    made = split()
    first, again, other = (quality.labels(made, "count5+20", seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    for y in (first, other):
        assert (made.y_train_true[y == 0] == 0).all()
        assert np.count_nonzero(y == 0) == 20
        np.testing.assert_array_equal(y == 1, made.y_train == 1)
    np.testing.assert_array_equal(quality.labels(made, "count5", 0), made.y_train)


def test_a_run_says_how_well_it_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    found = played(monkeypatch, lambda x, y: lambda rows: rows[:, 0])
    assert (found["ap"], found["roc"], found["error"]) == (1.0, 1.0, None)
    found = played(monkeypatch, lambda x, y: lambda rows: -rows[:, 0])
    assert found["roc"] == 0.0


def test_a_player_that_fails_is_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(x: Any, y: Any) -> Any:
        raise ValueError("too few")

    found = played(monkeypatch, refuses)
    assert (found["ap"], found["error"]) == (None, "ValueError: too few")
    found = played(monkeypatch, lambda x, y: lambda rows: np.where(rows[:, 0] < 1, np.nan, 1))
    assert (found["ap"], found["error"]) == (None, "ValueError: 75 of 100 scores not finite")


def test_a_package_that_is_missing_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(x: Any, y: Any) -> Any:
        raise ImportError("no such library")

    with pytest.raises(ImportError, match="no such library"):
        played(monkeypatch, absent)
    peer = quality_peers.Peer("no-such-package", "no_such.Model")
    monkeypatch.setitem(quality_peers.PEERS, "lightgbm", peer)
    with pytest.raises(SystemExit, match="no-such-package is not installed"):
        quality.run("lightgbm", "one", "count5", 0, None)


@pytest.mark.parametrize("who", ["sk.LogReg", "sk.RandomForest", "sk.IsolationForest"])
def test_a_peer_scores_anomalies_higher_and_takes_the_rest_as_normal(who: str) -> None:
    made = split()
    made.X_train[made.y_train_true == 1] += 5
    scores, with_normals = (
        quality_peers.prepare(who, 0)(made.X_train, quality.labels(made, setting, 0))(made.X_test)
        for setting in ("count5", "count5+20")
    )
    odd = made.y_test == 1
    assert scores[odd].mean() > scores[~odd].mean()
    np.testing.assert_array_equal(scores, with_normals)


def test_who_plays_where() -> None:
    assert all(quality.plays("askew", setting) for setting in quality.SETTINGS)
    there = {
        who: [s for s in quality.SETTINGS if quality.plays(who, s)] for who in quality_peers.PEERS
    }
    assert there["catboost"] == ["ratio0.01", "count5", "ratio0.05", "ratio0.10"]
    assert there["pyod.HBOS"] == ["none"]


def test_what_was_measured_before_stands(tmp_path: Path) -> None:
    path = tmp_path / "peers.jsonl"
    known = {"version": "catboost 1.2.10", "table": "one", "setting": "count5", "seed": 0}
    known |= {"roc": 0.9, "ap": 0.4, "fit_cpu_s": 2.0, "score_s": 0.1, "error": None}
    both = [{"peer": "catboost", **known}, {"peer": "deepod.DevNet+fix", **known}]
    path.write_text("".join(json.dumps(one) + "\n" for one in both))
    (found,) = quality.measured(path)
    assert (found["who"], found["release"], found["ap"]) == ("catboost", "catboost 1.2.10", 0.4)
    assert (found["version"], found["source"]) == (quality.VERSIONS["catboost"], "peers.jsonl")


# Runs side by side


def test_only_present_versions_and_reported_tables_and_seeds_stand() -> None:
    old = line("askew", "one", 0.1, version=quality.VERSIONS["askew"] - 1)
    all_lines = [line("askew", "one", 0.5), old, line("askew", "elsewhere", 0.9)]
    all_lines.append(line("askew", "one", 0.9, seed=10))
    board = quality_board.standing(all_lines, TABLES)
    assert {key: one["ap"] for key, one in board["askew", "count5"].items()} == {("one", 0): 0.5}


def test_a_peers_runs_with_known_normals_are_those_without() -> None:
    board = quality_board.standing(
        [line("catboost", "one", 0.4), line("askew", "one", 0.5)], TABLES
    )
    assert board["catboost", "count5+20"] == board["catboost", "count5"]
    assert ("askew", "count5+20") not in board


def test_differences_are_of_the_seeds_both_have() -> None:
    ours = [line("askew", "one", ap, seed=seed) for seed, ap in enumerate((0.5, 0.7, 0.9))]
    theirs = [line("catboost", "one", ap, seed=seed) for seed, ap in ((0, 0.6), (1, None))]
    board = quality_board.standing([*ours, *theirs, line("catboost", "two", 0.9)], TABLES)
    runs = board["askew", "count5"], board["catboost", "count5"]
    # The mean of 0.5 and 0.7 less that of 0.6 and chance; the third seed and table are one's alone.
    assert quality_board.differences(*runs, "ap") == {"one": pytest.approx(0.6 - 0.35)}
    assert quality_board.differences(*runs, "roc") == {"one": pytest.approx(0.9 - 0.7)}


def test_ties_are_up_to_a_two_hundredth() -> None:
    assert quality_board.outcomes([0.0051, 0.505 - 0.5, -0.005, -0.0051, 0.3]) == (2, 2, 1)


def test_who_has_not_run_everywhere_is_not_ranked() -> None:
    all_lines = [*lines("askew", 0.4, 0.3, 0.2, 0.1), *lines("lightgbm", 0.1, 0.2, 0.3, 0.4)]
    all_lines += lines("catboost", 0.5, 0.5, 0.5, 0.5)[:3]
    board = quality_board.standing(all_lines, TABLES)
    players, scores = quality_board.ranked(board, "count5", TABLES, (0,))
    assert players == ["askew", "lightgbm"]
    np.testing.assert_array_equal(scores, [[0.4, 0.1], [0.3, 0.2], [0.2, 0.3], [0.1, 0.4]])
    assert quality_board.ranked(board, "count5", TABLES, (0, 1))[0] == []


# The test of Nemenyi


@pytest.mark.parametrize(
    ("n_players", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)]
)
def test_the_critical_difference_is_that_of_the_paper(n_players: int, q: float) -> None:
    scale = (n_players * (n_players + 1) / (6 * 14)) ** 0.5
    found = critical_difference.critical_difference(n_players, 14)
    assert found == pytest.approx(q * scale, abs=0.001 * scale)


def test_ranks_share_ties_and_friedman_agrees_with_a_sum_by_hand() -> None:
    scores = np.array([[0.9, 0.5, 0.1], [0.8, 0.8, 0.2], [0.7, 0.3, 0.6], [0.9, 0.8, 0.7]])
    assert critical_difference.rank_of(scores)[1].tolist() == [1.5, 1.5, 3]
    whole = critical_difference.ranking("by hand", ["a", "b", "c"], scores[[0, 2, 3]])
    np.testing.assert_allclose(whole.ranks, [1, 7 / 3, 8 / 3])
    # 12 n / (k (k + 1)) * (sum of squared mean ranks - k (k + 1)^2 / 4), of n = 3 and k = 3
    assert whole.statistic == pytest.approx(3 * (1 + 49 / 9 + 64 / 9 - 12))


def test_groups_are_the_widest_runs_within_the_difference() -> None:
    ranks = np.array([4.0, 1.0, 2.0, 2.5, 5.5])
    one = critical_difference.Ranking("t", tuple("abcde"), ranks, 9, 9.0, 0.01, 1.6)
    # Sorted 1, 2, 2.5, 4, 5.5: 2 and 2.5 alone are within the first group.
    assert list(one.groups()) == [(0, 2), (2, 3), (3, 4)]


def test_the_picture_is_for_light_and_dark() -> None:
    ranks = np.array([1.2, 2.0, 2.8])
    one = critical_difference.Ranking("a < b", ("askew", "b&c", "d"), ranks, 9, 9.0, 0.0001, 1.0)
    text = critical_difference.draw([one, one], title="Ranks", marked="askew")
    root = ElementTree.fromstring(text)
    names = [e.text for e in root.iter() if e.get("class", "").startswith("name")]
    assert names == ["askew 1.20", "b&c 2.00", "d 2.80"] * 2
    assert [e.text for e in root.iter() if e.get("class") == "name marked"] == ["askew 1.20"] * 2
    assert "prefers-color-scheme: dark" in text
    assert "script" not in text
    assert "p below 0.001" in text


# The page


def test_what_was_asked_is_said_as_reached_or_missed(tmp_path: Path) -> None:
    all_lines = lines("askew", 0.7, 0.7, 0.6, 0.6) + lines("askew", 0.6, 0.6, 0.6, 0.6, seed=1)
    rows = section(written(tmp_path, all_lines, []), "What was asked of the default").splitlines()
    (row,) = (row for row in rows if row.startswith("| exactly 5"))
    assert "| 0.625 / 0.925 | (0.600 to 0.650) / (0.900 to 0.950) | 8 of 12 |" in row
    assert row.endswith("| missed: average precision -0.015 | missed: average precision -0.035 |")
    (row,) = (row for row in rows if row.startswith("| 10 %"))
    assert "| not run |" in row


def test_means_are_of_the_runs_both_have_and_ranks_of_all(tmp_path: Path) -> None:
    all_lines = lines("askew", 0.8, 0.6, 0.4, 0.2) + lines("askew", 0.0, 0.0, 0.0, 0.0, seed=1)
    all_lines += lines("catboost", 0.7, 0.7, None, 0.1, source="peers.jsonl")
    all_lines.append(line("catboost", "one", 1.0, seed=2))  # where Askew has not run
    rows = section(written(tmp_path, all_lines, []), "Labelled anomalies: exactly 5").splitlines()
    (row,) = (row for row in rows if row.startswith("| catboost"))
    ranks = "1.75 | – |"  # first on one table of four
    assert row == f"| catboost | 4 | 4 | 0 | 4 | 1 | 0.400 | 0.725 | 0.500 / 0.775 | {ranks}"


def test_losses_are_named(tmp_path: Path) -> None:
    all_lines = lines("askew", 0.500, 0.5, 0.5, 0.5) + lines("catboost", 0.503, 0.6, 0.9, 0.3)
    page = written(tmp_path, all_lines, [])
    duel = page.partition("## Askew against each peer")[2].partition("exactly 5")[2]
    assert "| catboost | 4 | 0 | 1 | 1 | 2 | -0.051 | -0.051 | -0.076 | three (-0.400) |" in duel
    assert "below in average precision: catboost (-0.051)." in duel
    behind = section(page, "Where Askew is more than 0.05 behind the best peer")
    kept = [row for row in behind.splitlines() if row.startswith("| exactly 5")]
    assert kept == [
        "| exactly 5 | three | catboost | 0.900 | 0.500 | -0.400 |",
        "| exactly 5 | two | catboost | 0.600 | 0.500 | -0.100 |",
    ]
    assert "exactly 5: 2 of 4" in behind


def test_times_are_told_with_the_slowest_table(tmp_path: Path) -> None:
    seconds = zip(TABLES, (1.0, 2.0, 3.0, 10.0), strict=True)
    all_lines = [line("catboost", table, 0.5, fit_cpu_s=s) for table, s in seconds]
    times = section(written(tmp_path, all_lines, []), "Time to fit")
    assert "| catboost | 4 | 2.50 | 8.95 | 10.00 | four, exactly 5 | – | – |" in times


def test_the_picture_stands_beside_the_page_and_its_words_agree(tmp_path: Path) -> None:
    all_lines = []
    for seed in quality.SEEDS:
        for who, ap in (("askew", 0.9), ("sk.LogReg", 0.5), ("catboost", 0.1)):
            all_lines += lines(who, ap, ap, ap, ap, seed=seed)
    page = written(tmp_path, all_lines, [])
    said = section(page, "Which differences are more than chance")
    assert "Askew's mean rank is 1.00 among 3" in said
    assert "not told apart from it: sk.LogReg; worse beyond it: catboost." in said
    assert "askew 1.00" in (tmp_path / "quality.svg").read_text()


def test_tried_ideas_stand_where_there_are_any(tmp_path: Path) -> None:
    tried: dict[str, Any] = {"idea": "a | b", "seeds": [10, 11]}
    tried["gains"] = {"count5": [0.0123, 0.004, -0.002]}
    page = written(tmp_path, [], [tried])
    row = "| a \\| b | +0.0123 ± 0.0040 / -0.0020 |"
    assert row in section(page, "Tried ideas")
    assert "tried.py --settings count5 --seeds 10 11`" in section(page, "Tried ideas")
    assert "Tried ideas" not in written(tmp_path, [], [])
