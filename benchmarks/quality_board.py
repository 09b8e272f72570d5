"""The runs of benchmarks/quality.py side by side: means, differences and who is whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import jsonl
import numpy as np
from numpy.typing import NDArray
from quality import ALIKE, PLAYERS, SEEDS, VERSIONS

from methods import CHANCE

TIE = 0.005  # average precision

Runs = dict[tuple[str, int], jsonl.Line]  # by table and seed
Board = dict[tuple[str, str], Runs]  # by player and setting


def standing(lines: Iterable[jsonl.Line], tables: Sequence[str]) -> Board:
    """Sort the runs of the present versions on the reported tables and seeds.

    A peer's runs in one setting stand for those alike. Runs with other seeds, such as those that
    choices are made by, have no part in the report.
    """
    board: Board = {}
    for line in lines:
        reported = line["table"] in tables and line["seed"] in SEEDS
        if reported and VERSIONS.get(line["who"]) == line["version"]:
            runs = board.setdefault((line["who"], line["setting"]), {})
            runs[line["table"], line["seed"]] = line
    for setting, same in ALIKE.items():
        for who in PLAYERS:
            if who != "askew" and (who, same) in board:
                board[who, setting] = board[who, same]
    return board


def figure(line: jsonl.Line, name: str) -> float:
    """Give a run's average precision (ap) or ROC AUC (roc); a failed run counts as chance."""
    return CHANCE[name] if line[name] is None else float(line[name])


def by_table(runs: Runs, keys: Iterable[tuple[str, int]], name: str) -> dict[str, float]:
    """Give the mean over seeds on each table, of the runs with these keys."""
    found: dict[str, list[float]] = {}
    for table, seed in keys:
        found.setdefault(table, []).append(figure(runs[table, seed], name))
    return {table: float(np.mean(figures)) for table, figures in found.items()}


def mean(runs: Runs, keys: Iterable[tuple[str, int]], name: str) -> float:
    """Give the mean over tables of means over seeds."""
    return float(np.mean(list(by_table(runs, keys, name).values())))


def shared(ours: Runs, theirs: Runs) -> list[tuple[str, int]]:
    """Name the tables and seeds that both have run on."""
    return [key for key in theirs if key in ours]


def differences(ours: Runs, theirs: Runs, name: str) -> dict[str, float]:
    """Say how far ours is ahead on each table, on the runs that both have."""
    keys = shared(ours, theirs)
    here, there = by_table(ours, keys, name), by_table(theirs, keys, name)
    return {table: here[table] - there[table] for table in here}


def whole(runs: Runs, tables: Sequence[str]) -> list[int]:
    """Name the seeds with a run on every table."""
    seeds = sorted({seed for _, seed in runs})
    return [seed for seed in seeds if all((table, seed) in runs for table in tables)]


def ranked(
    board: Board, setting: str, tables: Sequence[str], seeds: Sequence[int]
) -> tuple[list[str], NDArray[np.float64]]:
    """Give the players that have run on all tables with all these seeds, and what they reached.

    Returns
    -------
    players : list of str
        n_players names.
    scores : (n_tables, n_players)
        Mean average precision over the seeds.
    """
    here = players_of(board, setting)
    players = [who for who in here if set(seeds) <= set(whole(board[who, setting], tables))]
    scores = [
        list(by_table(board[who, setting], [(t, s) for t in tables for s in seeds], "ap").values())
        for who in players
    ]
    return players, np.array(scores).T.reshape(len(tables), len(players))


def outcomes(gaps: Iterable[float]) -> tuple[int, int, int]:
    """Count what is won, tied and lost."""
    found = np.round(list(gaps), 9)  # so that 0.005 is a tie whatever its last bit
    won, lost = int((found > TIE).sum()), int((found < -TIE).sum())
    return won, len(found) - won - lost, lost


def players_of(board: Board, setting: str) -> list[str]:
    """Name who has run in a setting."""
    return [who for who in PLAYERS if board.get((who, setting))]
