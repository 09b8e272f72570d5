"""The review page: the card, judging, the rail and the history, as forms without a script."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from askew.errors import FitError
from askew.review.store import open_store
from askew.review.verdicts import Judgment, Verdict
from askew.review.web.cards import TOP
from askew.review.web.desk import AHEAD
from askew.review.web.pictures import picture_of_category, picture_of_part
from askew.table.schema import infer_schema
from tests.review.web import Site, csrf_in, key_in, settle, site_on, words_in


@pytest.fixture
def site(payments: pd.DataFrame, tmp_path: Path) -> Iterator[Site]:
    with site_on(payments, tmp_path) as opened:
        yield opened


def test_the_card_says_why_and_shows_every_field_in_order(
    site: Site, payments: pd.DataFrame
) -> None:
    text = site.get("/?key=tx-0000")
    said = words_in(text)
    assert re.search(r"amount 9,850: higher than (all|[\d.]+ % of) rows, typical \d", said)
    assert 1 <= text.count('<svg class="spread"') <= TOP
    names = re.findall(r"<dt>.*?<bdi>(\w+)</bdi></dt>", text.split("The row</h2>")[1])
    assert names == list(payments.columns)
    odd = re.findall(
        r'<div class="odd">\s*<dt><span class="sign" role="img" aria-label="odd:">▲</span> '
        r"<bdi>(\w+)</bdi>",
        text,
    )
    assert {"amount", "country", "booked"} <= set(odd)
    assert "note" not in odd


def test_a_verdict_is_saved_and_the_next_card_comes(site: Site) -> None:
    before = site.get()
    key = key_in(before)
    assert "ranked 1st" in words_in(before)
    after = site.post("/judge", key=key, verdict="anomaly", note="  wrong account ")
    assert key_in(after) != key
    (line,) = site.session.store.lines()
    assert (line.key, line.verdict, line.reviewer) == (key, Verdict.ANOMALY, "ana")
    assert (line.note, line.why) == ("wrong account", "suspicious")
    assert "1 anomaly found in 1 row judged" in words_in(after)


def test_the_card_stays_while_the_reader_reloads(site: Site) -> None:
    first = key_in(site.get())
    settle(site.desk)
    assert key_in(site.get()) == first
    assert site.client.get("/api/card").json()["card"]["key"] == first


def test_a_form_sent_twice_is_one_verdict(site: Site) -> None:
    key = key_in(site.get())
    site.post("/judge", key=key, verdict="normal")
    site.post("/judge", key=key, verdict="normal")
    assert len(site.session.store.lines()) == 1
    site.post("/judge", key=key, verdict="anomaly")
    assert [line.verdict for line in site.session.store.lines()] == ["normal", "anomaly"]


def test_undo_goes_back_card_by_card(site: Site) -> None:
    keys = []
    for _ in range(3):
        keys.append(key_in(site.get()))
        site.post("/judge", key=keys[-1], verdict="normal")
    for key in reversed(keys):
        assert key_in(site.post("/undo")) == key
    assert site.session.standing == {}
    assert key_in(site.post("/undo")) == keys[0]
    # What was taken back is asked again for the reason it was first asked for.
    site.post("/judge", key=keys[0], verdict="anomaly")
    assert site.session.store.lines()[-1].why == "suspicious"


def test_undo_puts_the_card_that_waited_behind_the_one_taken_back(site: Site) -> None:
    def key() -> str:
        card = site.desk.view().card
        assert card is not None
        return card.key

    first = key()
    site.desk.judge(first, "unsure")
    second = key()
    site.desk.undo()
    assert key() == first
    site.desk.judge(first, "normal")
    assert key() == second


def test_a_verdict_is_changed_from_the_history(site: Site) -> None:
    first = key_in(site.get())
    waiting = key_in(site.post("/judge", key=first, verdict="normal"))
    text = site.get(f"/?key={first}")
    assert "Judged normal" in words_in(text)
    assert re.search(r'value="normal"[^>]*aria-pressed="true"', text)
    after = site.post("/judge", key=first, verdict="anomaly")
    assert key_in(after) == waiting
    assert site.session.standing[first].verdict is Verdict.ANOMALY


def test_a_note_is_kept_with_a_verdict(site: Site) -> None:
    key = key_in(site.get())
    refused = site.client.post(
        "/note", data={"csrf": csrf_in(site.get()), "key": key, "note": "odd"}
    )
    assert refused.status_code == 422
    assert "give the verdict along with it" in words_in(refused.text)
    site.post("/judge", key=key, verdict="normal")
    assert key_in(site.post("/note", key=key, note="ask Bo")) == key
    line = site.session.store.lines()[-1]
    assert (line.note, line.verdict) == ("ask Bo", "normal")


def test_arrows_lead_through_the_history_and_back(site: Site) -> None:
    keys = []
    for _ in range(3):
        keys.append(key_in(site.get()))
        site.post("/judge", key=keys[-1], verdict="normal")
    at, seen = site.get(), []
    while found := re.search(r'rel="prev" href="([^"]+)"', at):
        at = site.get(found.group(1))
        seen.append(key_in(at))
    assert seen == keys[::-1]
    while found := re.search(r'rel="next" href="([^"]+)"', at):
        at = site.get(found.group(1))
    assert key_in(at) not in keys


def test_the_history_is_searched(site: Site) -> None:
    first = key_in(site.get())
    second = key_in(site.post("/judge", key=first, verdict="normal", note="twice BOOKED"))
    site.post("/judge", key=second, verdict="anomaly")
    assert [entry.key for entry in site.desk.history.search("booked")] == [first]
    assert [entry.key for entry in site.desk.history.search("anomaly")] == [second]
    text = words_in(site.get("/history?q=booked"))
    assert "1 judged row." in text
    assert first in text
    assert second not in text


def test_reviewers_who_disagree_are_shown(site: Site, tmp_path: Path) -> None:
    key = key_in(site.get())
    site.post("/judge", key=key, verdict="normal")
    with open_store(tmp_path / "verdicts.db") as other:
        other.add([Judgment(key, Verdict.ANOMALY, "bo")])
    text = words_in(site.get(f"/?key={key}"))
    assert "Judged anomaly ; reviewers disagree: ana normal, bo anomaly" in text
    assert [entry.key for entry in site.desk.history.disputed()] == [key]


def test_a_row_that_another_judged_meanwhile_is_not_shown(site: Site, tmp_path: Path) -> None:
    site.get()
    settle(site.desk)
    behind = [card.key for card in site.desk._queue]
    with open_store(tmp_path / "verdicts.db") as other:
        other.add([Judgment(behind[0], Verdict.NORMAL, "bo")])
    after = site.post("/judge", key=key_in(site.get()), verdict="normal")
    # The second behind it, unless a new ranking has come in between.
    assert key_in(after) != behind[0]


def test_the_nearest_judged_rows_stand_with_their_verdicts(site: Site) -> None:
    site.session.tell({"tx-0001": "anomaly", "tx-0100": "normal", "tx-0101": "unsure"})
    site.session.tell({"tx-0002": "anomaly"})
    view = site.desk.view("tx-0000")
    assert {near.key: near.verdict for near in view.nearest} == {
        "tx-0001": "anomaly",
        "tx-0002": "anomaly",
    }
    assert {field.name for near in view.nearest for field in near.fields} <= {
        one.column
        for one in view.card.sentences  # type: ignore[union-attr]
    }


def test_a_refit_changes_the_cards_behind_and_not_the_one_under_the_hand(site: Site) -> None:
    first = key_in(site.get())
    settle(site.desk)
    old = {card.model for card in site.desk._queue}
    second = key_in(site.post("/judge", key=first, verdict="anomaly"))
    settle(site.desk)
    assert key_in(site.get()) == second
    assert site.desk.view().card.model in old  # type: ignore[union-attr]
    assert {card.model for card in site.desk._queue} == {site.session.ranking.model.id_} != old
    assert "New ranking ready" in words_in(site.get())


def test_a_refit_that_fails_is_told_and_judging_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.get()

    def failing(*_: object) -> None:
        raise FitError("no memory is left; close other programs")

    monkeypatch.setattr(site.session, "_fit", failing)
    for _ in range(3):
        site.post("/judge", key=key_in(site.get()), verdict="normal")
    settle(site.desk)
    assert 'action="/retry"' in site.get("/state")
    text = words_in(site.get())
    assert "The last refit failed: no memory is left; close other programs" in text
    assert len(site.session.standing) == 3
    monkeypatch.undo()
    site.post("/retry")
    settle(site.desk)
    assert "refit failed" not in words_in(site.get())


def test_progress_is_told_while_a_refit_runs(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.get()
    go, fit = threading.Event(), site.session._fit

    def slow(*given: object) -> object:
        go.wait(20)
        return fit(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(site.session, "_fit", slow)
    after = site.post("/judge", key=key_in(site.get()), verdict="normal")
    try:
        text = site.get()
        assert "<progress" in text
        assert "Learning from your verdicts" in text
        assert key_in(text) == key_in(after)
    finally:
        go.set()
    settle(site.desk)
    assert "<progress" not in site.get()


def test_the_queue_mode_holds_from_the_next_card_on(site: Site) -> None:
    first = key_in(site.get())
    text = site.post("/mode", strategy="random")
    assert key_in(text) == first
    assert '<option value="random" selected>' in text
    assert "random check" in words_in(site.post("/judge", key=first, verdict="normal"))
    refused = site.client.post("/mode", data={"csrf": csrf_in(text), "strategy": "best"})
    assert refused.status_code == 422
    assert site.desk.strategy == "random"


def test_a_mode_chosen_while_cards_are_made_leaves_none_without_a_lease(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = key_in(site.get())
    settle(site.desk)
    site.desk.judge(key, "normal")
    site.desk.view()
    begun, go, make = threading.Event(), threading.Event(), site.desk.maker.make

    def slow(*given: object) -> object:
        begun.set()
        go.wait(20)
        return make(*given)  # type: ignore[arg-type]

    def reasons() -> list[str]:
        """Say why the cards behind are asked; all that is shown, and nothing else, is leased."""
        asked = {one.key: one.why for one in site.session.store.questions("ana")}
        under_hand = site.desk._current
        assert under_hand is not None
        asked.pop(under_hand.key)
        assert set(asked) == {card.key for card in site.desk._queue}
        return list(asked.values())

    monkeypatch.setattr(site.desk.maker, "make", slow)
    with ThreadPoolExecutor(2) as others:
        fill = others.submit(site.desk._fill)
        assert begun.wait(20)
        mode = others.submit(site.desk.set_mode, "random")
        wait([mode], 0.2)  # time to go wrong
        go.set()
        fill.result()
        mode.result()
    assert reasons() == []
    site.desk.go_on()
    settle(site.desk)
    assert set(reasons()) == {"random"}


def test_cards_nobody_saw_are_free_when_the_desk_closes(
    payments: pd.DataFrame, tmp_path: Path
) -> None:
    with site_on(payments, tmp_path) as site:
        site.get()
        settle(site.desk)
        assert len(site.session.store.leased()) == 1 + AHEAD
    with open_store(tmp_path / "verdicts.db") as store:
        assert store.leased() == {}


def test_cards_stay_with_the_reader_while_the_page_is_open(
    payments: pd.DataFrame, tmp_path: Path
) -> None:
    now = [datetime(2026, 3, 2, tzinfo=UTC)]
    with site_on(payments, tmp_path, clock=lambda: now[0], lease=900) as site:
        site.get()
        settle(site.desk)
        for _ in range(3):
            now[0] += timedelta(seconds=800)
            site.desk._renewed -= 800
            site.get("/state")
        assert set(site.session.store.leased()) == {
            key_in(site.get()),
            *(card.key for card in site.desk._queue),
        }
        now[0] += timedelta(seconds=1000)
        assert site.session.store.leased() == {}


def test_judging_at_once_from_several_tabs_loses_nothing(site: Site) -> None:
    csrf, saved = csrf_in(site.get()), []

    def judge(word: str) -> None:
        for _ in range(8):
            key = site.client.get("/api/card").json()["card"]["key"]
            reply = site.client.post(
                "/api/verdicts",
                json={"key": key, "verdict": word},
                headers={"x-csrf-token": csrf},
            )
            assert reply.status_code == 200
            if reply.json()["written"]:
                saved.append((reply.json()["number"], key, word))

    with ThreadPoolExecutor(3) as tabs:
        list(tabs.map(judge, ["normal", "unsure", "anomaly"]))
    lines = site.session.store.lines()
    assert sorted(saved) == [(line.number, line.key, line.verdict) for line in lines]
    assert len({key for _, key, _ in saved}) >= 8


def test_two_reviewers_are_never_shown_the_same_row(payments: pd.DataFrame, tmp_path: Path) -> None:
    with (
        site_on(payments, tmp_path, reviewer="ana") as ana,
        site_on(payments, tmp_path, reviewer="bo") as bo,
    ):
        seen: list[str] = []
        for _ in range(6):
            for site in (ana, bo):
                seen.append(key_in(site.get()))
                site.post("/judge", key=seen[-1], verdict="normal")
        assert len(set(seen)) == 12
        assert "12 rows judged" in words_in(ana.get())
        assert {who for entry in bo.desk.history.entries() for who, _ in entry.by} == {"ana", "bo"}


def test_nothing_is_asked_when_everything_is_judged(payments: pd.DataFrame, tmp_path: Path) -> None:
    with site_on(payments.iloc[:12], tmp_path) as site:
        for _ in range(12):
            site.post("/judge", key=key_in(site.get()), verdict="normal")
        assert "Nothing to ask" in words_in(site.get())
        assert len(site.session.standing) == 12
        assert site.client.get("/api/card").json()["card"] is None
        assert key_in(site.post("/undo")) in site.session.keys


def test_htmx_gets_the_card_and_the_rail_alone(site: Site) -> None:
    key, csrf = key_in(site.get()), csrf_in(site.get())
    reply = site.client.post(
        "/judge",
        data={"csrf": csrf, "key": key, "verdict": "normal"},
        headers={"hx-request": "true"},
        follow_redirects=False,
    )
    assert reply.status_code == 200
    assert "<html" not in reply.text
    assert reply.text.startswith('<div class="columns">')
    assert reply.headers["hx-push-url"] == "/"
    assert key_in(reply.text) != key
    plain = site.client.post(
        "/judge",
        data={"csrf": csrf, "key": key_in(reply.text), "verdict": "normal"},
        follow_redirects=False,
    )
    assert (plain.status_code, plain.headers["location"]) == (303, "/")


def test_the_state_is_sent_only_where_it_differs(site: Site) -> None:
    text = site.get("/state")
    mark = re.search(r"seen=(\w+)", text)
    assert mark is not None
    assert site.client.get(f"/state?seen={mark.group(1)}").status_code == 204
    site.post("/judge", key=key_in(site.get()), verdict="normal")
    assert site.client.get(f"/state?seen={mark.group(1)}").status_code == 200


def test_figures_are_those_of_the_session_after_every_verdict(site: Site) -> None:
    for i in range(4):
        site.desk.judge(f"tx-{i:04d}", "anomaly" if i % 2 else "normal")
        estimates, hint = site.desk.figures(50)
        assert (estimates, hint) == (site.session.estimate(50), site.session.hint())
        assert hint.n_recent == i + 1
        assert site.desk.figures(50)[0] is estimates
    assert site.desk.figures(20)[0].k == 20


def test_a_row_that_is_not_there_is_said_so(site: Site) -> None:
    for path in ("/?key=nobody", "/api/card?key=nobody"):
        reply = site.client.get(path)
        assert reply.status_code == 404
        assert "no row has the key" in reply.text
    reply = site.client.post(
        "/judge", data={"csrf": csrf_in(site.get()), "key": "nobody", "verdict": "normal"}
    )
    assert reply.status_code == 404
    assert site.session.store.lines() == []


def test_a_table_without_ids_names_rows_by_place(payments: pd.DataFrame, tmp_path: Path) -> None:
    with site_on(payments.to_numpy()[:, [0, 4]].astype(float), tmp_path) as site:
        text = site.get()
        assert re.search(r'<h1 id="card-title" tabindex="-1"><bdi>row \d+</bdi>', text)
        site.post("/judge", key=key_in(text), verdict="normal")
        assert len(site.session.standing) == 1


def test_a_tick_stands_where_the_row_lies() -> None:
    from askew.table import to_frame

    frame = pd.DataFrame({"v": [float(i) for i in range(101)], "c": ["a"] * 60 + ["b"] * 41})
    number, category = infer_schema(to_frame(frame)).columns
    (part,) = number.parts

    def tick(value: float | None) -> str:
        found = re.search(r'class="tick" d="M([\d.]+)', picture_of_part(part, value))
        return found.group(1) if found else ""

    assert [tick(v) for v in (1.0, 50.0, 99.0, None)] == ["14.0", "84.0", "154.0", ""]
    assert "arrow" in picture_of_part(part, 1e6)
    assert "arrow" not in picture_of_part(part, 50.0)
    assert picture_of_category(category, "b").count("bar own") == 1
    assert "tick" in picture_of_category(category, "never seen")
    assert "own" not in picture_of_category(category, None)
