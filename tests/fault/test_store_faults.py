"""What verdicts must survive: kills, crowds, full disks, rights. `make soak` goes on longer."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import soak

from askew.errors import StoreError
from askew.review.store import open_store
from askew.review.verdicts import Judgment, Line, Verdict
from tests.review.postgres import postgres

N = Verdict.NORMAL


@pytest.fixture(params=["sqlite", "postgresql"])
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    if request.param == "postgresql":
        return postgres().new
    numbers = iter(range(100))
    return lambda: str(tmp_path / f"{next(numbers)}.db")


def test_no_acknowledged_verdict_is_lost_when_the_writer_is_killed(
    new_place: Callable[[], str],
) -> None:
    told = soak.kill(new_place, rounds=3, seed=1)
    assert (told.lost, told.faults) == ([], [])
    assert told.acknowledged > 0


def test_a_crowd_loses_no_verdict_and_shares_no_row(new_place: Callable[[], str]) -> None:
    told = soak.contend(new_place(), processes=3, seconds=0.7)
    assert (told.errors, told.leased_twice) == ([], [])
    assert told.turn_faults == []
    assert told.stored == told.acknowledged > 0


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([(1, None), (2, None), (3, None)], None),
        ([(1, None), (2, None), (3, None), (4, 3), (5, 2)], None),
        ([(1, None), (2, None), (4, None)], "line 4 stands at 3"),
        ([(1, None), (2, None)], "1: 2 lines"),
        ([(1, None), (2, None), (3, None), (4, 2)], "line 4 undoes 2, not the last one"),
        ([(1, None), (2, None), (3, None), (4, 3), (5, 3)], "line 5 undoes 3, not the last one"),
    ],
)
def test_the_harness_sees_a_broken_history(
    lines: list[tuple[int, int | None]], fault: str | None
) -> None:
    told = [
        Line("a", None if undoes else N, "ana", "1", undoes=undoes, number=number)
        for number, undoes in lines
    ]
    assert soak.broken_history(told) == ([] if fault is None else [fault])


def test_the_harness_sees_a_turn_given_twice_and_a_question_that_was_lost() -> None:
    asked = [(1, "a"), (2, "b")]
    line = Line("b", N, "ana", "", "model", "because of b", 1, 2, number=1)
    assert soak.turn_faults(asked, [line, Line("b", None, undoes=1, number=2)]) == []
    assert soak.turn_faults([*asked, (2, "b")], [line]) == ["turn 2 was given 2 times"]
    for lost in (replace(line, turn=1), replace(line, why=""), replace(line, place=None)):
        assert len(soak.turn_faults(asked, [lost])) == 1


def test_the_harness_sees_a_row_leased_twice_at_a_time() -> None:
    assert soak.overlap([(2, 3), (0, 1.5), (1.4, 1.6)])
    assert not soak.overlap([(2, 3), (0, 1.5), (1.5, 2)])


FILL = """
import resource, sys
from askew.errors import StoreError
from askew.review.store import open_store
from askew.review.verdicts import Judgment, Verdict

place, limit = sys.argv[1:]
uids = []
try:
    if limit == "at once":
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
    with open_store(place) as store:
        if limit == "later":
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        while True:
            lines = store.add([Judgment("a", Verdict.NORMAL, note="n" * 9_000)])
            uids += [line.uid for line in lines]
except StoreError as error:
    print(*uids)
    print(error)
"""


@pytest.mark.parametrize("limit", ["later", "at once"])
def test_a_full_disk_keeps_every_acknowledged_verdict(tmp_path: Path, limit: str) -> None:
    """Files of the child cannot grow beyond a limit, as if the disk ended there."""
    place = tmp_path / "verdicts.db"
    kept = []
    if limit == "later":
        with open_store(place) as store:
            kept = store.add([Judgment("a", N)])
    command = [sys.executable, "-c", FILL, str(place), limit]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.stderr == ""
    uids, message = told.stdout.splitlines()
    assert f"{place} could not be written, the disk is full" in message
    assert (len(uids.split()) > 5) == (limit == "later")
    with open_store(place) as store:
        assert [line.uid for line in store.lines()] == [
            *(line.uid for line in kept),
            *uids.split(),
        ]
        assert len(store.add([Judgment("b", N)])) == 1


def test_a_full_file_keeps_what_stood_there(tmp_path: Path) -> None:
    with open_store(tmp_path / "verdicts.db") as store:
        kept = store.add([Judgment("a", N)])
        with store._database.writing() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
        with pytest.raises(StoreError, match="the disk is full"):
            store.add([Judgment("a", N, note="n" * 100_000), Judgment("b", N)])
        assert store.lines() == kept
        with store._database.writing() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 100000")
        assert len(store.add([Judgment("b", N)])) == 1


OPEN = """
import os, sys
from askew.errors import StoreError
from askew.review.store import open_store
import alembic.command

if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    open_store(sys.argv[1])
except StoreError as error:
    print(error)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter, which pytest's own they may not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


@pytest.mark.parametrize("read_only", ["folder", "file"])
def test_a_store_that_may_not_be_written(open_folder: Path, read_only: str) -> None:
    path = open_folder / "verdicts.db"
    with open_store(path) as store:
        kept = store.add([Judgment("a", N)])
    path.chmod(0o666 if read_only == "folder" else 0o444)
    open_folder.chmod(0o555 if read_only == "folder" else 0o777)
    command = [sys.executable, "-c", OPEN, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.stderr == ""
    place = open_folder if read_only == "folder" else path
    assert f"{path} cannot be written: {place} is read-only" in told.stdout
    path.chmod(0o600)
    open_folder.chmod(0o755)
    with open_store(path) as store:
        assert store.lines() == kept


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.db"
    with open_store(path) as store:
        store.add([Judgment(str(k), N, note="n" * 1_000) for k in range(200)])
    size = os.path.getsize(path)
    with path.open("r+b") as file:
        file.seek(size // 3)
        file.write(b"\xff" * (size // 3))
    with open_store(path) as store, pytest.raises(StoreError, match=r"verdicts.db is damaged"):
        store.lines()
