"""The page with scripts switched off: plain forms and links do all of it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.serving import Server
from tests.browser.visits import Visits, counts_on, row_on, title


@pytest.fixture
def page(visits: Visits, site: Server) -> Page:
    return visits.to(site, java_script_enabled=False)


def test_judging_undo_and_a_note(page: Page, site: Server) -> None:
    before, row = counts_on(page), row_on(page)
    expect(page.get_by_role("button", name="Keys")).to_be_hidden()
    page.get_by_role("textbox", name="Note").fill("by hand")
    page.get_by_role("button", name="Normal").click()
    expect(title(page)).not_to_have_text(row)
    assert counts_on(page) == before | {"normal": before["normal"] + 1}
    assert (site.standings()[row].verdict, row_on(page) != row) == ("normal", True)
    page.get_by_role("link", name="Earlier verdict").click()
    expect(title(page)).to_have_text(row)
    assert page.get_by_role("textbox", name="Note").input_value() == "by hand"
    page.get_by_role("textbox", name="Note").fill("by hand, twice")
    page.get_by_role("button", name="Save the note").click()
    expect(title(page)).to_have_text(row)
    expect(page.locator(".held").first).to_contain_text("by hand, twice")
    while row in site.verdicts():
        page.get_by_role("button", name="Undo").click()
    expect(title(page)).to_have_text(row)
    assert counts_on(page) == before


def test_mode_table_and_history(page: Page, site: Server) -> None:
    row = row_on(page)
    page.get_by_role("button", name="Unsure").click()
    expect(title(page)).not_to_have_text(row)
    mode = page.get_by_label("Which rows are asked")
    mode.select_option("random")
    page.get_by_role("button", name="Use").click()
    expect(mode).to_have_value("random")
    mode.select_option("mixed")
    page.get_by_role("button", name="Use").click()
    expect(mode).to_have_value("mixed")
    page.get_by_role("link", name="Table", exact=True).click()
    page.get_by_label("Verdict").select_option("unsure")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tbody tr", has_text=row)).to_be_visible()
    page.get_by_role("link", name="History", exact=True).click()
    page.get_by_label("Search keys").fill(row)
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name=row).click()
    page.get_by_role("button", name="Anomaly").click()
    expect(title(page)).not_to_have_text(row)
    assert site.verdicts()[row] == "anomaly"
