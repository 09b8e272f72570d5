"""A page over a real store, without a browser."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from fastapi import FastAPI

from askew.review.session import Session
from askew.review.store import open_store
from askew.review.web.app import create_app
from askew.review.web.desk import Desk
from askew.review.web.desks import Desks
from askew.review.web.security import Keys
from askew.review.web.users import Users

with warnings.catch_warnings():
    # Starlette would rather have httpx's successor; both will do.
    warnings.simplefilter("ignore", UserWarning)
    from starlette.testclient import TestClient

TOKEN = "a-token-for-tests-only"
BASE = "http://127.0.0.1:8000"


@dataclass
class Site:
    """A page with everything behind it."""

    app: FastAPI
    desk: Desk
    session: Session
    client: TestClient

    def get(self, path: str = "/", **options: Any) -> str:
        """Open a page as the browser would."""
        reply = self.client.get(path, **options)
        text: str = reply.text
        assert reply.status_code == 200, text
        return text

    def post(self, path: str, **fields: str) -> str:
        """Send a form from the page, and follow to where it leads."""
        fields = {"csrf": csrf_in(self.get())} | fields
        if "key" in fields:
            fields["key"] = quote(fields["key"], safe="")
        reply = self.client.post(path, data=fields, follow_redirects=True)
        text: str = reply.text
        assert reply.status_code == 200, text
        return text

    def stranger(self) -> TestClient:
        """Give a visitor without a token."""
        return TestClient(
            self.app, base_url=BASE, follow_redirects=False, raise_server_exceptions=False
        )


def client_of(app: FastAPI) -> TestClient:
    """Give a visitor who follows where they are led."""
    return TestClient(app, base_url=BASE, raise_server_exceptions=False)


@contextmanager
def site_on(
    table: Any,
    folder: Path,
    *,
    reviewer: str = "ana",
    users: Users | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    **options: Any,
) -> Iterator[Site]:
    """Open a page on a table, and a visitor who came by the token; with users, by nothing yet."""
    with (
        open_store(folder / "verdicts.db", clock=clock) as store,
        Session(table, store, reviewer=reviewer, **options) as session,
        Desks(session) as desks,
    ):
        app = create_app(desks, Keys(TOKEN), users=users, table="payments.csv")
        client = client_of(app)
        if users is None:
            client.get("/", params={"token": TOKEN})
        yield Site(app, desks.of(), session, client)


def settle(desk: Desk) -> None:
    """Wait for the background."""
    desk.session._worker.submit(int).result()  # a refit and what follows from it
    desk._common.background.submit(int).result()


def csrf_in(text: str) -> str:
    """Find the forms' token."""
    return field_in(text, "csrf")


def key_in(text: str) -> str:
    """Find the key of the card."""
    return unquote(field_in(text, "key"))


def field_in(text: str, name: str) -> str:
    """Find a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', text)
    assert found is not None, text
    return unescape(found.group(1))


def words_in(text: str) -> str:
    """Give what stands between the tags, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())
