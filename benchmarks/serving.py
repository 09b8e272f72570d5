"""Score rows over HTTP: one row, a thousand, and sixteen callers at once.

Fits the default on a table of numbers, serves it on a free port of this machine in a process of
its own and asks over the network's stack. One JSON line a run::

    make bench-serving
    python benchmarks/serving.py --rows 10000 --columns 20 --clients 16 --seconds 10
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd

from askew import Askew


def table(rows: int, columns: int, seed: int) -> pd.DataFrame:
    """Draw rows near a plane, one in a hundred off it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 5)) @ rng.normal(size=(5, columns))
    x += 0.3 * rng.normal(size=x.shape)
    x[::100] += 3 * rng.normal(size=x[::100].shape)
    return pd.DataFrame(x, columns=[f"c{i}" for i in range(columns)])


def called(
    ask: Callable[[httpx.Client], None], address: str, seconds: float, n: int
) -> list[float]:
    """Ask from ``n`` clients for a while, each again as soon as it has its reply."""
    ends = time.perf_counter() + seconds

    def client() -> list[float]:
        took: list[float] = []
        with httpx.Client(base_url=address, timeout=60) as http:
            ask(http)
            while (began := time.perf_counter()) < ends:
                ask(http)
                took.append(time.perf_counter() - began)
        return took

    with ThreadPoolExecutor(n) as pool:
        clients = [pool.submit(client) for _ in range(n)]
        return [one for each in clients for one in each.result()]


def asking(rows: list[dict[str, Any]], reasons: int) -> Callable[[httpx.Client], None]:
    body = json.dumps({"rows": rows}).encode()

    def ask(http: httpx.Client) -> None:
        headers = {"content-type": "application/json"}
        reply = http.post(f"/api/score?reasons={reasons}", content=body, headers=headers)
        assert reply.status_code == 200, reply.text

    return ask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    frame = table(args.rows, args.columns, args.seed)
    rows: list[dict[str, Any]] = frame.to_dict("records")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.askew"
        Askew(random_state=args.seed).fit(frame).save(path)
        with subprocess.Popen(
            [sys.executable, "-m", "askew", "serve", str(path), "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        ) as server:
            try:
                assert server.stdout is not None
                server.stdout.readline()
                address = re.findall(r"http://[\d.:]+", server.stdout.readline())[0]
                for n_rows, n_clients, reasons in (
                    (1, 1, 0),
                    (1, 1, 3),
                    (1000, 1, 0),
                    (1000, 1, 3),
                    (1, args.clients, 0),
                    (1, args.clients, 3),
                ):
                    took = called(asking(rows[:n_rows], reasons), address, args.seconds, n_clients)
                    ms = 1000 * np.array(took)
                    line = {
                        "rows": n_rows,
                        "clients": n_clients,
                        "reasons": reasons,
                        "requests": len(took),
                        "ms_p50": round(float(np.quantile(ms, 0.5)), 2),
                        "ms_p95": round(float(np.quantile(ms, 0.95)), 2),
                        "requests_per_s": round(n_clients * len(ms) / (ms.sum() / 1000), 1),
                        "rows_per_s": round(n_rows * n_clients * len(ms) / (ms.sum() / 1000)),
                        "table": [args.rows, args.columns],
                    }
                    print(json.dumps(line), flush=True)
            finally:
                server.terminate()


if __name__ == "__main__":
    main()
