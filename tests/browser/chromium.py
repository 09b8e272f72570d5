"""A Chromium or Chrome of this machine's own; Playwright's download is never used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.debian import NotHereError, found_or_installed, skip_or_fail

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start one without a window; without any, skip, or fail in CI."""
    try:
        path = found_or_installed(_path, "chromium", "Chromium and Chrome are")
    except NotHereError as error:
        skip_or_fail(f"NOT TESTED IN A BROWSER: {error}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        browser.close()


def _path() -> str | None:
    named = [os.environ.get("CHROME", ""), *NAMES]
    return next((path for name in named if name and (path := shutil.which(name))), None)
