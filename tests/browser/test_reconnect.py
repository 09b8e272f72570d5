"""The server goes away while somebody judges: the page says so, holds on, and comes back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, Request, Route, expect
from review_server import free_port

from askew.review.store import open_store
from askew.review.verdicts import Line
from tests.browser.serving import Server, serving, write
from tests.browser.tables import payments
from tests.browser.visits import Visits, judge, row_on, title, wait_for_row


class Home:
    """A table whose server is killed and started again at the same port."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.table = write(payments(), folder)
        self._stack, self._port, self._token = stack, free_port(), folder / "token"
        self._token.write_text("a-token-for-tests-only")

    def start(self, token: str = "") -> Server:
        if token:
            self._token.write_text(token)
        options = ["--id", "payment", "--reviewer", "ana", "--port", str(self._port)]
        return self._stack.enter_context(
            serving(self.table, *options, "--token-file", str(self._token))
        )


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with ExitStack() as stack:
        yield Home(tmp_path, stack)


def kill(server: Server) -> None:
    server.process.kill()
    server.process.wait()


def banner(page: Page) -> Locator:
    return page.locator("#offline")


def expect_connected(page: Page, fate: str = "") -> None:
    """Wait as long as the page does between two tries, and longer."""
    expect(banner(page)).to_have_text(f"Connected again. {fate}".strip(), timeout=30_000)


def test_a_killed_server_is_told_of_and_nothing_is_lost_silently(away: Visits, home: Home) -> None:
    server = home.start()
    page = away.to(server)
    told = {judge(page, "n"): "normal", judge(page, "a"): "anomaly"}
    row = row_on(page)
    kill(server)
    expect(banner(page)).to_contain_text(
        "The server does not answer. What you judged before is saved"
    )
    page.keyboard.press("a")
    expect(banner(page)).to_contain_text(f"Not saved: anomaly on {row}. The server")
    page.keyboard.press("u")
    expect(banner(page)).to_contain_text("Not saved: undo. The server")
    expect(title(page)).to_have_text(row)
    again = home.start()
    expect_connected(page)
    wait_for_row(page, row)
    assert again.verdicts() == told
    assert judge(page, "s") == row
    expect(banner(page)).to_be_hidden()
    assert again.verdicts() == told | {row: "unsure"}


def test_a_verdict_that_never_arrived_is_told_as_not_saved(away: Visits, home: Home) -> None:
    server = home.start()
    page = away.to(server)
    row = row_on(page)
    os.kill(server.process.pid, signal.SIGSTOP)
    with page.expect_request("**/judge"):
        page.keyboard.press("a")
    kill(server)
    expect(banner(page)).to_contain_text(f"It is not known whether anomaly on {row} was saved.")
    again = home.start()
    expect_connected(page, f"Not saved: anomaly on {row}. Judge it again.")
    assert again.verdicts() == {}
    wait_for_row(page, row)


def test_a_verdict_whose_answer_was_lost_is_told_as_saved(away: Visits, site: Server) -> None:
    page = away.to(site)
    row = row_on(page)

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/judge", lose)
    page.keyboard.press("a")
    expect_connected(page, f"Saved: anomaly on {row}.")
    assert site.verdicts()[row] == "anomaly"
    expect(title(page)).not_to_have_text(row)


def test_another_token_is_told_and_the_new_address_opens_the_page_again(
    away: Visits, home: Home
) -> None:
    server = home.start()
    page = away.to(server)
    judged = judge(page, "n")
    kill(server)
    expect(banner(page)).to_contain_text("The server does not answer.")
    again = home.start("another-token-for-tests")
    last = "Open the address that askew review printed last"
    expect(banner(page)).to_contain_text(last, timeout=30_000)
    row = row_on(page)
    page.keyboard.press("a")
    expect(banner(page)).to_contain_text(
        f"Not saved: anomaly on {row}. The server does not let this page in"
    )
    page.context.new_page().goto(again.address)
    expect_connected(page)
    second = judge(page, "s")
    assert again.verdicts() == {judged: "normal", second: "unsure"}


def test_a_refused_verdict_is_told_until_the_next_is_saved(away: Visits, site: Server) -> None:
    away.refused = {503}
    page = away.to(site)
    row, full = row_on(page), "<main><p>The disk is full.</p></main>"
    page.route("**/judge", lambda route: route.fulfill(status=503, body=full))
    page.keyboard.press("a")
    expect(banner(page)).to_have_text("Not saved. The disk is full.")
    for _ in range(2):
        page.wait_for_event("response", lambda reply: "/state" in reply.url)
    expect(banner(page)).to_have_text("Not saved. The disk is full.")
    page.unroute("**/judge")
    assert judge(page, "n") == row
    expect(banner(page)).to_be_hidden()
    assert site.verdicts()[row] == "normal"


def test_a_note_that_is_being_written_stays(away: Visits, site: Server) -> None:
    page = away.to(site)
    row, note = row_on(page), page.get_by_role("textbox", name="Note")
    note.fill("large")
    for is_typing in (True, False):
        page.context.set_offline(True)
        expect(banner(page)).to_contain_text("The server does not answer.")
        page.context.set_offline(False)
        expect_connected(page)
        expect(note if is_typing else title(page)).to_be_focused()
        assert note.input_value() == "large"
        if is_typing:
            page.keyboard.press("Escape")
    assert judge(page, "a") == row
    assert [line.note for line in lines_in(site) if line.key == row][-1] == "large"


def test_it_asks_less_and_less_often(away: Visits, site: Server) -> None:
    page = away.to(site)
    page.clock.install(time=datetime(2026, 3, 2, tzinfo=UTC))
    page.reload()
    page.clock.pause_at(datetime(2026, 3, 2, 1, tzinfo=UTC))  # else it goes on by itself
    failed: list[str] = []

    def note(request: Request) -> None:
        if urlsplit(request.url).path == "/state":
            failed.append("/state")

    page.on("requestfailed", note)
    page.context.set_offline(True)
    with page.expect_event("requestfailed", lambda request: "/state" in request.url):
        page.clock.run_for(2_000)
    page.evaluate("fetch('/healthz').then(() => 0, () => 0)")
    expect(banner(page)).to_contain_text("The server does not answer.")
    failed.clear()
    for n, seconds in enumerate([1, 2, 4, 8, 8]):
        page.clock.run_for(1_000 * seconds - 1)
        assert failed == ["/state"] * n
        with page.expect_event("requestfailed"):
            page.clock.run_for(1)
        # Another that fails: by then the page has heard of the one before, and waits anew.
        page.evaluate("fetch('/healthz').then(() => 0, () => 0)")
    page.context.set_offline(False)
    page.clock.run_for(8_000)
    expect_connected(page)


def lines_in(server: Server) -> list[Line]:
    with open_store(server.store) as store:
        return store.lines()
