"""Rankers over the real tables of ../shared/panel, one JSON line a run; resumable.

::

    make bench-quality
    python benchmarks/quality.py --setting ratio0.05 --seeds 0 --who askew,logreg,deepsad,iforest

A run that stands in the output already (same ranker, table, setting, seed and version) is not
repeated. The mean leaves out ``smtp``, whose test part holds no anomaly at seed 0.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

ROOT = Path(__file__).parent.parent
PANEL = ROOT.parent / "shared" / "panel" / "panel.py"
LEFT_OUT = "smtp"
VERSION = 1  # raise when a ranker changes, so that old lines are not taken for new ones


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


def askew(seed: int) -> Any:
    from askew import Askew

    return Askew(random_state=seed)


def blend(seed: int) -> Any:
    from askew.rankers import Blend

    return Blend(random_state=seed)


def deepsad(seed: int) -> Any:
    from askew.deep import DeepSAD, Detector

    return Detector(DeepSAD(), random_state=seed)


def logreg(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return Unlabelled(LogisticRegression(class_weight="balanced", max_iter=1000))


def iforest(seed: int) -> Any:
    from askew.rankers import IsolationTrees

    return IsolationTrees(random_state=seed)


class Unlabelled:
    """A classifier that takes rows not looked at as normal."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def fit(self, X: Any, y: Any) -> Any:
        self.model.fit(X, y == 1)
        return self

    def decision_function(self, X: Any) -> Any:
        return self.model.decision_function(X)


WHO: dict[str, Callable[[int], Any]] = {
    make.__name__: make for make in (askew, blend, deepsad, logreg, iforest)
}


def run(who: str, table: str, setting: str, seed: int, tables: Any) -> dict[str, Any]:
    kind = "ratio" if setting.startswith("ratio") else "count"
    value = float(setting[5:]) if kind == "ratio" else int(setting[5:])
    split = tables.split(table, seed=seed, **{kind: value})
    start = time.perf_counter()
    model = WHO[who](seed).fit(split.X_train, split.y_train)
    fitted = time.perf_counter()
    scores = model.decision_function(split.X_test)
    scored = time.perf_counter()
    one_kind = len(np.unique(split.y_test)) < 2
    return {
        "who": who,
        "table": table,
        "setting": setting,
        "seed": seed,
        "version": VERSION,
        "roc": None if one_kind else round(float(roc_auc_score(split.y_test, scores)), 5),
        "ap": None if one_kind else round(float(average_precision_score(split.y_test, scores)), 5),
        "fit_s": round(fitted - start, 4),
        "score_s": round(scored - fitted, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--who", default="askew")
    parser.add_argument("--setting", default="ratio0.05", help="ratio0.05, count5, ...")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--tables", nargs="+")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "runs" / "quality.jsonl")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    tables = panel()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.loads(t) for t in args.out.read_text().splitlines()] if args.out.exists() else []
    keys = ("who", "table", "setting", "seed", "version")
    done = {tuple(line[k] for k in keys): line for line in lines}
    names = args.tables or [name for name in tables.names() if name != LEFT_OUT]
    with args.out.open("a") as out:
        for who in args.who.split(","):
            mine = []
            for seed in args.seeds:
                for name in names:
                    key = (who, name, args.setting, seed, VERSION)
                    if key not in done:
                        done[key] = run(who, name, args.setting, seed, tables)
                        print(json.dumps(done[key]), file=out, flush=True)
                    mine.append(done[key])
            ap, roc = (np.mean([line[k] for line in mine]) for k in ("ap", "roc"))
            fit = np.median([line["fit_s"] for line in mine])
            print(
                f"{who:8s} {args.setting} seeds {args.seeds}: average precision {ap:.3f}, ROC AUC "
                f"{roc:.3f} over {len(names)} tables; fit {fit:.2f} s in the median",
                flush=True,
            )


if __name__ == "__main__":
    main()
