"""The server of the review page is killed while somebody judges. `make soak` goes on longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import review_kills

from askew.review.session import Session
from askew.review.verdicts import Question
from tests.review.web import key_in, settle, site_on


def test_no_acknowledged_verdict_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    told = review_kills.kill(tmp_path, rounds=3, seed=1)
    assert told.faults == []
    assert told.acknowledged + told.undone >= told.rounds - told.early > 0


@pytest.mark.parametrize(
    ("there", "said", "sent", "fault"),
    [
        ([("normal", "a")], [("normal", "a")], None, ""),
        ([("normal", "a"), (None, "a")], [("normal", "a")], (None, ""), ""),
        ([("normal", "a"), ("unsure", "b")], [("normal", "a")], ("unsure", "b"), ""),
        ([], [("normal", "a")], None, "lost"),
        ([("normal", "b")], [("normal", "a")], None, "lost"),
        ([("normal", "b"), ("normal", "a")], [("normal", "a")], None, "became"),
        ([("normal", "a")] * 2, [("normal", "a")], None, "nobody said"),
        ([("normal", "a"), ("unsure", "b")], [("normal", "a")], ("normal", "b"), "nobody said"),
        ([("normal", "a")] * 3, [("normal", "a")], ("normal", "a"), "nobody said"),
    ],
)
def test_what_was_lost_or_added_is_seen(there: Any, said: Any, sent: Any, fault: str) -> None:
    judge: Any = SimpleNamespace(said=said, sent=sent)
    faults = review_kills.strays(there, judge)
    assert len(faults) == bool(fault)
    assert fault in "".join(faults)


def test_undo_takes_back_what_stands() -> None:
    steps = [("normal", "a"), ("anomaly", "b"), (None, "b"), ("unsure", "a"), (None, "a")]
    assert review_kills.standing(steps) == {"a": "normal"}


def test_cards_of_a_killed_server_wait_for_their_reviewer(
    payments: pd.DataFrame, tmp_path: Path
) -> None:
    """The first server is not closed before the others have looked: that is what a kill leaves."""
    now = [datetime(2026, 3, 2, tzinfo=UTC)]
    given: dict[str, Any] = {"clock": lambda: now[0], "lease": 900}
    with site_on(payments, tmp_path, **given) as killed:
        for _ in range(3):
            killed.post("/judge", key=key_in(killed.get()), verdict="anomaly")
        settle(killed.desk)
        card, store = key_in(killed.get()), killed.session.store
        held = {question.key: question for question in store.questions("ana")}
        assert card in held
        behind = [Question(key) for key in held if key != card]
        assert behind
        with site_on(payments, tmp_path, reviewer="ben", **given) as other:
            assert key_in(other.get()) not in held
        now[0] += timedelta(seconds=899)
        assert store.lease(behind, 9, "ben") == []
        now[0] += timedelta(seconds=2)
        assert {one.key for one in store.lease(behind, 9, "ben")} == held.keys() - {card}
        with Session(payments, store, reviewer="ana") as again:
            again.tell({card: "normal"})  # before anything is asked anew
        line = store.lines()[-1]
        assert (line.key, line.turn, line.why) == (card, held[card].turn, held[card].why)
