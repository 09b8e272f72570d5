"""Which rows to show an expert next: pure functions of scores, verdicts, places and a generator.

Nothing here depends on where a row stands in its file: equal rows are told apart by draws of the
generator that are dealt out along ``Pool.order``. A large pool is first cut to candidates, and
only these are compared with one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from askew.errors import MethodError
from askew.labels import Label

# What `mixed` asks for, question by question: every fifth is a random check.
CYCLE = ("suspicious", "suspicious", "informative", "suspicious", "random")
CANDIDATES = 2_000  # rows compared with one another, or twice as many as asked for
COPIES = 64  # rows of exactly one score or one doubt among them, or as many as asked for
SLICE = 0.1  # of the rows that may be asked, the top, is what `diverse` covers; at least ten a pick
SAMPLE = 1_000  # rows that tell how wide a column is and how far apart rows lie
JUDGED = 1_000  # judged rows that candidates are compared with
DOUBT = 0.5  # what uncertainty counts in `informative`, beside 1 for suspicion: were it 1 as well,
COVERAGE = 0.25  # and nearness too, most questions would go to rows that are plainly normal
NEAR = 0.1  # of the distance between two rows of the sample, or less, is a near-duplicate


@dataclass(frozen=True, eq=False)
class Pool:
    """The rows of a table as the model and the reviewers see them now.

    Parameters
    ----------
    scores
        (n,) finite, higher = more anomalous.
    members
        (n, m) finite scores of the members on one scale, that of ``scores``; None where there
        are none.
    label
        (n,) in {1, 0, -1}; only rows at -1 are asked.
    x
        (n, d) finite, at least one column: where the rows lie. Columns may be of any width.
    cut
        Above it a score is called an anomaly.
    order
        (n,) row numbers in the order of the random checks: a permutation drawn once and kept.
    passed
        (n,) True where a row is not to be asked: unsure, or leased to somebody else.
    asked
        Verdicts given so far, 0 or more: the place in the cycle of ``mixed``.

    Raises
    ------
    MethodError
        Arrays of different lengths, a score that is not finite, an order that is no permutation.
    """

    scores: NDArray[np.floating]
    members: NDArray[np.floating] | None
    label: NDArray[np.int8]
    x: NDArray[np.float32]
    cut: float
    order: NDArray[np.integer]
    passed: NDArray[np.bool_]
    asked: int = 0

    def __post_init__(self) -> None:
        n = len(self.scores)
        for name, dimensions in (
            ("scores", 1),
            ("members", 2),
            ("label", 1),
            ("x", 2),
            ("order", 1),
            ("passed", 1),
        ):
            array = getattr(self, name)
            if array is None and name == "members":
                continue
            if array.ndim != dimensions or len(array) != n or 0 in array.shape[1:]:
                columns = " and at least one column" if dimensions == 2 else ""
                raise MethodError(
                    f"{name} has shape {array.shape}; expected {dimensions} dimension(s) with "
                    f"{n} rows, as many as scores{columns}"
                )
        for name in ("scores", "members"):
            array = getattr(self, name)
            if array is not None and not np.isfinite(array).all():
                raise MethodError(
                    f"{name} holds a value that is not finite; rows can only be ordered by finite "
                    "scores: score the rows again"
                )
        seen = np.zeros(n, dtype=bool)
        seen[self.order[(self.order >= 0) & (self.order < n)]] = True
        if not seen.all():
            raise MethodError(
                f"order names {seen.sum()} of the {n} rows; expected a permutation of 0 to {n - 1}"
            )
        if self.asked < 0:
            raise MethodError(f"asked is {self.asked}; expected the number of verdicts so far")

    @cached_property
    def askable(self) -> NDArray[np.bool_]:
        """(n,) True where a row may be asked: not judged and not passed."""
        free: NDArray[np.bool_] = (self.label == Label.UNLABELED) & ~self.passed
        return free

    @cached_property
    def disagreement(self) -> NDArray[np.float64] | None:
        """(n,) standard deviation of the members' scores; None where no row's members differ."""
        if self.members is None:
            return None
        # Column by column: a reduction over a few members of a million rows is three times slower.
        columns = [column.astype(np.float64) for column in self.members.T]
        mean = sum(columns[1:], columns[0]) / len(columns)
        squares = [(column - mean) ** 2 for column in columns]
        spread = np.sqrt(sum(squares[1:], squares[0]) / len(columns))
        return spread if spread.any() else None

    @cached_property
    def doubt(self) -> NDArray[np.float64]:
        """(n,) how uncertain the model is of a row; higher = more, on no fixed scale.

        The members' disagreement, relative to the score's distance from the cut plus the median
        disagreement, so that a row on the cut itself has a finite doubt. Without disagreement,
        the nearer the cut the higher.
        """
        distance = np.abs(self.scores.astype(np.float64) - self.cut)
        spread = self.disagreement
        if spread is None:
            return -distance
        typical = np.median(spread) or spread.max()
        doubt: NDArray[np.float64] = spread / (distance + typical)
        return doubt


@dataclass(frozen=True)
class Pick:
    """A row to ask, and why: the name of the strategy that wanted it."""

    row: int
    why: str


def choose(
    pool: Pool, k: int, *, strategy: str = "mixed", generator: np.random.Generator
) -> list[Pick]:
    """Choose the rows to show next, in the order in which to show them.

    Parameters
    ----------
    pool
        The rows as they stand now.
    k
        How many, 1 or more. Fewer come where fewer may be asked.
    strategy
        A name in ``STRATEGIES``.
    generator
        Tells equal rows apart, and draws for ``diverse``; the same state gives the same rows.

    Returns
    -------
    list of Pick
        No row twice, none that is judged or passed. Within a batch a near-duplicate of a row
        already in it is put off until nothing else is left among the candidates; only random
        checks never look at what a row holds.

    Raises
    ------
    MethodError
        ``k`` is below 1, or there is no such strategy.
    """
    check_strategy(strategy)
    if not isinstance(k, int | np.integer) or k < 1:
        raise MethodError(f"k is {k!r}; expected how many rows to ask, a whole number from 1 up")
    return STRATEGIES[strategy](pool, int(k), generator)


def check_strategy(name: str) -> None:
    """Raise ``MethodError`` where there is no strategy of that name."""
    if name not in STRATEGIES:
        raise MethodError(f"there is no strategy {name!r}; give one of {', '.join(STRATEGIES)}")


def suspicious(pool: Pool, k: int, generator: np.random.Generator) -> list[Pick]:
    """Highest scores first."""
    return _fill(pool, ["suspicious"] * k, generator)


def uncertain(pool: Pool, k: int, generator: np.random.Generator) -> list[Pick]:
    """Where the members disagree most for their distance from the cut; without members, nearest it.

    ``Pool.doubt`` has the formula.
    """
    return _fill(pool, ["uncertain"] * k, generator)


def diverse(pool: Pool, k: int, generator: np.random.Generator) -> list[Pick]:
    """Cover the top slice of the pool: draws as in k-means++ around what is judged and chosen.

    A row of the slice is drawn with probability proportional to the squared distance to the
    nearest row judged or chosen before. While there is none, the top row comes first.

    **Source**: Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", 2007.
    """
    return _fill(pool, ["diverse"] * k, generator)


def informative(pool: Pool, k: int, generator: np.random.Generator) -> list[Pick]:
    """Suspicion and uncertainty together, away from what is judged and chosen.

    Greedy: the highest ``suspicion + DOUBT * uncertainty - COVERAGE * nearness``, each in [0, 1].
    The first two are ``1 - log(rank) / log(c + 1)`` among the c candidates, so that the head counts
    most; nearness falls from 1 at a copy of a row judged or chosen to 0 at the typical distance
    between rows.
    """
    return _fill(pool, ["informative"] * k, generator)


def mixed(pool: Pool, k: int, generator: np.random.Generator) -> list[Pick]:
    """Mostly suspicious, some informative, every fifth a random check: ``CYCLE``.

    Question number ``pool.asked`` goes on in the cycle, so that asking one by one gives the same
    mix as asking in batches.
    """
    return _fill(pool, [CYCLE[(pool.asked + i) % len(CYCLE)] for i in range(k)], generator)


def random(pool: Pool, k: int, generator: np.random.Generator) -> list[Pick]:
    """Take the next rows of ``pool.order`` that may be asked, whatever they hold.

    Given all that was asked before, each is a uniform draw from the rows that may be asked at that
    moment, since no other strategy prefers a row for its place in ``order``. Estimates rest on it.
    """
    return _fill(pool, ["random"] * k, generator)


STRATEGIES: dict[str, Callable[[Pool, int, np.random.Generator], list[Pick]]] = {
    "suspicious": suspicious,
    "uncertain": uncertain,
    "diverse": diverse,
    "informative": informative,
    "mixed": mixed,
    "random": random,
}

BY_SCORE = ("suspicious", "random")  # strategies that never look at members, which cost time


def _fill(pool: Pool, kinds: Sequence[str], generator: np.random.Generator) -> list[Pick]:
    """Take one row for each kind of question until the kinds or the rows run out."""
    batch = _Batch(pool, kinds, generator)
    picks: list[Pick] = []
    for kind in kinds:
        row = batch.next_random() if kind == "random" else batch.next_by_content(kind)
        if row is None:
            break
        picks.append(Pick(row, kind))
    return picks


class _Space:
    """Places of rows, each column brought to one width; distances are root mean squares.

    Widths come from the first rows of the random stream: a fair sample that stays the same from
    call to call, where widths of candidates would change with them.
    """

    def __init__(self, pool: Pool) -> None:
        sample = pool.x[pool.order[:SAMPLE]].astype(np.float64)
        low, self._center, high = np.percentile(sample, [25, 50, 75], axis=0)
        width = (high - low) / 1.349  # the standard deviation, where the column is Gaussian
        width = np.where(width > 0, width, sample.std(axis=0))
        self._width = np.where(width > 0, width, 1.0)
        z = self.place(sample)
        self.typical = float(np.median(distances(z, np.roll(z, 1, axis=0))))

    def place(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Standardise by median and quartiles; arsinh keeps one far value from outweighing all."""
        z: NDArray[np.float32] = np.arcsinh((x - self._center) / self._width).astype(np.float32)
        return z


def distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Measure row by row, 0 exactly for copies; ``b`` may be one row."""
    apart = a - b
    length: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", apart, apart) / a.shape[1])
    return length


class _Batch:
    """Candidates for one batch, by falling score, and how near each is to what is taken."""

    def __init__(self, pool: Pool, kinds: Sequence[str], generator: np.random.Generator) -> None:
        self.pool = pool
        self.k = len(kinds)
        self.taken: list[int] = []
        self._compared = 0  # of the taken rows, those that `_to_taken` knows
        self.rows = np.zeros(0, dtype=np.intp)
        if set(kinds) != {"random"}:
            self.rows = self._candidates(set(kinds), generator)
        self.free = np.ones(len(self.rows), dtype=bool)
        self._to_taken = np.full(len(self.rows), np.inf, dtype=np.float32)
        self._generator = generator

    def _candidates(self, kinds: set[str], generator: np.random.Generator) -> NDArray[np.intp]:
        pool = self.pool
        rows = np.flatnonzero(pool.askable)
        draws = np.empty(len(pool.scores), dtype=np.intp)
        draws[pool.order] = generator.permutation(len(draws))
        width = max(CANDIDATES, 2 * self.k)
        heads = [
            _head(values, rows, draws, width, max(COPIES, self.k))
            for values, wanted in (
                (pool.scores, kinds & {"suspicious", "diverse", "informative"}),
                (pool.doubt, kinds & {"uncertain", "informative"}),
            )
            if wanted
        ]
        found = np.unique(np.concatenate(heads))
        ordered: NDArray[np.intp] = found[np.lexsort((draws[found], -pool.scores[found]))]
        return ordered

    def next_random(self) -> int | None:
        """Take the next row of the stream."""
        for row in self._stream:
            if row not in self.taken:
                self.free[self.rows == row] = False
                self.taken.append(int(row))
                return int(row)
        return None

    def next_by_content(self, kind: str) -> int | None:
        """Take the candidate that one kind of question wants most."""
        left = self._left()
        if not left.any():
            return None
        at = self._draw(left) if kind == "diverse" else self._highest(kind, left)
        self.free[at] = False
        self.taken.append(int(self.rows[at]))
        return self.taken[-1]

    @cached_property
    def _stream(self) -> NDArray[np.integer]:
        stream: NDArray[np.integer] = self.pool.order[self.pool.askable[self.pool.order]][: self.k]
        return stream

    def _highest(self, kind: str, left: NDArray[np.bool_]) -> int:
        """Find the row of the highest worth; among equals the first, of the higher score."""
        if kind == "suspicious":
            return int(np.argmax(left))
        if kind == "uncertain":
            worth = self.pool.doubt[self.rows]
        else:
            worth = self._merit - COVERAGE * self._nearness()
        return int(np.argmax(np.where(left, worth, -np.inf)))

    def _draw(self, left: NDArray[np.bool_]) -> int:
        """Draw by squared distance among the top of the candidates, as k-means++ does."""
        top = max(10 * self.k, round(SLICE * np.count_nonzero(self.pool.askable)))
        if left[:top].any():
            left = left & (np.arange(len(left)) < top)
        nearest = np.minimum(self._to_judged, self._from_taken())
        weight = np.where(left & np.isfinite(nearest), nearest.astype(np.float64) ** 2, 0.0)
        total = weight.sum()
        if total == 0:
            return int(np.argmax(left))
        return int(self._generator.choice(len(weight), p=weight / total))

    @cached_property
    def _merit(self) -> NDArray[np.float64]:
        """(c,) suspicion and uncertainty, each by the logarithm of its rank."""
        merit = np.zeros(len(self.rows))
        for values, weight in ((self.pool.scores, 1.0), (self.pool.doubt, DOUBT)):
            rank = rankdata(-values[self.rows], method="min")
            merit += weight * (1 - np.log(rank) / np.log(len(self.rows) + 1))
        return merit

    def _nearness(self) -> NDArray[np.float32]:
        """(c,) from 1 at a row judged or taken to 0 at the typical distance."""
        if not self.taken and not (self.pool.label != Label.UNLABELED).any():
            return np.zeros(len(self.rows), dtype=np.float32)
        nearest = np.minimum(self._to_judged, self._from_taken())
        typical = self._space.typical
        if not typical:
            return np.where(nearest == 0, 1, 0).astype(np.float32)
        near: NDArray[np.float32] = np.maximum(0, 1 - nearest / typical)
        return near

    def _left(self) -> NDArray[np.bool_]:
        """Find the free candidates; near-duplicates of taken rows only where no other is left."""
        if not self.taken:
            return self.free
        apart: NDArray[np.bool_] = self.free & (self._from_taken() > NEAR * self._space.typical)
        return apart if apart.any() else self.free

    @cached_property
    def _space(self) -> _Space:
        return _Space(self.pool)

    @cached_property
    def _z(self) -> NDArray[np.float32]:
        return self._space.place(self.pool.x[self.rows])

    def _from_taken(self) -> NDArray[np.float32]:
        """(c,) distance to the nearest row taken so far."""
        for row in self.taken[self._compared :]:
            z = self._space.place(self.pool.x[row : row + 1])
            self._to_taken = np.minimum(self._to_taken, distances(self._z, z))
        self._compared = len(self.taken)
        return self._to_taken

    @cached_property
    def _to_judged(self) -> NDArray[np.float32]:
        """(c,) distance to the nearest judged row, of the first ``JUDGED`` in the random stream."""
        pool = self.pool
        judged = pool.order[pool.label[pool.order] != Label.UNLABELED][:JUDGED]
        if not len(judged):
            return np.full(len(self.rows), np.inf, dtype=np.float32)
        a = self._z.astype(np.float64)
        b = self._space.place(pool.x[judged]).astype(np.float64)
        squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
        nearest: NDArray[np.float64] = np.sqrt(np.maximum(squared.min(axis=1), 0) / a.shape[1])
        # What the subtraction of large squares leaves of a copy's distance is rounding.
        return np.where(nearest < 1e-6, 0, nearest).astype(np.float32)


def _head(
    values: NDArray[np.floating],
    rows: NDArray[np.intp],
    draws: NDArray[np.intp],
    width: int,
    most: int,
) -> NDArray[np.intp]:
    """Find the rows of the highest values, ``width`` at most, and ``most`` at most of one value.

    Copies of one row share its score: without the second limit a table with thousands of them
    would have no other candidate. With ``most`` at least the rows asked for, there are always
    enough.
    """
    if not len(rows):
        return rows
    falling = np.sort(values[rows])[::-1]
    distinct = np.flatnonzero(np.concatenate([[True], np.diff(falling) != 0]))
    level = falling[distinct[min(width, len(distinct)) - 1]]
    rows = rows[values[rows] >= level]
    rows = rows[np.lexsort((draws[rows], -values[rows]))]
    place = np.arange(len(rows))
    new = np.concatenate([[True], np.diff(values[rows]) != 0])
    copies_before = place - np.maximum.accumulate(np.where(new, place, 0))
    head: NDArray[np.intp] = rows[copies_before < most][:width]
    return head


REASONS: dict[str, Callable[[Pool, int], str]] = {
    "suspicious": lambda pool, row: f"ranked {_ordinal(_rank(pool, row))}",
    "uncertain": lambda pool, _: (
        "close to the threshold" if pool.disagreement is None else "the members disagree"
    ),
    "diverse": lambda pool, _: "unlike the rows judged so far",
    "informative": lambda pool, row: (
        f"ranked {_ordinal(_rank(pool, row))}, and its verdict teaches much"
    ),
    "random": lambda pool, _: "random check",
}


def explain(pool: Pool, pick: Pick) -> str:
    """Say in a few words why a row is asked, for the page.

    A rank is among all rows of the pool, judged ones included; equal scores share the best one.

    Raises
    ------
    MethodError
        No strategy gives the pick's reason.

    Examples
    --------
    >>> pool = Pool(
    ...     scores=np.array([0.1, 0.9, 0.5]),
    ...     members=None,
    ...     label=np.array([-1, -1, -1], dtype=np.int8),
    ...     x=np.array([[0.0], [9.0], [4.0]], dtype=np.float32),
    ...     cut=0.6,
    ...     order=np.array([2, 0, 1]),
    ...     passed=np.zeros(3, dtype=bool),
    ... )
    >>> [explain(pool, pick) for pick in choose(pool, 2, generator=np.random.default_rng(0))]
    ['ranked 1st', 'ranked 2nd']
    """
    if pick.why not in REASONS:
        raise MethodError(
            f"the reason {pick.why!r} is none of {', '.join(REASONS)}; give a pick of `choose`"
        )
    return REASONS[pick.why](pool, pick.row)


def _rank(pool: Pool, row: int) -> int:
    return 1 + int(np.count_nonzero(pool.scores > pool.scores[row]))


def _ordinal(number: int) -> str:
    """Write a rank out.

    >>> [_ordinal(number) for number in (1, 2, 3, 4, 11, 21, 112, 1003)]
    ['1st', '2nd', '3rd', '4th', '11th', '21st', '112th', '1,003rd']
    """
    teen = 10 < number % 100 < 14
    return f"{number:,}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
