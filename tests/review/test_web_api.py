"""The JSON beside the pages: the same content, and a schema that says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.review.web import Site, key_in, settle, site_on


@pytest.fixture
def site(payments: pd.DataFrame, tmp_path: Path) -> Iterator[Site]:
    with site_on(payments, tmp_path) as opened:
        yield opened


def get(site: Site, path: str, **query: Any) -> Any:
    reply = site.client.get(path, params=query)
    assert reply.status_code == 200, reply.text
    return reply.json()


def post(site: Site, path: str, given: dict[str, str] | None = None) -> Any:
    csrf = get(site, "/api/card")["csrf"]
    reply = site.client.post(path, json=given, headers={"x-csrf-token": csrf})
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_the_card_is_that_of_the_page(site: Site, payments: pd.DataFrame) -> None:
    card = get(site, "/api/card")["card"]
    assert card["key"] == key_in(site.get())
    assert [field["name"] for field in card["fields"]] == list(payments.columns)
    assert card["under_hand"]
    assert card["asked"] == "ranked 1st"
    assert card["rank"] == 1
    assert {field["name"] for field in card["fields"] if field["odd"]} == {
        one["column"] for one in card["sentences"]
    }
    assert all(one["gain"] > 0 for one in card["sentences"])
    opened = get(site, "/api/card", key="tx-0100")["card"]
    assert (opened["key"], opened["under_hand"], opened["asked"]) == ("tx-0100", False, "")


def test_a_verdict_and_its_undo(site: Site) -> None:
    first = get(site, "/api/card")["card"]["key"]
    told = post(site, "/api/verdicts", {"key": first, "verdict": "anomaly", "note": "n"})
    assert (told["written"], told["number"]) == (True, 1)
    assert told["card"]["key"] != first
    assert not post(site, "/api/verdicts", {"key": first, "verdict": "anomaly"})["written"]
    assert get(site, "/api/history")["entries"][0] | {"at": ""} == {
        "key": first,
        "verdict": "anomaly",
        "mine": "anomaly",
        "by": {"ana": "anomaly"},
        "disputed": False,
        "note": "n",
        "at": "",
        "number": 1,
    }
    taken = post(site, "/api/undo")
    assert (taken["key"], taken["verdict"], taken["card"]["key"]) == (first, "anomaly", first)
    assert post(site, "/api/undo")["key"] is None
    assert get(site, "/api/history") == {"n": 0, "entries": []}


def test_the_status_counts(site: Site) -> None:
    for i, verdict in enumerate(["anomaly", "normal", "normal", "unsure"]):
        post(site, "/api/verdicts", {"key": f"tx-{i:04d}", "verdict": verdict})
    settle(site.desk)
    status = get(site, "/api/status")
    counts = [status[f"n_{name}"] for name in ("anomaly", "normal", "unsure", "judged", "rows")]
    assert counts == [1, 2, 1, 4, 200]
    assert status["remaining"]["value"] is None
    assert status["remaining"]["text"].startswith("withheld: needs about")
    assert status["strategy"] == "mixed"
    assert status["learning"]["failed"] == ""
    assert status["hint"].startswith("1 of the last 3 were anomalies")


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"key": "nobody", "verdict": "normal"}, 404),
        ({"key": "tx-0000", "verdict": "odd"}, 422),
        ({"key": "", "verdict": "normal"}, 422),
        ({"verdict": "normal"}, 422),
        ({"key": "tx-0000", "verdict": "normal", "note": "x" * 2001}, 422),
        ({"key": "tx-0000", "verdict": "normal", "note": "\0"}, 422),
    ],
)
def test_what_cannot_be_saved_is_refused(site: Site, given: dict[str, str], status: int) -> None:
    csrf = get(site, "/api/card")["csrf"]
    reply = site.client.post("/api/verdicts", json=given, headers={"x-csrf-token": csrf})
    assert reply.status_code == status
    assert list(reply.json()) == ["detail"]
    assert site.session.store.lines() == []


def test_the_schema_tells_of_everything_under_api(site: Site) -> None:
    schema = get(site, "/api/openapi.json")
    routes = {
        "/api/card": {"get"},
        "/api/verdicts": {"post"},
        "/api/undo": {"post"},
        "/api/status": {"get"},
        "/api/history": {"get"},
    }
    assert routes.items() <= {path: set(told) for path, told in schema["paths"].items()}.items()
    for told in schema["paths"].values():
        for operation in told.values():
            assert {"200", "400", "403", "413", "500", "503"} <= set(operation["responses"])
            for status, reply in operation["responses"].items():
                content = reply["content"]
                assert "$ref" in str(content), (operation["operationId"], status)


def test_a_method_that_is_not_there_is_refused_with_those_that_are(site: Site) -> None:
    reply = site.client.put("/api/status", headers={"x-csrf-token": get(site, "/api/card")["csrf"]})
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET")
    assert list(reply.json()) == ["detail"]
