"""The verdict store under stress, on SQLite and on a private PostgreSQL, one JSON line a run.

``kill``: a process writes and takes back verdicts and is killed at a random moment; every
acknowledged line is still there and the history of undo is whole. ``contend``: processes lease and
judge at once; no verdict is lost, no row leased twice at a time, no turn given twice, every verdict
carries its question, no error raised. ``speed``: a verdict acknowledged, and what reading and
leasing cost in a long store::

    python benchmarks/soak.py --rounds 200 --seconds 60
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from statistics import quantiles
from typing import Any

from askew.review.store import Store, open_store
from askew.review.verdicts import Judgment, Line, Question, Verdict

# A writer is killed while it opens the store, or after some lines: seconds, and how many.
_WHILE_OPENING, _OPENING, _SOON, _SAID = 0.2, 0.2, 0.02, 20
_ROUNDS_A_STORE = 10
_QUEUE, _BATCH, _HURRY = 200, 3, 0.1


@dataclass
class Killed:
    """What became of acknowledged lines after the writer was killed."""

    rounds: int = 0
    acknowledged: int = 0
    undone: int = 0
    lost: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def kill(new_place: Callable[[], str], rounds: int, seed: int = 0) -> Killed:
    """Kill a writer `rounds` times; every tenth round begins with a new store."""
    rng = random.Random(seed)
    told = Killed()
    place, written, taken_back = "", set[str](), set[str]()
    for number in range(rounds):
        if number % _ROUNDS_A_STORE == 0:
            place, written, taken_back = new_place(), set(), set()
        with _child("write", place, str(rng.random())) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            said = []
            if rng.random() < _WHILE_OPENING:
                time.sleep(rng.uniform(0, _OPENING))
            else:
                said = [writer.stdout.readline() for _ in range(rng.randrange(1, _SAID))]
                time.sleep(rng.uniform(0, _SOON))
            writer.kill()
            for line in said + writer.stdout.readlines():
                verb, *uids = line.split()
                if verb == "open":
                    continue
                (written if verb == "add" else taken_back).update(uids)
                told.acknowledged += len(uids) if verb == "add" else 0
                told.undone += verb == "undo"
            if writer.wait() != -signal.SIGKILL:
                told.faults.append(f"the writer of round {number} ended by itself")
        with open_store(place) as store:
            lines = store.lines()
        told.rounds += 1
        there = {line.uid: line.number for line in lines}
        undoes = {line.undoes for line in lines}
        told.lost += sorted(written - set(there))
        told.lost += [f"undo of {uid}" for uid in taken_back if there.get(uid, 0) not in undoes]
        told.faults += broken_history(lines)
    return told


def broken_history(lines: list[Line]) -> list[str]:
    """Find what cannot come of whole transactions and of taking back the last line first."""
    faults = []
    standing = defaultdict[str, list[Line]](list)
    batches = defaultdict[str, list[Line]](list)
    for number, line in enumerate(lines, 1):
        if line.number != number:
            faults.append(f"line {line.number} stands at {number}")
        if line.verdict is not None:
            standing[line.reviewer].append(line)
            batches[line.note].append(line)
        elif not standing[line.reviewer] or standing[line.reviewer].pop().number != line.undoes:
            faults.append(f"line {line.number} undoes {line.undoes}, not the last one")
    faults += [
        f"{note}: {len(part)} lines" for note, part in batches.items() if len(part) != _BATCH
    ]
    return faults


def write(place: str, seed: str) -> None:
    """Judge and take back without end, and say so after each (a child process)."""
    rng = random.Random(seed)
    print("ready", flush=True)
    with open_store(place) as store:
        print("open", flush=True)
        while True:
            if rng.random() < 0.3:
                undone = store.undo("ana")
                if undone is not None:
                    print("undo", undone.uid, flush=True)
            else:
                note = str(rng.random())
                batch = [Judgment(str(k), Verdict.NORMAL, "ana", note) for k in range(_BATCH)]
                print("add", *(line.uid for line in store.add(batch)), flush=True)


@dataclass
class Contended:
    """What became of a store that several processes wrote to at once."""

    processes: int
    seconds: float
    acknowledged: int
    stored: int
    leased_twice: list[str]
    turn_faults: list[str]
    errors: list[str]
    add_ms: dict[str, float]
    lease_ms: dict[str, float]


def contend(place: str, processes: int, seconds: float) -> Contended:
    """Let processes lease and judge the same queue at once."""
    with ExitStack() as stack:
        children = [
            stack.enter_context(_child("judge", place, f"reviewer {k}", str(seconds)))
            for k in range(processes)
        ]
        ready = [child.stdout.readline() for child in children if child.stdout]
        assert ready == ["ready\n"] * processes
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        told = [json.loads(child.stdout.readline()) for child in children if child.stdout]
    held = defaultdict[str, list[tuple[float, float]]](list)
    for one in told:
        for key, start, end in one["held"]:
            held[key].append((start, end))
    with open_store(place) as store:
        lines = store.lines()
    return Contended(
        processes,
        seconds,
        sum(one["acknowledged"] for one in told),
        len(lines),
        [key for key, spans in held.items() if overlap(spans)],
        turn_faults([(turn, key) for one in told for turn, key in one["asked"]], lines),
        [error for one in told for error in one["errors"]],
        _spread([t for one in told for t in one["add"]]),
        _spread([t for one in told for t in one["lease"]]),
    )


def overlap(spans: list[tuple[float, float]]) -> bool:
    """Whether any two of the spans (start, end) share time."""
    spans = sorted(spans)
    return any(later[0] < earlier[1] for earlier, later in pairwise(spans))


def turn_faults(asked: list[tuple[int, str]], lines: list[Line]) -> list[str]:
    """Find turns given twice, and verdicts that do not carry the question they answer."""
    given = Counter(turn for turn, _ in asked)
    faults = [f"turn {turn} was given {times} times" for turn, times in given.items() if times > 1]
    known = set(asked)
    for line in lines:
        carried = Question(line.key, line.why, line.place, line.model, line.turn)
        right = (line.turn, line.key) in known and replace(carried, turn=None) == _wish(line.key)
        if line.verdict is not None and not right:
            faults.append(f"line {line.number} carries {carried}")
    return faults


def judge(place: str, reviewer: str, seconds: float) -> None:
    """Lease, then judge, give back or undo, for some time; then tell all (a child process)."""
    rng = random.Random(reviewer)
    told: dict[str, Any] = {"acknowledged": 0}
    told |= {name: [] for name in ("held", "asked", "errors", "add", "lease")}
    with open_store(place) as store:
        print("ready", flush=True)
        sys.stdin.readline()
        first, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                first += _judge_once(store, reviewer, first, rng, told)
            except Exception as error:
                told["errors"].append(f"{type(error).__name__}: {error}")
    print(json.dumps(told), flush=True)


def _judge_once(
    store: Store, reviewer: str, first: int, rng: random.Random, told: dict[str, Any]
) -> int:
    """Return by how much the queue may move on."""
    wishes = [_wish(str(first + k)) for k in range(_QUEUE)]
    start = time.monotonic()
    questions = store.lease(wishes, _BATCH, reviewer)
    leased = time.monotonic()
    keys = [question.key for question in questions]
    told["asked"] += [(question.turn, question.key) for question in questions]
    told["lease"].append(leased - start)
    time.sleep(rng.uniform(0, 0.01))
    # A lease is held at least from when it was told until its end was asked for.
    before = time.monotonic()
    told["held"] += [(key, leased, before) for key in keys]
    if rng.random() < 0.2:
        store.release(keys, reviewer)
    else:
        lines = store.add([Judgment(key, Verdict.NORMAL, reviewer) for key in keys])
        told["add"].append(time.monotonic() - before)
        told["acknowledged"] += len(lines)
    if rng.random() < _HURRY and store.undo(reviewer) is not None:
        told["acknowledged"] += 1
    return 0 if len(keys) == _BATCH else _QUEUE // 2


def speed(place: str, n_lines: int = 100_000, n_adds: int = 300, wishes: int = 2_000) -> Any:
    """Measure one verdict at a time, then reading and leasing in a store of `n_lines`."""
    told: dict[str, Any] = {"lines": n_lines, "wishes": wishes}
    with open_store(place) as store:
        told["add_ms"] = _spread(
            [
                _timed(lambda: store.add([Judgment("a", Verdict.NORMAL, "ana")]))
                for _ in range(n_adds)
            ]
        )
        for start in range(0, n_lines, 10_000):
            keys = map(str, range(start, start + 10_000))
            store.add([Judgment(key, Verdict.NORMAL, "ana") for key in keys])
        told["add_ms_long"] = _spread(
            [
                _timed(lambda: store.add([Judgment("a", Verdict.NORMAL, "ana")]))
                for _ in range(n_adds)
            ]
        )
        told["standings_s"] = round(min(_timed(store.standings) for _ in range(3)), 3)
        judged = [_wish(str(key)) for key in range(wishes)]
        fresh = [_wish(f"new {key}") for key in range(wishes)]
        for name, queue in {"fresh": fresh, "judged": judged}.items():
            times = [_timed(lambda q=queue: store.lease(q, 20, "ben")) for _ in range(20)]  # type: ignore[misc]
            told[f"lease_ms_{name}"] = _spread(times)
        told["lease_ms_new"] = _spread(
            [_timed(lambda k=k: store.lease(fresh, 20, f"reviewer {k}")) for k in range(20)]  # type: ignore[misc]
        )
        said = [
            Judgment(question.key, Verdict.NORMAL, "cem")
            for question in store.lease(fresh, n_adds, "cem")
        ]
        told["add_ms_asked"] = _spread([_timed(lambda one=one: store.add([one])) for one in said])  # type: ignore[misc]
    return told


def _wish(key: str) -> Question:
    return Question(key, f"because of {key}", len(key), "model")


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _spread(seconds: list[float]) -> dict[str, float]:
    cuts = quantiles(seconds, n=20, method="inclusive")
    return {"median": round(cuts[9] * 1e3, 2), "p95": round(cuts[18] * 1e3, 2)}


@contextmanager
def _child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, __file__, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe) as child:
        try:
            yield child
        finally:
            child.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--processes", type=int, default=8)
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from tests.review.postgres import cluster

    with tempfile.TemporaryDirectory() as folder, cluster() as server:
        numbers = iter(range(sys.maxsize))
        makers: dict[str, Callable[[], str]] = {
            "sqlite": lambda: f"{folder}/{next(numbers)}.db",
            "postgresql": server.new,
        }
        sound = True
        for kind, new_place in makers.items():
            killed = kill(new_place, options.rounds)
            contended = contend(new_place(), options.processes, options.seconds)
            sound &= not (killed.lost or killed.faults or contended.leased_twice)
            sound &= not contended.turn_faults
            sound &= not contended.errors and contended.stored == contended.acknowledged
            for run, told in {
                "kill": asdict(killed),
                "contend": asdict(contended),
                "speed": speed(new_place()),
            }.items():
                print(json.dumps({"run": run, "store": kind} | told), flush=True)
    sys.exit(not sound)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", place, seed]:
            write(place, seed)
        case ["judge", place, reviewer, seconds]:
            judge(place, reviewer, float(seconds))
        case _:
            main()
