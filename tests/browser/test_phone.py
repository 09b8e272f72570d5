"""The page on a phone: as wide as a hand, and pressed with a finger."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.serving import Server
from tests.browser.views import VIEWS
from tests.browser.visits import NARROW, Visits, counts_on, row_on, title

FINGER = 44  # pixels


def on_a_phone(visits: Visits, server: Server) -> Page:
    return visits.to(server, viewport=NARROW, has_touch=True, is_mobile=True)


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_scrolls_sideways_and_a_finger_hits(
    visits: Visits, judged: Server, view: str
) -> None:
    page = on_a_phone(visits, judged)
    page.goto(judged.base + VIEWS[view])
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    assert page.evaluate("window.innerWidth") == NARROW["width"]
    small = []
    for one in page.locator("button, nav a, select, input:not([type=hidden])").all():
        box = one.bounding_box()
        kind = one.get_attribute("type")
        if box is not None and kind != "checkbox" and box["height"] < FINGER:
            small.append((one.evaluate("it => it.outerHTML"), box["height"]))
    assert small == []


def test_judging_with_a_finger(visits: Visits, site: Server) -> None:
    page = on_a_phone(visits, site)
    before, row = counts_on(page), row_on(page)
    page.get_by_role("button", name="Anomaly").tap()
    expect(title(page)).not_to_have_text(row)
    assert counts_on(page) == before | {"anomaly": before["anomaly"] + 1}
    assert page.evaluate("window.scrollY") == 0
    page.get_by_role("button", name="Undo").tap()
    expect(title(page)).to_have_text(row)
    assert counts_on(page) == before
