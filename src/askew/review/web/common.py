"""What the desks at one session have in common: cards, figures, learning, one thread ahead."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

from askew.review.estimates import Estimates, StoppingHint
from askew.review.session import Ranking, Session
from askew.review.web.cards import CardMaker
from askew.review.web.words import told

KEPT = 64  # results of one moment
T = TypeVar("T")


@dataclass(frozen=True)
class Learning:
    """What the background does: refitting, done or failed, in words for a reader."""

    running: bool
    failed: str
    n_rankings: int
    model: str
    n_behind: int


@dataclass
class _Result:
    """What was made under a name, if anything was, and the lock of who makes it."""

    lock: Lock = field(default_factory=Lock)
    made: list[Any] = field(default_factory=list)


class Common:
    """Made once for a session, however many reviewers sit at it. Threads may share it.

    Parameters
    ----------
    session
        Stays open when this closes.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.maker = CardMaker(session)
        # One thread for all desks: they ask one at a time anyhow, and a refit needs the other core.
        self.background = ThreadPoolExecutor(1, thread_name_prefix="askew-queue")
        self._lock = Lock()
        self._refit: Future[Ranking] | None = None
        self._failed = ""
        self._n_rankings = 0
        self._moment: object = None
        self._results: OrderedDict[Hashable, _Result] = OrderedDict()

    def learn(self) -> Future[Ranking]:
        """Refit in the background; never more than one waits, whoever asks for it."""
        refit = self.session.refit_soon()
        with self._lock:
            if refit is self._refit:
                return refit
            self._refit = refit
        refit.add_done_callback(self._learned)
        return refit

    def _learned(self, refit: Future[Ranking]) -> None:
        if refit.cancelled():
            return
        error = refit.exception()
        with self._lock:
            self._failed = "" if error is None else told(error)
            self._n_rankings += error is None

    @property
    def learning(self) -> Learning:
        """What the background does now."""
        ranking, number = self.session.ranking, self.session.number
        with self._lock:
            running = self._refit is not None and not self._refit.done()
            return Learning(
                running,
                self._failed,
                self._n_rankings,
                ranking.model.id_,
                max(0, number - ranking.number),
            )

    def figures(self, k: int) -> tuple[Estimates, StoppingHint]:
        """Estimate what is left, for the top k; anew only where something has changed."""
        return self.kept(("figures", k), lambda: (self.session.estimate(k), self.session.hint()))

    def kept(self, name: Hashable, make: Callable[[], T]) -> T:
        """Give what ``make`` gave under this name since the last verdict and ranking, or call it.

        Who asks for the same meanwhile waits for it; who asks for something else does not. All
        reviewers share what is kept, so it must not depend on who asks.
        """
        moment = self.session.number, self.session.ranking.model.id_
        with self._lock:
            if self._moment != moment:
                self._moment = moment
                self._results.clear()
            result = self._results.setdefault(name, _Result())
            self._results.move_to_end(name)
            while len(self._results) > KEPT:
                self._results.popitem(last=False)
        with result.lock:
            if not result.made:
                result.made.append(make())
            found: T = result.made[0]
            return found

    def close(self) -> None:
        """Stop the thread; to be called once every desk is closed."""
        self.background.shutdown(wait=True, cancel_futures=True)
