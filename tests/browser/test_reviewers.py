"""Several reviewers at one table, each signed in under their own name."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.serving import TEAM, Server
from tests.browser.visits import Visits, counts_on, judge, row_on, wait_for_row


def test_a_reviewer_signs_in_and_out(visits: Visits, team: Server) -> None:
    visits.refused = {403}
    page = visits.to(team)
    assert page.url == f"{team.base}/sign-in"
    for name, word in (("ana", TEAM["bob"]), ("nobody", TEAM["ana"])):
        sign_in(page, name, word)
        expect(page.get_by_role("alert")).to_contain_text("Name or passphrase is not right")
        assert page.get_by_label("Passphrase").input_value() == ""
    sign_in(page, "ana", TEAM["ana"])
    expect(page.get_by_role("button", name="Anomaly")).to_be_visible()
    assert page.url == f"{team.base}/"
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(f"{team.base}/table")
    assert page.url == f"{team.base}/sign-in"


def test_two_reviewers_at_once_never_get_the_same_row(
    visits: Visits, ana: Page, bob: Page, team: Server
) -> None:
    before = counts_on(ana)
    told: dict[str, set[str]] = {"ana": set(), "bob": set()}
    for turn in range(20):
        assert row_on(ana) != row_on(bob)
        told["ana"].add(judge(ana, "n"))
        assert row_on(ana) != row_on(bob)
        if turn % 3:
            told["bob"].add(judge(bob, "n"))
    assert (len(told["ana"]), len(told["bob"])) == (20, 13)
    assert told["ana"] & told["bob"] == set()
    ana.reload()
    assert counts_on(ana) == before | {"normal": before["normal"] + 33}
    held = team.standings()
    for name, rows in told.items():
        assert {tuple(held[row].by.items()) for row in rows} == {((name, "normal"),)}
    row = row_on(bob)
    judge(bob, "a")
    ana.keyboard.press("u")  # her own last one comes back, not his
    wait_for_row(ana, row_on(ana))
    assert team.verdicts()[row] == "anomaly"


def test_reviewers_who_disagree_are_told_so(
    visits: Visits, ana: Page, bob: Page, team: Server
) -> None:
    row = judge(ana, "a")
    bob.goto(f"{team.base}/?key={row}")
    expect(bob.get_by_role("button", name="Anomaly")).not_to_have_attribute("aria-pressed", "true")
    judge(bob, "n")
    ana.reload()
    disputed = ana.get_by_role("region", name="Reviewers disagree")
    expect(disputed).to_contain_text(row)
    expect(disputed).to_contain_text("ana anomaly, bob normal")
    ana.goto(f"{team.base}/history?disputed=1")
    expect(ana.locator("tbody tr")).to_have_count(1)
    ana.get_by_role("link", name=row).click()
    expect(ana.locator(".held").first).to_contain_text("reviewers disagree")
    ana.wait_for_load_state()  # the keys are listened to from then on
    judge(ana, "n")
    ana.goto(f"{team.base}/history?disputed=1")
    expect(ana.locator("tbody tr")).to_have_count(0)


@pytest.fixture
def ana(visits: Visits, team: Server) -> Page:
    return _signed_in(visits, team, "ana")


@pytest.fixture
def bob(visits: Visits, team: Server) -> Page:
    return _signed_in(visits, team, "bob")


def sign_in(page: Page, name: str, passphrase: str) -> None:
    """Fill the form and send it."""
    page.get_by_label("Name").fill(name)
    page.get_by_label("Passphrase").fill(passphrase)
    page.keyboard.press("Enter")


def _signed_in(visits: Visits, team: Server, name: str) -> Page:
    page = visits.to(team)
    sign_in(page, name, TEAM[name])
    expect(page.get_by_role("button", name="Anomaly")).to_be_visible()
    page.wait_for_load_state()
    return page
