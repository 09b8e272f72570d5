"""For everyone: the keyboard alone, a scan by axe, less motion, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.serving import Server
from tests.browser.views import VIEWS
from tests.browser.visits import NARROW, Visits

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
REACHED = """() => {
  const it = document.activeElement, style = getComputedStyle(it), box = it.getBoundingClientRect();
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2
    && box.width > 0 && box.left >= 0 && box.right <= innerWidth + 1;
  return it === document.body ? null : [order.indexOf(it), seen, it.outerHTML.slice(0, 120)];
}"""
ORDER = """() => {
  const can = "a[href], button, input:not([type=hidden]), select, [tabindex='0']";
  window.order = [...document.querySelectorAll(can)].filter((it) => it.checkVisibility());
  return order.length;
}"""


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious(visits: Visits, judged: Server, view: str) -> None:
    page = visits.to(judged)
    page.goto(judged.base + VIEWS[view])
    assert scan(page) == []


def test_axe_finds_nothing_serious_in_the_help(visits: Visits, judged: Server) -> None:
    page = visits.to(judged)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    assert scan(page) == []


def test_axe_finds_nothing_serious_where_a_visitor_is_refused(
    visits: Visits, judged: Server
) -> None:
    visits.refused = {403, 404}
    page = visits.to(judged, "/")
    assert scan(page) == []
    page = visits.to(judged)
    page.goto(f"{judged.base}/nowhere")
    expect(page.get_by_role("heading", name="Nothing here")).to_be_visible()
    assert scan(page) == []


def test_axe_finds_nothing_serious_where_reviewers_sign_in(visits: Visits, team: Server) -> None:
    visits.refused = {403}
    page = visits.to(team)
    assert scan(page) == []
    page.get_by_label("Name").fill("ana")
    page.get_by_label("Passphrase").fill("not hers")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    assert scan(page) == []


def test_axe_would_find_something(visits: Visits, judged: Server) -> None:
    page = visits.to(judged)
    page.evaluate("document.querySelector('label[for=note]').remove()")
    assert {found["id"] for found in scan(page)} == {"label"}


@pytest.mark.parametrize("view", VIEWS)
def test_tab_reaches_everything_in_order_and_shows_where_it_is(
    visits: Visits, judged: Server, view: str
) -> None:
    page = visits.to(judged)
    page.goto(judged.base + VIEWS[view])
    reached = []
    for _ in range(page.evaluate(ORDER)):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(REACHED))
    assert [place for place, _, _ in reached] == list(range(len(reached)))
    assert [html for _, seen, html in reached if not seen] == []


def test_the_first_tab_skips_to_the_content(visits: Visits, judged: Server) -> None:
    page = visits.to(judged)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Anomaly")).to_be_focused()


def test_less_motion_is_none(visits: Visits, judged: Server) -> None:
    lasting = """() => [...document.querySelectorAll("*")].filter((it) => {
      const style = getComputedStyle(it);
      return parseFloat(style.transitionDuration) > 0 || style.animationName !== "none"
        || style.scrollBehavior === "smooth";
    }).length"""
    page = visits.to(judged)
    assert page.evaluate(lasting) > 0
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(lasting) == 0


def scan(page: Page) -> list[dict[str, Any]]:
    """Ask axe, wide in light and narrow in dark; give what is serious or critical."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    size, found = page.viewport_size, []
    assert size is not None
    page.emulate_media(reduced_motion="reduce")  # colours that are on their way are no finding
    for viewport, scheme in ((size, "light"), (NARROW, "dark")):
        page.set_viewport_size(viewport)  # type: ignore[arg-type]
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        told = page.evaluate("async () => (await axe.run(document)).violations")
        found += [
            {
                "id": one["id"],
                "impact": one["impact"],
                "scheme": scheme,
                "where": [node["html"] for node in one["nodes"]],
            }
            for one in told
            if one["impact"] in ("serious", "critical")
        ]
    page.set_viewport_size(size)
    return found
