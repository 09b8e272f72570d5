"""Which differences between players' ranks are more than chance, as figures and as a picture.

Source: Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006:
the test of Friedman over all players, then the critical difference of Nemenyi between two of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from askew.review.picture import STYLE

ALPHA = 0.05
WIDTH, SIDE = 900, 230  # of a picture, and of the room for names on either side of the axis
TOP, STEP, BAR = 98, 20, 9  # the axis's height, between two names and between two bars
LEAST = 3  # players: of two, Friedman's test says nothing


@dataclass(frozen=True)
class Ranking:
    """Mean ranks of players over tables, and what differences between them are worth.

    Parameters
    ----------
    title
        What was ranked.
    players
        Their names.
    ranks
        The mean rank of each; 1 is best.
    n_tables
        Over how many tables.
    statistic, p
        Of Friedman's test.
    difference
        The critical difference: two mean ranks further apart differ at ``ALPHA``.
    """

    title: str
    players: tuple[str, ...]
    ranks: NDArray[np.float64]
    n_tables: int
    statistic: float
    p: float
    difference: float

    def groups(self) -> Iterator[tuple[int, int]]:
        """Give the widest runs of players, best first, that the test cannot tell apart.

        A run is told by the first and the last place in the order of ranks.
        """
        ranks = np.sort(self.ranks)
        reached = 0
        for first in range(len(ranks)):
            last = int(np.searchsorted(ranks, ranks[first] + self.difference)) - 1
            if last > max(first, reached):
                yield first, last
                reached = last


def rank_of(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank players on each table (n_tables, n_players): 1 for the highest, ties share their mean.

    >>> rank_of(np.array([[0.9, 0.5, 0.5]])).tolist()
    [[1.0, 2.5, 2.5]]
    """
    ranks: NDArray[np.float64] = rankdata(-scores, axis=1)
    return ranks


def critical_difference(n_players: int, n_tables: int, alpha: float = ALPHA) -> float:
    """Nemenyi's critical difference between two mean ranks.

    >>> round(critical_difference(4, 14), 2)
    1.25
    """
    q = studentized_range.ppf(1 - alpha, n_players, np.inf) / math.sqrt(2)
    return float(q * math.sqrt(n_players * (n_players + 1) / (6 * n_tables)))


def ranking(title: str, players: Sequence[str], scores: NDArray[np.float64]) -> Ranking:
    """Rank players by scores (n_tables, n_players), higher is better.

    Raises
    ------
    ValueError
        Fewer than three players.
    """
    n_tables, n_players = scores.shape
    if n_players < LEAST:
        raise ValueError(f"{n_players} players: Friedman's test takes {LEAST} or more")
    test = friedmanchisquare(*scores.T)
    return Ranking(
        title,
        tuple(players),
        rank_of(scores).mean(axis=0),
        n_tables,
        float(test.statistic),
        float(test.pvalue),
        critical_difference(n_players, n_tables),
    )


def draw(rankings: Sequence[Ranking], *, title: str, marked: str) -> str:
    """Draw rankings one below the other as one SVG; ``marked`` is the player in color."""
    parts, height = [], 40
    for one in rankings:
        bars = len(list(one.groups()))
        parts.append(f'<g transform="translate(0 {height})">')
        parts += [*_ranking(one, marked), "</g>"]
        height += TOP + BAR * bars + STEP * math.ceil(len(one.players) / 2) + 44
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title><style>{STYLE}",
        ".line { fill: none; stroke: var(--soft); }",
        ".group { stroke: var(--ink); stroke-width: 5; }",
        ".marked { stroke: var(--c0); stroke-width: 2; } text.marked { stroke: none;",
        "  fill: var(--c0); font-weight: 600; }</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
        f'<text class="title" x="20" y="26" font-size="15">{escape(title)}</text>',
    ]
    return "\n".join([*head, *parts, "</svg>", ""])


def _ranking(one: Ranking, marked: str) -> Iterator[str]:
    most = len(one.players)

    def at(rank: float) -> float:
        return round(SIDE + (WIDTH - 2 * SIDE) * (rank - 1) / (most - 1), 1)

    yield f'<text class="title" x="20" y="20">{escape(one.title)}</text>'
    yield (
        f'<text x="20" y="37">{most} players, {one.n_tables} tables; mean rank, 1 is best; '
        f"Friedman {one.statistic:.1f}, p {p_text(one.p)}</text>"
    )
    yield f'<path class="line" d="M{at(1)} {TOP}H{at(most)}"/>'
    for rank in range(1, most + 1):
        yield f'<path class="line" d="M{at(rank)} {TOP}v-5"/>'
        yield f'<text x="{at(rank)}" y="{TOP - 9}" text-anchor="middle">{rank}</text>'
    yield f'<path class="line" d="M{at(1)} {TOP - 36}v6v-3H{at(1 + one.difference)}v-3v6"/>'
    yield (
        f'<text x="{at(1 + one.difference) + 6}" y="{TOP - 29}">critical difference '
        f"{one.difference:.2f}</text>"
    )
    ranks = np.sort(one.ranks)
    groups = list(one.groups())
    for i, (first, last) in enumerate(groups):
        y = TOP + 8 + BAR * i
        yield f'<path class="group" d="M{at(ranks[first]) - 3} {y}H{at(ranks[last]) + 3}"/>'
    # The better half stands on the left, best on top, so that no two lines cross.
    below = TOP + 8 + BAR * len(groups) + 12
    left = math.ceil(most / 2)
    for place, player in enumerate(np.argsort(one.ranks, kind="stable")):
        name, rank = one.players[player], one.ranks[player]
        on_left = place < left
        y = below + STEP * (place if on_left else most - 1 - place)
        end, edge = ("end", SIDE - 24) if on_left else ("start", WIDTH - SIDE + 24)
        kind = " marked" if name == marked else ""
        text = edge - 6 if on_left else edge + 6
        yield f'<path class="line{kind}" d="M{at(rank)} {TOP}V{y}H{edge}"/>'
        yield (
            f'<text class="name{kind}" x="{text}" y="{y + 4}" text-anchor="{end}">{escape(name)} '
            f"{rank:.2f}</text>"
        )


def p_text(p: float) -> str:
    """Write a p-value.

    >>> p_text(0.0312)
    '0.031'
    """
    return "below 0.001" if p < 0.001 else f"{p:.3f}"
