"""The loop over a real store: ask, tell, undo, refit, estimate."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from askew import load
from askew.deep import UAI, Detector, Reconstruct
from askew.errors import LabelError, MethodError, SchemaError
from askew.model import Askew
from askew.rankers import Blend
from askew.review.session import Session
from askew.review.store import Store, open_store
from askew.review.verdicts import Judgment, Verdict
from askew.strategies import CYCLE


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "verdicts.db") as opened:
        yield opened


def said(session: Session, key: str) -> str:
    """Judge as the fixture was made: its first eight payments are odd."""
    return "anomaly" if session.keys.index(key) < 8 else "normal"


def answer(session: Session, n: int) -> list[str]:
    keys = []
    for _ in range(n):
        (card,) = session.ask()
        session.tell({card.key: said(session, card.key)})
        session.refit()
        keys.append(card.key)
    return keys


def test_the_loop_finds_the_odd_payments(payments: pd.DataFrame, store: Store) -> None:
    with Session(payments, store, strategy="suspicious") as session:
        keys = answer(session, 12)
        assert len(set(keys)) == 12
        assert {f"tx-{i:04d}" for i in range(8)} <= set(keys)
        assert session.ranking.model.labels_.n_anomaly == 8
        assert set(session.standing) == set(keys)


def test_the_first_verdict_moves_its_twins(payments: pd.DataFrame, store: Store) -> None:
    twins = pd.concat([payments, payments.iloc[[0] * 5].set_axis([f"twin-{i}" for i in range(5)])])
    with Session(twins, store) as session:
        before = session.ranking.scores
        session.tell({"tx-0000": "normal"})
        after = session.refit().scores
        drop = np.argsort(np.argsort(after)) - np.argsort(np.argsort(before))
        assert (drop[-5:] < 0).all()
        session.undo()
        np.testing.assert_array_equal(session.refit().scores, before)
        session.tell({"tx-0100": "anomaly"})
        rise = np.argsort(np.argsort(session.refit().scores)) - np.argsort(np.argsort(before))
        assert rise[100] > 0


def test_the_same_verdicts_in_any_order_give_the_same_model(
    payments: pd.DataFrame, tmp_path: Path
) -> None:
    verdicts = {
        "tx-0000": "anomaly",
        "tx-0050": "normal",
        "tx-0001": "anomaly",
        "tx-0060": "unsure",
    }
    ids, scores = set(), []
    for i, keys in enumerate([list(verdicts), list(verdicts)[::-1]]):
        with open_store(tmp_path / f"{i}.db") as store, Session(payments, store) as session:
            for key in keys:
                session.tell({key: verdicts[key]})
                if i:
                    session.refit()
            ranking = session.refit()
            ids.add(ranking.model.id_)
            scores.append(ranking.scores)
    assert len(ids) == 1
    np.testing.assert_array_equal(scores[0], scores[1])


def test_random_checks_do_not_depend_on_the_order_of_the_file(
    payments: pd.DataFrame, tmp_path: Path
) -> None:
    asked = []
    for i, table in enumerate([payments, payments.iloc[::-1]]):
        with (
            open_store(tmp_path / f"{i}.db") as store,
            Session(table, store, strategy="random") as session,
        ):
            asked.append([card.key for card in session.ask(10)])
    assert asked[0] == asked[1]
    assert asked[0] != sorted(asked[0])


def test_asked_rows_come_again_until_they_are_judged(payments: pd.DataFrame, store: Store) -> None:
    with Session(payments, store) as session:
        first = session.ask(5)
        assert [card.question for card in session.ask(5)] == [card.question for card in first]
        assert [card.question.why for card in first] == list(CYCLE)
        session.tell({first[0].key: "unsure"})
        again = [card.key for card in session.ask(8)]
        assert first[0].key not in again


def test_two_reviewers_never_share_a_row(payments: pd.DataFrame, store: Store) -> None:
    with (
        Session(payments, store, reviewer="ada") as ada,
        Session(payments, store, reviewer="bo") as bo,
    ):
        rows = [card.key for card in ada.ask(10)] + [card.key for card in bo.ask(10)]
        assert len(set(rows)) == 20
        bo.tell({rows[10]: "anomaly"})
        assert ada.label[ada.keys.index(rows[10])] == 1
        ada.tell({rows[10]: "normal"})
        assert bo.standing[rows[10]].disputed
        assert bo.standing[rows[10]].verdict is Verdict.NORMAL


def test_a_verdict_keeps_why_and_by_which_model_it_was_asked(
    payments: pd.DataFrame, store: Store
) -> None:
    with Session(payments, store) as session:
        cards = session.ask(5)
        (line,) = session.tell({cards[4].key: "normal"})
        assert line.why == "random"
        assert line.model == session.ranking.model.id_
        scores = session.ranking.scores
        assert line.place == (scores > scores[cards[4].row]).sum()


def test_verdicts_of_the_table_hold_until_the_store_says_otherwise(
    payments: pd.DataFrame, store: Store
) -> None:
    given = pd.Series({"tx-0000": "normal", "tx-0100": "normal"})
    with Session(payments, store, verdicts=given) as session:
        assert session.label[[0, 100]].tolist() == [0, 0]
        session.tell({"tx-0000": "anomaly"})
        assert session.label[[0, 100]].tolist() == [1, 0]
        session.undo()
        assert session.label[[0, 100]].tolist() == [0, 0]
        session.tell({"tx-0100": "unsure"})
        assert session.label[100] == -1


def test_a_key_or_a_word_that_is_none_is_refused_and_nothing_is_written(
    payments: pd.DataFrame, store: Store
) -> None:
    with Session(payments, store) as session:
        with pytest.raises(LabelError, match="no row has the key 'tx-9999'"):
            session.tell({"tx-0001": "normal", "tx-9999": "normal"})
        with pytest.raises(LabelError, match="'maybe' is no verdict on row tx-0002"):
            session.tell({"tx-0001": "normal", "tx-0002": "maybe"})
    assert store.lines() == []


def test_a_refit_runs_beside_the_asking_and_swaps_in_whole(
    payments: pd.DataFrame, store: Store
) -> None:
    with Session(payments, store) as session:
        old = session.ranking
        session.tell({"tx-0000": "anomaly", "tx-0100": "normal"})
        future = session.refit_soon()
        assert session.ask(1)
        new = future.result(timeout=60)
        assert new is not old
        assert session.ranking is new
        assert new.number == 2
        assert session.refit() is new  # nothing new was said


def test_a_refit_that_fails_is_told_and_the_old_ranking_stays(
    payments: pd.DataFrame, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Session(payments, store) as session:
        old = session.ranking
        session.tell({"tx-0000": "anomaly"})

        def broken(*_: object, **__: object) -> None:
            raise MemoryError("no room")

        monkeypatch.setattr(session._plan, "learn", broken)
        with pytest.raises(MemoryError, match="no room"):
            session.refit_soon().result(timeout=60)
        assert session.ranking is old
        assert session.ask(1)


@pytest.mark.parametrize(
    "ranker",
    [
        Blend(random_state=0),
        Detector(UAI(Reconstruct(hidden=(4,))), epochs=2, random_state=0),
    ],
    ids=["Blend", "UAI"],
)
def test_any_ranker_drives_the_loop(
    payments: pd.DataFrame, store: Store, ranker: Blend | Detector
) -> None:
    with Session(payments, store, ranker=ranker) as session:
        before = session.ranking.scores
        session.tell({"tx-0000": "anomaly", "tx-0100": "normal"})
        after = session.refit().scores
        assert (before != after).any()
        assert after[0] > after[100]
        assert len(session.ask(3)) == 3


def test_estimates_rest_on_the_random_checks(payments: pd.DataFrame, store: Store) -> None:
    with Session(payments, store, strategy="random") as session:
        assert session.estimate(8).remaining.withheld
        for _ in range(8):
            session.tell({c.key: said(session, c.key) for c in session.ask(5)})
        told = session.estimate(8)
        found = int((session.label == 1).sum())
        assert told.n_found == found
        assert told.remaining.n_checks == 40
        assert told.remaining.low is not None
        assert told.remaining.high is not None
        assert told.remaining.low <= 8 - found <= told.remaining.high
        assert "of the last" in session.hint().describe()


def test_a_check_stays_a_check_when_its_verdict_is_taken_back_and_given_again(
    payments: pd.DataFrame, store: Store
) -> None:
    with Session(payments, store, strategy="random") as session:
        for card in session.ask(20):
            session.tell({card.key: said(session, card.key)})
        before = session.estimate(8)
        last = session.undo()
        assert last is not None
        assert session.estimate(8).remaining.n_checks == 19
        session.tell({last.key: said(session, last.key)})
        assert session.estimate(8) == before


def test_threads_may_share_a_session(payments: pd.DataFrame, store: Store) -> None:
    with Session(payments, store) as session, ThreadPoolExecutor(4) as pool:
        session.refit()
        keys = session.keys[:40]

        def judge(key: str) -> None:
            session.tell({key: said(session, key)})
            session.refit_soon()

        list(pool.map(judge, keys))
        assert len(store.lines()) == 40
        assert session.refit().number == 40
        assert (session.label[:40] == [1] * 8 + [0] * 32).all()


def test_copies_of_a_row_are_judged_one_by_one(store: Store) -> None:
    table = pd.DataFrame({"a": [1.0, 1.0, 1.0, 5.0, 2.0], "b": ["x", "x", "x", "y", None]})
    with Session(table, store) as session:
        first, second = session.keys[:2]
        assert second == f"{first}#2"
        session.tell({first: "normal"})
        assert session.label.tolist() == [0, -1, -1, -1, -1]
    with Session(table.iloc[::-1], store) as session:
        assert session.label.sum() == -4
        assert 0 in session.label[2:]


def test_lines_of_other_rows_are_left_alone(payments: pd.DataFrame, store: Store) -> None:
    store.add([Judgment("gone", Verdict.ANOMALY)])
    with Session(payments, store) as session:
        assert (session.label == -1).all()
        assert session.standing == {}


def test_several_reviewers_sit_at_one_session(payments: pd.DataFrame, store: Store) -> None:
    with Session(payments, store, reviewer="ana") as session:
        anas, bos = session.ask(5), session.ask(5, reviewer="bo", strategy="suspicious")
        assert {card.key for card in anas}.isdisjoint(card.key for card in bos)
        assert [card.question.why for card in anas] == list(CYCLE)
        assert {card.question.why for card in bos} == {"suspicious"}
        assert session.ask(5, reviewer="bo", strategy="suspicious") == bos
        assert set(store.leased().values()) == {"ana", "bo"}
        session.tell({anas[0].key: "anomaly"})
        session.tell({bos[0].key: "normal", anas[0].key: "normal"}, reviewer="bo")
        assert dict(session.standing[anas[0].key].by) == {"ana": "anomaly", "bo": "normal"}
        undone = session.undo("bo")
        assert undone is not None
        assert (undone.reviewer, session.number) == ("bo", 4)
        assert session.undo("cy") is None
        undone = session.undo()
        assert undone is not None
        assert (undone.reviewer, undone.key) == ("ana", anas[0].key)


def test_reviewers_share_one_stream_of_random_checks(
    payments: pd.DataFrame, tmp_path: Path
) -> None:
    with open_store(tmp_path / "one.db") as alone, Session(payments, alone) as session:
        stream = [card.key for card in session.ask(9, strategy="random")]
    with open_store(tmp_path / "many.db") as shared, Session(payments, shared) as session:
        asked = [
            card
            for who in ("ana", "bo", "cy")
            for card in session.ask(3, reviewer=who, strategy="random")
        ]
        assert [card.key for card in asked] == stream
        assert [card.question.turn for card in asked] == list(range(1, 10))
        # Who gives theirs back gives it back to the stream: the next question is the same row.
        shared.release([stream[1]], "ana")
        (card,) = session.ask(1, reviewer="dot", strategy="random")
        assert card.key == stream[1]


def test_every_reviewer_gets_a_random_check_in_five(payments: pd.DataFrame, store: Store) -> None:
    with Session(payments, store) as session:
        reviewers = ("ana", "bo", "cy", "dot", "eve")
        why: dict[str, list[str]] = {who: [] for who in reviewers}
        for _ in range(10):  # in step, so that the verdicts of all rise by five a round
            for who in reviewers:
                card = session.ask(5, reviewer=who)[0]
                session.tell({card.key: "normal"}, reviewer=who)
                why[who].append(card.question.why)
        assert {who: told.count("random") for who, told in why.items()} == dict.fromkeys(
            reviewers, 2
        )


@pytest.fixture
def saved(payments: pd.DataFrame, tmp_path: Path) -> Askew:
    """A model of the payments without their first rows, as it comes out of its file."""
    verdicts = pd.Series({"tx-0020": "anomaly", "tx-0100": "normal"})
    model = Askew(Blend(), kinds={"items": "ignore"}, random_state=3)
    model.fit(payments.iloc[8:], verdicts).save(tmp_path / "m.askew")
    loaded = load(tmp_path / "m.askew")
    assert isinstance(loaded, Askew)
    return loaded


def test_a_saved_model_ranks_until_the_first_verdict_and_gives_its_ranker(
    payments: pd.DataFrame, store: Store, saved: Askew
) -> None:
    with Session(payments, store, model=saved) as session:
        first = session.ranking
        assert first.model is saved
        np.testing.assert_array_equal(first.scores, saved.decision_function(payments))
        assert first.members is not None
        assert first.members.shape[0] == len(payments)
        assert session.refit() is first  # nothing was said yet
        (card,) = session.ask()
        assert first.scores[card.row] == first.scores.max()
        session.tell({card.key: "anomaly", "tx-0150": "normal"})
        second = session.refit()
        assert (second.model.parent_, second.number) == (saved.id_, 2)
        assert isinstance(second.model.ranker_, Blend)
        assert second.model.verdicts_ == {card.key: 1, "tx-0150": 0}  # not the model's own
        assert not second.model.schema_.column("items").used
        assert (second.scores != first.scores).any()


def test_a_model_of_other_columns_is_refused(
    payments: pd.DataFrame, store: Store, saved: Askew
) -> None:
    with pytest.raises(SchemaError, match="country"):
        Session(payments.drop(columns="country"), store, model=saved)
    own: dict[str, Any]
    for own in ({"kinds": {}}, {"ranker": Blend()}, {"id_column": "amount"}):
        with pytest.raises(MethodError, match="leave them out, or the model"):
            Session(payments, store, model=saved, **own)


def test_what_holds_is_read_while_others_judge(store: Store) -> None:
    """A dictionary that grew under its reader broke one reply of thousands."""
    table = pd.DataFrame({"a": np.arange(3_000.0)})
    usual = sys.getswitchinterval()
    with Session(table, store) as session, ThreadPoolExecutor(1) as reader:
        session.tell(dict.fromkeys(session.keys[:2_000], "normal"))
        sys.setswitchinterval(1e-6)
        try:
            reading = reader.submit(lambda: [len(session.standing) for _ in range(300)])
            for key in session.keys[2_000:2_040]:
                session.tell({key: "normal"})
            counts = reading.result()
        finally:
            sys.setswitchinterval(usual)
        assert counts == sorted(counts)
        assert len(session.standing) == 2_040
