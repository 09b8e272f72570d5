"""One reviewer at the page, by real keys and clicks."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from tests.browser.serving import Server
from tests.browser.tables import VERDICTS, key_for
from tests.browser.visits import (
    Visits,
    counts_on,
    fields_on,
    judge,
    row_on,
    said,
    title,
    wait_for_row,
)


@pytest.fixture
def page(visits: Visits, site: Server) -> Page:
    return visits.to(site)


def test_the_printed_address_lets_in_and_leaves_no_token_behind(
    visits: Visits, site: Server
) -> None:
    page = visits.to(site)
    assert page.url == f"{site.base}/"
    expect(page.get_by_role("button", name="Anomaly")).to_be_visible()
    assert page.evaluate("document.cookie") == ""  # no script reads it
    assert "token" not in page.content()
    page.go_back()
    assert "token" not in page.url


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/", "Open the whole address that askew review printed"),
        ("/table", "Open the whole address that askew review printed"),
        ("/?token=wrong", "The token in this address is not the right one"),
    ],
)
def test_a_stranger_is_refused_with_a_sentence(
    visits: Visits, site: Server, path: str, why: str
) -> None:
    visits.refused = {403}
    page = visits.to(site, path)
    expect(page.get_by_role("heading", name="Not let in")).to_be_visible()
    expect(page.get_by_text(why)).to_be_visible()
    assert site.table.name not in page.content()


def test_thirty_rows_by_keyboard(page: Page, site: Server) -> None:
    before, told = counts_on(page), {}
    page.evaluate("window.isTheSame = true")
    for _ in range(30):
        key = key_for(fields_on(page))
        told[judge(page, key)] = VERDICTS[key]
    assert len(told) == 30
    assert {"anomaly", "normal"} <= set(told.values())
    assert page.evaluate("window.isTheSame")  # no key fell back to a plain form
    expected = Counter(before)
    expected.update(told.values())
    assert counts_on(page) == dict(expected)
    held = site.verdicts()
    assert {row: held[row] for row in told} == told
    assert Counter(held.values()) == expected


def test_undo_takes_five_back_in_turn(page: Page, site: Server) -> None:
    before = counts_on(page)
    rows = [judge(page, key) for key in "anssna"]
    for key, row in zip(["u", "Control+z", "U", "u", "Control+z"], rows[:0:-1], strict=True):
        page.keyboard.press(key)
        expect(title(page)).to_have_text(row)
        expect(said(page)).to_contain_text("Taken back")
    assert counts_on(page) == before | {"anomaly": before["anomaly"] + 1}
    held = site.verdicts()
    assert {row: held.get(row) for row in rows} == dict.fromkeys(rows) | {rows[0]: "anomaly"}


def test_keys_rest_in_a_note_which_stays_with_the_verdict(page: Page, site: Server) -> None:
    before, row, note = counts_on(page), row_on(page), "a sun? N / u: asked the shop"
    page.keyboard.press("/")
    expect(page.get_by_role("textbox", name="Note")).to_be_focused()
    page.keyboard.type(note)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+y")
    page.keyboard.press("Enter")
    assert (row_on(page), counts_on(page)) == (row, before)
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Escape")
    assert judge(page, "s") == row
    assert page.get_by_role("textbox", name="Note").input_value() == ""
    assert site.standings()[row].verdict == "unsure"
    page.get_by_role("link", name="History", exact=True).click()
    page.get_by_label("Search keys").fill("asked the shop")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text(note)
    page.get_by_role("link", name=row).click()
    page.get_by_role("textbox", name="Note").fill("it was in order")
    page.get_by_role("button", name="Save the note").click()
    expect(said(page)).to_have_text("Note saved")
    assert row_on(page) == row
    expect(page.locator(".held").first).to_contain_text("note: it was in order")


def test_arrows_walk_the_history_and_a_verdict_there_can_change(page: Page, site: Server) -> None:
    rows = [judge(page, "n") for _ in range(3)]
    waiting = row_on(page)
    for row in reversed(rows):
        page.keyboard.press("ArrowLeft")
        wait_for_row(page, row)
    for row in rows[1:]:
        page.keyboard.press("ArrowRight")
        wait_for_row(page, row)
    expect(page.get_by_role("button", name="Normal")).to_have_attribute("aria-pressed", "true")
    before = counts_on(page)
    page.keyboard.press("a")
    wait_for_row(page, waiting)
    changed = {"normal": before["normal"] - 1, "anomaly": before["anomaly"] + 1}
    assert counts_on(page) == before | changed
    assert site.verdicts()[rows[2]] == "anomaly"
    page.keyboard.press("ArrowLeft")
    wait_for_row(page, rows[2])
    page.keyboard.press("ArrowRight")
    wait_for_row(page, waiting)


def test_help_opens_closes_and_gives_the_focus_back(page: Page) -> None:
    before, row = counts_on(page), row_on(page)
    undo = page.get_by_role("button", name="Undo")
    undo.focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    for key in ("a", "n", "s", "u", "ArrowLeft"):
        page.keyboard.press(key)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_have_count(0)
    expect(undo).to_be_focused()
    page.reload()
    assert (row_on(page), counts_on(page)) == (row, before)
    page.get_by_role("button", name="Keys").click()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_key_held_down_or_with_a_modifier_is_not_many_verdicts(page: Page) -> None:
    before, row = counts_on(page), row_on(page)
    for key in ("Alt+a", "Meta+n", "Control+s", "Control+Shift+z"):
        page.keyboard.press(key)
    assert (row_on(page), counts_on(page)) == (row, before)
    page.keyboard.down("n")
    expect(title(page)).not_to_have_text(row)
    row = row_on(page)
    for _ in range(5):
        page.keyboard.down("n")  # the key repeats, as it was not let go
    page.keyboard.up("n")
    page.reload()
    assert (row_on(page), counts_on(page)) == (row, before | {"normal": before["normal"] + 1})


def test_a_key_right_behind_another_is_no_plain_form(page: Page) -> None:
    before = sum(counts_on(page).values())
    page.evaluate("""() => {
      window.isTheSame = true;
      let n = 0;
      document.addEventListener("htmx:afterSwap", (event) => {
        if (event.detail.target.id !== "desk" || n++) return;
        setTimeout(() => document.querySelector("[data-key=n]").click());
      });
    }""")
    page.keyboard.press("n")
    expect(page.locator("#state")).to_contain_text(f"{before + 2} rows judged")
    assert page.evaluate("window.isTheSame")


def test_a_reload_in_the_middle_changes_nothing(page: Page) -> None:
    judge(page, "n")
    seen = row_on(page), fields_on(page), counts_on(page)
    page.reload()
    assert (row_on(page), fields_on(page), counts_on(page)) == seen


def test_two_tabs_of_one_reviewer_agree(page: Page, site: Server) -> None:
    other = page.context.new_page()
    other.goto(f"{site.base}/")
    row = row_on(page)
    assert row_on(other) == row
    judge(page, "a")
    counts = counts_on(page)
    expect(other.locator("#state")).to_contain_text(f"{sum(counts.values())} rows judged")
    assert row_on(other) == row  # the card under the hand stays
    judge(other, "n")  # in the second tab they think better of it
    assert row_on(other) == row_on(page)
    assert site.verdicts()[row] == "normal"
    told = {judge(tab, "s") for tab in (other, page, other)}
    page.reload()
    held = site.verdicts()
    assert {held[row] for row in told} == {"unsure"}
    assert counts_on(page) == Counter(held.values())
    other.reload()
    assert row_on(other) == row_on(page)


def test_a_new_ranking_leaves_the_card_under_the_hand_alone(page: Page, site: Server) -> None:
    model = _learning(page, site)["model"]
    judge(page, "n")
    card = page.locator(".card").inner_html()
    for _ in range(600):
        if _learning(page, site)["model"] != model:
            break
        page.wait_for_timeout(50)
    assert _learning(page, site)["model"] != model
    with page.expect_response(lambda reply: "/state" in reply.url):
        pass  # the page has asked since, and knows
    expect(page.locator(".learning")).to_contain_text("New ranking ready")
    assert page.locator(".card").inner_html() == card
    row = row_on(page)
    page.reload()
    assert row_on(page) == row


def test_the_export_is_the_file_and_what_askew_adds(page: Page, site: Server) -> None:
    row = judge(page, "a")
    page.get_by_role("link", name="Table", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV, every cell as in the file").click()
    assert download.value.suggested_filename == "payments.ranked.csv"
    given = pd.read_csv(site.table, dtype=str, keep_default_na=False)
    taken = pd.read_csv(download.value.path(), dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(taken[given.columns], given)
    added = list(taken.columns[len(given.columns) :])
    assert {"askew_score", "askew_rank", "askew_verdict"} <= set(added)
    assert all(name.startswith("askew_") for name in added)
    verdicts = taken.set_index("payment")["askew_verdict"]
    assert verdicts[row] == "anomaly"
    assert verdicts[verdicts != ""].to_dict() == site.verdicts()


def test_the_table_filters_sorts_and_opens_a_row(page: Page, site: Server) -> None:
    row = judge(page, "a")
    page.get_by_role("link", name="Table", exact=True).click()
    page.get_by_label("Verdict").select_option("anomaly")
    page.get_by_role("button", name="Show").click()
    rows = page.locator("tbody tr")
    assert set(rows.locator("th").all_inner_texts()) == {
        key for key, verdict in site.verdicts().items() if verdict == "anomaly"
    }
    page.get_by_role("link", name="amount").click()
    column = page.locator("thead th").all_inner_texts().index("amount ↑")
    amounts = [
        float(text) for text in rows.locator(f"> :nth-child({column + 1})").all_inner_texts()
    ]
    assert amounts == sorted(amounts)
    page.get_by_role("link", name=row).click()
    expect(title(page)).to_have_text(row)
    expect(page.get_by_role("button", name="Anomaly")).to_have_attribute("aria-pressed", "true")


def _learning(page: Page, site: Server) -> dict[str, object]:
    learning: dict[str, object] = page.request.get(f"{site.base}/api/status").json()["learning"]
    return learning
