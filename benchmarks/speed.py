"""Fit and score Deep SAD beside DeepOD's, on the same net, epochs and batch, in turn.

One JSON line a run on standard output, a summary of medians and ratios on standard error::

    make bench                              # in its own environment
    python benchmarks/speed.py --repeats 5 --members 8
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

HIDDEN = (128, 64, 32)
BATCH = 128
LEARNING_RATE = 1e-3

Array = NDArray[np.float32]


def table(rows: int, columns: int, seed: int) -> tuple[Array, NDArray[np.int64], NDArray[np.bool_]]:
    """Draw rows in [0, 1] near a plane, 5 % of them off it, of which one in ten is labelled."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 6)) @ rng.normal(size=(6, columns))
    x += 0.3 * rng.normal(size=x.shape)
    odd = rng.random(rows) < 0.05
    x[odd] += 1.5 * rng.normal(size=(int(odd.sum()), columns))
    x = (x - x.min(0)) / np.ptp(x, axis=0)
    y = np.full(rows, -1)
    y[np.flatnonzero(odd)[::10]] = 1
    return x.astype(np.float32), y, odd


def ours(members: int, epochs: int, seed: int) -> Any:
    from askew.deep import DeepSAD, Detector

    method = DeepSAD(hidden=HIDDEN, batch_norm=False, pretrain=False, balanced=True)
    return Detector(
        method,
        members=members,
        epochs=epochs,
        batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        weight_decay=1e-6,
        random_state=seed,
        device="cpu",
    )


def theirs(epochs: int, seed: int) -> Any:
    from deepod.models.tabular import DeepSAD

    return DeepSAD(
        epochs=epochs,
        batch_size=BATCH,
        lr=LEARNING_RATE,
        hidden_dims=",".join(map(str, HIDDEN[:-1])),
        rep_dim=HIDDEN[-1],
        act="LeakyReLU",
        device="cpu",
        verbose=0,
        random_state=seed,
    )


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def run(who: str, model: Any, members: int, args: argparse.Namespace, seed: int) -> dict[str, Any]:
    x, y, odd = table(args.rows, args.columns, seed)
    fit = timed(lambda: model.fit(x, y if who == "askew" else (y == 1).astype(int)))
    big = np.tile(x, (-(-args.scored // len(x)), 1))[: args.scored]
    score = timed(lambda: model.decision_function(big))
    roc = roc_auc_score(odd[y != 1], model.decision_function(x)[y != 1])
    steps = -(-args.rows // BATCH) * args.epochs
    return {
        "who": who,
        "members": members,
        "rows": args.rows,
        "columns": args.columns,
        "epochs": args.epochs,
        "seed": seed,
        "fit_s": round(fit, 4),
        "fit_s_per_member": round(fit / members, 4),
        "us_per_member_step": round(fit / members / steps * 1e6, 1),
        "scored_rows_per_s_per_member": round(args.scored * members / score),
        "roc": round(float(roc), 4),
        "torch": torch.__version__,
    }


def summary(lines: list[dict[str, Any]]) -> str:
    def middle(key: str, who: str, members: int) -> float:
        mine = [line for line in lines if (line["who"], line["members"]) == (who, members)]
        return float(statistics.median(line[key] for line in mine))

    said = []
    kinds = sorted({(line["who"], line["members"]) for line in lines})
    for who, members in kinds:
        fit, speed, roc = (
            middle(key, who, members)
            for key in ("fit_s_per_member", "scored_rows_per_s_per_member", "roc")
        )
        said.append(
            f"{who} x{members}: fit {fit:.3f} s a member, scores {speed:,.0f} rows/s a member, "
            f"ROC AUC {roc:.3f}"
        )
        if who == "askew":
            pairs = [
                (a[key], b[key])
                for key in ("fit_s_per_member",)
                for a in lines
                for b in lines
                if a["who"] == "deepod" and b["who"] == "askew"
                if b["members"] == members and a["seed"] == b["seed"]
            ]
            ratios = sorted(a / b for a, b in pairs)
            faster = speed / middle("scored_rows_per_s_per_member", "deepod", 1)
            said.append(
                f"  over DeepOD: fit {statistics.median(ratios):.2f} times as fast a member "
                f"({ratios[0]:.2f} to {ratios[-1]:.2f}), scoring {faster:.1f} times"
            )
    return "\n".join(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--columns", type=int, default=36)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--scored", type=int, default=200_000)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for model in (ours(1, 1, 0), theirs(1, 0)):  # imports and caches, not counted
        x, y, _ = table(500, args.columns, 0)
        model.fit(x, np.where(y == 1, 1, 0 if "deepod" in type(model).__module__ else -1))
    lines = []
    for seed in range(args.repeats):
        models = [("deepod", theirs(args.epochs, seed), 1)]
        models += [("askew", ours(k, args.epochs, seed), k) for k in args.members]
        for who, model, members in models:
            lines.append(run(who, model, members, args, seed))
            print(json.dumps(lines[-1]), flush=True)
    print(summary(lines), file=sys.stderr)


if __name__ == "__main__":
    main()
