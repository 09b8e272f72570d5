"""How long a reviewer waits: for a durable verdict, a refit and the next question; JSON lines.

::

    make bench-loop
    python benchmarks/loop.py --rows 10000 100000 1000000 --verdicts 20

A table of Gaussian columns in which a two-hundredth of the rows is shifted in three; one thread.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from askew.review.session import Session
from askew.review.store import open_store


def run(rows: int, columns: int, verdicts: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, columns)).astype(np.float32)
    odd = max(10, rows // 200)
    x[:odd, :3] += 3
    table = pd.DataFrame(x, columns=[f"c{i}" for i in range(columns)])
    del x
    took: dict[str, list[float]] = {"ask": [], "tell": [], "refit": [], "refit_and_ask": []}
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "v.db") as store:
        start = time.perf_counter()
        with Session(table, store) as session:
            session.refit()
            opened = time.perf_counter() - start
            for _ in range(verdicts):
                clock = [time.perf_counter()]
                (card,) = session.ask()
                clock.append(time.perf_counter())
                session.tell({card.key: "anomaly" if card.row < odd else "normal"})
                clock.append(time.perf_counter())
                session.refit()
                clock.append(time.perf_counter())
                ask, tell, refit = np.diff(clock)
                for name, value in zip(took, (ask, tell, refit, refit + ask), strict=True):
                    took[name].append(float(value))
    return {
        "rows": rows,
        "columns": columns,
        "verdicts": verdicts,
        "open_s": round(opened, 3),
        **{f"{name}_s": round(float(np.median(values)), 4) for name, values in took.items()},
        **{f"{name}_max_s": round(max(values), 4) for name, values in took.items()},
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--columns", type=int, default=40)
    parser.add_argument("--verdicts", type=int, default=20)
    args = parser.parse_args()
    for rows in args.rows:
        print(json.dumps(run(rows, args.columns, args.verdicts)), flush=True)


if __name__ == "__main__":
    main()
