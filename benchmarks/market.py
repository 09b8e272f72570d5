"""300 verdicts on a table of 45,211 rows of text and numbers, from file to ranked file.

Blanks all but 300 of the labels of ../shared/panel/market.csv, runs ``askew rank`` on the file as a
user would, and prints one JSON line a seed: ROC AUC over the blanked rows, and seconds in all::

    make bench-market
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
from sklearn.metrics import roc_auc_score

MARKET = Path(__file__).parent.parent.parent / "shared" / "panel" / "market.csv"
LABELLED = 300
SEEDS = range(5)


def main() -> None:
    if not MARKET.is_file():
        sys.exit(f"{MARKET} is missing: the benchmark needs that table there")
    table = pv.read_csv(MARKET)
    truth = table.column("labels").to_numpy()
    rocs = []
    for seed in SEEDS:
        known = np.random.default_rng(seed).choice(len(truth), LABELLED, replace=False)
        blank = np.full(len(truth), None, dtype=object)
        blank[known] = truth[known]
        with tempfile.TemporaryDirectory() as folder:
            place = table.column_names.index("labels")
            some = table.set_column(place, "labels", pa.array(blank, pa.int64()))
            pv.write_csv(some, f"{folder}/some.csv")
            start = time.perf_counter()
            command = [
                "rank",
                "some.csv",
                "--label",
                "labels",
                "-o",
                "out.csv",
                "--seed",
                str(seed),
            ]
            subprocess.run(
                [sys.executable, "-m", "askew", *command],
                cwd=folder,
                check=True,
                stdout=subprocess.DEVNULL,
            )
            seconds = time.perf_counter() - start
            scores = pv.read_csv(f"{folder}/out.csv").column("askew_score").to_numpy()
        rest = np.ones(len(truth), bool)
        rest[known] = False
        rocs.append(roc_auc_score(truth[rest], scores[rest]))
        line = {"table": "market", "labelled": LABELLED, "seed": seed}
        print(
            json.dumps(line | {"roc": round(rocs[-1], 4), "all_s": round(seconds, 1)}), flush=True
        )
    print(f"mean ROC AUC {np.mean(rocs):.3f} over {len(rocs)} seeds", file=sys.stderr)


if __name__ == "__main__":
    main()
