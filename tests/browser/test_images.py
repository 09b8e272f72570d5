"""A picture of each view, light and dark, wide and narrow.

They are written to docs/img where ASKEW_WRITE_IMAGES=1 says so (`make screenshots`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from tests.browser.png import pixels_of, written
from tests.browser.serving import Server
from tests.browser.views import VIEWS
from tests.browser.visits import NARROW, WIDE, Visits

IMAGES = Path(__file__).parents[2] / "docs" / "img"
WRITE = os.environ.get("ASKEW_WRITE_IMAGES") == "1"
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
HIGHEST = 1_600  # pixels; what is below is the same again


@pytest.fixture(scope="module")
def blank(browser: Browser) -> Page:
    return browser.new_page()


@pytest.mark.parametrize("width", ["wide", "narrow"])
@pytest.mark.parametrize("view", [*VIEWS, "sign-in"])
def test_a_picture_of_each_view(
    visits: Visits, blank: Page, judged: Server, team: Server, view: str, width: str
) -> None:
    server = team if view == "sign-in" else judged
    size = WIDE if width == "wide" else NARROW
    page = visits.to(server, viewport=size, has_touch=width == "narrow", reduced_motion="reduce")
    page.goto(server.base + (VIEWS | {"sign-in": "/sign-in"})[view])
    light = {}
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        taken = page.screenshot(full_page=WRITE)
        pixels = pixels_of(taken, blank, shrunk=4)
        assert pixels.shape[1] == size["width"] // 4
        ground = np.median(pixels, axis=(0, 1))
        assert (np.abs(pixels - ground).max(axis=2) > 60).mean() > 0.002, "nothing is drawn"
        light[scheme] = pixels.mean()
        if WRITE:
            IMAGES.mkdir(exist_ok=True)
            (IMAGES / f"{view}-{scheme}-{width}.png").write_bytes(
                written(pixels_of(taken, blank)[:HIGHEST])
            )
    assert light["light"] > 160 > 80 > light["dark"]


def test_a_picture_is_written_in_its_own_colors(blank: Page) -> None:
    rng = np.random.default_rng(0)
    few = rng.integers(0, 256, (200, 3), np.uint8)[rng.integers(0, 200, (30, 70))]
    np.testing.assert_array_equal(pixels_of(written(few), blank), few)
    many = rng.integers(0, 256, (30, 70, 3), np.uint8)
    many[0, 0] = 255
    near = pixels_of(written(many), blank)
    assert len(np.unique(near.reshape(-1, 3), axis=0)) == 256
    assert np.abs(near - many.astype(int)).mean() < 20
