"""Who comes in, what a reply may do in a browser, and tables that hold what would do harm."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from askew.errors import StoreError
from askew.http import hosts_of, is_loopback
from askew.review.web import security
from askew.review.web.security import HEADERS, LARGEST, Keys
from askew.review.web.words import LONGEST
from tests.review.web import BASE, TOKEN, Site, csrf_in, key_in, settle, site_on, words_in

HARM = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% include 'x' %}",
    "=HYPERLINK(0)",
    "\u202egnp.exe",
    "a\0b\x1b[2J",
    "100%41 of\r\nit",
    "'; DROP TABLE lines; --",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    table = pd.DataFrame(
        {"v": [float(i) for i in range(40)], "w": [f"word {i % 7} " * 3 for i in range(40)]},
        index=pd.Index([f"k{i}" for i in range(40)], name="id"),
    )
    with site_on(table, tmp_path_factory.mktemp("site")) as opened:
        yield opened


@pytest.mark.parametrize("path", ["/", "/history", "/state", "/api/card", "/api/openapi.json"])
@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", f"?token={TOKEN}x"])
def test_nobody_comes_in_without_the_token(site: Site, path: str, query: str) -> None:
    reply = site.stranger().get(path + query)
    assert reply.status_code == 403
    assert "askew review printed" in reply.text
    assert "set-cookie" not in reply.headers
    assert "k1" not in reply.text


def test_the_token_is_exchanged_for_a_cookie_and_leaves_the_address(site: Site) -> None:
    visitor = site.stranger()
    reply = visitor.get(f"/history?token={TOKEN}&q=a%20b")
    assert (reply.status_code, reply.headers["location"]) == (303, "/history?q=a+b")
    said = reply.headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=strict" in said
    assert TOKEN not in reply.headers["set-cookie"]
    assert visitor.get("/").status_code == 200
    assert visitor.get(f"/?token={TOKEN}").headers["location"] == "/"


def test_the_redirect_stays_on_this_host(site: Site) -> None:
    reply = site.stranger().get(f"{BASE}//evil.example/x?token={TOKEN}")
    assert (reply.status_code, reply.headers["location"]) == (303, "/evil.example/x")


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append(a)
        return a == b

    monkeypatch.setattr(hmac, "compare_digest", compare)
    keys = Keys("right")
    assert keys.opens("right")
    assert not keys.opens("rihgt")
    cookie = keys.new_cookie()
    assert keys.visitor(cookie) is not None
    assert keys.is_csrf("me", keys.csrf("me"))
    assert len(compared) == 4


def test_a_cookie_is_good_for_its_token_alone() -> None:
    keys = Keys("one")
    cookie = keys.new_cookie()
    assert Keys("one").visitor(cookie) == cookie.split(".")[0]
    assert Keys("two").visitor(cookie) is None
    for forged in ("", ".", "me.", "me.00", cookie[:-1], f"x{cookie}", "ü.ü"):
        assert keys.visitor(forged) is None
    assert keys.csrf("me") not in keys.new_cookie()
    assert len({Keys().token for _ in range(5)}) == 5
    assert len(Keys().token) >= 43
    assert Keys().token not in repr(Keys())


@pytest.mark.parametrize("path", ["/judge", "/undo", "/note", "/mode", "/retry"])
@pytest.mark.parametrize("csrf", [None, "", "0" * 64])
def test_a_form_needs_its_csrf_token(site: Site, path: str, csrf: str | None) -> None:
    fields = {"key": "k1", "verdict": "anomaly", "note": "x", "strategy": "random"}
    fields |= {} if csrf is None else {"csrf": csrf}
    reply = site.client.post(path, data=fields)
    assert reply.status_code == 403
    assert site.session.store.lines() == []
    assert site.desk.strategy == "mixed"


def test_every_form_that_changes_something_carries_the_token(site: Site) -> None:
    text = site.get()
    forms = re.findall(r'<form[^>]*method="post".*?</form>', text, flags=re.DOTALL)
    assert len(forms) >= 3
    assert {csrf_in(form) for form in forms} == {csrf_in(text)}
    other = site.stranger()
    other.get(f"/?token={TOKEN}")
    assert csrf_in(other.get("/").text) != csrf_in(text)


def test_the_api_needs_the_csrf_token_or_the_bearer(site: Site) -> None:
    given = {"key": "k1", "verdict": "nonsense"}
    assert site.client.post("/api/verdicts", json=given).status_code == 403
    csrf = site.client.get("/api/card").json()["csrf"]
    reply = site.client.post("/api/verdicts", json=given, headers={"x-csrf-token": csrf})
    assert reply.status_code == 422
    stranger = site.stranger()
    for token, status in ((TOKEN, 422), ("wrong", 403), ("", 403)):
        reply = stranger.post(
            "/api/verdicts", json=given, headers={"authorization": f"Bearer {token}"}
        )
        assert reply.status_code == status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost:8000", 200),
        ("LOCALHOST", 200),
        ("[::1]:8000", 200),
        ("evil.example", 400),
        ("evil.example:8000", 400),
        ("127.0.0.1.evil.example", 400),
        ("192.168.0.7:8000", 400),
        ("", 400),
    ],
)
def test_only_our_own_names_are_answered(site: Site, host: str, status: int) -> None:
    for path in ("/", "/static/page.css", "/api/card"):
        assert site.client.get(path, headers={"host": host}).status_code == status


def test_names_of_a_host_that_others_reach() -> None:
    assert "review.example" in hosts_of("review.example")
    assert "mybox.lan" in hosts_of("MyBox.lan")  # as a browser sends it
    assert "*ip" in hosts_of("0.0.0.0")
    assert "*ip" not in hosts_of("192.168.0.7")
    assert [is_loopback(h) for h in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [True] * 4
    assert [is_loopback(h) for h in ("0.0.0.0", "::", "10.0.0.1", "example.org")] == [False] * 4


def test_every_reply_carries_the_headers(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    replies = [
        site.client.get("/"),
        site.client.get("/nowhere"),
        site.client.get("/static/page.css"),
        site.client.get("/api/card"),
        site.stranger().get("/"),
        site.client.get("/", headers={"host": "evil.example"}),
        site.client.post("/judge", data={}),
    ]
    monkeypatch.setattr(site.desk, "view", broken)
    replies += [site.client.get("/"), site.client.get("/api/card")]
    assert [r.status_code for r in replies] == [200, 404, 200, 200, 403, 400, 403, 500, 500]
    for reply in replies:
        for name, value in HEADERS.items():
            assert reply.headers[name] == value
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none';")
    assert replies[0].headers["cache-control"] == "no-store"


def test_no_trace_in_a_reply(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(site.desk, "view", broken)
    for path in ("/", "/api/card"):
        reply = site.client.get(path)
        assert reply.status_code == 500
        assert "fault of Askew" in reply.text
        for word in ("secret", "Traceback", "ZeroDivision", ".py"):
            assert word not in reply.text
    assert list(site.client.get("/api/card").json()) == ["detail"]


def test_a_store_that_fails_is_said_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreError("the disk is full; free some space")

    text = site.get()
    monkeypatch.setattr(site.session, "tell", full)
    reply = site.client.post(
        "/judge", data={"csrf": csrf_in(text), "key": key_in(text), "verdict": "normal"}
    )
    assert reply.status_code == 503
    assert "the disk is full; free some space" in words_in(reply.text)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/%2e%2e/app.py",
        "/static/....//app.py",
        "/static//etc/passwd",
        "/static/..\\app.py",
        "/static/vendor/",
        "/static/%00",
    ],
)
def test_static_files_stay_in_their_folder(site: Site, path: str) -> None:
    reply = site.client.get(path)
    assert reply.status_code == 404
    assert "import" not in reply.text


def test_a_large_body_is_refused(site: Site) -> None:
    csrf = csrf_in(site.get())

    def chunks() -> Iterator[bytes]:
        for _ in range(LARGEST // 1024 + 2):
            yield b"x" * 1024

    for body in (b"x" * (LARGEST + 1), chunks()):
        reply = site.client.post(
            "/api/verdicts",
            content=body,
            headers={"x-csrf-token": csrf, "content-type": "application/json"},
        )
        assert reply.status_code == 413
    reply = site.client.get("/", headers={"content-length": "-5"})
    assert reply.status_code == 413


def test_pages_ask_for_nothing_inline_and_no_other_host(site: Site) -> None:
    pages = [site.get("/"), site.get("/history"), site.stranger().get("/").text]
    for text in pages:
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert "<style" not in text
        assert not re.search(r"\s(style|on\w+)\s*=", text)
        for address in re.findall(r'(?:src|href|action|hx-\w+)="([^"]*)"', text):
            assert "//" not in address, address
    static = Path(security.__file__).parent / "static"
    for path in (static / "page.css", static / "keys.js"):
        assert "http" not in path.read_text().replace("htmx", "")


@pytest.fixture(scope="module")
def harmful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    n = 60
    table = pd.DataFrame(
        {
            "v": [float(i % 9) for i in range(n)],
            HARM[0]: [HARM[i % len(HARM)] for i in range(n)],
            "free": [f"{HARM[i % len(HARM)]} {i}" for i in range(n)],
        },
        index=pd.Index([f"{HARM[i % len(HARM)]}{i}".replace("\0", "") for i in range(n)]),
    )
    table.loc[table.index[5], "free"] = "<b>" + "x" * 10_000_000
    with site_on(table, tmp_path_factory.mktemp("harm"), kinds={"free": "text"}) as opened:
        yield opened


def test_whatever_a_table_holds_shows_as_text(harmful: Site) -> None:
    keys = harmful.session.keys[:9]
    for key in keys:
        reply = harmful.client.get("/", params={"key": key})
        assert reply.status_code == 200
        text = reply.text
        assert "<script>alert" not in text
        assert "<img" not in text
        assert "49" not in words_in(text).split("Nearest")[0].split("The row")[1]
        assert not re.search(r"[\0\x1b]", text)
        for value in re.findall(r"<dd>(.*?)</dd>", text, flags=re.DOTALL):
            if "\u202e" in value:
                assert re.search("<bdi>[^<]*\u202e[^<]*</bdi>", value)
        harmful.session.tell({key: "anomaly"}, note=HARM[0])
    for path in ("/", "/history", "/history?q=%3Cscript%3E"):
        text = harmful.get(path)
        assert "<script>alert" not in text
        assert "<img" not in text
    found = harmful.client.get("/", params={"key": keys[1]}).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in found
    assert "{{ 7 * 7 }}" in harmful.client.get("/", params={"key": keys[2]}).text
    settle(harmful.desk)


def test_a_huge_cell_is_shortened_and_says_so(harmful: Site) -> None:
    reply = harmful.client.get("/", params={"key": harmful.session.keys[5]})
    assert len(reply.content) < 100_000
    assert "shortened: 10,000,003 characters in all" in words_in(reply.text)
    assert "&lt;b&gt;" + "x" * (LONGEST - 3) + "</bdi>" in reply.text


def test_a_key_full_of_signs_can_be_judged(harmful: Site) -> None:
    for key in harmful.session.keys[10:18]:
        harmful.post("/judge", key=key, verdict="normal")
        assert str(harmful.session.standing[key].verdict) == "normal"


def test_the_base_address_is_loopback() -> None:
    assert is_loopback(BASE.removeprefix("http://").partition(":")[0])
