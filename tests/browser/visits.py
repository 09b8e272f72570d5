"""Visits to a page, watched: what no page may do is written down and fails the test."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Locator,
    Page,
    Request,
    expect,
)

from tests.browser.serving import Server

WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 360, "height": 740}


@dataclass
class Visits:
    """Opens pages as a reader would, each visit with cookies of its own.

    Parameters
    ----------
    browser
        In which.
    faults
        What a page did that it may not: a request to another host, an error in the console (a
        refusal by the Content-Security-Policy is one), an exception, a dialog.
    refused
        Statuses that are no fault, for tests of refusals.
    """

    browser: Browser
    faults: list[str] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)
    _contexts: list[BrowserContext] = field(default_factory=list)

    def to(self, server: Server, path: str | None = None, **options: Any) -> Page:
        """Open the printed address, or another path, in a new window of a stranger's."""
        context = self.browser.new_context(**({"viewport": WIDE} | options))
        context.set_default_timeout(20_000)
        self._contexts.append(context)
        host = urlsplit(server.base).netloc

        def at_request(request: Request) -> None:
            parts = urlsplit(request.url)
            if parts.scheme != "data" and parts.netloc != host:
                self.faults.append(f"a request to another host: {request.url}")

        context.on("request", at_request)
        context.on("page", self._watch)
        page = context.new_page()
        page.goto(server.address if path is None else f"{server.base}{path}")
        return page

    def close(self) -> None:
        """End all visits."""
        for context in self._contexts:
            context.close()
        self._contexts.clear()

    def _watch(self, page: Page) -> None:
        def at_console(message: ConsoleMessage) -> None:
            status = re.search(r"the server responded with a status of (\d+)", message.text)
            if status is not None and int(status[1]) in self.refused:
                return
            if message.type in ("error", "warning"):
                self.faults.append(f"{message.type} in the console: {message.text}")

        def at_dialog(dialog: Dialog) -> None:
            self.faults.append(f"a dialog: {dialog.message}")
            dialog.dismiss()

        page.on("console", at_console)
        page.on("dialog", at_dialog)
        page.on("pageerror", lambda error: self.faults.append(f"an exception: {error}"))


def title(page: Page) -> Locator:
    """Find the name of the row on the card."""
    return page.locator("#card-title")


def row_on(page: Page) -> str:
    """Read the name of the row on the card."""
    return title(page).inner_text()


def fields_on(page: Page) -> dict[str, str]:
    """Read the row's fields from the card."""
    cells = page.locator(".card > .fields > div")
    names = [name.removeprefix("▲").strip() for name in cells.locator("dt").all_inner_texts()]
    return dict(zip(names, cells.locator("dd").all_inner_texts(), strict=True))


def counts_on(page: Page) -> dict[str, int]:
    """Read from the rail how many rows have which verdict."""
    words = page.locator("#state").inner_text().replace(",", "")
    found = re.search(r"(\d+) anomal\w+ found in (\d+) rows? judged", words)
    rest = re.search(r"(\d+) normal (\d+) unsure of \d+ rows", words)
    assert found is not None, words
    assert rest is not None, words
    counts = {"anomaly": int(found[1]), "normal": int(rest[1]), "unsure": int(rest[2])}
    assert sum(counts.values()) == int(found[2])
    return counts


def judge(page: Page, key: str) -> str:
    """Judge the row on the card by a key, and wait for the next; give the judged row's name."""
    row = row_on(page)
    page.keyboard.press(key)
    expect(title(page)).not_to_have_text(row)
    return row


def wait_for_row(page: Page, row: str) -> None:
    """Wait until the row is on the card, and the page hears keys."""
    expect(title(page)).to_have_text(row)
    page.wait_for_load_state()


def said(page: Page) -> Locator:
    """Find what the page says of the last step."""
    return page.locator(".said")
