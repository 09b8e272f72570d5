"""Reviewers by name: the users file, signing in, and several desks on one page server."""

from __future__ import annotations

import hmac
import io
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from askew.cli.main import app
from askew.errors import FileError
from askew.review.store import open_store
from askew.review.verdicts import Line
from askew.review.web import users as users_room
from askew.review.web.desk import AHEAD
from askew.review.web.security import Keys
from askew.review.web.users import Attempts, Hash, Users, fault_of, read_users, write_users
from tests.review.web import TOKEN, Site, csrf_in, key_in, settle, site_on, words_in

PASSPHRASES = {"ana": "a long phrase of ana's", "Bo <b>": "another phrase, of Bo's"}


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash at the least cost that a users file may name."""
    monkeypatch.setattr(users_room, "_N", 2**10)
    monkeypatch.setattr(users_room, "_P", 1)


@pytest.fixture
def known(cheap: None) -> Users:
    return Users({name: Hash.of(phrase) for name, phrase in PASSPHRASES.items()})


@pytest.fixture
def site(payments: pd.DataFrame, tmp_path: Path, known: Users) -> Iterator[Site]:
    with site_on(payments, tmp_path, reviewer="", users=known) as opened:
        yield opened


def try_in(visitor: Any, name: str, passphrase: str) -> Any:
    form = csrf_in(visitor.get("/sign-in").text)
    fields = {"csrf": form, "name": name, "passphrase": passphrase}
    return visitor.post("/sign-in", data=fields, follow_redirects=False)


def seated(site: Site, name: str) -> Site:
    """Sign a reviewer in; give the page as they have it."""
    client = site.stranger()
    reply = try_in(client, name, PASSPHRASES[name])
    assert (reply.status_code, reply.headers["location"]) == (303, "/")
    return Site(site.app, site.app.state.desks.of(name), site.session, client)


# -- the file --------------------------------------------------------------------------------------


def test_a_users_file_is_read_as_it_was_written(cheap: None, tmp_path: Path) -> None:
    path = tmp_path / "team.users"
    hashes = {name: Hash.of(phrase) for name, phrase in PASSPHRASES.items()}
    write_users(path, hashes)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_users(path) == hashes
    assert list(read_users(path)) == list(PASSPHRASES)
    first = path.read_text().splitlines()[0]
    assert re.fullmatch(r"ana:scrypt\$1024\$8\$1\$[\w+/=]{24}\$[\w+/=]{44}", first)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n\r\n"))
    assert read_users(path) == hashes
    assert hashes["ana"].salt != Hash.of(PASSPHRASES["ana"]).salt
    assert "scrypt" not in repr(hashes["ana"])


def test_what_a_hash_costs_by_default() -> None:
    told = str(Hash.of("a long phrase of ana's"))
    assert told.startswith("scrypt$16384$8$5$")
    assert Hash.parse(told) is not None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ana", "no name with a hash"),
        ("ana:hunter22hunter22", "no name with a hash"),
        ("ana:scrypt$1024$8$1$c2FsdHNhbHQ=$", "no name with a hash"),
        ("ana:scrypt$1000$8$1$SALT$HASH", "no name with a hash"),
        ("ana:scrypt$1073741824$8$1$SALT$HASH", "no name with a hash"),
        ("ana:scrypt$1024$0$1$SALT$HASH", "no name with a hash"),
        ("ana:scrypt$1024$8$99$SALT$HASH", "no name with a hash"),
        ("ana:scrypt$-1024$8$1$SALT$HASH", "no name with a hash"),
        ("ana:scrypt$1024$8$1$S*LT$HASH", "no name with a hash"),
        ("ana:md5$1024$8$1$SALT$HASH", "no name with a hash"),
        (":scrypt$1024$8$1$SALT$HASH", "the name is empty"),
        (" bo :scrypt$1024$8$1$SALT$HASH", "space around it"),
        ("b\x1bo:scrypt$1024$8$1$SALT$HASH", "cannot be seen"),
        ("cy:scrypt$1024$8$1$SALT$HASH", "stands there twice"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str, said: str) -> None:
    salt, digest = "c2FsdHNhbHRzYWx0c2FsdA==", "aGFzaGhhc2hoYXNoaGFzaA=="
    path = tmp_path / "users"
    whole = f"cy:scrypt$1024$8$1${salt}${digest}\n\n{line}\n"
    path.write_text(whole.replace("SALT", salt).replace("HASH", digest))
    with pytest.raises(FileError, match=rf"users, line 3: .*{said}.*NAME:scrypt") as raised:
        read_users(path)
    assert "hunter22" not in str(raised.value)


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"No such file.*`askew users FILE NAME` makes one"):
        read_users(tmp_path / "none")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(FileError, match="cannot be read"):
        read_users(tmp_path / "bytes")


@pytest.mark.parametrize("name", ["ana", "Bo Ek", "Ünal", "李", "a" * 100, "o'neil <x>"])
def test_names_that_a_reviewer_may_have(name: str) -> None:
    assert fault_of(name) == ""


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "a\0", "\u202ea", "a" * 101, "u\u0308nal"])
def test_names_that_no_reviewer_may_have(name: str) -> None:
    assert fault_of(name) != ""


# -- passphrases -----------------------------------------------------------------------------------


def test_only_the_right_passphrase_of_a_known_name_fits(known: Users) -> None:
    assert known.are("ana", PASSPHRASES["ana"])
    assert not known.are("ana", PASSPHRASES["Bo <b>"])
    assert not known.are("ana", "")
    assert not known.are("cy", PASSPHRASES["ana"])
    composed = Users({"ü": Hash.of("größer als gedacht")})
    assert composed.are("ü", "gro\u0308ßer als gedacht")


def test_an_unknown_name_costs_what_a_known_one_costs(
    known: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs, compared = [], []
    scrypt, compare = users_room._scrypt, hmac.compare_digest

    def watched(passphrase: str, salt: bytes, *cost: int) -> bytes:
        costs.append(cost)
        return scrypt(passphrase, salt, *cost)

    def comparing(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return compare(a, b)

    monkeypatch.setattr(users_room, "_scrypt", watched)
    monkeypatch.setattr(hmac, "compare_digest", comparing)
    for name in ("ana", "nobody"):
        assert not known.are(name, "wrong")
    assert costs == [(2**10, 8, 1, 32)] * 2
    assert compared == [(32, 32)] * 2


def test_after_five_wrong_attempts_each_next_one_waits_twice_as_long() -> None:
    now = [100.0]
    attempts = Attempts(lambda: now[0])
    assert [attempts.begin("ana") for _ in range(5)] == [0.0] * 5
    waits = []
    for _ in range(11):
        waits.append(attempts.begin("ana"))
        now[0] += waits[-1]
        assert attempts.begin("ana") == 0.0
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert attempts.begin("bo") == 0.0
    assert attempts.begin("ana") == 300
    now[0] += 300
    assert attempts.begin("ana") == 0.0
    attempts.succeed("ana")
    assert [attempts.begin("ana") for _ in range(6)] == [0, 0, 0, 0, 0, 1]


def test_attempts_under_many_names_are_slowed_as_well() -> None:
    attempts = Attempts(lambda: 0.0)
    waits = [attempts.begin(f"name {i}") for i in range(51)]
    assert waits == [0.0] * 50 + [1.0]
    attempts.succeed("name 3")
    assert attempts.begin("name 99") == 0.0


def test_names_that_were_tried_are_forgotten_beyond_a_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Attempts, "KEPT", 3)
    attempts = Attempts(lambda: 0.0)
    for i in range(9):
        attempts.begin(f"name {i}")
    assert list(attempts._names) == ["name 6", "name 7", "name 8"]


def test_attempts_that_have_to_wait_make_no_other_name_be_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Attempts, "KEPT", 3)
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for _ in range(50):
        while wait := attempts.begin("ana"):
            now[0] += wait
    assert attempts.begin("ana") == 300
    for i in range(9):
        assert attempts.begin(f"name {i}") > 0
    assert list(attempts._names) == ["ana"]
    assert attempts.begin("ana") == 300


# -- signing in ------------------------------------------------------------------------------------


def test_a_reviewer_signs_in_judges_and_signs_out(site: Site) -> None:
    visitor = site.stranger()
    reply = visitor.get("/")
    assert (reply.status_code, reply.headers["location"]) == (303, "/sign-in")
    text = visitor.get("/sign-in").text
    assert '<label for="name">Name</label>' in text
    assert '<label for="passphrase">Passphrase</label>' in text
    assert "<script" not in text
    ana = seated(site, "ana")
    (cookie,) = ana.client.cookies.jar
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "strict"
    assert "ana" not in (cookie.value or "")
    assert ana.client.get("/sign-in").headers["location"] == "/"
    page = ana.get()
    assert "<bdi>ana</bdi>" in page
    assert TOKEN not in page
    ana.post("/judge", key=key_in(page), verdict="anomaly")
    (line,) = site.session.store.lines()
    assert (line.reviewer, line.why) == ("ana", "suspicious")
    kept = {"cookie": f"{cookie.name}={cookie.value}"}
    assert site.stranger().get("/", headers=kept).status_code == 200
    out = ana.client.post("/sign-out", data={"csrf": csrf_in(page)})
    assert out.headers["location"] == "/sign-in"
    assert ana.client.get("/").headers["location"] == "/sign-in"
    assert site.stranger().get("/", headers=kept).headers["location"] == "/sign-in"


@pytest.mark.parametrize("way", ["query", "bearer", "cookie", "other"])
def test_no_token_opens_where_reviewers_sign_in(site: Site, way: str) -> None:
    keys: Keys = site.app.state.keys
    cookies = {"cookie": keys.new_cookie(), "other": Keys("another").new_cookie("ana")}
    given = {
        "query": ("?token=" + TOKEN, {}),
        "bearer": ("", {"authorization": f"Bearer {TOKEN}"}),
        "cookie": ("", {"cookie": f"askew-8000={cookies['cookie']}"}),
        "other": ("", {"cookie": f"askew-8000={cookies['other']}"}),
    }
    query, headers = given[way]
    for path in ("/", "/table", "/history"):
        reply = site.stranger().get(path + query, headers=headers)
        assert (reply.status_code, reply.headers["location"]) == (303, "/sign-in")
        assert "tx-" not in reply.text
    for path in ("/api/card", "/api/openapi.json"):
        reply = site.stranger().get(path + query, headers=headers)
        assert reply.status_code == 403
        assert "not signed in" in reply.json()["detail"]
    swapped = site.stranger().get("/state", headers=headers | {"hx-request": "true"})
    assert swapped.status_code == 403
    assert "Open the page anew and sign in" in words_in(swapped.text)
    assert site.stranger().post("/judge", data={"key": "tx-0000"}).status_code == 403
    assert site.session.store.lines() == []


def test_a_wrong_passphrase_and_an_unknown_name_are_told_alike(site: Site) -> None:
    told = []
    for name, phrase in (("ana", "not the phrase"), ("nobody", PASSPHRASES["ana"])):
        reply = try_in(site.stranger(), name, phrase)
        assert reply.status_code == 403
        text: str = reply.text
        assert phrase not in text
        assert "askew-8000=" not in str(reply.headers)
        told.append(words_in(text))
        assert f'value="{name}"' in text
    assert told[0] == told[1]
    assert "Name or passphrase is not right" in told[0]


@pytest.mark.parametrize("csrf", ["", "0" * 64, None])
def test_the_form_to_sign_in_needs_its_csrf_token(site: Site, csrf: str | None) -> None:
    visitor = site.stranger()
    right = csrf_in(visitor.get("/sign-in").text)
    fields = {"name": "ana", "passphrase": PASSPHRASES["ana"]}
    fields |= {} if csrf is None else {"csrf": csrf}
    assert visitor.post("/sign-in", data=fields).status_code == 403
    # The token belongs to the cookie that came with it.
    assert site.stranger().post("/sign-in", data=fields | {"csrf": right}).status_code == 403
    assert visitor.post("/sign-in", data=fields | {"csrf": right}).status_code == 303


def test_signing_out_needs_the_csrf_token(site: Site) -> None:
    ana = seated(site, "ana")
    assert ana.client.post("/sign-out", data={"csrf": "0" * 64}).status_code == 403
    assert ana.client.get("/").status_code == 200


def test_wrong_attempts_are_slowed_and_nobody_else_is(site: Site) -> None:
    now = [0.0]
    site.app.state.attempts = Attempts(lambda: now[0])
    bo = seated(site, "Bo <b>")
    visitor = site.stranger()
    replies = [try_in(visitor, "ana", "not the phrase") for _ in range(6)]
    assert [reply.status_code for reply in replies] == [403] * 5 + [429]
    assert replies[-1].headers["retry-after"] == "1"
    said = words_in(replies[-1].text)
    assert "Too many wrong attempts. Try again in 1 second." in said
    assert try_in(visitor, "ana", PASSPHRASES["ana"]).status_code == 429
    assert bo.client.get("/").status_code == 200
    assert try_in(site.stranger(), "Bo <b>", PASSPHRASES["Bo <b>"]).status_code == 303
    now[0] += 1
    assert try_in(visitor, "ana", PASSPHRASES["ana"]).status_code == 303


def test_hashing_stays_off_the_thread_that_answers_everybody(
    site: Site, known: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def watched(name: str, passphrase: str) -> bool:
        threads.append(threading.current_thread().name)
        return False

    monkeypatch.setattr(known, "are", watched)
    for _ in range(2):
        try_in(site.stranger(), "ana", "not the phrase")
    assert threads == ["askew-sign-in_0"] * 2


def test_the_api_takes_the_cookie_and_its_csrf_token(site: Site) -> None:
    ana = seated(site, "ana")
    csrf = ana.client.get("/api/card").json()["csrf"]
    given = {"key": "tx-0000", "verdict": "anomaly"}
    assert ana.client.post("/api/verdicts", json=given).status_code == 403
    reply = ana.client.post("/api/verdicts", json=given, headers={"x-csrf-token": csrf})
    assert reply.json()["written"]
    (entry,) = ana.client.get("/api/history").json()["entries"]
    assert (entry["mine"], entry["by"]) == ("anomaly", {"ana": "anomaly"})


# -- several desks ---------------------------------------------------------------------------------


def test_two_reviewers_have_their_own_cards_modes_verdicts_and_undo(site: Site) -> None:
    ana, bo = seated(site, "ana"), seated(site, "Bo <b>")
    assert "<bdi>Bo &lt;b&gt;</bdi>" in bo.get()
    bo.post("/mode", strategy="random")
    seen = []
    for _ in range(4):
        for one in (ana, bo):
            seen.append(key_in(one.get()))
            one.post("/judge", key=seen[-1], verdict="normal")
    assert len(set(seen)) == 8
    assert '<option value="random" selected>' in bo.get()
    assert '<option value="mixed" selected>' in ana.get()
    assert "8 rows judged" in words_in(ana.get())
    bos = [line.why for line in site.session.store.lines() if line.reviewer == "Bo <b>"]
    assert bos[1:] == ["random"] * 3
    text = bo.get(f"/?key={seen[0]}")
    assert "Judged normal" in words_in(text)
    assert 'aria-pressed="true"' not in text
    bo.post("/judge", key=seen[0], verdict="anomaly")
    assert "reviewers disagree: ana normal, Bo <b> anomaly" in words_in(ana.get(f"/?key={seen[0]}"))
    assert key_in(ana.post("/undo")) == seen[6]
    bo.post("/undo")  # the row stays judged, by ana
    assert dict(site.session.standing[seen[0]].by) == {"ana": "normal"}
    assert key_in(bo.post("/undo")) == seen[7]


def test_a_refit_by_one_reviewers_verdict_renews_the_others_queue_not_their_card(
    site: Site,
) -> None:
    ana, bo = seated(site, "ana"), seated(site, "Bo <b>")
    under_hand = key_in(bo.get())
    settle(bo.desk)
    assert {card.model for card in bo.desk._queue} == {site.session.ranking.model.id_}
    ana.post("/judge", key=key_in(ana.get()), verdict="anomaly")
    settle(ana.desk)
    new = site.session.ranking.model.id_
    assert {card.model for card in bo.desk._queue}.isdisjoint({new})
    assert "New ranking ready" in words_in(bo.get("/state"))
    settle(bo.desk)
    assert {card.model for card in bo.desk._queue} == {new}
    assert key_in(bo.get()) == under_hand
    held = site.session.store.leased()
    assert {key for key, who in held.items() if who == "Bo <b>"} == {
        under_hand,
        *(card.key for card in bo.desk._queue),
    }


def test_a_reviewer_who_was_long_away_gets_rows_that_nobody_else_has(site: Site) -> None:
    ana, bo = seated(site, "ana"), seated(site, "Bo <b>")
    left = key_in(ana.get())
    settle(ana.desk)
    mine = [left, *(card.key for card in ana.desk._queue)]
    site.session.store.release(mine, "ana")  # as when the leases run out
    ana.desk._renewed -= site.session.lease + 1
    bos = key_in(bo.get())
    settle(bo.desk)
    assert bos == left
    back = key_in(ana.get())
    settle(ana.desk)
    shown = {back, *(card.key for card in ana.desk._queue)}
    assert shown.isdisjoint({bos, *(card.key for card in bo.desk._queue)})


def test_a_row_that_another_has_in_hand_stays_theirs_when_its_verdict_is_taken_back(
    site: Site,
) -> None:
    ana, bo = seated(site, "ana"), seated(site, "Bo <b>")
    row = key_in(ana.get())
    question = site.session.store.questions("ana")[0]
    under_hand = key_in(ana.post("/judge", key=row, verdict="normal"))
    undo = site.session.undo

    def meanwhile(reviewer: str) -> Line | None:
        line = undo(reviewer)
        site.session.store.lease([question], 1, "Bo <b>")
        return line

    site.session.undo = meanwhile  # type: ignore[method-assign, assignment]
    text = ana.post("/undo")
    assert key_in(text) == under_hand
    assert site.session.standing == {}
    assert site.session.store.leased()[row] == "Bo <b>"
    settle(ana.desk)
    assert row not in {card.key for card in ana.desk._queue}
    assert row in {key_in(bo.get()), *(card.key for card in bo.desk._queue)}


def test_every_desk_is_closed_when_the_server_stops(
    payments: pd.DataFrame, tmp_path: Path, known: Users
) -> None:
    with site_on(payments, tmp_path, reviewer="", users=known) as site:
        for name in PASSPHRASES:
            one = seated(site, name)
            one.get()
            settle(one.desk)
        assert len(site.session.store.leased()) == 2 * (1 + AHEAD)
        names = [thread.name for thread in threading.enumerate()]
        assert sum(name.startswith("askew-queue") for name in names) == 1
    with open_store(tmp_path / "verdicts.db") as store:
        assert store.leased() == {}
    assert not any(thread.name.startswith("askew-queue") for thread in threading.enumerate())


# -- the commands ----------------------------------------------------------------------------------


def run(*given: object, line: str = "") -> tuple[int, str, BaseException | None]:
    ran = CliRunner().invoke(app, list(map(str, given)), input=line, env={"COLUMNS": "400"})
    return ran.exit_code, ran.output, ran.exception


def test_the_command_adds_changes_lists_and_removes(cheap: None, tmp_path: Path) -> None:
    path = tmp_path / "team.users"
    code, said, _ = run("users", path, " ana ", line="a long phrase of ana's\n")
    assert (code, said) == (0, f"Added: ana. {path} names 1 in all\n")
    run("users", path, "Bo Ek", line="another phrase, of Bo's\n")
    _, said, _ = run("users", path, "ana", "--json", line="a newer phrase of ana's\r\n")
    assert json.loads(said) == {"file": str(path), "changed": "ana", "users": ["ana", "Bo Ek"]}
    now = Users(read_users(path))
    assert now.are("ana", "a newer phrase of ana's")
    assert not now.are("ana", "a long phrase of ana's")
    assert path.stat().st_mode & 0o777 == 0o600
    assert run("users", path)[1] == "ana\nBo Ek\n"
    assert json.loads(run("users", path, "--json")[1])["users"] == ["ana", "Bo Ek"]
    assert run("users", path, "ana", "--remove")[1] == f"Removed: ana. {path} names 1 in all\n"
    assert list(read_users(path)) == ["Bo Ek"]


@pytest.mark.parametrize(
    ("given", "line", "said"),
    [
        (["cy"], "eleven char\n", "11 characters; give 12"),
        (["cy"], "", "0 characters"),
        (["cy"], "x" * 1001, "1,001 characters"),
        (["c:y"], "a long phrase of cy's", "holds a colon"),
        (["  "], "a long phrase of cy's", "the name is empty"),
        (["cy", "--remove"], "", "does not name 'cy'"),
    ],
)
def test_the_command_refuses_and_changes_nothing(
    known: Users, tmp_path: Path, given: list[str], line: str, said: str
) -> None:
    path = tmp_path / "team.users"
    write_users(path, known._hashes)
    before = path.read_bytes()
    _, _, error = run("users", path, *given, line=line)
    assert said in str(error)
    assert path.read_bytes() == before
    assert run("users", path, "--remove")[0] == 2


def test_on_a_terminal_the_passphrase_is_asked_for_twice(
    cheap: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def hidden(prompt: str = "", **_: object) -> str:
        asked.append(prompt)
        return "a long phrase of ana's"

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    from askew.cli import users as command

    monkeypatch.setattr("getpass.getpass", hidden)
    monkeypatch.setattr("sys.stdin", Terminal())
    command.users(str(tmp_path / "u"), "ana")
    assert len(asked) == 2
    assert Users(read_users(tmp_path / "u")).are("ana", "a long phrase of ana's")
