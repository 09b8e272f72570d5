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
import json
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from quality import ROOT, panel

VERSION = 1  # raise when a player changes, so that old lines are not taken for new ones
MOST_ROWS, MOST_COLUMNS = 5_000, 600
BUDGET = 100
AFTER = (20, 60, 100)
BELOW = 0.05  # more than this below the isolation forest is told

Scorer = Callable[[NDArray[np.int8]], NDArray[np.floating]]


def askew(x: NDArray[np.float32], y: NDArray[np.int8], budget: int, seed: int) -> NDArray[Any]:
    from askew.review import simulate

    return simulate(x, y, budget=budget, random_state=seed).found


def iforest(x: NDArray[np.float32], y: NDArray[np.int8], budget: int, seed: int) -> NDArray[Any]:
    scores = _forest(x, seed)
    return _ask(y, budget, seed, lambda label: scores)


def random(x: NDArray[np.float32], y: NDArray[np.int8], budget: int, seed: int) -> NDArray[Any]:
    return np.arange(1, budget + 1) * y.mean()  # what chance finds on average


def rforest(x: NDArray[np.float32], y: NDArray[np.int8], budget: int, seed: int) -> NDArray[Any]:
    """Ask what a random forest on the judged rows votes for; equal votes by the isolation forest.

    Until both kinds are known the isolation forest asks alone.
    """
    from scipy.stats import rankdata
    from sklearn.ensemble import RandomForestClassifier

    before = rankdata(_forest(x, seed)) / len(x)

    def scores(label: NDArray[np.int8]) -> NDArray[np.floating]:
        judged = label >= 0
        if len(np.unique(label[judged])) < 2:
            return before
        forest = RandomForestClassifier(random_state=seed).fit(x[judged], label[judged])
        votes: NDArray[np.floating] = forest.predict_proba(x)[:, 1]
        return votes + 1e-6 * before

    return _ask(y, budget, seed, scores)


def aad(x: NDArray[np.float32], y: NDArray[np.int8], budget: int, seed: int) -> NDArray[Any]:
    """Weigh an isolation forest's leaves by verdicts.

    Source: Das, Wong, Dietterich, Fern and Emmott, "Incorporating expert feedback into active
    anomaly discovery", ICDM 2016; the same authors in 2017 for leaves of an isolation forest.
    A row's score is ``w z``, with z one over the path length in the leaf it falls into, of unit
    length. After each verdict ``w`` minimises ``|w - u|^2 / 2`` plus the mean hinge loss of the
    anomalies below, and of the normals above, ``q``: the score that 3 % of the rows exceed under
    the weights before. ``u`` weighs all leaves alike. Settings of ad_examples: 100 trees of 256
    rows, 3 %, both kinds weighing the same, ``w`` brought to unit length.
    """
    from askew.rankers.isolation_trees import isolation_trees

    trees = isolation_trees(x, 100, 256, seed)
    leaves = trees.leaves(x)
    z = 1 / trees.value[leaves]
    z /= np.linalg.norm(z, axis=1, keepdims=True)
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
    leaves: NDArray[np.int32],
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
    from coniferest.aadforest import AADForest

    model = AADForest(random_seed=seed, n_jobs=1)

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

    return IsolationTrees(random_state=seed).fit(x).decision_function(x)


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
    line = {"who": who, "table": table, "seed": seed, "version": VERSION}
    line |= {"rows": len(y), "columns": x.shape[1], "anomalies": int(y.sum()), "budget": budget}
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--who", default=",".join(name for name in PLAYERS if name != "coniferest"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tables", nargs="+")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "runs" / "active.jsonl")
    parser.add_argument("--report", action="store_true", help="write docs/results/active.md")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.loads(t) for t in args.out.read_text().splitlines()] if args.out.exists() else []
    keys = ("who", "table", "seed", "version")
    done = {tuple(line[k] for k in keys): line for line in lines}
    if args.report:
        return
    tables = panel()
    chosen = args.tables or list(names(tables))
    with args.out.open("a") as out:
        for seed in args.seeds:
            for who in args.who.split(","):
                mine = []
                for name in chosen:
                    key = (who, name, seed, VERSION)
                    if key not in done:
                        done[key] = run(who, name, seed, tables)
                        print(json.dumps(done[key]), file=out, flush=True)
                    mine.append(done[key])
                mean = np.mean([line["area"] for line in mine])
                cost = np.mean([line["query_cpu_s"] for line in mine])
                print(
                    f"{who:10s} seed {seed}: area {mean:.3f} over {len(mine)} tables; "
                    f"{cost:.3f} s of one core a query",
                    flush=True,
                )


if __name__ == "__main__":
    main()
