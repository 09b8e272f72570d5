"""Each method beside its namesake in DeepOD and PyOD, over the real tables of ../shared/panel.

Library defaults on both sides, one thread; one JSON line a run, resumable::

    make bench-methods
    python benchmarks/methods.py --who askew.DeepSAD,deepod.DeepSAD --seeds 0 --tables 18_Ionosphere

DeepOD takes 0 for "unlabelled" and 1 for "anomaly"; PyOD's unsupervised models see no label.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from quality import LEFT_OUT, ROOT, panel
from sklearn.metrics import average_precision_score, roc_auc_score

VERSION = 1  # raise when a method of ours changes, so that old lines are not taken for new ones
CHANCE = {"ap": 0.1, "roc": 0.5}  # what a failed run counts as

# Ours, and the namesakes that it is measured against.
NAMESAKES = {
    "Reconstruct": ("pyod.AutoEncoder",),
    "VAE": ("pyod.VAE",),
    "DeepSVDD": ("deepod.DeepSVDD", "pyod.DeepSVDD"),
    "DeepSAD": ("deepod.DeepSAD",),
    "DevNet": ("deepod.DevNet", "pyod.DevNet"),
    "PReNet": ("deepod.PReNet",),
    "RoSAS": ("deepod.RoSAS",),
    "FEAWAD": ("deepod.FeaWAD",),
}
UNSUPERVISED = ("pyod.AutoEncoder", "pyod.VAE", "pyod.DeepSVDD", "deepod.DeepSVDD")


def ours(name: str, seed: int) -> Callable[[Any, Any], Any]:
    from askew.deep import METHODS, Detector

    return Detector(METHODS[name](), random_state=seed).fit


def deepod(name: str, seed: int) -> Callable[[Any, Any], Any]:
    import deepod.models.tabular as models

    model = getattr(models, name)(device="cpu", verbose=0, random_state=seed)

    def fit(X: Any, y: Any) -> Any:
        return model.fit(X) if name == "DeepSVDD" else model.fit(X, (y == 1).astype(int))

    return fit


def pyod(name: str, seed: int) -> Callable[[Any, Any], Any]:
    from importlib import import_module

    file = {"AutoEncoder": "auto_encoder", "DeepSVDD": "deep_svdd"}.get(name, name.lower())
    kind = getattr(import_module(f"pyod.models.{file}"), name)

    def fit(X: Any, y: Any) -> Any:
        if name == "DevNet":
            return kind(random_seed=seed).fit(X, (y == 1).astype(int))
        if name == "DeepSVDD":
            return kind(n_features=X.shape[1], random_state=seed, verbose=0).fit(X)
        return kind(random_state=seed, verbose=0).fit(X)

    return fit


def run(who: str, table: str, seed: int, tables: Any) -> dict[str, Any]:
    split = tables.split(table, seed=seed, ratio=0.05)
    library, name = who.split(".")
    line: dict[str, Any] = {"who": who, "table": table, "seed": seed, "version": VERSION}
    line |= {"release": version(library)}
    try:
        make = {"askew": ours, "deepod": deepod, "pyod": pyod}[library]
        start = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            model = make(name, seed)(split.X_train, split.y_train)
            line["fit_cpu_s"] = round(time.process_time() - start, 3)
            start = time.process_time()
            scores = np.asarray(model.decision_function(split.X_test), np.float64).ravel()
        line["score_cpu_s"] = round(time.process_time() - start, 3)
        line["roc"] = round(float(roc_auc_score(split.y_test, scores)), 5)
        line["ap"] = round(float(average_precision_score(split.y_test, scores)), 5)
        line["error"] = None
    except Exception as e:  # whatever a peer raises is a result of this benchmark
        line |= CHANCE | {"error": f"{type(e).__name__}: {e}"[:200]}
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    everyone = [f"askew.{name}" for name in NAMESAKES]
    everyone += [peer for peers in NAMESAKES.values() for peer in peers]
    parser.add_argument("--who", default=",".join(everyone))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tables", nargs="+")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "runs" / "methods.jsonl")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    tables = panel()
    names = args.tables or [name for name in tables.names() if name != LEFT_OUT]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.loads(t) for t in args.out.read_text().splitlines()] if args.out.exists() else []
    keys = ("who", "table", "seed", "version")
    done = {tuple(line[k] for k in keys): line for line in lines}
    with args.out.open("a") as out:
        for seed in args.seeds:
            for who in args.who.split(","):
                mine = []
                for name in names:
                    key = (who, name, seed, VERSION)
                    if key not in done:
                        done[key] = run(who, name, seed, tables)
                        print(json.dumps(done[key]), file=out, flush=True)
                    mine.append(done[key])
                ap, roc, cpu = (
                    np.mean([line[k] for line in mine if k in line])
                    for k in ("ap", "roc", "fit_cpu_s")
                )
                failed = sum(line["error"] is not None for line in mine)
                print(
                    f"{who:18s} seed {seed}: average precision {ap:.3f}, ROC AUC {roc:.3f} over "
                    f"{len(names)} tables ({failed} failed); fit {cpu:.1f} s on average",
                    flush=True,
                )


if __name__ == "__main__":
    main()
