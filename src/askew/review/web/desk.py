"""A reviewer's desk: the card under the hand, the cards behind it, and learning in the background.

The queue is ahead of the reader: cards are asked for and drawn before they are needed. A new
ranking, whoever's verdicts it has learned from, replaces the cards behind, never the one under the
hand. Whoever shows a card calls `go_on` once it is sent.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock, RLock
from time import monotonic
from typing import Self, TypeVar

from askew.errors import LabelError
from askew.review.estimates import Estimates, StoppingHint
from askew.review.session import Ranking, Session
from askew.review.verdicts import Line, Question, Verdict
from askew.review.web.cards import Neighbor, Shown
from askew.review.web.common import Common, Learning
from askew.review.web.history import Entry, History
from askew.strategies import check_strategy


class NoSuchRowError(LabelError):
    """A key that no row of the table has."""


AHEAD = 2  # cards ready behind the one under the hand
LEAST = 1  # of them, while a refit runs that will replace them
KEPT = 300  # cards that are kept drawn, for undo and the history
T = TypeVar("T")


@dataclass(frozen=True)
class View:
    """The card to be shown, with what depends on the moment.

    Parameters
    ----------
    card
        None where nothing is left to ask.
    held
        The entry of the history where the reader's verdict stands on it already.
    nearest
        Its nearest judged rows.
    older, newer
        Keys of the verdicts before and after it in the history; None at an end.
    asked
        Whether it is the card under the hand, not one that was opened.
    """

    card: Shown | None
    held: Entry | None
    nearest: Sequence[Neighbor]
    older: str | None
    newer: str | None
    asked: bool


class Desk:
    """One reviewer's seat on the page. Methods may be called from several threads.

    Parameters
    ----------
    session
        Stays open when the desk closes.
    reviewer
        Who sits here; the session's own where None.
    common
        What the desks of the session share; stays open when the desk closes. Its own where None.
    """

    def __init__(
        self, session: Session, reviewer: str | None = None, *, common: Common | None = None
    ) -> None:
        self.session = session
        self.reviewer = session.reviewer if reviewer is None else reviewer
        self.strategy = session.strategy
        self._owned = common is None
        self._common = common or Common(session)
        self.maker = self._common.maker
        self.history = History(session, self.reviewer)
        self._lock = RLock()
        self._current: Shown | None = None
        self._queue: deque[Shown] = deque()
        self._drawn: OrderedDict[str, Shown] = OrderedDict()
        self._filling = Lock()
        self._wanted: Future[None] | None = None
        self._refit: Future[Ranking] | None = None
        self._stale = False
        self._asked_by: str | None = None  # the model whose ranking chose the queue
        self._renewed = monotonic()
        self._closed = False

    # -- what is shown -----------------------------------------------------------------------------

    def view(self, key: str | None = None) -> View:
        """Give the card under the hand, or that of a row.

        Raises
        ------
        NoSuchRowError
            No row has this key.
        """
        if key is None:
            card, asked = self._now(), True
        else:
            card, asked = self._card_of(key), False
            with self._lock:
                asked = self._current is not None and self._current.key == key
        if card is None:
            return View(None, None, (), self.history.last(), None, True)
        older, newer = self.history.beside(card.key)
        return View(card, self.history.of(card.key), self.maker.nearest(card), older, newer, asked)

    def _now(self) -> Shown | None:
        """Give the card under the hand; take the next one where there is none."""
        with self._lock:
            if monotonic() - self._renewed > self.session.lease:
                # Nobody was here for so long that others may have been shown these rows.
                self._current = None
                self._queue.clear()
                self._renewed = monotonic()
            if self._current is None or self._is_judged(self._current.key):
                self._current = self._next()
            if self._current is not None:
                return self._current
        self._fill()  # the reader has caught up
        with self._lock:
            if self._current is None:
                self._current = self._next()
            return self._current

    def _next(self) -> Shown | None:
        while self._queue:
            card = self._queue.popleft()
            if not self._is_judged(card.key):
                return card
        return None

    def _is_judged(self, key: str) -> bool:
        return self.history.of(key) is not None

    def _card_of(self, key: str) -> Shown:
        self._check(key)
        ranking = self.session.ranking
        with self._lock:
            if self._current is not None and self._current.key == key:
                return self._current
            drawn = self._drawn.get(key)
        if drawn is not None and drawn.model == ranking.model.id_:
            return drawn
        (card,) = self.maker.make(ranking, [(self.maker.row[key], "")])
        self._keep([card])
        return card

    def _check(self, key: str) -> None:
        if key not in self.maker.row:
            raise NoSuchRowError(f"no row has the key {key[:100]!r}; open a row from the history")

    # -- judging -----------------------------------------------------------------------------------

    def judge(self, key: str, verdict: str, note: str = "") -> Line | None:
        """Write a verdict down; it is durable on return. None where it stood so already.

        Raises
        ------
        NoSuchRowError
            No row has this key.
        LabelError
            No such verdict, or a note that no database keeps.
        """
        self._check(key)
        held = self.history.of(key)
        if held is not None and held.mine == verdict and note in ("", held.note):
            return None  # a form sent twice
        (line,) = self.session.tell({key: verdict}, note=note, reviewer=self.reviewer)
        self._stale = True
        return line

    def note(self, key: str, note: str) -> Line | None:
        """Put a note on the reader's verdict of a row.

        Raises
        ------
        LabelError
            The reader has not judged it.
        """
        self._check(key)
        held = self.history.of(key)
        if held is None or held.mine is None:
            raise LabelError("a note stands with a verdict; give the verdict along with it")
        if note == held.note:
            return None
        (line,) = self.session.tell({key: Verdict(held.mine)}, note=note, reviewer=self.reviewer)
        return line

    def undo(self) -> Line | None:
        """Take the reader's last verdict back, and put its card under the hand again.

        The card under the hand stays where another reviewer is asked the row by now or has judged
        it: a row is never asked of two.
        """
        line = self.session.undo(self.reviewer)
        if line is None or line.key not in self.maker.row:
            return line
        self._stale = True
        question = Question(line.key, line.why, line.place, line.model)
        if not self.session.store.lease([question], 1, self.reviewer, self.session.lease):
            return line
        with self._lock:
            card = self._drawn.get(line.key)
        card = card or self._card_of(line.key)
        with self._lock:
            if self._current is not None and self._current.key != line.key:
                self._queue.appendleft(self._current)
            self._current = card
        return line

    def set_mode(self, strategy: str) -> None:
        """Choose which rows are asked here from the next card on.

        Raises
        ------
        MethodError
            There is no such strategy.
        """
        check_strategy(strategy)
        with self._filling:  # else a fill under way would queue rows that are released here
            with self._lock:
                self.strategy = strategy
                dropped = [card.key for card in self._queue]
                self._queue.clear()
            self.session.store.release(dropped, self.reviewer)

    # -- in the background -------------------------------------------------------------------------

    def go_on(self) -> None:
        """Learn from what is new and fill the queue, in the background.

        To be called once the reader has their reply: either takes time from the next card. A
        refit fills the queue when it is done, so the queue is filled before only if it runs out.
        """
        with self._lock:
            stale, self._stale = self._stale, False
            if self._closed:
                return
        if stale:
            self._learn()
        with self._lock:
            if len(self._queue) < (LEAST if stale else AHEAD):
                self._fill_soon()
        self.keep()

    def keep(self) -> None:
        """Keep the cards here as they should be while somebody has the page open.

        Their leases are renewed. A ranking that came by another's verdicts replaces those behind.
        """
        with self._lock:
            if self._closed:
                return
            if self._is_outdated():
                self._fill_soon()
            if monotonic() - self._renewed < self.session.lease / 3:
                return
            self._renewed = monotonic()
            here = {card.key for card in (self._current, *self._queue) if card is not None}
        store, reviewer = self.session.store, self.reviewer
        held = [question for question in store.questions(reviewer) if question.key in here]
        store.lease(held, len(held), reviewer, self.session.lease)

    def _is_outdated(self) -> bool:
        return self._asked_by is not None and self._asked_by != self.session.ranking.model.id_

    def _fill_soon(self) -> None:
        with self._lock:
            if not self._closed and (self._wanted is None or self._wanted.done()):
                self._wanted = self._common.background.submit(self._fill)

    def _fill(self) -> None:
        """Ask anew and put what comes in the queue's place; the card under the hand stays."""
        with self._filling:
            if self._closed:
                return
            ranking, strategy = self.session.ranking, self.strategy
            cards = self.session.ask(AHEAD + 1, reviewer=self.reviewer, strategy=strategy)
            with self._lock:
                drawn = {
                    card.key: self._drawn[card.key]
                    for card in cards
                    if card.key in self._drawn and self._drawn[card.key].model == ranking.model.id_
                }
            new = [card for card in cards if card.key not in drawn]
            made = self.maker.make(ranking, [(card.row, card.why) for card in new])
            self._keep(made)
            drawn |= {card.key: card for card in made}
            standing = self.session.standing
            with self._lock:
                under_hand = None if self._current is None else self._current.key
                waiting = {card.key for card in self._queue}
                self._queue = deque(
                    drawn[card.key]
                    for card in cards
                    if card.key != under_hand and card.key not in standing
                )
                held = {card.key for card in self._queue} | {under_hand}
                self._asked_by = ranking.model.id_
            self.session.store.release(waiting - held, self.reviewer)

    def _keep(self, cards: Sequence[Shown]) -> None:
        with self._lock:
            for card in cards:
                self._drawn[card.key] = card
                self._drawn.move_to_end(card.key)
            while len(self._drawn) > KEPT:
                self._drawn.popitem(last=False)

    def _learn(self) -> None:
        """Refit in the background; never more than one waits."""
        refit = self._common.learn()
        with self._lock:
            if refit is self._refit:
                return
            self._refit = refit
        refit.add_done_callback(self._learned)

    def _learned(self, refit: Future[Ranking]) -> None:
        if refit.cancelled() or refit.exception() is not None:
            return
        with self._lock:
            if not self._closed:
                self._wanted = self._common.background.submit(self._fill)

    def retry(self) -> None:
        """Refit once more, after one that failed; `go_on` begins it."""
        self._stale = True

    @property
    def learning(self) -> Learning:
        """What the background does now."""
        return self._common.learning

    def figures(self, k: int) -> tuple[Estimates, StoppingHint]:
        """Estimate what is left, for the top k."""
        return self._common.figures(k)

    def kept(self, name: Hashable, make: Callable[[], T]) -> T:
        """Give what ``make`` gave under this name since something changed, or call it.

        All desks share it: see `Common.kept`.
        """
        return self._common.kept(name, make)

    def close(self) -> None:
        """Stop preparing cards; those that nobody has seen are free for others."""
        with self._lock:
            self._closed = True
        if self._owned:
            self._common.close()
        with self._filling, self._lock:  # what is being asked for now is freed as well
            waiting = [card.key for card in (self._current, *self._queue) if card is not None]
            self._queue.clear()
        self.session.store.release(waiting, self.reviewer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
