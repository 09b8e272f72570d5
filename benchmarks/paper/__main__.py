"""``make paper``: run the experiments and write docs/results/papers.md.

::

    python benchmarks/paper                    # all of them, on ../shared/panel
    python benchmarks/paper --only odds,mnist
    python benchmarks/paper --quick            # a few runs of each, to benchmarks/runs
    python benchmarks/paper --data DIR --only full-mnist
    python benchmarks/paper --list

A run that stands in the lines already, with the same version, is not repeated; one that failed
is. Under DIR, ``mnist`` and ``fashion-mnist`` hold the four IDX files each and
``cifar-10-batches-bin`` the binary version of CIFAR-10; the whole protocol takes days on a CPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from paper import common, experiments, report, runs

PAGE = runs.BENCHMARKS.parent / "docs" / "results" / "papers.md"
QUICK_PAGE = runs.BENCHMARKS / "runs" / "papers-quick.md"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python benchmarks/paper",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", help="names of experiments, with commas between; all")
    parser.add_argument("--quick", action="store_true", help="a few runs of each")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the full image sets")
    parser.add_argument("--jobs", type=int, default=2, help="processes, of one thread each; 2")
    parser.add_argument("--list", action="store_true", help="say what is to be run, run nothing")
    parser.add_argument("--report-only", action="store_true", help="write the page, run nothing")
    parser.add_argument("--lines", type=Path, default=runs.LINES, help="one JSON line a run")
    parser.add_argument("--page", type=Path, help="the report; docs/results/papers.md")
    args = parser.parse_args(argv)
    if args.data is not None and not args.data.is_dir():
        parser.error(f"--data: found no folder {args.data}; give the one with the image sets")
    known = experiments.every(args.data)
    names = args.only.split(",") if args.only else list(known)
    strange = sorted(set(names) - set(known))
    if strange:
        parser.error(f"--only: found {', '.join(strange)}; expected some of {', '.join(known)}")
    chosen = [known[name] for name in names if known[name].ready(args.data)]
    for one in (known[name] for name in names if args.only or args.data):
        if one not in chosen:
            places = " or ".join(one.needs)
            print(f"{one.name} is left out: it needs --data DIR with {places} under DIR")
    lines = runs.read_lines(args.lines)
    todo = runs.missing(chosen, lines, args.quick)
    if args.list:
        for one in chosen:
            left = sum(line["experiment"] == one.name for line in todo)
            print(f"{one.name:14s} {len(one.plan(args.quick)):4d} runs, {left} to make")
        return
    if not args.report_only:
        if not common.SHARED.is_dir():
            parser.error(f"found no folder {common.SHARED}; the experiments need the panel there")
        work(todo, args.lines, args.data, args.jobs)
    page = args.page or (QUICK_PAGE if args.quick else PAGE)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(
        report.write(
            list(known.values()),
            runs.read_lines(args.lines),
            notes=report.read_notes(),
            peers=report.peers(),
            quick=args.quick,
        )
    )
    print(f"{page} is written")


def work(todo: list[runs.Line], path: Path, data: Path | None, jobs: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    with path.open("a") as out:
        made = runs.make_all(todo, partial(experiments.every, data), jobs)
        for count, line in enumerate(made, start=1):
            print(json.dumps(line), file=out, flush=True)
            result = line["error"] or ", ".join(f"{k} {v:g}" for k, v in line["figures"].items())
            where = f"{line['experiment']} {line['setting']} seed {line['seed']}"
            minutes = (time.perf_counter() - begun) / 60
            print(
                f"[{count}/{len(todo)}, {minutes:.1f} min] {where}: {result} "
                f"({line['cpu_seconds']:.0f} s)",
                flush=True,
            )


if __name__ == "__main__":
    main()
