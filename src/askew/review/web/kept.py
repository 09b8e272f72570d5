"""What holds until the next verdict or ranking is worked out once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock, RLock
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from askew.review.session import Session

MOST = 64  # results of one moment
T = TypeVar("T")


class _Kept:
    def __init__(self) -> None:
        self.lock = RLock()
        self.moment: object = None
        self.found: OrderedDict[Hashable, Any] = OrderedDict()


_lock = Lock()
_kept: WeakKeyDictionary[Session, _Kept] = WeakKeyDictionary()


def kept(session: Session, what: Hashable, make: Callable[[], T]) -> T:
    """Give what ``make`` gave for this name since the last verdict and ranking, or call it.

    All reviewers share what is kept, so it must not depend on who asks. It must not hold the
    session, which would then never be freed.
    """
    with _lock:
        here = _kept.setdefault(session, _Kept())
    with here.lock:  # whoever comes meanwhile would reckon the same
        moment = session.number, session.ranking.model.id_
        if here.moment != moment:
            here.moment = moment
            here.found.clear()
        if what not in here.found:
            here.found[what] = make()
        here.found.move_to_end(what)
        while len(here.found) > MOST:
            here.found.popitem(last=False)
        found: T = here.found[what]
        return found
