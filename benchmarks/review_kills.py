"""The server of the review page is killed again and again while somebody judges; one JSON line.

Every verdict that was acknowledged over HTTP, and every undo, must stand in the store and on the
page that is started next, in order and once; besides them at most the one that was on its way. The
rows that the killed server had asked stay with their reviewer::

    python benchmarks/review_kills.py --rounds 50
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from threading import Event, Thread

import numpy as np
import pandas as pd
from review_server import GONE, Server, Visitor, free_port, serving

from askew.review.store import open_store
from askew.review.verdicts import Question

# A server is killed while it starts, or while somebody judges: shares and seconds.
_WHILE_STARTING, _STARTING, _JUDGING = 0.2, 3.0, 1.5
_FIRST_REPLY = 60.0  # seconds in which it comes on the busiest machine
_UNDONE = 0.2
_ROWS, _ROUNDS_A_STORE = 600, 10

Step = tuple[str | None, str]  # what was said, None for an undo; of which row


@dataclass
class Killed:
    """What became of acknowledged steps after the server was killed.

    Parameters
    ----------
    rounds, early
        How many kills, and how many of them while the server started.
    acknowledged, undone
        Verdicts, and undoes.
    on_the_way
        Steps that were written, but whose reply never came.
    faults
        In words; none should be there.
    start_s, seconds
        Median from the start of a server to its first card; the whole run.
    """

    rounds: int = 0
    early: int = 0
    acknowledged: int = 0
    undone: int = 0
    on_the_way: int = 0
    faults: list[str] = field(default_factory=list)
    start_s: float = 0.0
    seconds: float = 0.0


def kill(folder: Path, rounds: int, seed: int = 0) -> Killed:
    """Kill a server `rounds` times; every tenth round begins with a new store."""
    rng, told, begun = random.Random(seed), Killed(), time.perf_counter()
    table, place = folder / "payments.csv", ""
    write_table(table)
    known: list[Step] = []
    starts = []
    for number in range(rounds):
        if number % _ROUNDS_A_STORE == 0:
            place, known = str(folder / f"{number}.db"), []
        early = rng.random() < _WHILE_STARTING
        options = ("--store", place, "--reviewer", "ana")
        start = time.perf_counter()
        with serving(table, free_port(), *options) as server:
            judge = Judge(server, random.Random(rng.random()))
            if early:
                time.sleep(rng.uniform(0, _STARTING))
            else:
                judge.begin(known)
                starts.append(time.perf_counter() - start)
                worker = Thread(target=judge.go_on)
                worker.start()
                judge.heard.wait(_FIRST_REPLY)
                time.sleep(rng.uniform(0, _JUDGING))
            server.process.kill()
            if server.process.wait() != -signal.SIGKILL:
                judge.faults.append(f"the server ended by itself: {server.said.read_text()}")
        if not early:
            worker.join()
        there = steps_in(place)
        judge.faults += strays(there[len(known) :], judge)
        if there[: len(known)] != known:
            judge.faults.append("what stood there before has changed")
        if not early:
            judge.faults += given_away(place, standing(there), judge.card)
        told.on_the_way += len(there) - len(known) - len(judge.said)
        known = there
        told.rounds += 1
        told.early += early
        told.acknowledged += sum(verdict is not None for verdict, _ in judge.said)
        told.undone += sum(verdict is None for verdict, _ in judge.said)
        told.faults += [f"round {number}: {fault}" for fault in judge.faults]
    told.start_s = round(median(starts), 2) if starts else 0.0
    told.seconds = round(time.perf_counter() - begun, 1)
    return told


def write_table(path: Path, rows: int = _ROWS) -> None:
    """Write a table of three columns and a key, in which every twentieth row stands out."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 2))
    x[::20] += 4
    table = pd.DataFrame(x.round(3), columns=["amount", "items"])
    table["country"] = rng.choice(["DE", "FR", "IT"], rows)
    table.index = pd.Index([f"tx-{i:04d}" for i in range(rows)], name="id")
    table.to_csv(path)


class Judge:
    """One who judges over the API as fast as it goes, and notes what was acknowledged.

    Parameters
    ----------
    server
        Which is asked.
    rng
        Decides what is said.
    """

    def __init__(self, server: Server, rng: random.Random) -> None:
        self._server, self._rng = server, rng
        self._visitor = Visitor(server.port)
        self.said: list[Step] = []
        self.sent: Step | None = None  # on its way
        self.heard = Event()  # something was acknowledged, or nothing more will be
        self.card: str | None = None
        self.faults: list[str] = []

    def begin(self, known: list[Step]) -> None:
        """Wait for the server, compare what it shows with what is known, and take a card."""
        self._visitor.wait(self._server)
        history = self._visitor.get("/api/history?limit=10000")["entries"]
        if {entry["key"]: entry["verdict"] for entry in history} != standing(known):
            self.faults.append("the page shows other verdicts than those that were given")
        self._take(self._visitor.get("/api/card"))

    def go_on(self) -> None:
        """Judge until the server is gone or nothing is left."""
        try:
            while self.card is not None:
                self._step(self.card)
        except GONE:
            pass
        except RuntimeError as error:
            self.faults.append(str(error))
        finally:
            self.heard.set()
            self._visitor.close()

    def _step(self, key: str) -> None:
        step: Step
        if self._rng.random() < _UNDONE:
            self.sent = (None, "")
            told = self._visitor.post("/api/undo", {})
            step = (None, told["key"])
        else:
            step = (self._rng.choice(["anomaly", "normal", "unsure"]), key)
            self.sent = step
            told = self._visitor.post("/api/verdicts", {"key": key, "verdict": step[0]})
            if not told["written"]:
                self.faults.append(f"{step} was judged before")
        self.sent = None
        if step[1] is not None:  # else nothing was left to take back
            self.said.append(step)
            self.heard.set()
        self._take(told)

    def _take(self, told: dict[str, dict[str, str] | None]) -> None:
        card = told["card"]
        self.card = None if card is None else card["key"]


def steps_in(place: str) -> list[Step]:
    """Read the steps of a store in their order; the store may not be there yet."""
    if not Path(place).exists():
        return []
    with open_store(place) as store:
        lines = store.lines()
    return [(None if line.verdict is None else str(line.verdict), line.key) for line in lines]


def strays(new: list[Step], judge: Judge) -> list[str]:
    """Say where the steps of a round are not those that were acknowledged, and one on its way."""
    if new[: len(judge.said)] != judge.said:
        lost = [step for step in judge.said if step not in new]
        return [f"lost {lost}" if lost else f"{judge.said} became {new}"]
    beyond = new[len(judge.said) :]
    if not beyond or (len(beyond) == 1 and judge.sent in (beyond[0], (beyond[0][0], ""))):
        return []
    return [f"nobody said {beyond}"]


def standing(steps: list[Step]) -> dict[str, str]:
    """Find what holds of each row, where undo takes back the last that stands."""
    stack: list[tuple[str, str]] = []
    for verdict, key in steps:
        if verdict is None:
            stack.pop()
        else:
            stack.append((key, verdict))
    return dict(stack)


def given_away(place: str, judged: Mapping[str, str], card: str | None) -> list[str]:
    """Find whether the card of a killed server goes to another reviewer, or not to its own."""
    if card is None or card in judged:
        return []
    with open_store(place) as store:
        asked = {who: bool(store.lease([Question(card)], 1, who)) for who in ("ben", "ana")}
    return [] if asked == {"ben": False, "ana": True} else [f"{card} is asked so: {asked}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = kill(Path(folder), options.rounds, options.seed)
    print(json.dumps({"run": "kill the server"} | asdict(told)), flush=True)
    sys.exit(bool(told.faults))


if __name__ == "__main__":
    main()
