"""What a claim and an experiment are, and how runs are made: one JSON line each, resumable."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

BENCHMARKS = Path(__file__).parent.parent
LINES = BENCHMARKS / "runs" / "paper.jsonl"

Figures = dict[str, float]
Line = dict[str, Any]
Unit = Literal["score", "count"]  # a share of 1, or a number of things


@dataclass(frozen=True)
class Claim:
    """One line of the report: a mean over runs, and the band it should lie in.

    Parameters
    ----------
    key
        Names it in ``notes.toml``, as ``experiment/key``.
    text
        What is claimed, in words.
    over
        Settings whose runs are averaged.
    figure
        Which of their figures.
    against
        As many settings, whose figures are subtracted, seed by seed; none: nothing is.
    low, high
        The band, either end open where None; both None: the figure is only reported.
    published, source
        The published figure in words, and where it stands.
    """

    key: str
    text: str
    over: tuple[str, ...]
    figure: str = "roc"
    against: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    published: str = "none"
    source: str = ""
    unit: Unit = "score"

    def __post_init__(self) -> None:
        if self.against and len(self.against) != len(self.over):
            raise ValueError(f"{self.key}: {len(self.over)} settings against {len(self.against)}")

    @property
    def settings(self) -> tuple[str, ...]:
        """All settings it looks at."""
        return self.over + self.against


@dataclass(frozen=True)
class Experiment:
    """Runs that belong together, and what is claimed of them.

    Parameters
    ----------
    name
        As ``--only`` takes it.
    about
        What is run, on what, in a few sentences of Markdown.
    run
        (setting, seed) -> figures.
    settings, seeds
        What is run, each setting with each seed.
    claims
        What is checked.
    quick
        The (settings, seeds) of ``--quick``; none where it takes no part.
    version
        Raise it when the code behind it changes, so that old lines are not taken for new ones.
    needs
        Places under the folder of ``--data`` of which one must be there; none: it needs no folder.
    """

    name: str
    about: str
    run: Callable[[str, int], Figures]
    settings: tuple[str, ...]
    seeds: tuple[int, ...]
    claims: tuple[Claim, ...]
    quick: tuple[tuple[str, ...], tuple[int, ...]] = ((), ())
    version: int = 1
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for claim in self.claims:
            strange = set(claim.settings) - set(self.settings)
            if strange:
                raise ValueError(f"{self.name}/{claim.key} looks at unknown settings {strange}")

    def plan(self, quick: bool) -> list[tuple[str, int]]:
        """List its (setting, seed)."""
        settings, seeds = self.quick if quick else (self.settings, self.seeds)
        return [(setting, seed) for seed in seeds for setting in settings]

    def ready(self, data: Path | None) -> bool:
        """Whether what it needs is there."""
        if not self.needs:
            return True
        return data is not None and any((data / place).exists() for place in self.needs)


def key_of(line: Line) -> tuple[str, str, int, int]:
    """Give what tells one run from another."""
    return line["experiment"], line["setting"], line["seed"], line["version"]


def read_lines(path: Path) -> list[Line]:
    """Read the runs that stand in a file, the last one of each key; none where there is no file."""
    if not path.is_file():
        return []
    lines = [json.loads(text) for text in path.read_text().splitlines() if text.strip()]
    return list({key_of(line): line for line in lines}.values())


def missing(experiments: Iterable[Experiment], lines: Iterable[Line], quick: bool) -> list[Line]:
    """List the runs still to be made, as lines without figures; failed ones are made again."""
    done = {key_of(line) for line in lines if line["error"] is None}
    wanted = [
        {"experiment": e.name, "setting": setting, "seed": seed, "version": e.version}
        for e in experiments
        for setting, seed in e.plan(quick)
    ]
    return [line for line in wanted if key_of(line) not in done]


def make(line: Line, experiments: Mapping[str, Experiment]) -> Line:
    """Make one run: its line with figures, or with what went wrong."""
    line = {**line, **surroundings()}
    start = time.process_time()  # of one thread, alone in its process: a busy machine is no matter
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figures = experiments[line["experiment"]].run(line["setting"], line["seed"])
        line["figures"] = {name: round(float(value), 5) for name, value in figures.items()}
        line["error"] = None
    except Exception as e:  # whatever goes wrong is a result of this benchmark
        line |= {"figures": {}, "error": f"{type(e).__name__}: {e}"[:500]}
    return line | {"cpu_seconds": round(time.process_time() - start, 1)}


def make_all(
    todo: Sequence[Line], registry: Callable[[], Mapping[str, Experiment]], jobs: int
) -> Iterator[Line]:
    """Make runs in so many processes of one thread each, and give each as it is done.

    ``registry`` is called in every process, for an experiment's function need not be picklable.
    """
    if not todo:
        return
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # the children read them
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(_make, line, registry): line for line in todo}
        for future in as_completed(futures):
            problem = future.exception()
            if problem is None:
                yield future.result()
            else:  # the process itself is gone, say for want of memory
                lost: Line = {
                    **futures[future],
                    **surroundings(),
                    "figures": {},
                    "cpu_seconds": 0.0,
                }
                yield lost | {"error": f"{type(problem).__name__}: {problem}"[:500]}


@lru_cache
def surroundings() -> dict[str, str]:
    """Say with what code and on what a run is made."""
    return {
        "askew": version("askew"),
        "commit": _commit(),
        "torch": version("torch"),
        "python": platform.python_version(),
    }


def _commit() -> str:
    """Name the commit, with a ``+`` where the working tree differs from it."""
    git = ("git", "-C", str(BENCHMARKS))
    try:
        commit, changes = (
            subprocess.run([*git, *rest], capture_output=True, text=True, check=True).stdout.strip()
            for rest in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "-uno"))
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changes else "")


def _make(line: Line, registry: Callable[[], Mapping[str, Experiment]]) -> Line:
    return make(line, registry())
