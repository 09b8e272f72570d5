"""The page docs/results/quality.md and its picture, from the lines of benchmarks/quality.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import critical_difference
import jsonl
import numpy as np
from quality import ALIKE, LEFT_OUT, MEASURED, PLAYERS, ROOT, SEEDS, SETTINGS, measured
from quality import panel as open_panel
from quality_board import (
    TIE,
    Board,
    Runs,
    by_table,
    differences,
    mean,
    outcomes,
    players_of,
    ranked,
    shared,
    standing,
    whole,
)

from methods import CHANCE

RESULTS = ROOT / "docs" / "results"
TRIED = ROOT / "benchmarks" / "tried.jsonl"
BELOW = 0.05  # more than this behind a peer on a table is told
MEDIAN_BELOW = 0.02  # more than this behind a peer on the median table is told
CALLED = {
    "none": "none",
    "ratio0.01": "1 %",
    "count5": "exactly 5",
    "ratio0.05": "5 %",
    "ratio0.10": "10 %",
    "count5+20": "5 and 20 known normals",
}
# Mean average precision and ROC AUC that the default must reach, and is aimed at.
ASKED = {
    "none": ((0.44, 0.775), (0.46, 0.79)),
    "ratio0.01": ((0.61, 0.855), (0.63, 0.865)),
    "count5": ((0.64, 0.865), (0.66, 0.88)),
    "ratio0.05": ((0.65, 0.87), (0.67, 0.885)),
    "ratio0.10": ((0.68, 0.885), (0.71, 0.90)),
}
PICTURED = (("ratio0.05", SEEDS[:1]), ("count5", SEEDS))


def report(lines: Iterable[jsonl.Line]) -> None:
    """Write the page and the picture; what is missing is told."""
    tables = [name for name in open_panel().names() if name != LEFT_OUT]
    board = standing([*measured(), *lines], tables)
    write(board, tables, jsonl.read(TRIED), RESULTS)
    missing = sum(len(tables) * len(SEEDS) - len(runs) for runs in board.values())
    print(f"{RESULTS / 'quality.md'}: {len(tables)} tables; {missing} runs are missing")


def write(board: Board, tables: list[str], tried: Sequence[jsonl.Line], folder: Path) -> None:
    rankings = list(_rankings(board, tables))
    picture = critical_difference.draw(
        rankings, title="Mean ranks by average precision", marked="askew"
    )
    (folder / "quality.svg").write_text(picture, encoding="utf-8")
    text = "\n".join(page(board, tables, rankings, tried)) + "\n"
    (folder / "quality.md").write_text(text, encoding="utf-8")


def page(
    board: Board,
    tables: list[str],
    rankings: Sequence[critical_difference.Ranking],
    tried: Sequence[jsonl.Line],
) -> Iterator[str]:
    yield "# How well it ranks\n"
    yield (
        "Written by `python benchmarks/quality.py --report` from the runs' own lines; not by hand. "
        f"The {len(tables)} tables of `../shared/panel` ({LEFT_OUT} is left out: its test part "
        "holds no anomaly at seed 0), split and labelled by its `panel.py`: of the training "
        "anomalies a share or exactly so many are labelled, every other training row is not looked "
        "at; seeds 0, 1 and 2. In the last setting 20 normal training rows are known too. Average "
        "precision and ROC AUC are those of the test part. Askew is `Askew(random_state=seed)` "
        "for every table and every setting.\n"
    )
    yield (
        f"A run that fails counts as chance: {CHANCE['roc']} ROC AUC and {CHANCE['ap']} average "
        "precision. On a table with few anomalies that is more average precision than some players "
        "reach, so a failure can rank above them. Means are over tables of means over seeds.\n"
    )
    yield (
        "Peers have their libraries' defaults, on one thread. Classifiers take every row that is "
        "no known anomaly as normal. None of the peers tells known normals from rows not looked "
        "at, so with 5 anomalies and 20 known normals their runs are those with exactly 5. "
        "`sk.RandomForest` is not the default: 500 trees and `balanced_subsample`, with which the "
        f"figures of `{MEASURED.name}` come out again; `sk.RandomForest-default` has the defaults. "
        f"Where a table says how many runs come from `../shared/panel/{MEASURED.name}`, those were "
        "measured before and elsewhere, all at seed 0, and are read, not repeated; its repaired "
        "peers (`+fix`) are left out. The deep peers are slow: `make bench-quality` does not run "
        "them, `--who deep` does.\n"
    )
    yield f"Releases: {_releases(board)}.\n"
    yield from _asked(board, tables)
    yield "\n## Means and ranks\n"
    yield (
        "Each peer beside Askew on the same tables and seeds. Ranks by average precision, table by "
        "table on the mean over the seeds, 1 is best, ties share: among all that have run on every "
        "table at seed 0, and among those that have with all three seeds. Command: `make "
        "bench-quality`."
    )
    for setting in SETTINGS:
        yield from _means(board, tables, setting)
    yield from _duels(board)
    yield from _pictured(rankings)
    yield from _times(board)
    yield from _by_table(board, tables)
    yield from _behind(board, tables)
    if tried:
        yield from _tried(tried)
    yield "\n## Commands\n"
    yield "    make bench-quality"
    yield "    .venv-bench/bin/python benchmarks/quality.py --who deep --seeds 0"
    yield "    .venv/bin/python benchmarks/quality.py --report"


def _asked(board: Board, tables: list[str]) -> Iterator[str]:
    yield "## What was asked of the default\n"
    yield (
        "Average precision / ROC AUC; in brackets the lowest and the highest mean of a seed. "
        "Command: `make bench-quality`.\n"
    )
    yield "| labelled anomalies | must | aim | measured | seed by seed | runs | must | aim |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for setting in SETTINGS:
        runs = board.get(("askew", setting), {})
        asked = ASKED.get(setting)
        cells = [_pair(figures) for figures in asked] if asked else ["–", "–"]
        if not runs:
            yield _row(CALLED[setting], *cells, "not run", "–", "0", "–", "–")
            continue
        found = [mean(runs, runs, name) for name in ("ap", "roc")]
        spread = " / ".join(_spread(runs, tables, name) for name in ("ap", "roc"))
        met = [_met(found, figures) for figures in asked] if asked else ["–", "–"]
        count = f"{len(runs)} of {len(tables) * len(SEEDS)}"
        yield _row(CALLED[setting], *cells, _pair(found), spread, count, *met)


def _met(found: Sequence[float], asked: Sequence[float]) -> str:
    """Say whether what was asked is reached, and by how much it is missed."""
    names = ("average precision", "ROC AUC")
    missed = [
        f"{name} {value - least:+.3f}"
        for name, value, least in zip(names, found, asked, strict=True)
        if value < least
    ]
    return "missed: " + ", ".join(missed) if missed else "reached"


def _spread(runs: Runs, tables: list[str], name: str) -> str:
    means = [mean(runs, [(t, seed) for t in tables], name) for seed in whole(runs, tables)]
    return f"({min(means):.3f} to {max(means):.3f})" if len(means) > 1 else "–"


def _means(board: Board, tables: list[str], setting: str) -> Iterator[str]:
    yield f"\n### {_label(setting)}\n"
    yield (
        f"| player | runs | tables | seeds | of them from {MEASURED.name} | failed | average "
        "precision | ROC AUC | Askew on the same runs | rank, seed 0 | rank, seeds 0 to 2 |"
    )
    yield "| --- " * 11 + "|"
    places = [_places(board, setting, tables, seeds) for seeds in (SEEDS[:1], SEEDS)]
    ours = board.get(("askew", setting), {})
    lines = []
    for who in players_of(board, setting):
        runs = board[who, setting]
        keys = list(runs) if who == "askew" else shared(ours, runs) or list(runs)
        both = bool(ours) and who != "askew" and bool(shared(ours, runs))
        ap, roc = (mean(runs, keys, name) for name in ("ap", "roc"))
        beside = _pair([mean(ours, keys, name) for name in ("ap", "roc")]) if both else "–"
        mine = [runs[key] for key in keys]
        counts = [
            len(mine),
            len({table for table, _ in keys}),
            ", ".join(map(str, sorted({seed for _, seed in keys}))),
            sum("source" in line for line in mine),
            sum(line["ap"] is None for line in mine),
        ]
        ranks = [f"{place[who]:.2f}" if who in place else "–" for place in places]
        lines.append((ap, _row(_name(who), *counts, f"{ap:.3f}", f"{roc:.3f}", beside, *ranks)))
    yield from (line for _, line in sorted(lines, key=_first, reverse=True))


def _places(
    board: Board, setting: str, tables: list[str], seeds: Sequence[int]
) -> dict[str, float]:
    """Give each player's mean rank."""
    players, scores = ranked(board, setting, tables, seeds)
    if not players:
        return {}
    ranks = critical_difference.rank_of(scores).mean(axis=0)
    return dict(zip(players, ranks.tolist(), strict=True))


def _duels(board: Board) -> Iterator[str]:
    yield "\n## Askew against each peer\n"
    yield (
        f"Table by table, on the mean over the seeds both have; a difference of up to {TIE} in "
        "average precision is a tie. Differences are Askew's figure less the peer's. Command: "
        "`make bench-quality`."
    )
    for setting in SETTINGS:
        ours = board.get(("askew", setting), {})
        peers = [
            who
            for who in players_of(board, setting)
            if who != "askew" and shared(ours, board[who, setting])
        ]
        yield f"\n### {_label(setting)}\n"
        if not peers:
            yield "Not run."
            continue
        yield (
            "| peer | tables | seeds | won | tied | lost | median difference, average precision | "
            "median difference, ROC AUC | mean difference, average precision | worst table |"
        )
        yield "| --- " * 10 + "|"
        behind = []
        for who in peers:
            theirs = board[who, setting]
            ap, roc = (differences(ours, theirs, name) for name in ("ap", "roc"))
            middle = float(np.median(list(ap.values())))
            worst = min(ap, key=lambda table: ap[table])
            seeds = sorted({seed for _, seed in shared(ours, theirs)})
            yield _row(
                _name(who),
                len(ap),
                ", ".join(map(str, seeds)),
                *outcomes(ap.values()),
                f"{middle:+.3f}",
                f"{np.median(list(roc.values())):+.3f}",
                f"{np.mean(list(ap.values())):+.3f}",
                f"{worst} ({ap[worst]:+.3f})",
            )
            if middle < -MEDIAN_BELOW:
                behind.append(f"{_name(who)} ({middle:+.3f})")
        yield (
            f"\nOn the median table more than {MEDIAN_BELOW} below in average precision: "
            f"{', '.join(behind) or 'none'}."
        )


def _rankings(board: Board, tables: list[str]) -> Iterator[critical_difference.Ranking]:
    for setting, seeds in PICTURED:
        players, scores = ranked(board, setting, tables, seeds)
        if len(players) >= critical_difference.LEAST:
            named = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
            title = f"{_label(setting)}; {named}"
            yield critical_difference.ranking(title, players, scores)


def _pictured(rankings: Sequence[critical_difference.Ranking]) -> Iterator[str]:
    yield "\n## Which differences are more than chance\n"
    yield (
        "Mean ranks by average precision with Nemenyi's critical difference at "
        f"{critical_difference.ALPHA} (Demsar 2006); a thick bar joins players that the test "
        "cannot tell apart. Only players that have run on every table with every seed named are "
        "there. A failed run takes part as chance. Where Friedman's p is above "
        f"{critical_difference.ALPHA}, no two of them may be told apart at all. The tables are not "
        "independent draws of anything, which the test presumes. Command: `.venv/bin/python "
        "benchmarks/quality.py --report`.\n"
    )
    for one in rankings:
        if "askew" not in one.players:
            yield f"- {one.title}: without Askew, which has not run on every table there."
            continue
        mine = one.ranks[one.players.index("askew")]
        gaps = dict(zip(one.players, one.ranks - mine, strict=True))
        better = [who for who, gap in gaps.items() if gap <= -one.difference]
        worse = [who for who, gap in gaps.items() if gap >= one.difference]
        alike = [who for who in one.players if who not in ("askew", *better, *worse)]
        yield (
            f"- {one.title}: Friedman's p {critical_difference.p_text(one.p)}; Askew's mean rank "
            f"is {mine:.2f} among {len(one.players)}. Ranked better beyond the critical "
            f"difference: {', '.join(better) or 'none'}; not told apart from it: "
            f"{', '.join(alike) or 'none'}; worse beyond it: {', '.join(worse) or 'none'}."
        )
    yield "\n![Mean ranks with the critical difference](quality.svg)"


def _times(board: Board) -> Iterator[str]:
    yield "\n## Time to fit\n"
    yield (
        "CPU seconds of all threads of one fit, over all settings, tables and seeds (of up to "
        "7,000 rows); wall seconds where they were taken, on a machine that did other work too. "
        "What is loaded and compiled once is not counted. Command: `make bench-quality`.\n"
    )
    yield (
        "| player | runs | median, CPU s | 95th percentile | largest | where | median, wall s | "
        "largest |"
    )
    yield "| --- " * 8 + "|"
    for who in PLAYERS:
        lines = [
            line
            for setting in SETTINGS
            if setting not in ALIKE or who == "askew"
            for line in board.get((who, setting), {}).values()
            if line["fit_cpu_s"] is not None
        ]
        if not lines:
            continue
        cpu = [line["fit_cpu_s"] for line in lines]
        wall = [line["fit_s"] for line in lines if line["fit_s"] is not None]
        most = lines[int(np.argmax(cpu))]
        high = float(np.percentile(cpu, 95))
        figures = [f"{seconds:.2f}" for seconds in (float(np.median(cpu)), high, max(cpu))]
        on = [f"{np.median(wall):.2f}", f"{max(wall):.2f}"] if wall else ["–", "–"]
        where = f"{most['table']}, {CALLED[most['setting']]}"
        yield _row(_name(who), len(lines), *figures, where, *on)


def _by_table(board: Board, tables: list[str]) -> Iterator[str]:
    yield "\n## Askew by table\n"
    yield "Average precision, mean over the seeds. Command: `make bench-quality`.\n"
    yield _row("table", *(CALLED[setting] for setting in SETTINGS))
    yield "| --- " * (len(SETTINGS) + 1) + "|"
    found = {}
    for setting in SETTINGS:
        runs = board.get(("askew", setting), {})
        found[setting] = by_table(runs, runs, "ap")
    for table in tables:
        yield _row(table, *(_figure(found[setting].get(table)) for setting in SETTINGS))


def _behind(board: Board, tables: list[str]) -> Iterator[str]:
    yield f"\n## Where Askew is more than {BELOW} behind the best peer\n"
    yield (
        "The best peer of each table is picked after the fact, by the difference on the seeds both "
        "have. Command: `make bench-quality`.\n"
    )
    yield "| labelled anomalies | table | peer | its average precision | Askew | difference |"
    yield "| --- | --- | --- | --- | --- | --- |"
    counts = []
    for setting in SETTINGS:
        ours = board.get(("askew", setting), {})
        lost, played = [], 0
        for table in tables:
            here = {key: line for key, line in ours.items() if key[0] == table}
            gaps = {
                who: differences(here, board[who, setting], "ap")[table]
                for who in players_of(board, setting)
                if who != "askew" and shared(here, board[who, setting])
            }
            played += bool(gaps)
            if not gaps or min(gaps.values()) >= -BELOW:
                continue
            who = min(gaps, key=lambda name: gaps[name])
            theirs = board[who, setting]
            keys = shared(here, theirs)
            ap = [mean(runs, keys, "ap") for runs in (theirs, here)]
            cells = [f"{value:.3f}" for value in ap]
            lost.append((gaps[who], _row(CALLED[setting], table, who, *cells, f"{gaps[who]:+.3f}")))
        yield from (line for _, line in sorted(lost, key=_first))
        counts.append(f"{CALLED[setting]}: {len(lost)} of {played}")
    yield f"\nTables with such a peer, by labelled anomalies: {'; '.join(counts)}."


def _tried(tried: Sequence[jsonl.Line]) -> Iterator[str]:
    yield "\n## Tried ideas\n"
    there = [s for s in SETTINGS if any(s in one["gains"] for one in tried)]
    seeds = " ".join(map(str, tried[0]["seeds"]))
    yield (
        "What each idea changes against the default: difference in average precision ± its "
        "standard error / in ROC AUC, on splits that no figure above rests on. Command: "
        f"`.venv/bin/python benchmarks/tried.py --settings {' '.join(there)} --seeds {seeds}`, "
        "then `--report`; the gains stand in `benchmarks/tried.jsonl`.\n"
    )
    yield _row("idea", *(CALLED[setting] for setting in there))
    yield "| --- " * (len(there) + 1) + "|"
    for one in tried:
        yield _row(one["idea"], *(_gain(one["gains"].get(setting)) for setting in there))


def _gain(gain: Sequence[float] | None) -> str:
    return "–" if gain is None else f"{gain[0]:+.4f} ± {gain[1]:.4f} / {gain[2]:+.4f}"


def _releases(board: Board) -> str:
    found = {line["release"] for runs in board.values() for line in runs.values()}
    return ", ".join(sorted(found))


def _label(setting: str) -> str:
    return f"Labelled anomalies: {CALLED[setting]}"


def _name(who: str) -> str:
    return "**Askew**" if who == "askew" else who


def _pair(figures: Sequence[float]) -> str:
    return " / ".join(f"{value:.3f}" for value in figures)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _row(*cells: object) -> str:
    # A bar in an idea or a note would end its cell.
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _first(pair: tuple[float, str]) -> float:
    return pair[0]
