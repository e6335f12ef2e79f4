"""The clip part of the Expression tab: read, seek, stop and keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.ui.conftest import Visitors
from tests.ui.test_expression_photo import give

pytestmark = pytest.mark.filterwarnings("ignore")  # Gradio and Starlette warn about each other's future


def on_clips(page: Any) -> Any:
    page.get_by_role("tab", name="Clip").click()
    page.wait_for_selector("#clip-zone .drop-zone", state="visible")
    return page


def test_a_clip_has_a_timeline_that_shows_its_frames(visitors: Visitors, short_clip: Path) -> None:
    page = on_clips(visitors.open())
    give(page, short_clip, zone="#clip-zone")
    page.wait_for_selector("#clip-chart .scatterlayer .trace", timeout=60_000)
    assert "20 of 20 frames" in page.inner_text(".result-side:visible .quiet-line:visible")
    assert page.locator("#clip-chart .scatterlayer .trace").count() == 8
    box = page.locator("#clip-chart .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2)
    page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2)
    page.wait_for_function(
        "(() => { const t = parseFloat(document.querySelector('#clip-frame .slide b')?.textContent);"
        " return t > 0.9 && t < 1.4; })()"
    )
    page.focus("#clip-frame input[type=range]")
    page.keyboard.press("Home")
    page.wait_for_function("document.querySelector('#clip-frame .slide b').textContent === '0.00 s'")
    moments = page.locator("#clip-moments button")
    assert moments.count() >= 1
    moments.last.click()
    index = moments.last.get_attribute("data-index")
    page.wait_for_function(f"document.querySelector('#clip-frame input').value === '{index}'")


def test_the_example_clip_is_made_on_the_spot(visitors: Visitors) -> None:
    page = on_clips(visitors.open())
    page.click("#clip-examples button")
    page.wait_for_selector("#clip-moments button", timeout=120_000)
    assert page.get_attribute("#clip-frame img", "alt").startswith("made faces at")


def test_a_stopped_clip_keeps_what_was_read(visitors: Visitors, long_clip: Path) -> None:
    page = on_clips(visitors.open())
    give(page, long_clip, zone="#clip-zone")
    page.wait_for_selector("#clip-status .left", timeout=60_000)
    page.click("#clip-status .cancel")
    page.wait_for_selector("#clip-status .note")
    assert "Stopped" in page.inner_text("#clip-status")
    assert "of 30.0 seconds were read" in page.inner_text("#clip-status")
    page.wait_for_selector("#clip-chart .scatterlayer .trace")
    with page.expect_download() as waiting:
        page.click("#clip-saver button[data-kind=csv]")
    rows = Path(waiting.value.path()).read_text().splitlines()
    assert 2 <= len(rows) < 300


def test_a_file_that_is_no_clip_is_explained(visitors: Visitors, broken: Path) -> None:
    page = on_clips(visitors.open())
    give(page, broken, zone="#clip-zone")
    page.wait_for_selector("#clip-status .note")
    assert "not a clip" in page.inner_text("#clip-status")
