"""Askew and its peers over the real tables of ../shared/panel, one JSON line a run; resumable.

::

    make bench-quality
    python benchmarks/quality.py --who askew --settings ratio0.05 --seeds 0 --tables WBC glass
    .venv-bench/bin/python benchmarks/quality.py --who peers
    .venv-bench/bin/python benchmarks/quality.py --who deep --settings ratio0.05 --seeds 1
    python benchmarks/quality.py --report

A run that stands already (same player, table, setting, seed and version) is not repeated, whether
it stands in ``benchmarks/runs/quality.jsonl`` or among the measured ones of
``../shared/panel/peers.jsonl``. ``smtp`` is left out: its test part holds no anomaly at seed 0.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import sys
import time
import warnings
from collections.abc import Sequence
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jsonl
import numpy as np
import quality_peers
from numpy.typing import NDArray
from quality_peers import DEEP, PEERS, Fit, Scorer
from sklearn.metrics import average_precision_score, roc_auc_score

ROOT = Path(__file__).parent.parent
PANEL = ROOT.parent / "shared" / "panel" / "panel.py"
MEASURED = PANEL.with_name("peers.jsonl")
RUNS = ROOT / "benchmarks" / "runs" / "quality.jsonl"
LEFT_OUT = "smtp"
KEYS = ("who", "table", "setting", "seed", "version")
# Raise one when its player changes, so that old lines are not taken for new ones.
VERSIONS = dict.fromkeys(PEERS, 1) | {"askew": 6}
PLAYERS = ("askew", *PEERS)
SEEDS = (0, 1, 2)
# How many training anomalies are labelled, as panel.py takes it; normals are drawn beside them.
SETTINGS: dict[str, dict[str, float]] = {
    "none": {"count": 0},
    "ratio0.01": {"ratio": 0.01},
    "count5": {"count": 5},
    "ratio0.05": {"ratio": 0.05},
    "ratio0.10": {"ratio": 0.10},
    "count5+20": {"count": 5},
}
NORMALS = {"count5+20": 20}
# No peer tells known normals from rows not looked at: its run there is the one without them.
ALIKE = {"count5+20": "count5"}


def panel() -> Any:
    if not PANEL.is_file():
        sys.exit(f"{PANEL} is missing: the benchmark needs the panel of real tables there")
    spec = importlib.util.spec_from_file_location("panel", PANEL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["panel"] = module
    spec.loader.exec_module(module)
    return module


def measured(path: Path = MEASURED) -> list[jsonl.Line]:
    """Give the peers' runs that were measured before, as lines of this benchmark.

    Whom this benchmark does not run is left out: peers that were repaired first (``+fix``).
    """
    return [
        {"who": line["peer"], "version": 1, "release": line["version"], "fit_s": None}
        | {k: line[k] for k in ("table", "setting", "seed", "ap", "roc", "fit_cpu_s", "score_s")}
        | {"error": line["error"], "source": path.name}
        for line in jsonl.read(path)
        if line["peer"] in PEERS
    ]


def prepare(who: str, seed: int) -> Fit:
    """Import and make a player; give its fit."""
    if who != "askew":
        return quality_peers.prepare(who, seed)
    from askew import Askew

    def fit(x: NDArray[Any], y: NDArray[Any]) -> Scorer:
        scores: Scorer = Askew(random_state=seed).fit(x, y).decision_function
        return scores

    return fit


@cache
def warm(who: str) -> None:
    """Let a player load and compile what it does with its first fit: no run pays for that."""
    rows = np.random.default_rng(0).random((200, 4), np.float32)
    y = np.where(np.arange(200) < 20, 1, -1).astype(np.int8)
    with contextlib.suppress(Exception):  # what it cannot do it shows in its runs
        prepare(who, 0)(rows, y)(rows)


def plays(who: str, setting: str) -> bool:
    """Whether a player makes runs of its own in a setting."""
    if who == "askew":
        return True
    return setting not in ALIKE and PEERS[who].labels == (setting != "none")


def labels(split: Any, setting: str, seed: int) -> NDArray[np.int8]:
    """Give a split's labels, with known normals where the setting has some: (n,)."""
    y: NDArray[np.int8] = split.y_train.copy()
    normal = np.flatnonzero(split.y_train_true == 0)
    drawn = min(NORMALS.get(setting, 0), len(normal))
    y[np.random.default_rng(seed).choice(normal, drawn, replace=False)] = 0
    return y


def run(who: str, table: str, setting: str, seed: int, tables: Any) -> jsonl.Line:
    package = "askew" if who == "askew" else PEERS[who].package
    try:
        line: jsonl.Line = {"release": f"{package} {version(package)}"}
    except PackageNotFoundError:
        sys.exit(f"{who}: {package} is not installed in {sys.prefix}; run it by .venv-bench/bin")
    split = tables.split(table, seed=seed, **SETTINGS[setting])
    y = labels(split, setting, seed)
    line |= dict.fromkeys(("ap", "roc", "fit_s", "fit_cpu_s", "score_s", "error"))
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warm(who)
            fit = prepare(who, seed)
            start, cpu = time.perf_counter(), time.process_time()
            scorer = fit(split.X_train, y)
            line["fit_s"] = round(time.perf_counter() - start, 4)
            line["fit_cpu_s"] = round(time.process_time() - cpu, 4)
            start = time.perf_counter()
            scores = np.asarray(scorer(split.X_test), np.float64).ravel()
            line["score_s"] = round(time.perf_counter() - start, 4)
        if not np.isfinite(scores).all():
            odd = np.count_nonzero(~np.isfinite(scores))
            raise ValueError(f"{odd} of {len(scores)} scores not finite")
        line["ap"] = round(float(average_precision_score(split.y_test, scores)), 5)
        line["roc"] = round(float(roc_auc_score(split.y_test, scores)), 5)
    except ImportError:
        raise  # the environment's fault, no result
    except Exception as e:  # whatever else a player raises is a result of this benchmark
        line["error"] = f"{type(e).__name__}: {e}"[:200]
    return line


def play(
    out: Path, who: Sequence[str], settings: Sequence[str], seeds: Sequence[int], chosen: list[str]
) -> None:
    """Make the runs that do not stand yet, and tell the means of each player's."""
    from quality_board import figure

    tables = panel()
    names = chosen or [name for name in tables.names() if name != LEFT_OUT]
    runs = jsonl.Runs(out, KEYS, measured())
    for player in who:
        for seed in seeds:
            for setting in settings:
                if not plays(player, setting):
                    continue
                mine = []
                for name in names:
                    make = partial(run, player, name, setting, seed, tables)
                    key = {"who": player, "table": name, "setting": setting, "seed": seed}
                    mine.append(runs.once(make, **key, version=VERSIONS[player]))
                ap, roc = (np.mean([figure(line, k) for line in mine]) for k in ("ap", "roc"))
                failed = sum(line["error"] is not None for line in mine)
                print(
                    f"{player:18s} {setting:9s} seed {seed}: average precision {ap:.3f}, ROC AUC "
                    f"{roc:.3f} over {len(mine)} tables ({failed} failed)",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--who",
        default="askew",
        help="names, with commas between; 'peers' for all but the deep ones, 'deep' for those",
    )
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--tables", nargs="+", default=[])
    parser.add_argument("--out", type=Path, default=RUNS)
    parser.add_argument("--report", action="store_true", help="write docs/results/quality.md")
    args = parser.parse_args()
    if args.report:
        from quality_report import report

        report(jsonl.read(args.out))
        return
    warnings.simplefilter("ignore")
    groups = {"peers": tuple(who for who in PEERS if who not in DEEP), "deep": DEEP}
    who = [name for one in args.who.split(",") for name in groups.get(one, (one,))]
    for name in who:
        if name not in PLAYERS:
            parser.error(f"no player {name!r}; there are {', '.join((*groups, *PLAYERS))}")
    play(args.out, who, args.settings, args.seeds, args.tables)


if __name__ == "__main__":
    main()
