"""The photo part of the Expression tab, used as visitors use it."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from models.types import EMOTIONS
from tests.ui.conftest import Visitors

pytestmark = pytest.mark.filterwarnings("ignore")  # Gradio and Starlette warn about each other's future


def give(page: Any, *files: Path, zone: str = "#photo-zone") -> None:
    page.set_input_files(f"{zone} input[type=file]", [str(file) for file in files])


def test_one_face_is_outlined_and_read(visitors: Visitors, one_face: Path) -> None:
    page = visitors.open()
    give(page, one_face)
    page.wait_for_selector(".face-card")
    assert page.locator("#photo-faces .frame").count() == 1
    assert page.get_attribute("#photo-faces img", "alt") == "one.png, 1 face found"
    names = page.locator(".face-card .emotions .name").all_inner_texts()
    assert sorted(names) == sorted(EMOTIONS)
    shares = [int(re.sub(r"\D", "", text)) for text in page.locator(".face-card .emotions .figure").all_inner_texts()]
    assert 92 <= sum(shares) <= 108  # whole percents, and "under 1 %" counts as 1
    assert re.search(r"deepfever.*finding faces \d+ ms", page.inner_text(".result-side .quiet-line"))


def test_an_example_needs_no_upload(visitors: Visitors) -> None:
    page = visitors.open()
    page.click("#photo-examples button >> nth=0")
    page.wait_for_selector(".face-card")
    assert page.get_attribute("#photo-faces img", "alt") == "astronaut, 1 face found"


def test_the_nearest_gallery_faces_come_with_distances_and_open(visitors: Visitors, one_face: Path) -> None:
    page = visitors.open()
    give(page, one_face)
    page.wait_for_selector(".near li:nth-child(6)", timeout=120_000)  # the first reading fills the gallery
    distances = [float(text.split()[0]) for text in page.locator(".near .figure .term").all_inner_texts()]
    assert distances == sorted(distances) and 0 < distances[0] < 2
    page.click(".near .face-menu summary >> nth=0")
    page.click(".near .entries button:text('Open in Expression')")
    page.wait_for_function("document.querySelector('#photo-faces img').alt.startsWith('gallery face')")


def test_a_picture_is_taken_with_the_camera(visitors: Visitors) -> None:
    page = visitors.open()
    page.click("#photo-zone .camera")
    page.wait_for_function("document.querySelector('.booth video').videoWidth > 0")
    page.click("#photo-zone .shoot")
    page.wait_for_function("document.querySelector('#photo-faces img')?.alt.startsWith('camera.jpg')")
    assert page.locator(".booth").is_hidden()


def test_several_faces_are_picked_by_keyboard_and_in_the_list(visitors: Visitors, two_faces: Path) -> None:
    page = visitors.open()
    give(page, two_faces)
    page.wait_for_selector(".face-list li:nth-child(2)")
    assert page.inner_text(".face-card h2") == "Face 1"
    page.focus("#photo-faces .frame[data-number='2']")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('.face-card h2').textContent === 'Face 2'")
    assert page.get_attribute(".face-list [data-number='2']", "aria-pressed") == "true"
    page.click(".face-list [data-number='1']")
    page.wait_for_function("document.querySelector('.face-card h2').textContent === 'Face 1'")
    page.click(".others .other >> nth=0")
    page.wait_for_selector(".apart")
    assert page.locator(".stripe-row").count() == 3


def test_no_face_is_an_answer_with_advice(visitors: Visitors, no_face: Path) -> None:
    page = visitors.open()
    give(page, no_face)
    page.wait_for_selector(".status.note")
    assert "No face found" in page.inner_text(".status.note")
    assert "40 pixels" in page.inner_text(".status.note")
    assert page.locator(".face-card").count() == 0


def test_a_broken_file_is_explained_and_the_next_one_works(visitors: Visitors, broken: Path, one_face: Path) -> None:
    page = visitors.open()
    give(page, broken)
    page.wait_for_selector(".status.note")
    said = page.inner_text(".status.note")
    assert "This file cannot be used" in said and "broken.jpg" in said and "Traceback" not in said
    give(page, one_face)
    page.wait_for_selector(".face-card")
    assert page.locator(".status.note").count() == 0


def test_downloads_hold_what_is_shown(visitors: Visitors, two_faces: Path) -> None:
    page = visitors.open()
    give(page, two_faces)
    page.wait_for_selector(".face-card")
    files = {kind: _download(page, kind) for kind in ("json", "csv", "npz", "png")}
    record = json.loads(files["json"])
    assert [face["number"] for face in record["faces"]] == [1, 2]
    rows = list(csv.DictReader(io.StringIO(files["csv"].decode())))
    assert float(rows[1]["happiness"]) == pytest.approx(record["faces"][1]["emotions"]["happiness"], abs=1e-4)
    arrays = np.load(io.BytesIO(files["npz"]), allow_pickle=False)
    assert arrays["vector"].shape == (2, 64) and arrays["landmarks"].shape == (2, 478, 3)
    assert Pillow.open(io.BytesIO(files["png"])).size == (640, 320)


def _download(page: Any, kind: str) -> bytes:
    with page.expect_download() as waiting:
        page.click(f"#photo-saver button[data-kind={kind}]")
    return Path(waiting.value.path()).read_bytes()


def test_a_kept_face_is_compared_with_the_next_photo(visitors: Visitors, one_face: Path, two_faces: Path) -> None:
    page = visitors.open()
    give(page, one_face)
    page.wait_for_selector(".face-card")
    page.click("button.keep")
    page.wait_for_timeout(300)
    give(page, two_faces)
    page.wait_for_selector(".others .other[data-key=kept]")
    page.click(".others .other[data-key=kept]")
    page.wait_for_selector(".apart")


def test_two_visitors_at_once_never_see_each_others_faces(visitors: Visitors, one_face: Path, two_faces: Path) -> None:
    first, second = visitors.open(), visitors.open()
    for _ in range(3):
        give(first, one_face)
        give(second, two_faces)
        first.wait_for_function("document.querySelector('#photo-faces img')?.alt.startsWith('one.png')")
        second.wait_for_function("document.querySelector('#photo-faces img')?.alt.startsWith('two.png')")
        assert first.locator("#photo-faces .frame").count() == 1
        assert second.locator("#photo-faces .frame").count() == 2
    second.click(".face-list [data-number='2']")
    second.wait_for_function("document.querySelector('.face-card h2').textContent === 'Face 2'")
    assert first.inner_text(".face-card h2") == "The face"
    assert b"two.png" not in _download(first, "json")
    assert b"one.png" not in _download(second, "json")


def test_a_visitor_cannot_ask_for_a_face_that_is_not_there(visitors: Visitors, one_face: Path) -> None:
    page = visitors.open()
    give(page, one_face)
    page.wait_for_selector(".face-card")
    page.evaluate("document.querySelector('#photo-faces .frame').dataset.number = '7'")
    page.click("#photo-faces .frame")
    page.wait_for_selector(".toast-body")
    assert "no face 7" in page.inner_text(".toast-body").lower()
