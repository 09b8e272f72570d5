"""The default and some peers on tables that are not in the panel, split and labelled as it does.

The tables come with scikit-learn: in each a class is the anomaly, of which a few rows are kept::

    make bench-outside
    .venv-bench/bin/python benchmarks/outside.py --report     # docs/results/outside.md

Nothing is chosen by these figures. One JSON line a run, resumable.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import jsonl
import numpy as np
import quality
from numpy.typing import NDArray
from sklearn import datasets

RUNS = quality.RUNS.with_name("outside.jsonl")
REPORT = quality.ROOT / "docs" / "results" / "outside.md"
KEPT = 0.06  # anomalies among the rows
PLAYERS = ("askew", "sk.IsolationForest", "sk.LogReg", "sk.RandomForest", "catboost")
SETTINGS = ("none", "count5", "ratio0.10")
SAID = {"none": "none", "count5": "exactly 5", "ratio0.10": "10 %"}
KEYS = ("who", "table", "setting", "seed", "version")

Table = tuple[NDArray[np.float64], NDArray[np.int64]]


def outside() -> dict[str, Table]:
    """Give each table, (n, d) and 1 for an anomaly (n,)."""
    found: dict[str, Table] = {}
    for name in ("digits", "breast_cancer", "wine", "iris"):
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        for one in np.unique(y):
            normal, odd = np.flatnonzero(y != one), np.flatnonzero(y == one)
            count = min(len(odd), max(10, round(KEPT * len(normal))))
            rows = np.r_[normal, np.random.default_rng(0).permutation(odd)[:count]]
            found[f"{name}: {one}"] = X[rows], (y[rows] == one).astype(np.int64)
    return found


def tables() -> Any:
    """Give the panel's module with these tables in the place of its own."""
    module, drawn = quality.panel(), outside()
    module.load = lambda name, data: drawn[name]
    module.names = lambda: list(drawn)
    return module


def report(lines: list[jsonl.Line]) -> str:
    """Write the page from the runs that stand."""
    drawn = outside()
    least, most = (f"{n:,}" for n in np.sort([len(y) for _, y in drawn.values()])[[0, -1]])
    parts = [
        "# On tables that are not in the panel",
        "",
        "Written by `make bench-outside` (the runs: `benchmarks/runs/outside.jsonl`).",
        "",
        f"{len(drawn)} tables of {least} to {most} rows, from scikit-learn's four sets of classes:",
        "each class in turn is the anomaly; of it as many rows are kept as are",
        f"{KEPT:.0%} of the others, ten at least. They are split, scaled and labelled as those",
        "of the panel. Nothing was chosen by them. Average precision / ROC AUC of the test part,",
        "means over tables and seeds 0, 1 and 2. A class in the middle of the others is found by",
        "nobody without labels.",
        "",
        "| labelled anomalies | " + " | ".join(PLAYERS) + " |",
        "| --- |" + " --- |" * len(PLAYERS),
    ]
    for setting in SETTINGS:
        cells = []
        for who in PLAYERS:
            version = quality.VERSIONS[who]
            mine = [
                (line["ap"], line["roc"])
                for line in lines
                if (line["who"], line["setting"], line["version"]) == (who, setting, version)
            ]
            ap, roc = np.mean(mine, axis=0) if mine else (np.nan, np.nan)
            cells.append(f"{ap:.3f} / {roc:.3f}" if mine else "–")
        parts.append(f"| {SAID[setting]} | {' | '.join(cells)} |")
    return "\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true", help="write docs/results/outside.md")
    args = parser.parse_args()
    runs = jsonl.Runs(RUNS, KEYS)
    if args.report:
        REPORT.write_text(report(runs.lines), encoding="utf-8")
        return
    module = tables()
    for who in PLAYERS:
        for setting in SETTINGS:
            for table in module.names() if quality.plays(who, setting) else ():
                for seed in quality.SEEDS:
                    key = {"who": who, "table": table, "setting": setting, "seed": seed}
                    make = partial(quality.run, who, table, setting, seed, module)
                    runs.once(make, **key, version=quality.VERSIONS[who])
        print(who, flush=True)


if __name__ == "__main__":
    main()
