"""The loop beside what else finds anomalies by asking, on the tables of ../shared/panel.

Tables of up to 5,000 rows and 600 columns, min-max scaled; the pool is the whole table. No label at
the start, one query at a time, the truth answers, 100 verdicts or half of the rows where those are
fewer. The area under the curve of anomalies found is divided by that of finding every one first.

One JSON line a run, resumable; peers that are packages live in ``.venv-bench``::

    make bench-active
    python benchmarks/active.py --who askew,iforest,random --seeds 0 1 2
    .venv-bench/bin/python benchmarks/active.py --who coniferest --seeds 0
    python benchmarks/active.py --report
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonl
import numpy as np
from numpy.typing import NDArray
from quality import ROOT, panel

# Raise one when its player changes, so that old lines are not taken for new ones.
VERSIONS = {"askew": 6, "coniferest": 1, "rforest": 2, "aad": 3, "iforest": 2, "random": 1}
MOST_ROWS, MOST_COLUMNS = 5_000, 600
BUDGET = 100
AFTER = (20, 60, 100)
RESULTS = ROOT / "docs" / "results"
BELOW = 0.05  # more than this below the isolation forest is told

Scorer = Callable[[NDArray[np.int8]], NDArray[np.floating]]


def askew(x: NDArray[np.float32], y: NDArray[np.int8], budget: int, seed: int) -> NDArray[Any]:
    from askew.review import simulate

    found: NDArray[Any] = simulate(x, y, budget=budget, random_state=seed).found
    return found


def iforest(x: NDArray[np.float32], y: NDArray[np.int8], budget: int, seed: int) -> NDArray[Any]:
    scores = _forest(x, seed)
    return _ask(y, budget, seed, lambda label: scores)


def random(x: NDArray[np.float32], y: NDArray[np.int8], budget: int, seed: int) -> NDArray[Any]:
    share = np.count_nonzero(y) / len(y)
    return np.arange(1, budget + 1) * share  # what chance finds on average


def rforest(x: NDArray[np.float32], y: NDArray[np.int8], budget: int, seed: int) -> NDArray[Any]:
    """Ask what a random forest on the judged rows votes for; equal votes by the isolation forest.

    Until both kinds are known the isolation forest asks alone.
    """
    from scipy.stats import rankdata
    from sklearn.ensemble import RandomForestClassifier

    before: NDArray[np.floating] = rankdata(_forest(x, seed)) / len(x)

    def scores(label: NDArray[np.int8]) -> NDArray[np.floating]:
        judged = label >= 0
        if len(np.unique(label[judged])) < 2:
            return before
        forest = RandomForestClassifier(random_state=seed).fit(x[judged], label[judged])
        votes: NDArray[np.floating] = forest.predict_proba(x)[:, 1]
        votes += 1e-6 * before
        return votes

    return _ask(y, budget, seed, scores)


def aad(x: NDArray[np.float32], y: NDArray[np.int8], budget: int, seed: int) -> NDArray[Any]:
    """Weigh an isolation forest's leaves by verdicts.

    Source: Das, Wong, Dietterich, Fern and Emmott, "Incorporating expert feedback into active
    anomaly discovery", ICDM 2016; the same authors in 2017 for leaves of an isolation forest.
    A row's score is ``w z``, with z one over the path length in the leaf it falls into, of unit
    length on average (each of unit length loses what the forest knows, and finds less). After
    each verdict ``w`` minimises ``|w - u|^2 / 2`` plus the mean hinge loss of the anomalies below,
    and of the normals above, ``q``: the score that 3 % of the rows exceed under the weights
    before. ``u`` weighs all leaves alike. Settings of ad_examples: 100 trees of 256 rows, 3 %,
    both kinds weighing the same, ``w`` brought to unit length.
    """
    from askew.rankers.isolation_trees import isolation_trees

    trees = isolation_trees(x, 100, 256, seed)
    leaves = trees.leaves(x)
    z = 1 / trees.value[leaves]
    z /= np.linalg.norm(z, axis=1).mean()
    uniform = np.full(len(trees.value), 1 / np.sqrt(len(np.unique(leaves))))
    weight = uniform

    def scores(label: NDArray[np.int8]) -> NDArray[np.floating]:
        nonlocal weight
        judged = np.flatnonzero(label >= 0)
        if len(judged):
            level = np.quantile((weight[leaves] * z).sum(axis=1), 0.97)
            weight = _reweigh(uniform, leaves[judged], z[judged], label[judged] == 1, level)
        score: NDArray[np.floating] = (weight[leaves] * z).sum(axis=1)
        return score

    return _ask(y, budget, seed, scores)


def _reweigh(
    prior: NDArray[np.float64],
    leaves: NDArray[np.integer],
    z: NDArray[np.float64],
    odd: NDArray[np.bool_],
    level: float,
) -> NDArray[np.float64]:
    """Solve the dual by coordinates: one multiplier for each judged row, in [0, 1 / its kind]."""
    sign = np.where(odd, 1.0, -1.0)
    most = 1 / np.where(odd, odd.sum(), (~odd).sum())
    both = leaves[:, np.newaxis] == leaves
    kernel = (both * z[:, np.newaxis] * z).sum(axis=2)
    score = (prior[leaves] * z).sum(axis=1)
    held = np.zeros(len(odd))
    for _ in range(100):
        moved = 0.0
        for i in range(len(odd)):
            new = np.clip(held[i] + sign[i] * (level - score[i]) / kernel[i, i], 0, most[i])
            score += (new - held[i]) * sign[i] * kernel[i]
            moved, held[i] = max(moved, abs(new - held[i])), new
        if moved < 1e-6:
            break
    weight = prior.copy()
    np.add.at(weight, leaves, (held * sign)[:, np.newaxis] * z)
    return weight / np.linalg.norm(weight)


def coniferest(x: NDArray[np.float32], y: NDArray[np.int8], budget: int, seed: int) -> NDArray[Any]:
    """Let coniferest's AADForest ask, with its defaults."""
    model = import_module("coniferest.aadforest").AADForest(random_seed=seed, n_jobs=1)

    def scores(label: NDArray[np.int8]) -> NDArray[np.floating]:
        judged = label >= 0
        known = np.where(label[judged] == 1, -1, 1)  # its code: -1 anomaly, 1 regular
        model.fit_known(x, x[judged], known)
        return -np.asarray(model.score_samples(x))  # its scores are lower for anomalies

    return _ask(y, budget, seed, scores)


PLAYERS: dict[str, Callable[..., NDArray[Any]]] = {
    play.__name__: play for play in (askew, coniferest, rforest, aad, iforest, random)
}
CALLED = {
    "askew": "Askew",
    "coniferest": "coniferest AADForest",
    "rforest": "random forest on judged rows",
    "aad": "AAD as in ad_examples",
    "iforest": "isolation forest, static",
    "random": "random looking",
}
PACKAGES = {"askew": ("askew",), "coniferest": ("coniferest", "clarabel")}


def _forest(x: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    from askew.rankers import IsolationTrees

    scores: NDArray[np.float64] = IsolationTrees(random_state=seed).fit(x).decision_function(x)
    return scores


def _ask(y: NDArray[np.int8], budget: int, seed: int, scores: Scorer) -> NDArray[Any]:
    """Ask the highest score first; equal ones in an order drawn once."""
    draws = np.random.default_rng(seed).permutation(len(y))
    label = np.full(len(y), -1, np.int8)
    found = np.empty(budget, np.int64)
    for turn in range(budget):
        row = np.lexsort((draws, -np.where(label < 0, scores(label), -np.inf)))[0]
        label[row] = y[row]
        found[turn] = np.count_nonzero(label == 1)
    return found


def run(who: str, table: str, seed: int, tables: Any) -> dict[str, Any]:
    from askew.review.simulate import area

    X, y = tables.load(table)
    low, high = X.min(axis=0), X.max(axis=0)
    x = np.ascontiguousarray((X - low) / np.where(high > low, high - low, 1.0), dtype=np.float32)
    budget = min(BUDGET, len(y) // 2)
    start = time.process_time()
    found = PLAYERS[who](x, y, budget, seed)
    seconds = time.process_time() - start
    line = {"rows": len(y), "columns": x.shape[1], "anomalies": int(y.sum()), "budget": budget}
    line |= {"area": round(area(found, int(y.sum())), 5), "query_cpu_s": round(seconds / budget, 4)}
    packages = ("numpy", "scikit-learn", *PACKAGES.get(who, ()))
    line |= {"found": np.round(found, 3).tolist()}
    line |= {"releases": {name: version(name) for name in packages}}
    return line | {"python": platform.python_version()}


def names(tables: Any) -> Iterator[str]:
    for name in tables.names():
        X, _ = tables.load(name)
        if X.shape[0] <= MOST_ROWS and X.shape[1] <= MOST_COLUMNS:
            yield name


Runs = dict[tuple[str, str], list[dict[str, Any]]]  # by player and table, one a seed


def report(lines: Iterable[dict[str, Any]]) -> None:
    """Write docs/results/active.md and its picture; what is missing is told."""
    runs: Runs = {}
    for line in lines:
        if line["version"] == VERSIONS[line["who"]]:
            runs.setdefault((line["who"], line["table"]), []).append(line)
    tables = list(dict.fromkeys(table for _, table in runs))
    players = [who for who in PLAYERS if any((who, table) in runs for table in tables)]
    (RESULTS / "active.svg").write_text(_picture(runs, tables, players), encoding="utf-8")
    text = "\n".join(_page(runs, tables, players)) + "\n"
    (RESULTS / "active.md").write_text(text, encoding="utf-8")
    print(f"{RESULTS / 'active.md'}: {len(tables)} tables, {len(players)} players")


def _page(runs: Runs, tables: list[str], players: list[str]) -> Iterator[str]:
    yield "# Finding anomalies by asking\n"
    yield (
        "Written by `python benchmarks/active.py --report` from the runs' own lines; not by hand. "
        f"The {len(tables)} tables of `../shared/panel` with up to {MOST_ROWS:,} rows and "
        f"{MOST_COLUMNS} columns, each scaled to [0, 1]; the pool is the whole table. No label at "
        f"the start, one query at a time, the truth answers; {BUDGET} verdicts, or half of the "
        "rows where those are fewer. Every player has one setting for all tables: its default.\n"
    )
    yield (
        "The area is that under the curve of anomalies found, divided by that of finding every "
        "anomaly first. The columns after it say what was found after 20, 60 and 100 verdicts (or "
        "the last, where there were fewer) as a share of what could have been. Means over tables "
        "of means over seeds; the lowest and highest seed's mean in brackets.\n"
    )
    yield "| player | runs | area | area, seed 0 | @20 | @60 | @100 | CPU s a query |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for who in players:
        yield "| " + " | ".join(_overall(runs, tables, who)) + " |"
    yield f"\nReleases: {_releases(runs)}.\n"
    yield from _against(runs, tables, players)
    yield "\n## Area by table\n"
    yield "Mean over seeds; the best in bold.\n"
    yield "| table | rows | anomalies | " + " | ".join(CALLED[who] for who in players) + " |"
    yield "| --- " * (len(players) + 3) + "|"
    for table in tables:
        areas = [_mean(runs.get((who, table), []), "area") for who in players]
        best = max(round(area, 3) for area in areas if area is not None)
        cells = [_bold(area, best) for area in areas]
        one = next(runs[who, table][0] for who in players if (who, table) in runs)
        yield f"| {table} | {one['rows']:,} | {one['anomalies']:,} | {' | '.join(cells)} |"
    yield "\n## Found by table, after 20 / 60 / 100 verdicts\n"
    yield "Of what could have been found by then, mean over seeds.\n"
    yield "| table | " + " | ".join(CALLED[who] for who in players) + " |"
    yield "| --- " * (len(players) + 1) + "|"
    for table in tables:
        cells = [_shares(runs.get((who, table), [])) for who in players]
        yield f"| {table} | {' | '.join(cells)} |"
    yield "\n## The curves\n"
    yield "Anomalies found against rows judged, mean over seeds.\n"
    yield "![Anomalies found against rows judged, table by table](active.svg)\n"
    yield "## Commands\n"
    yield "    make bench-active"


def _overall(runs: Runs, tables: list[str], who: str) -> Iterator[str]:
    """Give a player's line in the table of means."""
    mine = [line for table in tables for line in runs.get((who, table), [])]
    there = [table for table in tables if (who, table) in runs]
    seeds = sorted({line["seed"] for line in mine})
    by_seed = {seed: [line["area"] for line in mine if line["seed"] == seed] for seed in seeds}
    whole = [float(np.mean(areas)) for areas in by_seed.values() if len(areas) == len(tables)]
    missing = "" if len(there) == len(tables) else f", {len(tables) - len(there)} tables missing"
    yield CALLED[who]
    yield f"{len(mine)} (seeds {', '.join(map(str, seeds))}{missing})"
    area = np.mean([_mean(runs[who, table], "area") for table in there])
    yield f"{area:.3f}" + (f" ({min(whole):.3f} to {max(whole):.3f})" if len(whole) > 1 else "")
    yield f"{np.mean(by_seed[0]):.3f}" if len(by_seed.get(0, [])) == len(tables) else "–"
    for after in AFTER:
        shares = [np.mean([_share(line, after) for line in runs[who, t]]) for t in there]
        yield f"{np.mean(shares):.3f}"
    yield f"{np.mean([line['query_cpu_s'] for line in mine]):.3f}"


def _against(runs: Runs, tables: list[str], players: list[str]) -> Iterator[str]:
    """Say where Askew stands below the others, seed by seed the same."""
    yield "## Where Askew is below\n"
    for who in players:
        gaps = {}
        for table in tables:
            ours, theirs = (
                {line["seed"]: line["area"] for line in runs.get((name, table), [])}
                for name in ("askew", who)
            )
            both = ours.keys() & theirs.keys()
            if both and who != "askew":
                gaps[table] = float(np.mean([ours[seed] - theirs[seed] for seed in both]))
        if not gaps:
            continue
        far = {table: gap for table, gap in gaps.items() if gap < -BELOW}
        named = ", ".join(
            f"{table} ({gap:+.3f})" for table, gap in sorted(far.items(), key=_second)
        )
        lost = sum(gap < 0 for gap in gaps.values())
        yield (
            f"- {CALLED[who]}: below on {lost} of {len(gaps)} tables, by more than {BELOW} on "
            f"{len(far)}{': ' if far else ''}{named}; mean difference "
            f"{np.mean(list(gaps.values())):+.3f}."
        )


def _second(pair: tuple[str, float]) -> float:
    return pair[1]


def _mean(lines: list[dict[str, Any]], key: str) -> float | None:
    return float(np.mean([line[key] for line in lines])) if lines else None


def _bold(area: float | None, best: float) -> str:
    if area is None:
        return "–"
    return f"**{area:.3f}**" if round(area, 3) == best else f"{area:.3f}"


def _share(line: dict[str, Any], after: int) -> float:
    after = min(after, line["budget"])
    return float(line["found"][after - 1] / min(after, line["anomalies"]))


def _shares(lines: list[dict[str, Any]]) -> str:
    if not lines:
        return "–"
    return " / ".join(f"{np.mean([_share(line, n) for line in lines]):.2f}" for n in AFTER)


def _releases(runs: Runs) -> str:
    found = {
        f"{name} {release}"
        for lines in runs.values()
        for line in lines
        for name, release in (line["releases"] | {"Python": line["python"]}).items()
    }
    return ", ".join(sorted(found))


def _picture(runs: Runs, tables: list[str], players: list[str]) -> str:
    from askew.review.picture import Chart, Curve, draw

    charts = []
    for table in tables:
        found = {
            who: np.mean([line["found"] for line in runs[who, table]], axis=0).round(2).tolist()
            for who in players
            if (who, table) in runs
        }
        # A player that has not run yet keeps its place, so that colors mean the same.
        charts.append(Chart(table, [Curve(CALLED[who], found.get(who, [])) for who in players]))
    return draw(
        charts,
        title="Anomalies found against rows judged",
        x_label="rows judged",
        y_label="anomalies found",
        columns=4,
        size=(270, 200),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--who", default=",".join(name for name in PLAYERS if name != "coniferest"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tables", nargs="+")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "runs" / "active.jsonl")
    parser.add_argument("--report", action="store_true", help="write docs/results/active.md")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.report:
        report(jsonl.read(args.out))
        return
    runs = jsonl.Runs(args.out, ("who", "table", "seed", "version"))
    tables = panel()
    chosen = args.tables or list(names(tables))
    for seed in args.seeds:
        for who in args.who.split(","):
            mine = []
            for name in chosen:
                make = partial(run, who, name, seed, tables)
                key = {"who": who, "table": name, "seed": seed, "version": VERSIONS[who]}
                mine.append(runs.once(make, **key))
            mean = np.mean([line["area"] for line in mine])
            cost = np.mean([line["query_cpu_s"] for line in mine])
            print(
                f"{who:10s} seed {seed}: area {mean:.3f} over {len(mine)} tables; "
                f"{cost:.3f} s of one core a query",
                flush=True,
            )


if __name__ == "__main__":
    main()
