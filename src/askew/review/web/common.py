"""What the desks at one session have in common: cards, figures, learning, one thread ahead."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

from askew.review.estimates import Estimates, StoppingHint
from askew.review.session import Ranking, Session
from askew.review.web.cards import CardMaker
from askew.review.web.words import told


@dataclass(frozen=True)
class Learning:
    """What the background does: refitting, done or failed, in words for a reader."""

    running: bool
    failed: str
    n_rankings: int
    model: str
    n_behind: int


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
        self._estimating = Lock()
        self._refit: Future[Ranking] | None = None
        self._failed = ""
        self._n_rankings = 0
        self._figures: tuple[object, tuple[Estimates, StoppingHint]] | None = None

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
        with self._estimating:  # whoever comes meanwhile would reckon the same
            moment = self.session.number, self.session.ranking.model.id_, k
            if self._figures is None or self._figures[0] != moment:
                self._figures = moment, (self.session.estimate(k), self.session.hint())
            return self._figures[1]

    def close(self) -> None:
        """Stop the thread; to be called once every desk is closed."""
        self.background.shutdown(wait=True, cancel_futures=True)
