"""The threshold view: a slider with the keyboard, and a plain form without a script."""

from __future__ import annotations

import re

import pytest
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
        told = f"{alerts} alert" if alerts == "1" else f"{alerts} alerts"
        expect(slider).to_have_attribute("aria-valuetext", told)


@pytest.mark.parametrize("is_there", [False, True], ids=["gone", "silent"])
def test_a_server_that_does_not_answer_is_told_until_it_does(
    away: Visits, judged: Server, is_there: bool
) -> None:
    page = away.to(judged)
    page.goto(f"{judged.base}/threshold?alerts=20")
    banner, slider = page.locator("#offline"), page.get_by_role("slider", name="Alerts")
    page.route("**/threshold?stop=*", lambda route: None if is_there else route.abort())
    page.evaluate("htmx.config.timeout = 100")
    slider.focus()
    page.keyboard.press("Home")
    expect(banner).to_contain_text("The server does not answer; the figures below")
    expect(page.get_by_role("heading", name="The top 20 rows")).to_be_visible()
    page.unroute("**/threshold?stop=*")
    page.evaluate("htmx.config.timeout = 30_000")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name="The top 2 rows")).to_be_visible()
    expect(banner).to_be_hidden()


def test_who_is_signed_out_is_told_so(away: Visits, judged: Server) -> None:
    page = away.to(judged)
    page.goto(f"{judged.base}/threshold?alerts=20")
    page.context.clear_cookies()
    page.get_by_role("slider", name="Alerts").focus()
    page.keyboard.press("Home")
    expect(page.locator("#offline")).to_contain_text("This page is private. Open the whole address")
    expect(page.get_by_role("heading", name="The top 20 rows")).to_be_visible()


def test_a_number_of_alerts_without_a_script(visits: Visits, judged: Server) -> None:
    page = visits.to(judged, java_script_enabled=False)
    page.get_by_role("link", name="Threshold").click()
    page.get_by_label("An exact number of alerts").fill("37")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_role("heading", name="The top 37 rows")).to_be_visible()
    expect(page.locator("pre")).to_contain_text("--alerts 37")
