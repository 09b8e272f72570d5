"""The desks of a server: one for each reviewer, made when they first come."""

from __future__ import annotations

from threading import Lock
from typing import Self

from askew.review.session import Session
from askew.review.web.common import Common
from askew.review.web.desk import Desk


class Desks:
    """Everybody who judges at one session. Threads may share it.

    Parameters
    ----------
    session
        Stays open when the desks close.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._common = Common(session)
        self._lock = Lock()
        self._desks: dict[str, Desk] = {}

    def of(self, reviewer: str | None = None) -> Desk:
        """Give a reviewer's desk; that of the session's own reviewer where none is named."""
        name = self.session.reviewer if reviewer is None else reviewer
        with self._lock:
            if name not in self._desks:
                self._desks[name] = Desk(self.session, name, common=self._common)
            return self._desks[name]

    def catch_up(self) -> None:
        """Learn in the background where the store holds verdicts that the ranking knows not of."""
        if self.session.ranking.number < self.session.number:
            self._common.learn()

    def close(self) -> None:
        """Close every desk."""
        with self._lock:
            desks = list(self._desks.values())
        for desk in desks:
            desk.close()
        self._common.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
