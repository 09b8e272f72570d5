"""A table made to harm: everything in it is shown as text, and nothing of it runs."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from tests.browser.serving import Server, serving, write
from tests.browser.visits import NARROW, Visits, fields_on, judge, wait_for_row

EVIL = [
    "<script>document.title='ran'; alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    "'\"><svg onload=alert(3)>",
    "{{7*7}}{% raw %}${7*7}<%= 7*7 %>",
    '=cmd|"/C calc"!A0',
    "javascript:alert(4)",
    "amount \u202eegral yrev\u202c \u2066left\u2069 \u200f42",
    "a\x01b\x7fc",
    "very-long-" * 100_000,
]
FIELD = "<b>{{ text }}</b>"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    rng = np.random.default_rng(0)
    n = 60
    table = pd.DataFrame(
        {
            "id": [f"row {i}" for i in range(n)],
            "amount": np.round(rng.normal(100, 5, n), 2),
            FIELD: rng.choice(["one", "two", "three"], n),
        }
    )
    table.loc[: len(EVIL) - 1, "id"] = [f"{text[:50]} {i}" for i, text in enumerate(EVIL)]
    table.loc[: len(EVIL) - 1, FIELD] = EVIL
    table.loc[: len(EVIL) - 1, "amount"] *= 20
    file = write(table, tmp_path_factory.mktemp("hostile"), "<i>evil.csv")
    with serving(file, "--id", "id", "--reviewer", "<u>eve</u>") as server:
        yield server


@pytest.mark.parametrize("number", range(len(EVIL)))
def test_a_card_shows_it_as_text(visits: Visits, hostile: Server, number: int) -> None:
    text = EVIL[number]
    name = f"{text[:50]} {number}"
    page = visits.to(hostile)
    page.goto(f"{hostile.base}/?key={quote(name, safe='')}")
    shown = text.replace("\x01", "␁").replace("\x7f", "␡")
    long = f"{text[:300]} … shortened: 1,000,000 characters in all"
    assert fields_on(page)[FIELD] == (shown if len(text) < 300 else long)
    assert page.title() == f"{shown[:50]} {number} · Askew"
    expect(page.locator(".file")).to_have_text("<i>evil.csv")
    _is_only_ours(page)


def test_judging_notes_and_other_views_show_it_as_text(visits: Visits, hostile: Server) -> None:
    page = visits.to(hostile)
    notes = []
    for text in EVIL[:7]:
        page.get_by_role("textbox", name="Note").fill(text)
        page.keyboard.press("Escape")
        row = judge(page, "a")
        notes.append((row, text))
        _is_only_ours(page)
    page.keyboard.press("ArrowLeft")
    wait_for_row(page, notes[-1][0])
    for path in ("/history", "/table", f"/table?column={quote(FIELD)}&holds=script"):
        page.goto(hostile.base + path)
        expect(page.locator("tbody tr").first).to_be_visible()
        _is_only_ours(page)
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    for path in ("/", "/history", "/table"):
        page.goto(hostile.base + path)
        assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    page.goto(f"{hostile.base}/history")
    shown = page.locator("tbody tr").all_inner_texts()
    assert len(shown) == len(notes)
    for (row, note), line in zip(reversed(notes), shown, strict=True):
        assert row.replace("\x01", "␁").replace("\x7f", "␡") in line
        assert note in line
        assert "<u>eve</u>" in line


def _is_only_ours(page: Page) -> None:
    """Whether every script and picture is one that the page itself brings."""
    assert page.locator("script:not([src^='/static/'])").count() == 0
    foreign = "img, iframe, object, embed, main b, main i, main u, [onload], [onerror]"
    assert page.locator(foreign).count() == 0
    assert page.locator("a[href^='javascript']").count() == 0
