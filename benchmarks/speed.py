"""Askew beside what users have today: time of fit and score, as ratios; one JSON line a run.

The same network, epochs and batches on both sides, one thread, in turn, each on tables of its
own seed; resumable. Times are processor time, so that what else the machine does counts little::

    make bench-speed
    OMP_NUM_THREADS=1 python benchmarks/speed.py --works deepsad-36 --seeds 0 1 2 3 4
    python benchmarks/speed.py --report     # docs/results/speed.md

The floor is the time of the matrix products alone, measured in the same run.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonl
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "benchmarks" / "runs" / "speed.jsonl"
REPORT = ROOT / "docs" / "results" / "speed.md"
KEYS = ("work", "who", "seed", "version")
VERSION = 2  # raise when what is timed changes, so that old lines are not taken for new ones
BATCH = 128
HIDDEN = (128, 64, 32)
LEARNING_RATE = 1e-3
MILLION = 1_000_000

Array = NDArray[np.float32]
Maker = Callable[[int], Any]
Settings = dict[str, Any]


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


@dataclass(frozen=True)
class Work:
    """One comparison.

    ``players`` are by name and number of members; the first is ours, the last the peer.
    """

    columns: int
    epochs: int
    players: dict[tuple[str, int], Maker]
    widths: tuple[int, ...]  # of the network, for the floor
    rows: int = 5000
    steps: int | None = None  # an epoch; as many as a pass takes where None
    batch: int = BATCH
    scored: int = 100_000
    supervised: bool = True

    @property
    def all_steps(self) -> int:
        """Steps of a whole fit."""
        return self.epochs * (self.steps or -(-self.rows // self.batch))


# --- who takes part


def askew(method: Callable[[], Any], members: int = 1, **settings: Any) -> Maker:
    def make(seed: int) -> Any:
        from askew.deep import Detector

        common: Settings = {"batch_size": BATCH, "device": "cpu", "random_state": seed}
        return Detector(method(), members=members, **common | settings)

    return make


def deepod(name: str, **settings: Any) -> Maker:
    def make(seed: int) -> Any:
        import deepod.models.tabular as models

        common: Settings = {"batch_size": BATCH, "lr": LEARNING_RATE, "device": "cpu", "verbose": 0}
        return getattr(models, name)(random_state=seed, **common | settings)

    return make


def pyod_autoencoder(epochs: int, dropout: float) -> Maker:
    def make(seed: int) -> Any:
        kind = import_module("pyod.models.auto_encoder").AutoEncoder
        return kind(
            lr=LEARNING_RATE,
            epoch_num=epochs,
            batch_size=BATCH,
            hidden_neuron_list=list(HIDDEN[1:]),
            dropout_rate=dropout,
            device="cpu",
            random_state=seed,
            verbose=0,
        )

    return make


def deep_sad(columns: int, epochs: int = 20) -> Work:
    def method() -> Any:
        from askew.deep import DeepSAD

        return DeepSAD(hidden=HIDDEN, batch_norm=False, pretrain=False, balanced=True)

    settings: Settings = {"epochs": epochs, "learning_rate": LEARNING_RATE, "weight_decay": 1e-5}
    net = {"hidden_dims": ",".join(map(str, HIDDEN[:-1])), "rep_dim": HIDDEN[-1]}
    return Work(
        columns,
        epochs,
        {
            ("askew", 1): askew(method, 1, **settings),
            ("askew", 8): askew(method, 8, **settings),
            ("deepod", 1): deepod("DeepSAD", epochs=epochs, act="LeakyReLU", **net),
        },
        (columns, *HIDDEN),
    )


def pre_net(columns: int = 36, epochs: int = 10, rows: int = 5000) -> Work:
    def method() -> Any:
        from askew.deep import PReNet, Recipe

        class AsDeepOD(PReNet):
            """With the peer's optimiser, and without the paper's penalty."""

            def recipe(self) -> Recipe:
                return Recipe(weight_decay=1e-5)

        return AsDeepOD(hidden=HIDDEN, l2=0.0)

    steps = rows // BATCH  # as DeepOD has it
    settings: Settings = {"epochs": epochs, "learning_rate": LEARNING_RATE}
    settings |= {"steps_per_epoch": steps}
    net = {"hidden_dims": ",".join(map(str, HIDDEN[:-1])), "rep_dim": HIDDEN[-1]}
    return Work(
        columns,
        epochs,
        {
            ("askew", 1): askew(method, **settings),
            ("deepod", 1): deepod("PReNet", epochs=epochs, **net),
        },
        (columns, *HIDDEN),
        rows,
        steps,
        2 * BATCH,  # both rows of a pair pass the network
        scored=20_000,
    )


def ro_sas(columns: int = 36, epochs: int = 5, rows: int = 5000) -> Work:
    def method() -> Any:
        from askew.deep import RoSAS

        # As the peer has it: both losses weigh the same.
        return RoSAS(margin=5.0, norm=0.0, temperature=1e6)

    batch, embedding = 32, 128
    between = columns + (embedding - columns) // 2
    steps = rows // batch
    settings: Settings = {"epochs": epochs, "batch_size": batch, "steps_per_epoch": steps}
    settings |= {"weight_decay": 1e-5}
    net = {"hidden_dims": str(between), "rep_dim": embedding}
    return Work(
        columns,
        epochs,
        {
            ("askew", 1): askew(method, **settings),
            ("deepod", 1): deepod("RoSAS", epochs=epochs, batch_size=batch, lr=0.005, **net),
        },
        (columns, between, embedding, embedding // 2, 1),
        rows,
        steps,
        6 * batch,  # three rows of a triplet, and as many mixtures
    )


def autoencoder(dropout: float, columns: int = 36, epochs: int = 10) -> Work:
    def method() -> Any:
        from askew.deep import Reconstruct

        return Reconstruct(hidden=HIDDEN[1:], batch_norm=True)

    settings: Settings = {"epochs": epochs, "learning_rate": LEARNING_RATE, "weight_decay": 1e-5}
    return Work(
        columns,
        epochs,
        {
            ("askew", 1): askew(method, **settings),
            ("pyod", 1): pyod_autoencoder(epochs, dropout),
        },
        (columns, *HIDDEN[1:], *HIDDEN[1:-1][::-1], columns),
        supervised=False,
    )


WORKS = {
    "deepsad-36": deep_sad(36),
    "deepsad-100": deep_sad(100),
    "deepsad-500": deep_sad(500, epochs=10),
    "prenet": pre_net(),
    "rosas": ro_sas(),
    "autoencoder": autoencoder(dropout=0.2),
    "autoencoder-plain": autoencoder(dropout=0.0),
}


# --- one run


def timed(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def given(work: Work, who: tuple[str, int], x: Array, y: NDArray[np.int64]) -> list[Any]:
    """Give what a player's fit takes: DeepOD has 0 for a row without a label."""
    if not work.supervised:
        return [x]
    return [x, y if who[0] == "askew" else (y == 1).astype(int)]


@cache
def warm_up(named: str, who: tuple[str, int]) -> None:
    """Fit and score a small table first: what is imported and looked up once does not count."""
    work = WORKS[named]
    x, y, _ = table(1000, work.columns, 0)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        work.players[who](0).fit(*given(work, who, x, y)).decision_function(x)


def run(named: str, who: tuple[str, int], seed: int) -> jsonl.Line:
    """Fit and score once."""
    from sklearn.metrics import roc_auc_score

    work = WORKS[named]
    warm_up(named, who)
    x, y, odd = table(work.rows, work.columns, seed)
    big = np.tile(x, (-(-work.scored // len(x)), 1))[: work.scored]
    model = work.players[who](seed)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        fit = timed(lambda: model.fit(*given(work, who, x, y)))
        score = timed(lambda: model.decision_function(big))
        scores = np.asarray(model.decision_function(x)).ravel()
    unknown = y != 1 if work.supervised else y == y
    fit_floor, score_floor = floors(work)
    return {
        "fit_s": round(fit / who[1], 5),  # a member
        "score_s": round(score / who[1], 5),
        "fit_floor_s": round(fit_floor, 5),
        "score_floor_s": round(score_floor, 5),
        "roc": round(float(roc_auc_score(odd[unknown], scores[unknown])), 5),
        "release": version(who[0]),
        "torch": version("torch"),
    }


def floors(work: Work) -> tuple[float, float]:
    """Time the matrix products of a fit and of a scoring alone."""
    import torch

    def seconds(products: Sequence[tuple[Any, Any]]) -> float:
        out = [torch.mm(a, b) for a, b in products]

        def once() -> None:
            for (a, b), place in zip(products, out, strict=True):
                torch.mm(a, b, out=place)

        for _ in range(3):
            once()
        return float(statistics.median(timed(once) for _ in range(30)))

    with torch.inference_mode():
        step, chunk = [], []
        for i, (a, b) in enumerate(pairwise(work.widths)):
            x, w, slope = torch.rand(work.batch, a), torch.rand(a, b), torch.rand(work.batch, b)
            step += [(x, w), (x.T, slope)]
            step += [(slope, w.T)] if i else []
            chunk.append((torch.rand(2048, a), w))
        return seconds(step) * work.all_steps, seconds(chunk) * work.scored / 2048


# --- the ratios that are asked for


@dataclass(frozen=True)
class Ratio:
    """Our time of something over a peer's."""

    said: str
    work: str
    what: str  # "fit" or "score"
    must: float
    aim: float
    members: int = 1


RATIOS = (
    Ratio("Deep SAD, one fit, 36 columns, over DeepOD", "deepsad-36", "fit", 4, 7),
    Ratio("the same, 100 columns", "deepsad-100", "fit", 4, 7),
    Ratio("a member of 8, 36 columns", "deepsad-36", "fit", 6, 9, 8),
    Ratio("the same, 100 columns", "deepsad-100", "fit", 6, 9, 8),
    Ratio("one fit, 500 columns", "deepsad-500", "fit", 2, 3),
    Ratio("a member of 8, 500 columns", "deepsad-500", "fit", 2, 3, 8),
    Ratio("PReNet, fit, over DeepOD", "prenet", "fit", 15, 25),
    Ratio("PReNet, scoring, over DeepOD", "prenet", "score", 100, 300),
    Ratio("RoSAS, fit, over DeepOD", "rosas", "fit", 2.5, 5),
    Ratio("autoencoder, fit, over PyOD (which drops units too)", "autoencoder", "fit", 2.5, 5),
    Ratio("the same, PyOD without dropout", "autoencoder-plain", "fit", 2.5, 5),
    Ratio("scoring, over DeepOD's Deep SAD", "deepsad-36", "score", 8, 11),
    Ratio("the same, a member of 8", "deepsad-36", "score", 8, 11, 8),
    Ratio("scoring, over PyOD's autoencoder", "autoencoder", "score", 20, 28),
)


Lines = dict[int, jsonl.Line]  # by seed


def report(runs: jsonl.Runs) -> str:
    """Write the page of ratios from the runs that stand."""
    lines = [line for line in runs.lines if line["version"] == VERSION]

    def of(work: str, who: str) -> Lines:
        return {line["seed"]: line for line in lines if (line["work"], line["who"]) == (work, who)}

    taken = of("memory", "askew")[0]
    parts = [
        "# Speed",
        "",
        "Written by `make bench-speed` (the runs: `benchmarks/runs/speed.jsonl`).",
        "",
        "Askew beside what users have today: the same network, epochs and batches on drawn tables",
        "of 5,000 rows, one thread, in turn. Times are processor time, medians over the seeds;",
        f"scored are {WORKS['deepsad-36'].scored:,} rows (PReNet: {WORKS['prenet'].scored:,}). A",
        "ratio is the median of the peer's time over ours, seed by seed, with the least and the",
        "greatest. The floor is the matrix products alone, by torch's library for them (scoring",
        "calls another); *possible* is the ratio if nothing else took time. ROC AUC on the rows",
        "without a label: mean ± standard error. A busy machine slows the peers more than Askew.",
        "",
        f"{processor()}; torch {taken['torch']}.",
        "",
        "| | must | aim | ratio | s | peer's s | floor s | possible | ROC AUC | peer's | runs |",
        "| --- |" + " ---: |" * 10,
    ]
    for ratio in RATIOS:
        ours, peer = ("askew", ratio.members), list(WORKS[ratio.work].players)[-1]
        parts.append(row(ratio, of(ratio.work, called(ours)), of(ratio.work, called(peer))))
    memory = ", ".join(f"{taken[f'mebibytes_{k}']:.0f} MiB with {k}" for k in (1, 8))
    parts += [
        "",
        "Memory that scoring a million rows of 36 columns takes beside the rows, by members (must",
        f"50 MiB, aim 20): {memory}.",
        "",
        "How time and memory grow with rows, columns and members ([growth.md](growth.md)):",
        "",
        "![Time and peak memory against rows, columns and members](growth.svg)",
        "",
        "One line of the table again, and the page from the runs that stand:",
        "",
        "    OMP_NUM_THREADS=1 .venv-bench/bin/python benchmarks/speed.py --works deepsad-36",
        "    .venv-bench/bin/python benchmarks/speed.py --report",
    ]
    return "\n".join(parts) + "\n"


def row(ratio: Ratio, ours: Lines, peer: Lines) -> str:
    """Write one line of the table, on the seeds that both have."""
    seeds = sorted(ours.keys() & peer.keys())
    what = f"{ratio.what}_s"
    ratios = [peer[seed][what] / ours[seed][what] for seed in seeds]

    def middle(lines: Lines, key: str) -> float:
        return float(statistics.median(lines[seed][key] for seed in seeds))

    def accuracy(lines: Lines) -> str:
        values = [lines[seed]["roc"] for seed in seeds]
        error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
        return f"{statistics.mean(values):.3f} ± {error:.3f}"

    floor = middle(ours, f"{ratio.what}_floor_s")
    times = [middle(ours, what), middle(peer, what), floor]
    cells = [
        ratio.said,
        f"{ratio.must:g}",
        f"{ratio.aim:g}",
        f"**{statistics.median(ratios):.1f}** ({min(ratios):.1f} to {max(ratios):.1f})",
        *(f"{seconds:.3g}" for seconds in times),
        f"{middle(peer, what) / floor:.1f}",
        accuracy(ours),
        accuracy(peer),
        str(len(seeds)),
    ]
    return f"| {' | '.join(cells)} |"


def called(who: tuple[str, int]) -> str:
    return who[0] if who[1] == 1 else f"{who[0]} x{who[1]}"


def processor() -> str:
    """Name the processor that the report is written on."""
    told = Path("/proc/cpuinfo")
    names = [t for t in told.read_text().splitlines() if t.startswith("model name")]
    return names[0].split(":", 1)[1].strip() if names else platform.processor()


def memory() -> jsonl.Line:
    """Measure in a process of its own what scoring a million rows takes beside the rows."""
    script = """
import sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
import numpy as np, torch
from speed import MILLION, WORKS, table
torch.set_num_threads(1)
x, y, _ = table(5000, 36, 0)
big = np.tile(x, (MILLION // 5000, 1))
model = WORKS["deepsad-36"].players["askew", int(sys.argv[2])](0).set_params(epochs=1).fit(x, y)
model.decision_function(big[:100_000])
def kilobytes(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name))
before = kilobytes("VmRSS")
with open("/proc/self/clear_refs", "w") as reset:
    reset.write("5")
model.decision_function(big)
print((kilobytes("VmHWM") - before) / 1024)
"""
    line: jsonl.Line = {"release": version("askew"), "torch": version("torch")}
    for members in (1, 8):
        ran = subprocess.run(
            [sys.executable, "-c", script, str(Path(__file__).parent), str(members)],
            capture_output=True,
            text=True,
            check=True,
        )
        line[f"mebibytes_{members}"] = round(float(ran.stdout), 1)
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--works", nargs="+", choices=[*WORKS, "memory"])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--out", type=Path, default=RUNS)
    parser.add_argument("--report", action="store_true", help=f"write {REPORT.relative_to(ROOT)}")
    args = parser.parse_args()
    runs = jsonl.Runs(args.out, KEYS)
    if args.report:
        REPORT.write_text(report(runs), encoding="utf-8")
        return
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    for named in args.works or [*WORKS, "memory"]:
        if named == "memory":
            runs.once(memory, work="memory", who="askew", seed=0, version=VERSION)
            continue
        for seed in args.seeds:
            for who in WORKS[named].players:
                key = {"work": named, "who": called(who), "seed": seed, "version": VERSION}
                line = runs.once(partial(run, named, who, seed), **key)
                print(
                    f"{named} {line['who']} seed {seed}: fit {line['fit_s']:.3f} s, "
                    f"score {line['score_s']:.4f} s, ROC AUC {line['roc']:.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
