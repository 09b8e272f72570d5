"""What the rail beside the card tells: how far the reviewing is, and what may be left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b

from askew.review.estimates import Estimate
from askew.review.web.common import Learning
from askew.review.web.desk import Desk
from askew.review.web.history import Entry

TOP = 100  # rows that the precision speaks of
RECENT = 8  # entries of the history beside the card


@dataclass(frozen=True)
class Rail:
    """How far it is.

    Parameters
    ----------
    n_anomaly, n_normal, n_unsure
        Judged rows of the table by what holds of them.
    n_rows
        Rows of the table.
    remaining, rate, precision
        Estimates, or what is missing for them.
    k
        Length of the top that the precision speaks of.
    hint
        Whether to go on, in words; empty before the first verdict.
    strategy
        The queue mode.
    learning
        What the background does.
    recent
        The last verdicts.
    disputed
        Rows on which reviewers disagree.
    """

    n_anomaly: int
    n_normal: int
    n_unsure: int
    n_rows: int
    remaining: Estimate
    rate: Estimate
    precision: Estimate
    k: int
    hint: str
    strategy: str
    learning: Learning
    recent: Sequence[Entry]
    disputed: Sequence[Entry]

    @property
    def n_judged(self) -> int:
        """Rows with a verdict, unsure included."""
        return self.n_anomaly + self.n_normal + self.n_unsure

    @property
    def mark(self) -> str:
        """A few letters that differ where anything that is shown differs."""
        shown = asdict(self) | {"recent": [entry.number for entry in self.recent]}
        return blake2b(repr(shown).encode(), digest_size=8).hexdigest()


def rail_of(desk: Desk) -> Rail:
    """Find how far it is."""
    session = desk.session
    said = Counter(str(held.verdict) for held in session.standing.values())
    k = min(TOP, len(session.keys))
    estimates, hint = desk.figures(k)
    return Rail(
        n_anomaly=said["anomaly"],
        n_normal=said["normal"],
        n_unsure=said["unsure"],
        n_rows=len(session.keys),
        remaining=estimates.remaining,
        rate=estimates.rate,
        precision=estimates.precision,
        k=k,
        hint=hint.describe() if hint.n_recent else "",
        strategy=desk.strategy,
        learning=desk.learning,
        recent=desk.history.entries()[:RECENT],
        disputed=desk.history.disputed(),
    )
