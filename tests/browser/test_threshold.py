"""The threshold view: a slider with the keyboard, and a plain form without a script."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.serving import Server
from tests.browser.visits import Visits


def test_the_slider_follows_the_arrow_keys(visits: Visits, judged: Server) -> None:
    page = visits.to(judged)
    page.goto(f"{judged.base}/threshold?alerts=20")
    expect(page.get_by_role("heading", name="The top 20 rows")).to_be_visible()
    slider = page.get_by_role("slider", name="Alerts")
    slider.focus()
    for key, alerts in (("Home", "1"), ("ArrowRight", "2"), ("End", "900")):
        page.keyboard.press(key)
        expect(page.locator("#chosen")).to_have_text(alerts)
        rows = re.compile(rf"The top {alerts} rows?")
        expect(page.get_by_role("heading", name=rows)).to_be_visible()
        expect(slider).to_be_focused()
        expect(slider).to_have_attribute("aria-valuetext", re.compile(rf"^{alerts} alerts?$"))


def test_a_number_of_alerts_without_a_script(visits: Visits, judged: Server) -> None:
    page = visits.to(judged, java_script_enabled=False)
    page.get_by_role("link", name="Threshold").click()
    page.get_by_label("An exact number of alerts").fill("37")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_role("heading", name="The top 37 rows")).to_be_visible()
    expect(page.locator("pre")).to_contain_text("--alerts 37")
