"""What the verdicts so far say of the rows that nobody has judged.

The queue asks what looks suspicious, so the share of anomalies among its verdicts says nothing of
the rest. Every few questions a *random check* asks a row drawn uniformly from the rows that have
no verdict at that moment. Given everything that had happened before, such a row is an anomaly
with probability

    p_j = (R + g_j) / w_j

where R is the number of anomalies still unjudged today, the one unknown; g_j how many anomalies
were found from that question on, itself included; and w_j how many rows had no verdict then.
g_j and w_j are known exactly, so the product of these probabilities is a likelihood of R alone,
whatever the queue did in between: it may choose by all verdicts, those of the checks too, for
the next check is drawn afresh. The rows of the queue thus count as a stratum known with
certainty and the checks speak for the rest; R lies in 0..(unjudged rows) by construction. This
is narrower than taking the checks for a sample of the whole table, because what the queue has
found needs no estimate.

Of the top k rows, those judged are known and the rest is a part of the table with such a
likelihood of its own: from the checks whose row stood in the top when it was asked, by the model
of that moment. What the model says of that row today cannot be used, for its verdict has been
learned since, and even a refit without it follows what it made the queue ask next. The price is
that a ranking which has become better since is told as a little worse than it is.

What breaks it: a check that was not drawn from *all* unjudged rows (from candidates only, say),
or questions given in another order than that in which the rows were chosen. To ask the first
unjudged row of a fixed shuffle is such a draw.

An interval is the middle part of a posterior under Jeffreys' prior for a rate. In simulated loops
(``python -m benchmarks.intervals 300``) 92 to 95 % of those at level 0.9 cover: about 90 % where
anomalies are many, up to 99 % where a handful is left, since no interval can then miss from below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from askew.errors import DataError, MethodError
from askew.labels import Label

LEVEL = 0.9
# With fewer checks and no anomaly among them, over a tenth of the rest might be anomalous.
MIN_CHECKS = 20
# A precision is told once its interval is sure to be this narrow, were it 0.5.
WIDEST = 0.5
RECENT = 20  # verdicts of the queue that the stopping hint looks back on
GRID = 2_000  # counts of anomalies that are tried; every one where there are no more rows
POINTS = 500  # of them that stand for a posterior where two are combined


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval, or what is missing for one.

    Parameters
    ----------
    value, low, high : float or None
        Posterior median and the ends of the central interval; None where withheld.
    level : float
        Probability that the interval covers.
    n_checks : int
        Random checks that it rests on.
    n_needed : int
        Random checks that are still missing, about; 0 where the estimate stands.
    n_top : int
        For the top k: verdicts on rows among them that would do instead; 0 where it stands.
    """

    value: float | None
    low: float | None
    high: float | None
    level: float
    n_checks: int
    n_needed: int = 0
    n_top: int = 0

    @property
    def withheld(self) -> bool:
        """Whether the verdicts don't carry the estimate."""
        return self.value is None

    def describe(self) -> str:
        """Word it: ``4 [1, 9]``, ``0.6 [0.4, 0.8]`` or what is missing."""
        if self.value is None or self.low is None or self.high is None:
            instead = f", or verdicts on {self.n_top:,} rows of the top" if self.n_top else ""
            return f"withheld: needs about {self.n_needed:,} more random checks{instead}"
        return f"{_figure(self.value)} [{_figure(self.low)}, {_figure(self.high)}]"


@dataclass(frozen=True)
class Estimates:
    """All that is told of a table: numbers of rows, shares in [0, 1].

    Parameters
    ----------
    k : int
        Length of the top that precision and recall speak of.
    n_found : int
        Anomalies found so far.
    n_unjudged : int
        Rows without a verdict.
    remaining : Estimate
        Number of anomalies among the unjudged rows.
    rate : Estimate
        Share of anomalies among all rows but the unsure ones.
    precision : Estimate
        Share of anomalies among the k rows with the highest scores.
    recall : Estimate
        Share of all anomalies that lies among these k rows; 1 where there is no anomaly.
    """

    k: int
    n_found: int
    n_unjudged: int
    remaining: Estimate
    rate: Estimate
    precision: Estimate
    recall: Estimate


@dataclass(frozen=True)
class StoppingHint:
    """How the queue has lately fared, and what remains.

    Parameters
    ----------
    n_recent : int
        Verdicts looked back on, 20 at most, unsure ones left out.
    n_anomaly : int
        Anomalies among them.
    remaining : Estimate
        Number of anomalies among the unjudged rows.
    """

    n_recent: int
    n_anomaly: int
    remaining: Estimate

    def describe(self) -> str:
        """Word it in one sentence."""
        lately = f"{self.n_anomaly} of the last {self.n_recent} were anomalies"
        if self.remaining.withheld:
            return f"{lately}; how many remain is {self.remaining.describe()}"
        return f"{lately}; about {self.remaining.describe()} remain among the unjudged"


def estimate(
    label: NDArray[np.int8],
    unsure: NDArray[np.bool_],
    asked: NDArray[np.intp],
    random: NDArray[np.bool_],
    above: NDArray[np.integer],
    scores: NDArray[np.floating],
    k: int,
    *,
    level: float = LEVEL,
) -> Estimates:
    """Estimate what remains, the rate, and precision and recall of the top k.

    Parameters
    ----------
    label
        (n,) in {1, 0, -1}: what holds of each row now.
    unsure
        (n,): rows that were answered with unsure; their label is -1. They count neither way: the
        estimates are of the other rows.
    asked
        (q,) row numbers in the order in which the rows were *chosen* to be asked. Of a row that
        stands there twice the first time counts; a row whose verdict was taken back is passed
        over; judged rows that are missing here count as judged before all others.
    random
        (q,): whether the row was asked as a random check, drawn from all rows that were neither
        judged nor waiting for a verdict then.
    above
        (q,): how many rows without a verdict the model of that moment scored higher than the row;
        0 where that is not known of a row of the queue. The scores of now won't do instead: an
        anomaly is ranked up by the very verdict that says so. Nor do scores of a model refitted
        without that verdict, as it led the queue to ask its neighbors.
    scores
        (n,) higher = more anomalous, by the model of now.
    k
        Length of the top, in 1..n.
    level
        Probability that an interval should cover, in (0, 1).

    Raises
    ------
    DataError
        Arrays that do not fit together.
    MethodError
        ``k`` or ``level`` out of its range.
    """
    if len(scores) != len(label) or len(above) != len(asked):
        raise DataError(
            f"{len(scores):,} scores for {len(label):,} rows, {len(above):,} numbers of rows above "
            f"for {len(asked):,} questions; give one score per row and one number per question"
        )
    if not 1 <= k <= len(label):
        raise MethodError(f"k is {k}; expected 1 to {len(label):,}, the number of rows")
    stream = _Stream.of(label, unsure, asked, random, level, above)
    remaining = stream.remaining()
    n_found, n_sure = int((label == Label.ANOMALY).sum()), int((~stream.unsure).sum())
    precision, recall = _top(stream, scores, k, n_found)
    return Estimates(
        k=k,
        n_found=n_found,
        n_unjudged=int((~stream.known).sum()),
        remaining=remaining,
        rate=_shifted(remaining, n_found, max(n_sure, 1)),
        precision=precision,
        recall=recall,
    )


def n_remaining(
    label: NDArray[np.int8],
    unsure: NDArray[np.bool_],
    asked: NDArray[np.intp],
    random: NDArray[np.bool_],
    *,
    level: float = LEVEL,
) -> Estimate:
    """Estimate the number of anomalies among the unjudged rows; parameters as ``estimate``."""
    return _Stream.of(label, unsure, asked, random, level).remaining()


def stopping_hint(
    label: NDArray[np.int8],
    unsure: NDArray[np.bool_],
    asked: NDArray[np.intp],
    random: NDArray[np.bool_],
    *,
    level: float = LEVEL,
) -> StoppingHint:
    """Say how the queue's last verdicts went and what remains; parameters as ``estimate``."""
    queue = _last_first(asked[~random])
    recent = label[queue][label[queue] != Label.UNLABELED][:RECENT]
    return StoppingHint(
        n_recent=len(recent),
        n_anomaly=int((recent == Label.ANOMALY).sum()),
        remaining=n_remaining(label, unsure, asked, random, level=level),
    )


# -- inside ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Posterior:
    """Probabilities of counts, or of shares."""

    count: NDArray[np.float64]  # (g,) rising
    mass: NDArray[np.float64]  # (g,) summing to 1

    def thinned(self) -> _Posterior:
        """Let some counts of equal mass stand for all, where there are many."""
        if len(self.count) <= POINTS:
            return self
        at = np.searchsorted(np.cumsum(self.mass), (np.arange(POINTS) + 0.5) / POINTS)
        return _Posterior(self.count[at], np.full(POINTS, 1 / POINTS))


@dataclass(frozen=True)
class _Stream:
    """The questions in order, first times only, rows without an answer and unsure ones left out."""

    label: NDArray[np.int8]
    unsure: NDArray[np.bool_]
    known: NDArray[np.bool_]  # (n,) answered, unsure included
    asked: NDArray[np.intp]
    random: NDArray[np.bool_]
    above: NDArray[np.integer]
    level: float

    @classmethod
    def of(
        cls,
        label: NDArray[np.int8],
        unsure: NDArray[np.bool_],
        asked: NDArray[np.intp],
        random: NDArray[np.bool_],
        level: float,
        above: NDArray[np.integer] | None = None,
    ) -> _Stream:
        if len(unsure) != len(label) or len(asked) != len(random):
            raise DataError(
                f"{len(label):,} labels with {len(unsure):,} marks for unsure, {len(asked):,} "
                f"questions with {len(random):,} marks for random; each pair must be equally long"
            )
        if not 0 < level < 1:
            raise MethodError(f"level is {level!r}; expected a number between 0 and 1")
        if len(asked) and not (asked.min() >= 0 and asked.max() < len(label)):
            raise DataError(
                f"questions name rows {asked.min():,} to {asked.max():,}; the table has rows 0 to "
                f"{len(label) - 1:,}"
            )
        judged = label != Label.UNLABELED
        unsure = unsure & ~judged
        first = np.zeros(len(asked), np.bool_)
        first[np.unique(asked, return_index=True)[1]] = True
        kept = first & judged[asked]
        above = np.zeros(len(asked), np.int64) if above is None else above
        known = judged | unsure
        return cls(label, unsure, known, asked[kept], random[kept], above[kept], level)

    @property
    def n_checks(self) -> int:
        return int(self.random.sum())

    @property
    def n_missing(self) -> int:
        """Random checks that are missing before anything is said of the unjudged rows."""
        return 0 if self.known.all() else max(0, MIN_CHECKS - self.n_checks)

    def in_top(self, n_open: int) -> NDArray[np.bool_]:
        """Tell which questions were of rows that would lie in the top today, unjudged, (q,).

        The top of an earlier moment is as many of its highest rows as are open in the top today
        or were asked out of it since.
        """
        inside = np.zeros(len(self.asked), np.bool_)
        for j in reversed(range(len(inside))):
            inside[j] = self.above[j] <= n_open
            n_open += int(inside[j])
        return inside

    def log_likelihood(
        self, inside: NDArray[np.bool_], n_open: int, count: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Give the log-likelihood of numbers of unjudged anomalies in a part of the table.

        Parameters
        ----------
        inside
            (q,): questions of rows of the part.
        n_open
            Unjudged rows of the part.
        count
            (g,) numbers of anomalies among these.
        """
        random, hit = self.random[inside], self.label[self.asked][inside] == Label.ANOMALY
        # From each question on, itself included: rows judged later, anomalies among them.
        to_come = np.arange(len(hit), 0, -1)
        later = np.cumsum(hit[::-1])[::-1]
        total = np.zeros(len(count))
        for j in np.flatnonzero(random):
            n_then, anomalies = n_open + to_come[j], count + later[j]
            total += np.log((anomalies if hit[j] else n_then - anomalies) / n_then)
        return total

    def told(self, posterior: _Posterior) -> Estimate:
        """Give median and central interval.

        A count is in the interval where half of its own mass and all below it, or all above it,
        exceeds the tail, so that few counts with much mass each don't widen it.
        """
        tail = (1 - self.level) / 2
        mid = np.cumsum(posterior.mass) - posterior.mass / 2
        low, high = posterior.count[(mid >= tail) & (mid <= 1 - tail)][[0, -1]].tolist()
        value = float(posterior.count[np.argmin(np.abs(mid - 0.5))])
        return Estimate(value, low, high, self.level, self.n_checks)

    def remaining(self) -> Estimate:
        """Estimate the anomalies among all unjudged rows."""
        if self.n_missing:
            return self.withheld(self.n_missing)
        everywhere = np.ones(len(self.asked), np.bool_)
        return self.told(self.posterior(everywhere, int((~self.known).sum())))

    def posterior(self, inside: NDArray[np.bool_], n_open: int) -> _Posterior:
        """Find the posterior of the number of unjudged anomalies in a part of the table."""
        count, width = _counts(n_open)
        # Jeffreys' prior of a rate is Beta(1/2, 1/2), so that of a count is beta-binomial:
        # C(n, R) B(R + 1/2, n - R + 1/2), where C(n, R) is 1 / B(R + 1, n - R + 1) but for n + 1.
        log_mass = np.log(width) + self.log_likelihood(inside, n_open, count)
        log_mass += special.betaln(count + 0.5, n_open - count + 0.5)
        log_mass -= special.betaln(count + 1, n_open - count + 1)
        mass = np.exp(log_mass - log_mass.max())
        return _Posterior(count, mass / mass.sum())

    def withheld(self, n_needed: int, n_top: int = 0) -> Estimate:
        return Estimate(None, None, None, self.level, self.n_checks, n_needed, n_top)


def _counts(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give counts out of n, and how many each stands for.

    Of a large n some stand for their neighbors, closest near 0, where a posterior is steep.
    """
    if n <= GRID:
        count = np.arange(n + 1, dtype=np.float64)
    else:
        count = np.unique(np.rint(np.linspace(0, 1, GRID) ** 2 * n))
    between = np.concatenate([[-0.5], (count[1:] + count[:-1]) / 2, [n + 0.5]])
    return count, np.diff(between)


def _highest(scores: NDArray[np.floating], k: int) -> NDArray[np.bool_]:
    """Mark the k highest scores (n,), of equal ones the first, without a sort."""
    if k >= len(scores):
        return np.ones(len(scores), np.bool_)
    edge = np.partition(scores, len(scores) - k)[len(scores) - k]
    top: NDArray[np.bool_] = scores > edge
    top[np.flatnonzero(scores == edge)[: k - int(top.sum())]] = True
    return top


def _top(
    stream: _Stream, scores: NDArray[np.floating], k: int, n_found: int
) -> tuple[Estimate, Estimate]:
    """Estimate precision and recall of the k highest scores."""
    top = _highest(scores, k)
    n_open, open_top = int((~stream.known).sum()), int((top & ~stream.known).sum())
    n_hit = int((stream.label[top] == Label.ANOMALY).sum())
    n_sure = max(int((top & ~stream.unsure).sum()), 1)
    inside = stream.in_top(open_top)
    n_checks = int((inside & stream.random).sum())
    n_needed, n_top = _missing_in_top(stream.level, n_checks, n_open, open_top, n_sure)
    n_missing = max(n_needed, stream.n_missing)
    precision, recall = stream.withheld(n_needed, n_top), stream.withheld(n_missing)
    here = stream.posterior(inside, open_top)
    if not n_needed:
        told = replace(stream.told(here), n_checks=n_checks)
        precision = _shifted(told, n_hit, n_sure)
    if not n_missing:
        here, elsewhere = here.thinned(), stream.posterior(~inside, n_open - open_top).thinned()
        hits = n_hit + here.count[:, None]
        anomalies = n_found + here.count[:, None] + elsewhere.count
        share = np.divide(hits, anomalies, out=np.ones_like(anomalies), where=anomalies > 0)
        order = np.argsort(share, axis=None)
        mass = np.outer(here.mass, elsewhere.mass)
        recall = stream.told(_Posterior(share.ravel()[order], mass.ravel()[order]))
    return precision, recall


def _missing_in_top(
    level: float, n_checks: int, n_open: int, open_top: int, n_sure: int
) -> tuple[int, int]:
    """Count the random checks, or else the verdicts on the top, that precision still needs.

    An interval for a share of 1/2 from c checks is about z / sqrt(c + 1) wide; the unjudged share
    of the top is all that it is wide for.
    """
    if not open_top:
        return 0, 0
    bearable = WIDEST / special.ndtri((1 + level) / 2)  # unjudged share, times sqrt(c + 1)
    missing = math.ceil((open_top / n_sure / bearable) ** 2) - 1 - n_checks
    if missing <= 0:
        return 0, 0
    allowed = math.floor(bearable * math.sqrt(n_checks + 1) * n_sure)
    return math.ceil(missing * n_open / open_top), max(open_top - allowed, 1)


def _shifted(estimate: Estimate, known: int, out_of: int) -> Estimate:
    """Turn an estimate of unknown anomalies into the share that they and the known ones make."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return estimate
    low, value, high = (
        (known + count) / out_of for count in (estimate.low, estimate.value, estimate.high)
    )
    return Estimate(value, low, high, estimate.level, estimate.n_checks)


def _last_first(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Give rows by the last time that each stands there, the latest first."""
    backwards = rows[::-1]
    return backwards[np.sort(np.unique(backwards, return_index=True)[1])]


def _figure(value: float) -> str:
    """Write a count whole, a share in two digits."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.2g}"
