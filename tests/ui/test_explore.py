"""The map in a real browser: neighbours by click and key, lasso, colours, filter, thumbnails, fingers, two visitors."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from db.store import Store
from tests.ui.explore_page import explore_page

playwright = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright")
CHROMIUM = Path("/usr/bin/chromium")
PATIENCE = 30_000
"""Milliseconds."""
pytestmark = pytest.mark.filterwarnings("ignore")  # Gradio and Starlette warn about each other's future


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    with explore_page(tmp_path_factory.mktemp("explore")) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not there; apt-get install chromium")
    software = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=str(CHROMIUM), args=software)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def page(browser: Any, studio: tuple[str, Store]) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.errors = []
    page.pages_asked = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("request", lambda sent: page.pages_asked.append(sent.url) if "component_server" in sent.url else None)
    opened(page, studio[0])
    yield page
    context.close()


def opened(page: Any, address: str) -> None:
    """Open the tab and wait until points and legend are drawn."""
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.wait_for_function("performance.getEntriesByName('map-first-paint').length > 0", timeout=PATIENCE)
    page.locator(".map-legend button").first.wait_for()


def lasso(page: Any, *, share: float = 0.5) -> None:
    """Draw a lasso around the left `share` of the map."""
    page.get_by_role("button", name="Lasso").click()
    stage = page.locator(".map-stage").bounding_box()
    left, top = stage["x"] + 4, stage["y"] + 4
    right, bottom = stage["x"] + stage["width"] * share, stage["y"] + stage["height"] - 4
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in [(right, top), (right, bottom), (left, bottom), (left, (top + bottom) / 2)]:
        page.mouse.move(x, y, steps=6)
    page.mouse.up()
    page.get_by_role("button", name="Move").click()


def selected(page: Any) -> int:
    """Return how many faces the row under the map says are selected."""
    title = page.locator("#explore-strip h3", has_text="faces selected")
    title.wait_for()
    return int(title.inner_text().split()[0].replace(",", ""))


def test_keys_walk_to_a_face_and_show_its_nearest_in_order(page: Any) -> None:
    page.locator(".map-stage").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.map-say').textContent.startsWith('Face ')")
    page.keyboard.press("Enter")
    page.locator("#explore-strip h3", has_text="Nearest to face").wait_for()
    faces = page.locator("#explore-strip ol.near li")
    assert faces.count() == 12
    figures = faces.locator(".figure").all_inner_texts()
    assert figures[0] == "this face"
    distances = [float(text.split()[0]) for text in figures[1:]]
    assert distances == sorted(distances) and distances[0] > 0


def test_a_click_on_a_point_picks_that_face(page: Any) -> None:
    page.get_by_role("button", name="Whole map").click()
    stage = page.locator(".map-stage")
    page.wait_for_function("Number(document.querySelector('.map-stage').dataset.moving) === 0")
    stage.focus()
    page.keyboard.press("ArrowLeft")
    face = stage.get_attribute("data-face")
    bounds = stage.bounding_box()
    x = bounds["x"] + stage.evaluate("it => it.clientLeft + Number(it.dataset.left)")
    y = bounds["y"] + stage.evaluate("it => it.clientTop + Number(it.dataset.top)")
    stage.evaluate("it => { delete it.dataset.picked; }")
    page.mouse.move(x - 3, y - 3)
    page.mouse.move(x, y, steps=2)
    page.mouse.click(x, y)
    page.wait_for_function("document.querySelector('.map-stage').dataset.picked !== undefined")
    assert stage.get_attribute("data-picked") == face
    page.locator("#explore-strip h3", has_text=f"Nearest to face {face}").wait_for()


def test_a_lasso_selects_what_lies_inside_and_it_can_be_downloaded(page: Any, studio: tuple[str, Store]) -> None:
    lasso(page)
    count = selected(page)
    assert 0 < count < 48
    page.locator("#explore-saver").get_by_role("button", name="CSV").wait_for()
    with page.expect_download() as waiting:
        page.locator("#explore-saver").get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text())))
    assert len(rows) == count
    assert {row["licence"] for row in rows} == {"CC0-1.0"}
    faces = studio[1].faces_by_id([int(row["face"]) for row in rows])
    assert len(faces) == count


def test_colours_and_filter_follow_the_tags(page: Any) -> None:
    page.locator("#explore-colour input").click()
    page.get_by_role("option", name="Tag: emotion").click()
    page.locator(".map-legend .title", has_text="Tag: emotion").wait_for()
    labels = page.locator(".map-legend button").all_inner_texts()
    assert sorted(text.split(" ")[0] for text in labels) == ["anger", "happiness", "sadness", "surprise"]
    page.locator(".map-legend button", has_text="anger").click()
    page.locator("#explore-strip h3", has_text="12 faces selected").wait_for()
    page.get_by_role("button", name="Show only some").click()
    page.locator("#explore-keep input").click()
    page.get_by_role("option", name="Tag: emotion").click()
    page.locator("#explore-labels").get_by_label("anger").uncheck()
    drawn = "document.querySelector('.map-plot').data.reduce((sum, trace) => sum + trace.x.length, 0)"
    page.wait_for_function(f"{drawn} === 36")


def test_controls_keep_their_height_and_the_line_follows_the_arrangement(page: Any) -> None:
    for title in ("Lines", "Arrangement"):
        page.get_by_role("button", name=title).click()
    page.locator("#explore-arrange").wait_for()
    cut = "() => [...document.querySelectorAll('.map-bench > .input-side > *')]"
    assert not page.evaluate(f"({cut})().some((part) => part.scrollHeight > part.clientHeight + 4)")
    page.get_by_label("Annotators' answers").check()
    page.locator("#explore-line", has_text="Nobody has answered").wait_for()
    page.get_by_label("None", exact=True).check()
    page.locator("#explore-line", has_text="arranged by PCA").wait_for()
    page.get_by_label("t-SNE").check()
    page.locator("#explore-arrange").click()
    page.locator("#explore-line", has_text="arranged by t-SNE").wait_for()


def test_thumbnails_come_in_pages_not_one_by_one(page: Any) -> None:
    page.get_by_role("button", name="Whole map").click()
    page.wait_for_timeout(500)
    assert len(page.pages_asked) == 1
    assert not page.errors


def test_two_fingers_zoom_on_a_phone(browser: Any, studio: tuple[str, Store]) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    phone = context.new_page()
    opened(phone, studio[0])
    width = phone.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    before = phone.evaluate("document.querySelector('.map-plot').layout.xaxis.range")
    phone.locator(".map-stage").scroll_into_view_if_needed()
    stage = phone.locator(".map-stage").bounding_box()
    x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    driver = context.new_cdp_session(phone)

    def touch(kind: str, apart: float) -> None:
        points = [{"x": x - apart, "y": y}, {"x": x + apart, "y": y}] if kind != "touchEnd" else []
        driver.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 40)
    for apart in (50, 65, 80):
        touch("touchMove", apart)
    touch("touchEnd", 0)
    phone.wait_for_function(
        "old => { const now = document.querySelector('.map-plot').layout.xaxis.range;"
        " return now[1] - now[0] < 0.75 * (old[1] - old[0]); }",
        arg=before,
    )
    context.close()
