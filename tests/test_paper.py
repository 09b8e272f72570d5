"""``make paper``: runs resume, claims are judged, and the page hides nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paper import common, experiments, images, protocol, report, runs
from paper.__main__ import main
from paper.report import Peers, judge
from paper.runs import Claim, Experiment, Line

from tests.test_image_files import idx

ROOT = Path(__file__).parent.parent


def toss(setting: str, seed: int) -> dict[str, float]:
    if setting == "broken":
        raise ValueError("no such | table")
    return {"roc": 0.9 + 0.01 * seed + (0.05 if setting == "better" else 0.0)}


def toy(version: int = 1, **change: Any) -> Experiment:
    claims = (
        Claim("good", "good: ROC AUC", ("good",), low=0.9, published="0.95", source="A 2020"),
        Claim("high", "good is nearly perfect", ("good",), low=0.99, published="0.995"),
        Claim("gain", "better less good", ("better",), against=("good",), low=0.01),
        Claim("said", "broken works", ("broken",), low=0.5),
        Claim("told", "better, told only", ("better",)),
    )
    settings = {"settings": ("good", "better", "broken"), "seeds": (0, 1), "claims": claims}
    return Experiment("toy", "A toy.", toss, **{**settings, "version": version, **change})


def only(experiment: Experiment) -> dict[str, Experiment]:
    return {experiment.name: experiment}


def line(setting: str, seed: int, roc: float | None, **change: Any) -> Line:
    made = {
        "askew": "0.1.0",
        "commit": "abc",
        "torch": "2.5",
        "python": "3.11",
        "cpu_seconds": 60.0,
    }
    figures = {} if roc is None else {"roc": roc}
    error = "ValueError: no such | table" if roc is None else None
    where = {"experiment": "toy", "setting": setting, "seed": seed, "version": 1}
    return {**where, **made, "figures": figures, "error": error, **change}


ALL = [
    *(line("good", 0, 0.90), line("good", 1, 0.92)),
    *(line("better", 0, 0.95), line("better", 1, 0.95)),
    *(line("broken", 0, 0.6), line("broken", 1, None)),
]


def rows(page: str) -> dict[str, list[str]]:
    """Cells of the page's tables by their first."""
    cells = [
        [cell.strip() for cell in text.replace("\\|", "/").strip("|").split("|")]
        for text in page.splitlines()
        if text.startswith("| ")
    ]
    return {row[0]: row[1:] for row in cells}


def page(lines: list[Line], **change: Any) -> str:
    return report.write([toy()], lines, **{"notes": {}, **change})


# --- runs


def test_a_run_is_figures_or_what_went_wrong() -> None:
    todo = runs.missing([toy()], [], quick=False)
    assert [(t["setting"], t["seed"]) for t in todo[:4]] == [
        ("good", 0),
        ("better", 0),
        ("broken", 0),
        ("good", 1),
    ]
    made = [runs.make(one, only(toy())) for one in todo]
    assert made[1]["figures"] == {"roc": 0.95}
    assert made[1]["error"] is None
    assert made[2]["figures"] == {}
    assert made[2]["error"] == "ValueError: no such | table"
    assert {"askew", "commit", "torch", "python", "cpu_seconds"} <= made[1].keys()


def test_what_stands_is_not_repeated_and_what_failed_is(tmp_path: Path) -> None:
    path = tmp_path / "paper.jsonl"
    assert runs.read_lines(path) == []
    made = [runs.make(one, only(toy())) for one in runs.missing([toy()], [], quick=False)]
    path.write_text("".join(json.dumps(one) + "\n" for one in made))
    left = runs.missing([toy()], runs.read_lines(path), quick=False)
    assert [(t["setting"], t["seed"]) for t in left] == [("broken", 0), ("broken", 1)]
    assert len(runs.missing([toy(version=2)], runs.read_lines(path), quick=False)) == 6


def test_the_last_line_of_a_run_counts(tmp_path: Path) -> None:
    path = tmp_path / "paper.jsonl"
    path.write_text("\n".join(json.dumps(line("good", 0, roc)) for roc in (None, 0.7, 0.8)) + "\n")
    (kept,) = runs.read_lines(path)
    assert kept["figures"] == {"roc": 0.8}


def test_quick_takes_its_own_settings_and_seeds() -> None:
    assert runs.missing([toy()], [], quick=True) == []
    quick = toy(quick=(("good",), (1,)))
    assert [(t["setting"], t["seed"]) for t in runs.missing([quick], [], quick=True)] == [
        ("good", 1)
    ]


def test_other_processes_give_every_run_back() -> None:
    todo = runs.missing([toy()], [], quick=False)
    made = list(runs.make_all(todo, partial(only, toy()), 1))
    assert sorted(map(runs.key_of, made)) == sorted(map(runs.key_of, todo))
    assert sum(one["error"] is not None for one in made) == 2


def test_a_claim_about_a_setting_that_is_not_run_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown settings"):
        toy(settings=("good", "better"))
    with pytest.raises(ValueError, match="2 settings against 1"):
        Claim("odd", "odd", ("a", "b"), against=("c",))


# --- verdicts


def outcome(key: str, lines: list[Line]) -> report.Outcome:
    (claim,) = (c for c in toy().claims if c.key == key)
    here = {(one["setting"], one["seed"]): one for one in lines}
    return judge(claim, toy().plan(quick=False), here)


def test_verdicts() -> None:
    assert outcome("good", ALL).verdict == "met"
    assert outcome("high", ALL).verdict == "**missed**"
    assert outcome("told", ALL).verdict == "reported"
    assert outcome("said", ALL).verdict == "**failed** (1 of 2)"
    assert outcome("good", ALL[:1]).verdict == "incomplete (1 of 2)"
    assert outcome("good", []).verdict == "not run"
    assert outcome("gain", ALL).values == pytest.approx((0.05, 0.03))


def test_a_failed_half_of_a_pair_fails_the_pair() -> None:
    lines = [line("good", 0, None) if one is ALL[0] else one for one in ALL]
    assert outcome("gain", lines).verdict == "**failed** (1 of 2)"
    assert outcome("gain", lines).values == pytest.approx((0.03,))


def test_one_failed_run_keeps_a_claim_from_being_met() -> None:
    assert outcome("said", ALL).values == (0.6,)  # above the bar, and still not met


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.9, 0.93, "met"), (None, 0.9, "**missed**")]
)
def test_bands_have_two_edges(low: float | None, high: float, verdict: str) -> None:
    claim = Claim("good", "good", ("good",), low=low, high=high)
    here = {(one["setting"], one["seed"]): one for one in ALL}
    assert judge(claim, toy().plan(quick=False), here).verdict == verdict


# --- the page


def test_the_page_tells_ours_published_band_verdict_and_command() -> None:
    assert rows(page(ALL))["good: ROC AUC"] == [
        *("0.910 ± 0.014", "2 of 2", "0.95", "A 2020", "≥ 0.9", "met"),
        "`python benchmarks/paper --only toy`",
    ]
    assert rows(page(ALL))["better less good"][0] == "+0.040 ± 0.014"
    assert "1 failed" in page(ALL)
    assert "2 met, 1 missed, 1 failed, 1 reported" in page(ALL)
    assert "6 runs, 6 minutes of one core" in page(ALL)


def test_a_failed_run_is_shown_with_its_error() -> None:
    text = page(ALL)
    assert rows(text)["broken works"][5] == "**failed** (1 of 2)"
    assert "- toy, broken, seed 1: ValueError: no such | table" in text


def test_missing_runs_are_shown_as_missing() -> None:
    text = page(ALL[:1])
    assert rows(text)["good: ROC AUC"][:2] == ["0.900", "1 of 2"]
    assert rows(text)["better, told only"] == [
        *("–", "0 of 2", "none", "", "–", "not run"),
        "`python benchmarks/paper --only toy`",
    ]
    assert "Runs that failed" not in text


def test_a_missed_line_stays_and_says_what_was_tried() -> None:
    text = page(ALL, notes={"toy/high": "Twice the epochs:\n0.93.", "toy/good": "Nothing to say."})
    assert rows(text)["good is nearly perfect"][5] == "**missed**"
    assert "- **good is nearly perfect**, missed. Tried: Twice the epochs: 0.93." in text
    assert "Nothing to say." not in text  # that line is met
    assert "Tried: nothing is written down." in page(ALL)


def test_lines_of_another_version_play_no_part() -> None:
    old = [{**one, "version": 0} for one in ALL]
    assert rows(page(old))["good: ROC AUC"][5] == "not run"


def test_the_page_is_the_same_for_lines_in_any_order() -> None:
    lines = [line("better", 0, None) if one is ALL[2] else one for one in ALL]  # two that failed
    assert page(lines) == page(lines[::-1])


def test_an_experiment_that_needs_data_is_named_until_it_has_runs() -> None:
    away = toy(needs=("mnist",))
    text = report.write([away], [], notes={})
    assert "not in the panel" in text
    assert "--only toy --data DIR" in text
    assert "good: ROC AUC" not in text
    assert rows(report.write([away], ALL, notes={}))["good: ROC AUC"][5] == "met"


def test_the_quick_page_judges_what_is_quick() -> None:
    quick = toy(quick=(("good", "better"), (0,)))
    text = report.write([quick], ALL, notes={}, quick=True)
    assert rows(text)["good: ROC AUC"][:2] == ["0.900", "1 of 1"]
    assert "broken works" not in text
    assert "--quick`" in text


def peers(lines: list[Line]) -> str:
    return Peers(lines, {"DevNet": ("deepod.DevNet", "pyod.DevNet")}, ("a", "b"), (0,)).section()


def rank(who: str, table: str, ap: float, error: str | None = None) -> Line:
    return {"who": who, "table": table, "seed": 0, "ap": ap, "roc": ap + 0.2, "error": error}


def test_namesakes_are_compared_where_both_ran() -> None:
    text = peers(
        [
            *(rank("askew.DevNet", "a", 0.5), rank("askew.DevNet", "b", 0.6)),
            *(rank("deepod.DevNet", "a", 0.4), rank("deepod.DevNet", "b", 0.1, "ValueError: x")),
            *(rank("pyod.DevNet", "b", 0.7), rank("pyod.DevNet", "elsewhere", 0.9)),
        ]
    )
    table = [
        [cell.strip() for cell in t.split("|")[2:-1]] for t in text.splitlines() if "askew" in t
    ]
    assert table[0][:6] == ["deepod.DevNet", "2 of 2", "0 / 1", "0.550", "0.250", "+0.300"]
    assert table[1][:6] == ["pyod.DevNet", "1 of 2", "0 / 0", "0.600", "0.700", "-0.100"]
    assert "still missing, of 2 each: pyod.DevNet 1" in text


def test_namesakes_without_a_run_are_named() -> None:
    text = peers([])
    assert text.count("0 of 2") == 2
    assert "askew.DevNet 2, deepod.DevNet 2, pyod.DevNet 2" in text


# --- the real registry


def test_every_experiment_has_claims_and_notes_belong_to_claims() -> None:
    known = experiments.every()
    keys = {f"{e.name}/{claim.key}" for e in known.values() for claim in e.claims}
    assert all(e.claims for e in known.values())
    assert sum(len(e.claims) for e in known.values()) == len(keys)
    assert set(report.read_notes()) <= keys
    for experiment in known.values():
        assert set(experiment.quick[0]) <= set(experiment.settings)
        assert len(set(experiment.settings)) == len(experiment.settings)
        looked_at = {s for claim in experiment.claims for s in claim.settings}
        assert looked_at == set(experiment.settings), experiment.name


def test_full_image_sets_are_run_over_all_pairs() -> None:
    full = experiments.every()["full-mnist"]
    assert full.needs == ("mnist", "MNIST/raw")
    # i: two methods, five ratios, 90 pairs; ii: four shares; iii: five counts, ten repeats a digit
    assert len(full.settings) == 2 * 5 * 90 + 4 * 90 + 5 * 100


def test_rows_to_ask_for_are_the_highest_that_were_not_asked() -> None:
    from paper.wrappers import top

    scores = np.array([0.1, 0.9, 0.5, 0.9, 0.7])
    nothing = np.zeros(5, bool)
    assert top(scores, nothing, 3).tolist() == [1, 3, 4]  # ties by row number
    assert top(scores, np.array([0, 1, 0, 0, 1], bool), 2).tolist() == [3, 2]


def test_figures_are_those_of_the_test_part() -> None:
    x = np.linspace(0, 1, 10, dtype=np.float32)[:, None]
    truth = (np.arange(10) >= 8).astype(np.int64)
    split = protocol.Split(x, truth, truth, np.arange(10), x, truth, np.arange(10, 20))
    scores = np.array([0, 0, 0, 0, 0, 0, 0, 0.5, 0.4, 0.9])
    assert common.ranked(split, scores) == pytest.approx({"roc": 15 / 16, "ap": (1 + 2 / 3) / 2})


def test_the_command_lists_what_it_would_run(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/paper", "--list", "--lines", str(tmp_path / "none")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "odds            100 runs, 100 to make" in done.stdout
    assert "full-mnist" not in done.stdout


def test_the_command_names_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "nothing"])
    assert "found nothing; expected some of odds" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--data", "/nowhere"])
    assert "found no folder /nowhere" in capsys.readouterr().err


def test_full_sets_wait_for_their_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    main(["--only", "full-mnist", "--list", "--lines", str(tmp_path / "none")])
    assert "full-mnist is left out: it needs --data DIR with mnist or MNIST/raw" in (
        capsys.readouterr().out
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(common.DATA, "")  # put back afterwards, for main sets it
        main(["--data", str(tmp_path), "--list", "--lines", str(tmp_path / "none")])
    out = capsys.readouterr().out
    assert "full-mnist     1760 runs, 1760 to make" in out
    assert "full-cifar is left out" in out


def test_a_full_set_is_read_and_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = np.repeat(np.arange(10, dtype=np.uint8), 40)
    pixels = np.broadcast_to(kinds[:, None, None], (400, 28, 28))
    (tmp_path / "mnist").mkdir()
    for stem in ("train", "t10k"):
        (tmp_path / "mnist" / f"{stem}-images-idx3-ubyte").write_bytes(idx(pixels))
        (tmp_path / "mnist" / f"{stem}-labels-idx1-ubyte").write_bytes(idx(kinds))
    seen: list[protocol.Split] = []

    def look(detector: Any, split: protocol.Split) -> dict[str, float]:
        seen.append(split)
        return {}

    monkeypatch.setenv(common.DATA, str(tmp_path))
    monkeypatch.setattr(images, "figures", look)
    for setting in ("DeepSAD i 0.20 3 4", "DeepSAD ii 0.20 3 4", "DeepSAD iii 5 3 0"):
        images.run_images("mnist", setting, 0)
    images.whole_set.cache_clear()
    one, two, three = seen
    assert one.x.shape == (50, 1, 28, 28)  # 40 normal, 40/4 known, all of class 4
    assert (one.x[one.label == 1] == np.float32(4 / 255)).all()
    assert ((one.label == -1).sum(), (two.label == -1).sum()) == (40, 50)  # 40/4 hidden
    assert (two.label == 1).sum() == 2  # (40 + 10) / 19
    assert three.truth.sum() == 4 + 2
    assert len(one.x_test) == 400
    assert one.truth_test.sum() == 360
