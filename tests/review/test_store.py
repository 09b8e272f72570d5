"""The store: the same questions to a file and to a real PostgreSQL."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st

from askew.errors import FileError, LabelError, MethodError, StoreError
from askew.review.store import Store, open_store
from askew.review.store.database import Database
from askew.review.store.migrating import known_revisions, upgrade
from askew.review.store.schema import HEAD, REVISION_TABLE, metadata
from askew.review.verdicts import Judgment, Line, Question, Verdict, standings
from tests.review.postgres import postgres

A, N, U = Verdict.ANOMALY, Verdict.NORMAL, Verdict.UNSURE
MORNING = datetime(2026, 3, 2, 9, 30, 0, 250_000, tzinfo=UTC)


class Clock:
    """Stands still until it is moved."""

    now = MORNING

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture(params=["sqlite", "postgresql"])
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    if request.param == "postgresql":
        return postgres().new
    numbers = iter(range(100))
    return lambda: str(tmp_path / f"verdicts {next(numbers)}%.db")


@pytest.fixture
def place(new_place: Callable[[], str]) -> str:
    return new_place()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(place: str, clock: Clock) -> Iterator[Store]:
    with open_store(place, clock=clock) as opened:
        yield opened


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "verdicts.db") as opened:
        yield opened


def engine_of(place: str) -> sa.Engine:
    if "://" not in place:
        return sa.create_engine(sa.URL.create("sqlite", database=place))
    return sa.create_engine(place.replace("postgresql:", "postgresql+psycopg:"))


@contextmanager
def connected(place: str) -> Iterator[sa.Connection]:
    engine = engine_of(place)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


# Lines


def test_lines_come_back_as_they_were_written(place: str, clock: Clock) -> None:
    odd = 'naïve, "quoted"\nsecond line\r\n\ttab 字 \U0001f600'
    with open_store(place, clock=clock) as store:
        first = store.add(
            [
                Judgment("tx-1", A, "ana", odd, "m1", "random", 41_188, 7),
                Judgment(odd, U, "bén", why="suspicious", place=0, turn=2**62 - 1),
            ]
        )
        clock.move(60)
        second = store.add([Judgment("tx-1", N)])
    assert [(line.number, line.key, line.verdict, line.reviewer) for line in first + second] == [
        (1, "tx-1", A, "ana"),
        (2, odd, U, "bén"),
        (3, "tx-1", N, ""),
    ]
    assert first[0] == Line(
        "tx-1", A, "ana", odd, "m1", "random", 41_188, 7, None, 1, first[0].uid, MORNING
    )
    assert [(line.place, line.turn) for line in first + second] == [
        (41_188, 7),
        (0, 2**62 - 1),
        (None, None),
    ]
    assert second[0].at == MORNING + timedelta(seconds=60)
    assert len({line.uid for line in first + second}) == 3
    with open_store(place) as again:
        assert again.lines() == first + second
        assert again.lines(since=2) == second
        assert again.lines(since=3) == []
        assert all(line.at.tzinfo is UTC for line in again.lines())


def test_a_clock_of_another_zone_is_kept_as_utc(place: str) -> None:
    east = MORNING.astimezone(timezone(timedelta(hours=5, minutes=30)))
    with open_store(place, clock=lambda: east) as store:
        store.add([Judgment("a", A)])
        assert store.lines()[0].at.isoformat() == "2026-03-02T09:30:00.250000+00:00"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (Judgment("", A), "the key is empty"),
        (Judgment("b", None), "give a verdict, or the number"),
        (Judgment("b", A, undoes=1), "give a verdict, or the number"),
        (Judgment("b", "odd"), "'odd' is no verdict; give one of anomaly, normal, unsure"),  # type: ignore[arg-type]
        (Judgment("b", A, note="nul \0"), "a character that no database keeps"),
        (Judgment("b", A, "half \ud83d"), "a character that no database keeps"),
        (Judgment(7, A), "key is 7; give it as text"),  # type: ignore[arg-type]
        (Judgment("b", A, place=-1), "place is -1; give a whole number .* or None where nobody"),
        (Judgment("b", A, turn=-7), "turn is -7; give a whole number"),
        (Judgment("b", A, turn=2**62), r"turn is 4611686018427387904; give .* below 2\*\*62"),
        (Judgment("b", A, place=3.0), r"place is 3.0; give a whole number"),  # type: ignore[arg-type]
        (Judgment("b", A, place=True), "place is True; give a whole number"),
        (Judgment("b", A, turn="3"), "turn is '3'; give a whole number"),  # type: ignore[arg-type]
        (Judgment("b", A, turn=np.int64(3)), r"turn is .*3.*; give a whole number \(int\)"),  # type: ignore[arg-type]
        (Judgment("a", None, undoes=9), "line 9 cannot be undone: it is no verdict"),
        (Judgment("other", None, undoes=1), "line 1 cannot be undone: it is no verdict on 'oth"),
        (Judgment("a", None, undoes=3), "line 3 cannot be undone: it is no verdict"),
        (Judgment("a", None, undoes=2), "line 2 cannot be undone: it is already"),
    ],
)
def test_one_bad_judgment_and_none_is_written(file_store: Store, bad: Judgment, words: str) -> None:
    store = file_store
    store.add([Judgment("a", A, "ana"), Judgment("a", N, "ana")])
    store.undo("ana")
    before = store.lines()
    with pytest.raises(LabelError, match=words):
        store.add([Judgment("a", A), bad])
    assert store.lines() == before


def test_an_undo_can_name_its_line_but_not_twice(store: Store) -> None:
    store.add([Judgment("a", A, "ana"), Judgment("b", A, "ana")])
    with pytest.raises(LabelError, match="line 1 cannot be undone: it is already"):
        store.add([Judgment("a", None, "ben", undoes=1)] * 2)
    store.add([Judgment("a", None, "ben", undoes=1)])
    assert set(store.standings()) == {"b"}


def test_nothing_to_add(store: Store) -> None:
    assert store.add([]) == []
    assert store.lines() == []


# Undo


def test_undo_walks_back_to_the_beginning(store: Store) -> None:
    ana = store.add([Judgment(key, A, "ana", note=key) for key in "abc"])
    ben = store.add([Judgment("a", N, "ben")])
    assert store.undo("ana") == ana[2]
    more = store.add([Judgment("d", U, "ana")])
    assert [store.undo("ana") for _ in range(4)] == [more[0], ana[1], ana[0], None]
    assert store.undo("cem") is None
    assert {key: standing.by for key, standing in store.standings().items()} == {"a": {"ben": N}}
    undos = [line for line in store.lines() if line.verdict is None]
    assert [(line.undoes, line.key, line.reviewer) for line in undos] == [
        (3, "c", "ana"),
        (5 + 1, "d", "ana"),
        (2, "b", "ana"),
        (1, "a", "ana"),
    ]
    assert store.undo("ben") == ben[0]
    assert store.standings() == {}


def test_reviewers_at_once_number_without_gaps_and_never_undo_the_same_line(place: str) -> None:
    seen: list[Line] = []
    with open_store(place) as one, open_store(place) as other, ThreadPoolExecutor(4) as pool:
        one.add([Judgment(str(k), A, "ana") for k in range(12)])

        def work(number: int) -> Line | None:
            store = (one, other)[number % 2]
            store.add([Judgment("x", A, f"r{number}"), Judgment("y", N, f"r{number}")])
            return store.undo("ana")

        def follow() -> None:
            while len(seen) < 12 + 16 * 3 - 4:
                seen.extend(other.lines(since=seen[-1].number if seen else 0))

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        undone = [line.number for line in pool.map(work, range(16)) if line is not None]
        follower.join(20)
        lines = one.lines()
    assert sorted(undone) == list(range(1, 13))
    assert [line.number for line in lines] == list(range(1, 12 + 32 + 12 + 1))
    assert seen == lines


# Standings


def test_standings_by_both_rules(store: Store) -> None:
    said = [("a", A, "ana"), ("a", A, "ben"), ("a", N, "cem"), ("b", U, "ana"), ("c", N, "cem")]
    store.add([Judgment(*one) for one in said])
    store.undo("cem")
    latest, majority = store.standings(), store.standings("majority")
    assert {key: standing.verdict for key, standing in latest.items()} == {"a": N, "b": U}
    assert {key: standing.verdict for key, standing in majority.items()} == {"a": A, "b": U}
    assert latest["a"].by == {"ana": A, "ben": A, "cem": N}
    assert latest["a"].disputed
    assert not latest["b"].disputed
    with pytest.raises(MethodError, match="no rule 'first'"):
        store.standings("first")  # type: ignore[arg-type]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ana", "ben"]), st.sampled_from("ab"), st.sampled_from([A, N, U, None])
    ),
    max_size=15,
)


@settings(max_examples=20, deadline=None)
@given(steps=STEPS)
def test_the_last_verdict_holds_whatever_the_interleaving(
    steps: list[tuple[str, str, Verdict | None]],
) -> None:
    standing: list[tuple[str, str, Verdict]] = []
    with tempfile.TemporaryDirectory() as folder, open_store(f"{folder}/v.db") as store:
        for reviewer, key, verdict in steps:
            if verdict is not None:
                store.add([Judgment(key, verdict, reviewer)])
                standing.append((reviewer, key, verdict))
                continue
            store.undo(reviewer)
            own = [one for one in standing if one[0] == reviewer]
            if own:
                standing.reverse()
                standing.remove(own[-1])
                standing.reverse()
        expected = {key: verdict for _, key, verdict in standing}
        found = store.standings()
        assert {key: one.verdict for key, one in found.items()} == expected
        for key, one in found.items():
            assert one.by == {r: verdict for r, k, verdict in standing if k == key}
        assert standings(store.lines()) == found
        assert standings(store.lines(), "majority") == store.standings("majority")


# Leases


def wishes(keys: Iterable[str]) -> list[Question]:
    return [Question(key) for key in keys]


def lease(store: Store, keys: Iterable[str], n: int, reviewer: str) -> list[str]:
    return [question.key for question in store.lease(wishes(keys), n, reviewer)]


def test_a_leased_row_is_shown_to_nobody_else(store: Store) -> None:
    queue = ["d", "c", "b", "c", "a"]
    assert lease(store, queue, 2, "ana") == ["d", "c"]
    assert lease(store, queue, 2, "ben") == ["b", "a"]
    assert lease(store, queue, 2, "cem") == []
    assert lease(store, queue, 9, "ana") == ["d", "c"]
    assert store.leased() == {"d": "ana", "c": "ana", "b": "ben", "a": "ben"}
    assert lease(store, queue, 0, "ana") == []
    assert lease(store, [], 3, "ana") == []


def test_a_lease_runs_out_unless_it_is_renewed(store: Store, clock: Clock) -> None:
    store.lease(wishes("ab"), 2, "ana", seconds=100)
    clock.move(60)
    assert [one.key for one in store.lease(wishes("b"), 1, "ana", seconds=100)] == ["b"]
    clock.move(39.9)
    assert lease(store, "ab", 2, "ben") == []
    clock.move(0.1)
    assert store.leased() == {"b": "ana"}
    assert [one.key for one in store.questions("ana")] == ["b"]
    assert lease(store, "ab", 2, "ben") == ["a"]
    assert lease(store, "ab", 2, "ana") == ["b"]


def test_a_judged_row_is_leased_again_only_once_the_verdict_is_undone(store: Store) -> None:
    store.add([Judgment("a", A, "ana"), Judgment("b", U, "ana"), Judgment("a", N, "ben")])
    assert lease(store, "abc", 3, "ana") == ["c"]
    store.undo("ana")
    store.undo("ben")
    assert lease(store, "abc", 3, "ana") == ["b", "c"]
    store.undo("ana")
    assert lease(store, "abc", 3, "ana") == ["a", "b", "c"]


def test_a_lease_ends_with_the_verdict_of_its_holder(store: Store) -> None:
    lease(store, "abcd", 4, "ana")
    store.add([Judgment("a", A, "ana"), Judgment("b", A, "ben")])
    assert store.leased() == {"b": "ana", "c": "ana", "d": "ana"}
    store.release(["c"], "ana")
    store.release(["d"], "ben")
    store.release([], "ana")
    assert store.leased() == {"b": "ana", "d": "ana"}
    assert [one.key for one in store.questions("ana")] == ["b", "d"]
    assert lease(store, "c", 1, "ben") == ["c"]


def test_thousands_of_wishes(store: Store) -> None:
    keys = [f"row {number}" for number in range(2_500)]
    store.add([Judgment(key, N, "ana") for key in keys[:1_100]])
    assert lease(store, keys, 1_000, "ben") == keys[1_100:2_100]
    assert lease(store, keys, 1_000, "cem") == keys[2_100:]
    assert len(store.leased()) == 1_400
    assert [one.turn for one in store.questions("cem")] == list(range(1_001, 1_401))
    said = store.add([Judgment(key, N, "ben") for key in keys[1_100:2_100]])
    assert [line.turn for line in said] == list(range(1, 1_001))
    assert set(store.leased().values()) == {"cem"}
    store.add([Judgment(keys[50], None, "ana", undoes=51)])
    assert lease(store, keys, 1, "dan") == [keys[50]]


# Questions

WISHES = [
    Question("a", "suspicious", 0, "m1"),
    Question("b", "random", 41_188, "m1"),
    Question("c", "informative", None, ""),
]


def facts(line: Line) -> Question:
    return Question(line.key, line.why, line.place, line.model, line.turn)


def test_a_verdict_given_by_another_process_carries_its_question(place: str, clock: Clock) -> None:
    with open_store(place, clock=clock) as store:
        asked = store.lease(WISHES, 3, "ana")
    assert asked == [replace(wish, turn=turn) for turn, wish in enumerate(WISHES, 1)]
    with open_store(place, clock=clock) as other:
        assert other.questions("ana") == asked
        assert other.questions("ben") == []
        said = other.add([Judgment(key, A, "ana", note=key) for key in "bc"])
        assert said == other.lines()
        assert [facts(line) for line in said] == asked[1:]
        assert [(line.verdict, line.note) for line in said] == [(A, "b"), (A, "c")]
        assert other.questions("ana") == asked[:1]


def test_a_lease_asked_for_again_stays_as_first_asked(store: Store, clock: Clock) -> None:
    asked = store.lease([*WISHES, Question("a", "random")], 3, "ana", seconds=100)
    assert asked == [replace(wish, turn=turn) for turn, wish in enumerate(WISHES, 1)]
    assert store.lease(WISHES, 3, "ana", seconds=100) == asked
    clock.move(60)
    later = [Question("c", "random", 7, "m2", 99), Question("d", turn=99), Question("a")]
    renewed = store.lease(later, 3, "ana", seconds=100)
    assert renewed == [asked[2], Question("d", turn=4), asked[0]]
    clock.move(60)
    assert store.questions("ana") == [asked[0], asked[2], Question("d", turn=4)]


def test_turns_rise_over_reviewers_and_are_never_given_again(store: Store, clock: Clock) -> None:
    def turns(keys: str, reviewer: str) -> list[int | None]:
        return [one.turn for one in store.lease(wishes(keys), 9, reviewer, seconds=100)]

    assert turns("ab", "ana") == [1, 2]
    assert turns("abc", "ben") == [3]
    store.release(["c"], "ben")
    assert turns("c", "ana") == [4]
    # An answer with facts of its own leaves no line with that turn.
    store.add([Judgment("c", A, "ana", why="random")])
    assert turns("d", "ben") == [5]
    clock.move(100)
    assert turns("de", "ben") == [6, 7]
    store.add([Judgment("x", A, turn=40)])
    assert turns("fe", "ben") == [41, 7]
    store.import_csv([{"key": "y", "verdict": "1", "turn": "50"}])
    assert turns("g", "cem") == [51]
    store.import_csv([{"key": "z", "verdict": "1", "turn": str(2**62 - 1)}])
    assert turns("h", "cem") == [2**62]


def test_reviewers_at_once_are_never_given_the_same_turn(place: str) -> None:
    with open_store(place) as one, open_store(place) as other, ThreadPoolExecutor(4) as pool:

        def work(number: int) -> list[int | None]:
            store, reviewer = (one, other)[number % 2], f"r{number}"
            asked = store.lease(wishes("abcdefghijklmn"), 2, reviewer)
            store.release([question.key for question in asked], reviewer)
            return [question.turn for question in asked]

        turns = {turn for asked in pool.map(work, range(40)) for turn in asked}
    assert turns == set(range(1, 81))


def test_a_lease_that_ran_out_lends_its_facts_until_somebody_else_is_asked(
    store: Store, clock: Clock
) -> None:
    asked = store.lease(WISHES, 3, "ana", seconds=100)
    clock.move(1_000)
    assert store.leased() == {}
    # Looking further on, or at other rows, leaves them alone.
    assert store.lease([Question("d")], 1, "ben") == [Question("d", turn=4)]
    assert store.lease([Question("b", "suspicious")], 1, "ben") == [
        Question("b", "suspicious", turn=5)
    ]
    said = store.add([Judgment("a", A, "ana"), Judgment("b", A, "ana"), Judgment("c", A, "ben")])
    assert [facts(line) for line in said] == [asked[0], Question("b"), Question("c")]
    assert [facts(line) for line in store.add([Judgment("c", N, "ana")])] == [asked[2]]
    assert store.questions("ben") == [Question("d", turn=4), Question("b", "suspicious", turn=5)]


def test_a_row_leased_anew_after_its_lease_ran_out_is_a_new_question(
    store: Store, clock: Clock
) -> None:
    store.lease(WISHES, 1, "ana", seconds=100)
    clock.move(100)
    again = Question("a", "random", 3, "m2")
    assert store.lease([again], 1, "ana") == [replace(again, turn=2)]
    assert facts(store.add([Judgment("a", A, "ana")])[0]) == replace(again, turn=2)


@pytest.mark.parametrize(
    "own",
    [
        Question("a", "diverse"),
        Question("a", place=0),
        Question("a", model="m9"),
        Question("a", turn=0),
    ],
)
def test_what_a_judgment_says_itself_wins(store: Store, own: Question) -> None:
    store.lease(WISHES, 2, "ana")
    judgment = Judgment("a", A, "ana", "", own.model, own.why, own.place, own.turn)
    assert facts(store.add([judgment])[0]) == own
    assert store.leased() == {"b": "ana"}


def test_a_question_is_answered_once(store: Store) -> None:
    asked = store.lease(WISHES, 3, "ana")
    said = store.add([Judgment("a", A, "ana"), Judgment("a", N, "ana")])
    assert [facts(line) for line in said] == [asked[0], Question("a")]
    assert facts(store.add([Judgment("a", A, "ana")])[0]) == Question("a")
    store.add([Judgment("b", A, "ana", why="diverse"), Judgment("b", A, "ana")])
    assert [facts(line) for line in store.lines()[3:]] == [Question("b", "diverse"), Question("b")]
    store.release(["c"], "ana")
    assert facts(store.add([Judgment("c", A, "ana")])[0]) == Question("c")


def test_taking_back_answers_no_question(store: Store) -> None:
    store.add([Judgment("a", A, "ana")])
    store.undo("ana")
    asked = store.lease(WISHES, 1, "ana")
    store.add([Judgment("a", A, "ben")])
    undo, verdict = Judgment("a", None, "ana", undoes=3), Judgment("a", N, "ana")
    assert [facts(line) for line in store.add([undo, verdict])] == [Question("a"), asked[0]]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (Question(""), "a question needs the key of a row"),
        (Question("b", "nul \0"), "why is 'nul .*a character that no database keeps"),
        (Question("b", model="half \ud83d"), "model is .*a character that no database keeps"),
        (Question(7), "key is 7; give it as text"),  # type: ignore[arg-type]
        (Question("b", place=-1), "place is -1; give a whole number"),
        (Question("b", place=np.int64(3)), r"place is .*3.*; give a whole number \(int\)"),  # type: ignore[arg-type]
    ],
)
def test_one_bad_wish_and_nothing_is_leased(file_store: Store, bad: Question, words: str) -> None:
    with pytest.raises(LabelError, match=words):
        file_store.lease([Question("a"), bad], 2, "ana")
    assert file_store.leased() == {}


# CSV


def test_a_csv_file_carries_all_lines_to_another_store(
    new_place: Callable[[], str], tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "verdicts.csv"
    with open_store(new_place(), clock=clock) as store, open_store(new_place()) as other:
        store.add(
            [
                Judgment('a,"\r\n', A, "ana", " note\n", "m", "random", 0, 31),
                Judgment("b", U, "ben", place=2**62 - 1, turn=0),
            ]
        )
        clock.move(0.000_001)
        store.undo("ana")
        store.undo("ben")
        store.add([Judgment("=1+1", N, "字")])
        assert store.export_csv(path) == 5
        assert other.import_csv(path) == (5, 0)
        assert other.lines() == store.lines()
        assert other.import_csv(path) == (0, 5)
        assert store.import_csv(path) == (0, 5)
        # Lines of both, exchanged: the numbers differ, what holds does not.
        store.add([Judgment("c", A, "ana")])
        other.add([Judgment("d", A, "ben")])
        other.undo("ben")
        store.export_csv(path)
        assert other.import_csv(path) == (1, 5)
        other.export_csv(path)
        assert store.import_csv(path) == (2, 6)
        assert store.standings() == other.standings()
        assert {line.uid for line in store.lines()} == {line.uid for line in other.lines()}


def test_lines_of_another_store_undo_only_once(
    new_place: Callable[[], str], tmp_path: Path
) -> None:
    path = tmp_path / "verdicts.csv"
    with open_store(new_place()) as store, open_store(new_place()) as other:
        store.add([Judgment("a", A, "ana")])
        store.export_csv(path)
        other.import_csv(path)
        store.undo("ana")
        other.undo("ana")
        other.export_csv(path)
        assert store.import_csv(path) == (0, 2)
        assert [line.undoes for line in store.lines()] == [None, 1]


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_utc")
def test_a_hand_written_csv_file(store: Store, clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        "\ufeffkey,verdict,reviewer,at,note\n"
        "1,Anomaly,ana,2026-03-01T10:00:00+02:00,\n"
        "2,0,ana,2026-03-01,looked fine\n"
        "\n"
        "2,yes,ben,,\n"
        "3,UNSURE,,,\n"
        "2,no,ben,,\n"
        "2,yes,ben,,\n",
        encoding="utf-8",
    )
    assert store.import_csv(path) == (6, 0)
    assert [(x.key, x.verdict, x.reviewer, x.note) for x in store.lines()] == [
        ("1", A, "ana", ""),
        ("2", N, "ana", "looked fine"),
        ("2", A, "ben", ""),
        ("3", U, "", ""),
        ("2", N, "ben", ""),
        ("2", A, "ben", ""),
    ]
    assert [line.at for line in store.lines()][:3] == [
        datetime(2026, 3, 1, 8, tzinfo=UTC),
        datetime(2026, 3, 1, tzinfo=UTC),
        MORNING,
    ]
    clock.move(1)
    assert store.import_csv(path) == (0, 6)
    assert store.import_csv([{"key": "3", "verdict": "unsure"}, {"key": "4", "verdict": "1"}]) == (
        1,
        1,
    )


@pytest.mark.parametrize("cell", ["²", "٣", "+5", "0x1"])
def test_digits_that_are_none(file_store: Store, cell: str) -> None:
    with pytest.raises(LabelError, match=f"row 1 has the turn '{re.escape(cell)}'; write a whole"):
        file_store.import_csv([{"key": "a", "verdict": "1", "turn": cell}])
    assert file_store.lines() == []


def test_place_and_turn_by_hand(store: Store) -> None:
    said = [("0", "12"), (" 7 ", ""), ("", "007"), (" ", "\t")]
    rows = [{"key": "a", "verdict": "1", "place": place, "turn": turn} for place, turn in said]
    assert store.import_csv(rows) == (4, 0)
    assert [(line.place, line.turn) for line in store.lines()] == [
        (0, 12),
        (7, None),
        (None, 7),
        (None, None),
    ]


ASKED = "key,verdict,place,turn\na,anomaly,3,1\n"
LONG_FILE = "key,verdict\n" + "".join(f"{number},normal\n" for number in range(1_500))


def test_a_long_file_of_normals_is_taken_without_a_warning(store: Store, tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_text(LONG_FILE.replace("normal", "0"))
    assert store.import_csv(tmp_path / "long.csv") == (1_500, 0)
    assert store.import_csv(tmp_path / "long.csv") == (0, 1_500)


HEAD_AND_TWO = "key,verdict,at,uid,undoes\na,anomaly,,u1,\nb,normal,,u2,\n"


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("key,label\na,1\n", FileError, r"mine.csv has the columns 'key', 'label'; verdicts need"),
        ("verdict\n1\n", FileError, r"has the columns 'verdict'; verdicts need key and verdict"),
        ("key,verdict,key\na,1,b\n", FileError, "each once"),
        ("", FileError, r"has the columns \(none\)"),
        ("key,verdict\na,1\nb\n", FileError, "line 3 of mine.csv has 1 cells and the header nam"),
        ("key,verdict\n\xff", FileError, "cannot be read as a CSV file in UTF-8"),
        ('key,verdict\na,"1', FileError, "cannot be read as a CSV file"),
        (HEAD_AND_TWO + "c,maybe,,,\n", LabelError, r"'maybe' \(once, first at id 'line 4 of mine"),
        (HEAD_AND_TWO + "c,-1,,,\n", LabelError, r"-1.*line 4 of mine"),
        (HEAD_AND_TWO + "c,,,,\n", LabelError, "line 4 of mine.csv has the verdict '' and undo"),
        (HEAD_AND_TWO + "c,1,5 May,,\n", LabelError, "line 4 of mine.csv has the time '5 May'"),
        (HEAD_AND_TWO + ",1,,,\n", LabelError, "line 4 of mine.csv: .*the key is empty"),
        (HEAD_AND_TWO + "a,,,,u9\n", LabelError, "line 4 of mine.csv undoes 'u9'"),
        (HEAD_AND_TWO + "a,,,,u2\n", LabelError, "'u2', which is the uid of no verdict on 'a'"),
        (HEAD_AND_TWO + "a,,,u3,u1\na,,,,u3\n", LabelError, "line 5 of mine.csv undoes 'u3'"),
        (HEAD_AND_TWO + "a,1,,,u1\n", LabelError, "line 4 of mine.csv has the verdict '1' and"),
        (ASKED + "b,1,-3,\n", LabelError, "line 3 of mine.csv has the place '-3'; write a whole"),
        (ASKED + "b,1,,2.0\n", LabelError, "line 3 of mine.csv has the turn '2.0'; .* cell blank"),
        (ASKED + "b,1,nan,2\n", LabelError, "line 3 of mine.csv has the place 'nan'; write"),
        (ASKED + "b,1,1_0,2\n", LabelError, "line 3 of mine.csv has the place '1_0'; write"),
        (ASKED + f"b,1,{'9' * 5_000},\n", LabelError, "line 3 of mine.csv has the place '999"),
        (ASKED + f"b,1,,{2**62}\n", LabelError, "line 3 of mine.csv: turn is 461168.*below"),
    ],
)  # fmt: skip
def test_one_bad_cell_and_nothing_is_imported(
    file_store: Store, tmp_path: Path, text: str, error: type[Exception], words: str
) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(error, match=words):
        file_store.import_csv(path)
    assert file_store.lines() == []


def test_csv_files_that_are_not_there(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none.csv cannot be read .*: No such file"):
        store.import_csv(tmp_path / "none.csv")
    with pytest.raises(FileError, match="no such folder"):
        store.export_csv(tmp_path / "none" / "verdicts.csv")


# Opening


def older(place: str) -> None:
    """Make a store of schema 0001 that holds one line."""
    Database(place, 5).close()
    with connected(place) as connection:
        upgrade(connection, "0001")
        connection.execute(
            sa.text(
                "INSERT INTO lines (number, uid, key, verdict, reviewer, at, note, model, why) "
                "VALUES (1, 'u', 'a', 'anomaly', 'ana', '2026-03-02T09:30:00.250000Z', '', '', '')"
            )
        )


def test_an_older_store_is_migrated_after_a_backup(
    place: str, caplog: pytest.LogCaptureFixture
) -> None:
    older(place)
    with open_store(place) as store:
        assert store.lines() == [Line("a", A, "ana", number=1, uid="u", at=MORNING)]
        assert lease(store, "ab", 2, "ana") == ["b"]
        assert store.undo("ana") is not None
    if "://" in place:
        assert "migrated from schema 0001 to 0002 without a backup" in caplog.text
        return
    copy = f"{place}.backup-0001"
    assert stat.S_IMODE(os.stat(copy).st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as backup:
        assert backup.execute(f"SELECT version_num FROM {REVISION_TABLE}").fetchall() == [("0001",)]
        assert backup.execute("SELECT uid, verdict FROM lines").fetchall() == [("u", "anomaly")]
    assert sorted(path.name for path in Path(place).parent.iterdir()) == [
        Path(place).name,
        Path(copy).name,
    ]


def test_a_migration_that_fails_changes_nothing(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    older(place)

    def fail(connection: sa.Connection) -> None:
        upgrade(connection)
        connection.execute(sa.text("SELECT nothing FROM lines"))

    with monkeypatch.context() as patch:
        patch.setattr("askew.review.store.migrating.upgrade", fail)
        with pytest.raises(StoreError, match="nothing"):
            open_store(place)
    with connected(place) as connection:
        assert sorted(sa.inspect(connection).get_table_names()) == [REVISION_TABLE, "lines"]
    with open_store(place) as store:
        assert [line.uid for line in store.lines()] == ["u"]


def test_a_store_that_another_process_migrated_meanwhile_is_not_backed_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy would stand in the place of the one that holds the older store."""
    place = tmp_path / "verdicts.db"
    open_store(place).close()
    seen = iter(["0001", HEAD])
    monkeypatch.setattr("askew.review.store.migrating._revision", lambda *_: next(seen))
    open_store(place).close()
    assert list(tmp_path.iterdir()) == [place]


def test_a_newer_store_is_refused_and_left_alone(place: str) -> None:
    with open_store(place) as store:
        store.add([Judgment("a", A)])
    with connected(place) as connection:
        connection.execute(sa.text(f"UPDATE {REVISION_TABLE} SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"newer version of Askew \(schema 9999.*upgrade Askew"):
        open_store(place)
    with connected(place) as connection:
        assert connection.scalar(sa.text(f"SELECT version_num FROM {REVISION_TABLE}")) == "9999"
        assert connection.scalar(sa.text("SELECT count(*) FROM lines")) == 1


def test_the_migrations_make_the_tables_that_the_code_knows(place: str) -> None:
    open_store(place).close()
    with connected(place) as connection:
        options = {"version_table": REVISION_TABLE}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == HEAD == known_revisions()[0]


def test_a_new_store_can_be_opened_by_many_at_once(place: str) -> None:
    def work(number: int) -> int:
        with open_store(place) as store:
            return store.add([Judgment("a", A, str(number))])[0].number

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(work, range(6))) == [1, 2, 3, 4, 5, 6]


def test_tables_of_another_program_are_refused_and_left_alone(place: str) -> None:
    with connected(place) as connection:
        connection.execute(sa.text("CREATE TABLE orders (id INTEGER)"))
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num TEXT)"))
    before = Path(place).read_bytes() if "://" not in place else b""
    with pytest.raises(StoreError, match=r"no verdict store, .*\(alembic_version, orders\)"):
        open_store(place)
    with connected(place) as connection:
        assert sorted(sa.inspect(connection).get_table_names()) == ["alembic_version", "orders"]
    if before:
        assert Path(place).read_bytes() == before


def test_a_new_file_is_its_owners_alone_and_safe_to_write(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.db"
    with open_store(f"sqlite:///{path}") as store:
        store.add([Judgment("a", A)])
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
        assert modes == dict.fromkeys(["verdicts.db", "verdicts.db-shm", "verdicts.db-wal"], 0o600)
        with store._database.writing() as connection:
            pragma = connection.exec_driver_sql
            assert pragma("PRAGMA journal_mode").scalar() == "wal"
            assert pragma("PRAGMA synchronous").scalar() == 2
            assert pragma("PRAGMA busy_timeout").scalar() == 5_000
    with open_store(path) as store:
        assert len(store.lines()) == 1


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("{folder}", "is a folder; give the path of a file"),
        ("{folder}/none/verdicts.db", "no such folder: .*/none; make it"),
        ("{folder}/text.csv", "is no SQLite file"),
        ("mysql://me@host/db", "cannot be kept in mysql; give the path of a file, sqlite:///FILE"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("postgresql://host:port/db", "the address of the store cannot be read"),
        (
            "postgresql://me:secret@/db?host={folder}&password=secret",
            r"^postgresql://me:\*\*\*@/db.* could not be used: .*check",
        ),
    ],
)
def test_places_that_are_none(tmp_path: Path, place: str, words: str) -> None:
    text = tmp_path / "text.csv"
    text.write_text("id,amount\n" + "1,2\n" * 300)
    before = text.read_bytes()
    with pytest.raises(StoreError, match=words) as caught:
        open_store(place.format(folder=tmp_path))
    assert "secret" not in str(caught.value)
    assert text.read_bytes() == before
    assert list(tmp_path.iterdir()) == [text]


def test_without_psycopg_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'askew\[postgres\]'"):
        open_store("postgresql://ana@host/verdicts")


def test_without_a_server_these_tests_skip_aloud_and_fail_in_ci(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.review.postgres._shared", lambda: "there is none")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="NOT TESTED ON POSTGRESQL: there is none"):
        postgres()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="NOT TESTED ON POSTGRESQL: there is none"):
        postgres()


def test_a_store_that_another_program_locked(place: str) -> None:
    with open_store(place, timeout=0.05) as store:
        kept = store.add([Judgment("a", A, "ana")])
        with connected(place) as other:
            if "://" in place:
                other.execute(sa.text("LOCK TABLE lines IN EXCLUSIVE MODE"))
            else:
                other.exec_driver_sql("BEGIN IMMEDIATE")
            for work in (
                lambda: store.add([Judgment("b", A)]),
                lambda: store.undo("ana"),
                lambda: store.import_csv([{"key": "b", "verdict": "1"}]),
            ):
                with pytest.raises(StoreError, match=r"locked by another program: waited 0.05 s"):
                    work()
            assert store.lines() == kept
        store.add([Judgment("b", A)])
        assert set(store.standings()) == {"a", "b"}


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed; open it again"):
        store.lines()
    with pytest.raises(StoreError, match="is closed; open it again"):
        store.add([Judgment("a", A)])


def test_a_server_set_otherwise_still_keeps_what_it_acknowledges() -> None:
    server = postgres()
    place = server.new()
    name = place.split("/")[3].split("?")[0]
    server.run(f"ALTER DATABASE {name} SET synchronous_commit = off")
    server.run(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    with open_store(place) as store, store._database.writing() as connection:
        said = connection.exec_driver_sql
        assert said("SHOW synchronous_commit").scalar() == "on"
        assert said("SHOW transaction_isolation").scalar() == "read committed"
        assert said("SHOW lock_timeout").scalar() == "5s"


def test_a_server_that_went_away(clock: Clock) -> None:
    server = postgres()
    place = server.new()
    name = place.split("/")[3].split("?")[0]
    with open_store(place) as store:
        store.add([Judgment("a", A)])
        drop = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
        server.run(f"{drop}'{name}'")
        assert len(store.add([Judgment("b", A)])) == 1, "a lost connection is made anew"
        server.run(f"{drop}'{name}'")
        server.run(f"ALTER DATABASE {name} RENAME TO {name}_gone")
        with pytest.raises(StoreError, match=f'could not be used: .*"{name}" does not exist'):
            store.lines()
