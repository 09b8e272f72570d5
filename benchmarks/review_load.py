"""Several reviewers judge at one page while it refits: how long each waits for the next card.

One server of ``askew review --users`` on a table of mixed columns. Each reviewer is signed in, has
a connection of their own, sends the page's own form, thinks a while and asks for the rail's figures
every two seconds as the page does. What counts is the time from a verdict being sent to the next
card being there whole. One JSON line a run; it fails where the store does not hold exactly what was
acknowledged, or where two judged one row::

    make bench-review
    python benchmarks/review_load.py --rows 100000 --reviewers 8 --seconds 120 --think 1
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
from review_server import Server, Visitor, free_port, serving

from askew.review.store import open_store
from askew.review.web.users import Hash, write_users

_POLL = 2.0  # seconds: how often the page asks for the rail's figures
_ODD = 200  # one row of so many stands out
_PASSPHRASE = "for this benchmark only"


@dataclass
class Judged:
    """What a reviewer said and how long each next card took.

    Parameters
    ----------
    said
        Acknowledged: reviewer, key and verdict.
    waits, polls
        Seconds.
    """

    said: list[tuple[str, str, str]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    polls: list[float] = field(default_factory=list)


def write_table(path: Path, rows: int, columns: int) -> None:
    """Write numbers, categories, dates and text; every 200th row is odd in three numbers."""
    rng = np.random.default_rng(0)
    n_numbers = columns - 5
    x = rng.normal(size=(rows, n_numbers))
    x[::_ODD, :3] += 4
    table = pd.DataFrame(x.round(4), columns=[f"number {i}" for i in range(n_numbers)])
    for i, size in enumerate((3, 12, 40)):
        table[f"category {i}"] = rng.choice([f"kind {k}" for k in range(size)], rows)
    table["booked"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(
        rng.integers(0, 90 * 24 * 60, rows), unit="min"
    )
    table["purpose"] = [f"order {k} of goods" for k in rng.integers(0, 10**6, rows)]
    table.index = pd.Index([f"row-{i}" for i in range(rows)], name="id")
    table.to_csv(path)


def judge(port: int, name: str, think: float, end: float) -> Judged:
    """Sign in, and judge as an expert would until ``time.monotonic()`` is ``end``."""
    rng, visitor, told = random.Random(name), Visitor(port, {}), Judged()
    form = {"name": name, "passphrase": _PASSPHRASE}
    visitor.send("/sign-in", form | {"csrf": _field(visitor.open("/sign-in"), "csrf")})
    page = visitor.open("/")
    while time.monotonic() < end:
        _think(visitor, page, think * rng.uniform(0.5, 1.5), told)
        key = unquote(_field(page, "key"))
        verdict = "normal" if int(key.partition("-")[2]) % _ODD else "anomaly"
        given = {"csrf": _field(page, "csrf"), "key": quote(key, safe=""), "verdict": verdict}
        start = time.perf_counter()
        page = visitor.send("/judge", given)
        told.waits.append(time.perf_counter() - start)
        told.said.append((name, key, verdict))
    visitor.close()
    return told


def _think(visitor: Visitor, page: str, seconds: float, told: Judged) -> None:
    """Let time go by, with the page's polling; it begins anew with every card."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _POLL))
        if left > _POLL:
            start = time.perf_counter()
            visitor.open(_found(page, r'hx-get="(/state[^"]*)"'))
            told.polls.append(time.perf_counter() - start)


def _field(page: str, name: str) -> str:
    return _found(page, rf'name="{name}" value="([^"]*)"')


def _found(page: str, pattern: str) -> str:
    found = re.search(pattern, page)
    if found is None:
        raise RuntimeError(f"{pattern} is not in {page[:500]}")
    return found[1]


def run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Serve, judge, stop, and compare what was said with what is kept."""
    table, place, users = folder / "payments.csv", folder / "verdicts.db", folder / "users"
    write_table(table, options.rows, options.columns)
    names = [f"reviewer {i}" for i in range(options.reviewers)]
    known = Hash.of(_PASSPHRASE)
    write_users(users, dict.fromkeys(names, known))
    begun = time.perf_counter()
    port = free_port()
    with serving(table, port, "--store", str(place), "--users", str(users)) as server:
        Visitor(port, {}).wait(server)
        opened, before = time.perf_counter() - begun, _used(server)
        end = time.monotonic() + options.seconds
        with ThreadPoolExecutor(len(names)) as crowd:
            done = [crowd.submit(judge, port, name, options.think, end) for name in names]
        try:
            told = [one.result() for one in done]
        except RuntimeError as error:
            raise RuntimeError(f"{error}\nThe server said: {server.said.read_text()}") from error
        used = _used(server)
        server.process.send_signal(signal.SIGINT)
        server.process.wait(60)
        said_so = server.said.read_text()
    with open_store(place) as store:
        lines = store.lines()
    said = Counter(one for judged in told for one in judged.said)
    kept = Counter((line.reviewer, line.key, str(line.verdict)) for line in lines)
    judges = Counter(key for _, key, _ in kept)
    return {
        "run": "crowd at the page",
        "rows": options.rows,
        "columns": options.columns,
        "reviewers": len(names),
        "seconds": options.seconds,
        "think_s": options.think,
        "acknowledged": said.total(),
        "stored": len(lines),
        "lost": len(said - kept),
        "unsaid": len(kept - said),
        "judged_twice": sorted(key for key, n in judges.items() if n > 1),
        "errors": said_so.splitlines(),
        "next_card_ms": _spread([wait for judged in told for wait in judged.waits]),
        "poll_ms": _spread([wait for judged in told for wait in judged.polls]),
        "rankings": len({line.model for line in lines}),
        "open_s": round(opened, 2),
        "cpu_s": round(used["cpu_s"] - before["cpu_s"], 1),
        "peak_mib": used["peak_mib"],
        "load": [round(one, 1) for one in os.getloadavg()],
    }


def _spread(seconds: list[float]) -> dict[str, float]:
    if len(seconds) < 2:
        return {}
    cuts = quantiles(seconds, n=100, method="inclusive")
    found = {"median": median(seconds), "p95": cuts[94], "p99": cuts[98], "max": max(seconds)}
    return {name: round(value * 1e3, 1) for name, value in found.items()}


def _used(server: Server) -> dict[str, Any]:
    """Read what the server has taken so far; Linux alone tells it so."""
    about = Path(f"/proc/{server.process.pid}")
    ticks = about.joinpath("stat").read_text().rpartition(")")[2].split()[11:13]
    peak = re.search(r"VmHWM:\s+(\d+)", about.joinpath("status").read_text())
    return {
        "cpu_s": sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"),
        "peak_mib": 0 if peak is None else int(peak[1]) // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--reviewers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--think", type=float, default=1.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = run(Path(folder), options)
    print(json.dumps(told), flush=True)
    sys.exit(bool(told["lost"] or told["unsaid"] or told["judged_twice"] or told["errors"]))


if __name__ == "__main__":
    main()
