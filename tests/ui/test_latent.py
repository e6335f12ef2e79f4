"""The latent studio in a real browser: a photo becomes a code, sliders move it, films and pictures are handed over."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image as Pillow

from db.store import Store
from models import cards
from studio.services.latent import attributes
from tests.made_faces import add_made_gallery
from tests.ui.explore_page import explore_page
from tests.ui.test_explore import lasso, selected

pytest.importorskip("playwright.sync_api", reason="browser tests need playwright")
pytestmark = pytest.mark.filterwarnings("ignore")  # Gradio and Starlette warn about each other's future
FACES = "document.querySelectorAll('#latent-faces li').length"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    missing = {"faces", "dfc_vae", "dfc_vae_directions"} - set(cards.all_cards())
    if missing:
        pytest.skip(f"the shipped weights {', '.join(sorted(missing))} are not there")
    with explore_page(tmp_path_factory.mktemp("latent"), fill=False) as served:
        add_made_gallery(served[1])
        yield served


@pytest.fixture(scope="module")
def page(browser: Any, studio: tuple[str, Store]) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(studio[0])
    page.get_by_role("tab", name="Latent studio").click()
    page.locator("#latent-examples button").first.wait_for()
    yield page
    assert not page.errors
    context.close()


def edited(page: Any) -> str:
    return page.locator("#latent-view .edited img").get_attribute("src")


def saved(page: Any, place: str, label: str) -> bytes:
    with page.expect_download() as waiting:
        page.locator(place).get_by_role("button", name=label, exact=True).click()
    return Path(waiting.value.path()).read_bytes()


def test_a_photo_is_rebuilt_and_a_slider_moves_it(page: Any, one_face: Path) -> None:
    page.set_input_files("#latent-zone input[type=file]", str(one_face))
    page.locator("#latent-view .edited img").wait_for()
    before = edited(page)
    box = page.locator("#latent-smile input[type=number]")
    box.fill("2")
    box.press("Tab")
    page.wait_for_function(
        "old => document.querySelector('#latent-view .edited img').src !== old && "
        "document.querySelector('#latent-line').textContent.includes('drawn in')",
        arg=before,
    )
    record = json.loads(saved(page, "#latent-saver", "Code"))
    assert record["steps"] == {"smile": 2} and len(record["code"]) == 128
    whole = np.asarray(Pillow.open(io.BytesIO(saved(page, "#latent-saver", "Picture"))))
    original = np.asarray(Pillow.open(one_face).convert("RGB"))
    assert whole.shape == original.shape
    assert np.abs(whole.astype(int) - original).max() > 8
    page.locator("#latent-reset").click()
    page.wait_for_function("old => document.querySelector('#latent-view .edited img').src === old", arg=before)


def test_sliders_send_one_move_at_a_time_and_the_last_one_wins(page: Any) -> None:
    sent = []
    heard = lambda request: sent.append(request) if "run/predict" in request.url else None  # noqa: E731
    page.on("request", heard)
    before = edited(page)
    page.locator("#latent-mouth_open input[type=range]").focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("old => document.querySelector('#latent-view .edited img').src !== old", arg=before)
    page.locator(".latent-desk:not([aria-busy])").wait_for()
    page.remove_listener("request", heard)
    assert json.loads(saved(page, "#latent-saver", "Code"))["steps"] == {"mouth_open": 2}
    assert 2 <= len(sent) < 20
    assert all(len(request.post_data or "") < 1000 for request in sent), "pictures went back to the server"
    moved = edited(page)
    page.locator("#latent-detail input").uncheck()
    page.wait_for_function("old => document.querySelector('#latent-view .edited img').src !== old", arg=moved)
    page.locator("#latent-detail input").check()
    page.locator("#latent-reset").click()
    page.wait_for_function("old => document.querySelector('#latent-view .edited img').src === old", arg=before)


def test_random_faces_join_the_table_and_can_be_mixed(page: Any) -> None:
    for count in (2, 3):
        page.locator("#latent-draw").click()
        page.wait_for_function(f"{FACES} === {count}")
    page.get_by_role("button", name="Arithmetic").click()
    page.locator("#latent-mix").click()
    page.wait_for_function(f"{FACES} === 4")
    assert "A - B + C" in page.locator("#latent-faces li").last.inner_text()
    page.locator("#latent-faces .drop-face").last.click()
    page.wait_for_function(f"{FACES} === 3")


def test_a_film_through_the_faces_plays(page: Any) -> None:
    page.get_by_role("button", name="On the way between the faces").click()
    page.locator("#latent-way").click()
    page.locator("#latent-strip img").nth(8).wait_for()
    with av.open(io.BytesIO(saved(page, "#latent-films", "MP4"))) as clip:
        assert clip.streams.video[0].frames > 60
    strip = Pillow.open(io.BytesIO(saved(page, "#latent-films", "Strip")))
    assert strip.size == (9 * 128, 128)


def test_a_selection_on_the_map_becomes_a_project(page: Any, studio: tuple[str, Store]) -> None:
    page.get_by_role("tab", name="Map").click()
    page.locator(".map-legend button").first.wait_for()
    lasso(page, share=1.0)
    count = selected(page)
    page.locator("#explore-project textarea, #explore-project input").first.fill("chosen")
    page.locator("#explore-compare").click()
    page.locator("#explore-status", has_text="The project chosen is open").wait_for()
    assert [project.name for project in studio[1].projects()] == ["chosen"]
    assert studio[1].count_faces(studio[1].gallery("chosen").id) == count >= 24


def test_a_selection_on_the_map_becomes_a_slider(page: Any) -> None:
    page.get_by_role("tab", name="Map").click()
    page.locator(".map-legend button").first.wait_for()
    lasso(page, share=0.5)
    selected(page)
    page.locator("#explore-fit").click()
    slider = page.locator("#latent-from_the_map input[type=number]")
    slider.wait_for(timeout=120_000)  # the studio opens when the faces are coded
    if not page.evaluate(FACES):
        page.locator("#latent-draw").click()
    page.locator("#latent-view .edited img").wait_for()
    before = edited(page)
    slider.fill("3")
    slider.press("Tab")
    page.wait_for_function("old => document.querySelector('#latent-view .edited img').src !== old", arg=before)
    record = json.loads(saved(page, "#latent-saver", "Code"))
    assert record["steps"] == {"from_the_map": 3}
    slider.fill("0")
    slider.press("Tab")
    page.wait_for_function("old => document.querySelector('#latent-view .edited img').src === old", arg=before)


def test_sliders_that_do_little_are_called_weak(page: Any) -> None:
    weak = {item.name for item in attributes() if item.is_weak}
    if not page.evaluate(FACES):
        page.locator("#latent-draw").click()
        page.locator("#latent-view .edited img").wait_for()
    if weak:
        page.locator("#latent-weak summary").click()
        page.locator(f"#latent-{min(weak)}").wait_for()
    inside = "ids => ids.map((id) => Boolean(document.querySelector(`#latent-weak #latent-${id}`)))"
    names = [item.name for item in attributes()]
    assert page.evaluate(inside, names) == [name in weak for name in names]


def test_photos_without_a_face_and_broken_files_are_told(page: Any, no_face: Path, broken: Path) -> None:
    before = page.evaluate(FACES)
    for file, words in ((no_face, "40 pixels"), (broken, "broken.jpg")):
        page.set_input_files("#latent-zone input[type=file]", str(file))
        page.get_by_text(words).first.wait_for()
        page.locator("#latent-zone").wait_for()
        assert page.evaluate(FACES) == before


def test_on_a_phone_the_map_comes_first_and_nothing_is_cut_off(browser: Any, studio: tuple[str, Store]) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    phone = context.new_page()
    phone.set_default_timeout(30_000)
    phone.goto(studio[0])
    phone.locator(".map-legend button").first.wait_for()
    assert phone.locator(".map-stage").bounding_box()["y"] < phone.locator("#explore-zone").bounding_box()["y"]
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.get_by_role("tab", name="Latent studio").click()
    phone.locator("#latent-draw").click()
    phone.locator("#latent-view .edited img").wait_for()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
