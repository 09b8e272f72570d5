"""How time and peak memory grow with a table, and the default beside its best-ranking peer.

One JSON line a run, resumable; each run in a fresh process on one thread::

    make bench-growth
    python benchmarks/growth.py --works rows-5000 members --seeds 0
    python benchmarks/growth.py --works panel-shuttle
    python benchmarks/growth.py --report     # docs/results/growth.md and growth.svg

A work is an axis and a size (``rows-5000``), or ``panel`` and a table of ../shared/panel; an axis
alone names all of its sizes. Drawing the rows counts neither as time nor as memory.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import math
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonl
import numpy as np
import quality
from numpy.typing import NDArray
from quality_peers import PEERS, Fit
from speed import BATCH, Array, deep_sad, processor

HERE = Path(__file__).parent
RUNS = HERE / "runs" / "growth.jsonl"
REPORT = HERE.parent / "docs" / "results" / "growth.md"
KEYS = ("work", "who", "seed", "version")
VERSION = 1  # raise when what is measured changes, so that old lines are not taken for new ones
BLOCK = 10_000  # rows drawn at a time
LABELLED = 20
STEPS = {"epochs": 5, "steps_per_epoch": 40}
PEER = "catboost"
SETTING = "ratio0.05"
LEAST_ROWS, TRAINED = 5000, 0.7  # of the panel's tables: training rows, and the share they are
SEEDS, PANEL_SEEDS = (0,), (0, 1, 2, 3, 4)
TIMES = ("fit_cpu_s", "score_cpu_s")


@dataclass(frozen=True)
class Size:
    """What is drawn: rows and columns, and how many members a ``Detector`` has."""

    rows: int
    columns: int
    members: int = 1
    players: tuple[str, ...] = ("askew", "deep", "sk.IsolationForest")


AXES: dict[str, dict[int, Size]] = {
    "rows": {n: Size(n, 40) for n in (5000, 20_000, 100_000, 500_000, 2_000_000)},
    "columns": {d: Size(10_000, d) for d in (6, 40, 200, 600, 1500)},
    "members": {k: Size(5000, 36, k, ("deep",)) for k in (1, 4, 16, 64)},
}
SIZES = {f"{axis}-{n}": size for axis, sizes in AXES.items() for n, size in sizes.items()}
HELD = {"rows": "40 columns", "columns": "10,000 rows", "members": "5,000 rows of 36 columns"}
# By player: its name in tables and plots, and its color there.
SAID = {
    "askew": ("Askew()", "#0072b2"),
    "deep": ("Detector(DeepSAD())", "#d55e00"),
    "sk.IsolationForest": ("IsolationForest()", "#009e73"),
}


# --- one run, in a process of its own


def drawn(rows: int, columns: int, seed: int) -> tuple[Array, NDArray[np.float64]]:
    """Draw rows in [0, 1] near a plane, 5 % of them off it; 20 of those are labelled 1.

    In float32 and block by block: 2,000,000 rows take little more memory than they hold.
    """
    rng = np.random.default_rng(seed)
    plane = rng.standard_normal((6, columns), np.float32)
    x = np.empty((rows, columns), np.float32)
    odd = rng.random(rows) < 0.05
    for start in range(0, rows, BLOCK):
        block, off = x[start : start + BLOCK], odd[start : start + BLOCK]
        np.matmul(rng.standard_normal((len(block), 6), np.float32), plane, out=block)
        block += np.float32(0.3) * rng.standard_normal(block.shape, np.float32)
        block[off] += np.float32(1.5) * rng.standard_normal((int(off.sum()), columns), np.float32)
    low, high = x.min(0), x.max(0)
    x -= low
    x /= high - low
    y = np.full(rows, np.nan)
    y[rng.choice(np.flatnonzero(odd), min(LABELLED, int(odd.sum())), replace=False)] = 1
    return x, y


def prepare(who: str, seed: int, members: int = 1) -> Fit:
    """Import and make a player; give its fit."""
    if who != "deep":
        return quality.prepare(who, seed)

    def fit(x: NDArray[Any], y: NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[Any]]:
        model = deep_sad(x.shape[1]).players["askew", 1](seed)
        scores: Callable[[NDArray[Any]], NDArray[Any]]
        scores = model.set_params(members=members, **STEPS).fit(x, y).decision_function
        return scores

    return fit


def warm_up(who: str) -> None:
    """Fit and score a small table first: what is imported and looked up once does not count."""
    x, y = drawn(500, 6, 0)
    prepare(who, 0)(x, y)(x)


def fitted_and_scored(
    fit: Fit, x: NDArray[Any], y: NDArray[Any], scored: NDArray[Any]
) -> tuple[jsonl.Line, NDArray[np.float64]]:
    """Time a fit and a scoring, by the clock and by the processor; give the scores too."""
    clock = [(time.perf_counter(), time.process_time())]
    scorer = fit(x, y)
    clock.append((time.perf_counter(), time.process_time()))
    scores = np.asarray(scorer(scored), np.float64).ravel()
    clock.append((time.perf_counter(), time.process_time()))
    (fit_s, fit_cpu_s), (score_s, score_cpu_s) = np.diff(clock, axis=0).round(5).tolist()
    times = {"fit_s": fit_s, "fit_cpu_s": fit_cpu_s, "score_s": score_s, "score_cpu_s": score_cpu_s}
    return times, scores


def mebibytes(name: str) -> float:
    """Give an entry of this process's status: ``VmRSS`` is what it holds, ``VmHWM`` the peak."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name)) / 1024


def growth(size: Size, who: str, seed: int) -> jsonl.Line:
    """Fit and score drawn rows; give times and peak memory."""
    warm_up(who)
    x, y = drawn(size.rows, size.columns, seed)
    labels = np.where(np.isnan(y), -1, y).astype(int) if who == "deep" else y
    # What is free goes back first: a fit that took it again would seem to need less.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    # The peak is VmHWM, set back here. ru_maxrss is no less than what the parent once held.
    Path("/proc/self/clear_refs").write_text("5")
    before = mebibytes("VmRSS")
    # All rows but one: Askew would not score the table of its fit a second time.
    times, _ = fitted_and_scored(prepare(who, seed, size.members), x, labels, x[1:])
    peak = mebibytes("VmHWM")
    memory = {"rows_mib": x.nbytes / 2**20, "peak_mib": peak, "beyond_mib": peak - before}
    return times | {name: round(value, 2) for name, value in memory.items()}


def beside(table: str, who: str, seed: int) -> jsonl.Line:
    """Fit a table of the panel and score its test part; give times and average precision."""
    from sklearn.metrics import average_precision_score

    split = quality.panel().split(table, seed=seed, **quality.SETTINGS[SETTING])
    warm_up(who)
    times, scores = fitted_and_scored(
        prepare(who, seed), split.X_train, split.y_train, split.X_test
    )
    rows, columns = split.X_train.shape
    ap = round(float(average_precision_score(split.y_test, scores)), 5)
    return times | {"rows": rows, "columns": columns, "ap": ap}


def tell(work: str, who: str, seed: str) -> None:
    """Make a run and print its line."""
    warnings.simplefilter("ignore")
    size = SIZES.get(work)
    if size is None:
        line = beside(work.removeprefix("panel-"), who, int(seed))
    else:
        line = growth(size, who, int(seed))
    package = PEERS[who].package if who in PEERS else "askew"
    print(json.dumps(line | {"release": f"{package} {version(package)}"}))


def apart(work: str, who: str, seed: int) -> jsonl.Line:
    """Make a run in a process of its own, on one thread."""
    script = "import sys, growth; growth.tell(*sys.argv[1:])"
    ran = subprocess.run(
        [sys.executable, "-c", script, work, who, str(seed)],
        cwd=HERE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    line: jsonl.Line = json.loads(ran.stdout.splitlines()[-1])
    return line


# --- which runs there are


def edition(who: str) -> str:
    """Tell a player as it is now from what it was: runs of another edition are made anew."""
    return f"{VERSION}.{quality.VERSIONS.get(who, 1)}"


def panel_works() -> list[str]:
    """Name the panel's tables of 5,000 training rows and more."""
    tables = quality.panel()

    def training_rows(name: str) -> float:
        return TRAINED * min(len(tables.load(name)[1]), int(tables.MAX_ROWS))

    names = [name for name in tables.names() if name != quality.LEFT_OUT]
    return [f"panel-{name}" for name in names if training_rows(name) >= LEAST_ROWS]


def chosen(asked: Sequence[str]) -> list[str]:
    """Give the works that are asked for, by name or by axis; all where none is."""
    works = [*SIZES, *panel_works()]
    for one in asked:
        if one not in works and one not in {*AXES, "panel"}:
            sys.exit(
                f"no work {one!r}; there are rows, columns, members, panel, {', '.join(works)}"
            )
    return [work for work in works if not asked or {work, work.split("-")[0]} & {*asked}]


def play(runs: jsonl.Runs, works: Sequence[str], seeds: Sequence[int] | None) -> list[str]:
    """Make the runs that do not stand yet; name those that failed, which leave no line."""
    failed = []
    for work in works:
        size = SIZES.get(work)
        for seed in seeds or (SEEDS if size else PANEL_SEEDS):
            for who in size.players if size else ("askew", PEER):
                key = {"work": work, "who": who, "seed": seed, "version": edition(who)}
                try:
                    line = runs.once(partial(apart, work, who, seed), **key)
                except subprocess.CalledProcessError as e:
                    failed.append(f"{work} {who} seed {seed}: exit status {e.returncode}")
                    continue
                what = f"{line['beyond_mib']:.0f} MiB" if size else f"AP {line['ap']:.3f}"
                print(
                    f"{work} {who} seed {seed}: fit {line['fit_cpu_s']:.3f} s, "
                    f"score {line['score_cpu_s']:.3f} s, {what}",
                    flush=True,
                )
    return failed


# --- the page


Lines = list[jsonl.Line]


def middle(lines: Lines, what: str) -> float:
    return float(statistics.median(line[what] for line in lines))


class Board:
    """The runs that stand, of the players as they are now."""

    def __init__(self, lines: Lines) -> None:
        self.lines = [line for line in lines if line["version"] == edition(line["who"])]

    def of(self, work: str, who: str) -> Lines:
        return [line for line in self.lines if (line["work"], line["who"]) == (work, who)]

    def curve(self, axis: str, who: str, what: str) -> tuple[list[int], list[float]]:
        """Give a player's sizes along an axis, and the median figure at each."""
        runs = {n: self.of(f"{axis}-{n}", who) for n in AXES[axis]}
        at = [n for n, lines in runs.items() if lines]
        return at, [middle(runs[n], what) for n in at]


def slope(at: Sequence[float], values: Sequence[float]) -> float | None:
    """Give the power by which the last figure has grown since the one before it."""
    if len(at) < 2 or min(values[-2:]) <= 0:
        return None
    return math.log(values[-1] / values[-2]) / math.log(at[-1] / at[-2])


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def grown(board: Board, axis: str) -> list[str]:
    """Write the table of an axis."""
    told = [
        f"| {axis} | | fit s | by the clock | score s | by the clock | rows MiB | peak MiB "
        "| beyond the rows | runs |",
        "| ---: | --- |" + " ---: |" * 8,
    ]
    for who, (said, _) in SAID.items():
        for n in AXES[axis]:
            if lines := board.of(f"{axis}-{n}", who):
                times = ("fit_cpu_s", "fit_s", "score_cpu_s", "score_s")
                seconds = [f"{middle(lines, what):.3g}" for what in times]
                sizes = ("rows_mib", "peak_mib", "beyond_mib")
                memory = [f"{middle(lines, what):,.1f}" for what in sizes]
                told.append(row(f"{n:,}", said, *seconds, *memory, str(len(lines))))
    return told


def slopes(board: Board) -> list[str]:
    """Write the table of slopes."""
    told = [row("axis", "", "from", "fit", "score", "memory"), "| --- | --- |" + " ---: |" * 4]
    for axis in AXES:
        for who, (said, _) in SAID.items():
            at = board.curve(axis, who, "fit_s")[0]
            powers = [slope(*board.curve(axis, who, what)) for what in (*TIMES, "beyond_mib")]
            if len(at) > 1:
                cells = ["–" if power is None else f"{power:.2f}" for power in powers]
                told.append(row(axis, said, f"{at[-2]:,} to {at[-1]:,}", *cells))
    return told


def versus(board: Board) -> list[str]:
    """Write the table of the default beside its peer, on the seeds that both have."""
    told = [
        "| table | rows | columns | fit s | peer's | ratio | score s | peer's "
        "| average precision | peer's | runs |",
        "| --- |" + " ---: |" * 10,
    ]
    ratios, precisions = [], []
    panel = [line["work"] for line in board.lines if line["work"].startswith("panel-")]
    for work in dict.fromkeys(panel):
        by_seed = [{line["seed"]: line for line in board.of(work, who)} for who in ("askew", PEER)]
        seeds = sorted(by_seed[0].keys() & by_seed[1].keys())
        if not seeds:
            continue
        ours, peers = ([lines[seed] for seed in seeds] for lines in by_seed)
        ratio = [b["fit_cpu_s"] / a["fit_cpu_s"] for a, b in zip(ours, peers, strict=True)]
        ratios.append(statistics.median(ratio))
        precisions.append(
            [statistics.mean(line["ap"] for line in lines) for lines in (ours, peers)]
        )
        fit, score = ([f"{middle(lines, t):.3g}" for lines in (ours, peers)] for t in TIMES)
        told.append(
            row(
                work.removeprefix("panel-"),
                f"{ours[0]['rows']:,}",
                str(ours[0]["columns"]),
                *fit,
                f"**{ratios[-1]:.2f}** ({min(ratio):.2f} to {max(ratio):.2f})",
                *score,
                *(f"{ap:.3f}" for ap in precisions[-1]),
                str(len(seeds)),
            )
        )
    if ratios:
        ap, peers_ap = np.mean(precisions, axis=0)
        told += [
            "",
            f"Median ratio: **{statistics.median(ratios):.2f}**, above 1 on "
            f"{sum(r > 1 for r in ratios)} of {len(ratios)} tables. Mean average precision: "
            f"{ap:.3f}, the peer's {peers_ap:.3f}.",
        ]
    return told


def report(board: Board) -> str:
    """Write the page from the runs that stand."""
    releases = dict.fromkeys(line["release"] for line in board.lines)
    steps = STEPS["epochs"] * STEPS["steps_per_epoch"]
    parts = [
        "# Growth",
        "",
        "Written by `make bench-growth` (the runs: `benchmarks/runs/growth.jsonl`).",
        "",
        "How time and peak memory grow with rows, columns and members, on drawn tables of which",
        "20 rows are labelled 1. Each run has a process and a thread of its own; players take",
        "turns. Seconds are processor time, with those by the clock beside. All rows but one are",
        "scored.",
        "*Peak* is the whole process while it fits and scores; *beyond the rows* is what that adds",
        "to a process that holds the rows and has fitted a small table, of which a MiB or two is",
        "chance. Figures are medians over the runs.",
        "",
        "- `Askew()`: the default ranker, on a float32 matrix.",
        f"- `Detector(DeepSAD())`: one member unless said; {steps} steps of {BATCH} rows whatever",
        "  the table, so its fit does not grow with the rows **by definition**; its scoring does.",
        "- `IsolationForest()`: scikit-learn's, without labels, as a known measure. A tree sees",
        "  256 rows however many there are.",
        "",
        f"{processor()}; {', '.join(releases)}.",
        "",
        "![Time and peak memory against rows, columns and members](growth.svg)",
        "",
        "The slopes of the last segments, as the power that growth follows (1: in proportion):",
        "",
        *slopes(board),
    ]
    for axis in AXES:
        parts += ["", f"## {axis.capitalize()}, at {HELD[axis]}", "", *grown(board, axis)]
    parts += [
        "",
        "## The default beside the best-ranking peer",
        "",
        f"The peer is {PEER}, on one thread (it scores on all, so seconds are processor time). The",
        f"tables are those of the panel with {LEAST_ROWS:,} training rows and more, 5 % of the",
        "anomalies labelled. A ratio is the median of the peer's fit time over ours, seed by seed,",
        "with the least and the greatest; above 1, ours is faster. Average precision: of the test",
        "part, mean over the seeds.",
        "",
        *versus(board),
        "",
        "One size again, and the page from the runs that stand:",
        "",
        "    .venv-bench/bin/python benchmarks/growth.py --works rows-5000",
        "    .venv-bench/bin/python benchmarks/growth.py --report",
    ]
    return "\n".join(parts) + "\n"


def short(n: float) -> str:
    """Write a size as on an axis.

    >>> short(2_000_000), short(20_000), short(0.5)
    ('2M', '20k', '0.5')
    """
    for unit, said in ((1e6, "M"), (1e3, "k")):
        if n >= unit:
            return f"{n / unit:g}{said}"
    return f"{n:g}"


def draw(board: Board, path: Path) -> None:
    """Draw time and memory against each axis as one picture, the same bytes each time."""
    # By name: what checks types has no matplotlib.
    import_module("matplotlib").rcParams.update(
        {"svg.hashsalt": "growth", "svg.fonttype": "none", "font.size": 10, "legend.frameon": False}
    )
    ticker = import_module("matplotlib.ticker")
    figure = import_module("matplotlib.figure").Figure(figsize=(11, 6.8), layout="constrained")
    plots = figure.subplots(2, len(AXES), sharex="col", sharey="row")
    lines: dict[str, Any] = {}
    for (axis, sizes), (above, below) in zip(AXES.items(), plots.T, strict=True):
        for who, (said, color) in SAID.items():
            given = {"color": color, "marker": "o", "markersize": 3.5}
            fit = above.plot(*board.curve(axis, who, TIMES[0]), **given)[0]
            score = above.plot(*board.curve(axis, who, TIMES[1]), **given, linestyle="--")[0]
            below.plot(*board.curve(axis, who, "beyond_mib"), **given)
            if who in next(iter(sizes.values())).players:
                lines |= {f"{said}: fit; memory": fit, f"{said}: score": score}
        itself = [size.rows * size.columns * 4 / 2**20 for size in sizes.values()]
        lines["the rows"] = below.plot([*sizes], itself, color="#777777", linestyle=":")[0]
        above.set_title(f"{axis}, at {HELD[axis]}", fontsize=10)
        below.set_xlabel(axis)
        for plot in (above, below):
            plot.set(xscale="log", yscale="log", xticks=[*sizes], xticklabels=map(short, sizes))
            for each in (plot.xaxis, plot.yaxis):
                each.set_minor_locator(ticker.NullLocator())
            plot.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: short(value)))
            plot.grid(color="#dddddd", linewidth=0.6)
            plot.spines[["top", "right"]].set_visible(False)
    plots[0, 0].set_ylabel("processor time, s")
    plots[1, 0].set_ylabel("peak memory beyond the rows, MiB")
    figure.legend(lines.values(), lines, loc="outside upper center", ncols=4, fontsize=9)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--works", nargs="+", default=[], help="rows, rows-5000, panel-shuttle, ..."
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="0 where none are given; 0 to 4 for the panel"
    )
    parser.add_argument("--out", type=Path, default=RUNS)
    parser.add_argument("--report", action="store_true", help="write docs/results/growth.md, .svg")
    args = parser.parse_args()
    runs = jsonl.Runs(args.out, KEYS)
    if args.report:
        board = Board(runs.lines)
        if not any(line["work"] in SIZES for line in board.lines):
            sys.exit(f"no runs of this edition in {args.out} to draw; make some without --report")
        draw(board, REPORT.with_suffix(".svg"))
        REPORT.write_text(report(board), encoding="utf-8")
        return
    if failed := play(runs, chosen(args.works), args.seeds):
        sys.exit("\n".join(("failed:", *failed)))


if __name__ == "__main__":
    main()
