"""One browser for all tests here, and a watched visit for each."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from askew.review.web.users import Hash, write_users
from tests.browser.chromium import chromium
from tests.browser.serving import TEAM, Server, judge_many, serving, write
from tests.browser.tables import payments
from tests.browser.visits import Visits

expect.set_options(timeout=20_000)  # a machine may be busy


# No wider: Playwright's event loop runs as long as it does, and other tests start their own.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visits(browser: Browser) -> Iterator[Visits]:
    """Give visits; at the end, nothing may have gone wrong in any."""
    visits = Visits(browser)
    yield visits
    visits.close()
    assert visits.faults == []


@pytest.fixture
def away(visits: Visits) -> Iterator[Visits]:
    """Give visits to which a server that is not there is no fault."""
    visits.refused = {403}
    yield visits
    visits.close()  # the last messages come with it
    told = (
        r"net::ERR_|in the console: (htmx:(afterRequest|sendError|timeout)|Response Status Error)"
    )
    visits.faults = [fault for fault in visits.faults if not re.search(told, fault)]


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose verdicts the tests give; each counts from what it finds."""
    table = write(payments(240), tmp_path_factory.mktemp("site"))
    with serving(table, "--id", "payment", "--reviewer", "ana") as server:
        yield server


@pytest.fixture(scope="package")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with 20 verdicts or a few more, which no test changes."""
    table = write(payments(900, 12), tmp_path_factory.mktemp("judged"))
    with serving(table, "--id", "payment", "--reviewer", "ana") as server:
        judge_many(server, 20)
        yield server


@pytest.fixture(scope="package")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server at which ana and bob sign in."""
    folder = tmp_path_factory.mktemp("team")
    write_users(folder / "users", {name: Hash.of(word) for name, word in TEAM.items()})
    with serving(
        write(payments(160), folder), "--id", "payment", "--users", f"{folder}/users"
    ) as it:
        yield it
