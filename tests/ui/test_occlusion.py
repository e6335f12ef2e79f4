"""The Occlusion tab, used as visitors use it: a face is covered, found, painted, guessed, read and taken home."""

from __future__ import annotations

import base64
import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image as Pillow

from models import cards
from studio.services.occlusion_methods import NEEDED
from tests.ui.conftest import Visitors
from tests.ui.test_page import open_tab

pytestmark = pytest.mark.filterwarnings("ignore")  # Gradio and Starlette warn about each other's future
PATIENCE = 180_000
STAGES = "document.querySelectorAll('#occlusion-stages figure')"
IDLE = "!document.querySelector('#occlusion-status .working')"


@pytest.fixture(scope="module", autouse=True)
def weights() -> None:
    missing = set(NEEDED) - set(cards.all_cards())
    if missing:
        pytest.skip(f"the shipped weights {', '.join(sorted(missing))} are not there")


def opened(visitors: Visitors, **size: int) -> Any:
    page = visitors.open(**size)
    page.set_default_timeout(PATIENCE)
    open_tab(page, "Occlusion")
    page.wait_for_selector("#occlusion-zone .drop-zone")
    return page


def give(page: Any, file: Path) -> None:
    page.set_input_files("#occlusion-zone input[type=file]", str(file))


def shown(page: Any, file: Path) -> None:
    give(page, file)
    page.wait_for_function(f"{STAGES}.length >= 2 && {IDLE}")


def covered(page: Any, file: Path, kind: str) -> None:
    """Cover the face and hide exactly what was drawn: no test depends on what the detector finds."""
    shown(page, file)
    page.click("#occlusion-way label:has-text('Cover')")
    page.wait_for_selector("#occlusion-palette button >> visible=true")
    page.click(f"#occlusion-palette [data-kind={kind}]")
    page.wait_for_function("document.querySelector('#occlusion-stages img')?.alt.startsWith('Clean')")
    page.click("#occlusion-hide label:has-text('Exactly')")
    page.wait_for_function(f"{STAGES}.length === 6 && {IDLE}")


def stage(page: Any, title: str) -> str:
    return page.locator(f"#occlusion-stages img[alt^='{title}']").get_attribute("src")


def saved(page: Any, kind: str) -> bytes:
    with page.expect_download() as waiting:
        page.click(f"#occlusion-saver [data-kind={kind}]")
    return Path(waiting.value.path()).read_bytes()


def test_a_covered_face_is_guessed_and_held_against_the_truth(visitors: Visitors, one_face: Path) -> None:
    page = opened(visitors)
    covered(page, one_face, "medical_mask")
    card = page.inner_text("#occlusion-card")
    for words in ("is a guess", "Against the truth", "dB", "Telea", "Guessed", "Clean", "Distance to the clean face"):
        assert words in card
    assert len({stage(page, title) for title in ("Clean", "Input", "Distances", "Coarse", "Refined", "Pasted")}) >= 5
    line = page.inner_text("#occlusion-line")
    assert "mae-" in line and "detect" in line and " ms" in line
    page.wait_for_selector("#occlusion-slider img")
    first = stage(page, "Input")
    page.click("#occlusion-palette [data-kind=medical_mask]")  # the same one again is drawn anew
    page.wait_for_function(
        "old => document.querySelector(\"#occlusion-stages img[alt^='Input']\").src !== old", arg=first
    )


def test_the_radius_says_what_counts_as_hidden(visitors: Visitors, one_face: Path) -> None:
    page = opened(visitors)
    shown(page, one_face)
    page.fill("#occlusion-radius input[type=number]", "0.3")
    page.press("#occlusion-radius input[type=number]", "Enter")
    page.wait_for_function("!document.querySelector('#occlusion-line').innerText.includes(' 0 % of the patches')")
    few = beyond(page)
    page.fill("#occlusion-radius input[type=number]", "3")
    page.press("#occlusion-radius input[type=number]", "Enter")
    page.wait_for_function(
        "few => Number(/(\\d+) % of the patches/.exec(document.querySelector('#occlusion-line').innerText)[1]) < few",
        arg=few,
    )


def beyond(page: Any) -> int:
    return int(page.inner_text("#occlusion-line").split(" % of the patches")[0].split()[-1])


def test_what_is_painted_is_guessed(visitors: Visitors, one_face: Path) -> None:
    page = opened(visitors)
    covered(page, one_face, "sunglasses")
    before = stage(page, "Pasted")
    page.wait_for_selector("#occlusion-editor canvas")
    page.wait_for_timeout(1500)
    box = page.locator("#occlusion-editor canvas").first.bounding_box()
    middle, low = box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.72
    page.mouse.move(middle - 40, low)
    page.mouse.down()
    page.mouse.move(middle + 40, low + 5, steps=6)
    page.mouse.up()
    page.wait_for_function(
        "old => document.querySelector(\"#occlusion-stages img[alt^='Pasted']\")?.src !== old", arg=before
    )
    for _ in range(30):  # without a graphics card the editor hands its strokes over late
        if mouth_is_hidden(page):
            return
        page.wait_for_timeout(2000)
    pytest.fail("what was painted over the mouth, which no sunglasses hide, is not in the mask")


def mouth_is_hidden(page: Any) -> bool:
    with zipfile.ZipFile(io.BytesIO(saved(page, "stages"))) as archive:
        mask = np.asarray(Pillow.open(io.BytesIO(archive.read("mask.png"))))[..., 0]
    edge = len(mask)
    return bool(mask[int(edge * 0.6) :, edge // 3 : edge * 2 // 3].any())


def test_another_method_guesses_otherwise_and_the_rest_say_what_they_need(visitors: Visitors, one_face: Path) -> None:
    page = opened(visitors)
    covered(page, one_face, "medical_mask")
    own = stage(page, "Pasted")
    page.click("#occlusion-method input")
    page.get_by_role("option", name="Telea").click()
    page.wait_for_function("document.querySelector('#occlusion-line').innerText.includes('Telea')")
    assert stage(page, "Pasted") != own
    page.get_by_role("button", name="More methods").click()
    page.wait_for_selector("text=mien weights add mae-base")


def test_the_diffusion_draws_several_guesses_and_stops_when_asked(visitors: Visitors, one_face: Path) -> None:
    if "diffusion" not in cards.all_cards():
        pytest.skip("the shipped weights diffusion are not there")
    page = opened(visitors)
    covered(page, one_face, "medical_mask")
    page.click("#occlusion-method input")
    page.get_by_role("option", name="Diffusion").click()
    page.wait_for_selector("#occlusion-draw >> visible=true")
    for name, value in (("count", "2"), ("steps", "5")):
        page.fill(f"#occlusion-{name} input[type=number]", value)
        page.press(f"#occlusion-{name} input[type=number]", "Enter")
    page.click("#occlusion-draw")
    page.wait_for_selector("#occlusion-guesses button")
    assert page.locator("#occlusion-guesses button").count() == 2
    first = stage(page, "Pasted")
    page.click("#occlusion-guesses button >> nth=1")
    page.wait_for_function(
        "old => document.querySelector(\"#occlusion-stages img[alt^='Pasted']\").src !== old", arg=first
    )
    page.fill("#occlusion-count input[type=number]", "16")
    page.press("#occlusion-count input[type=number]", "Enter")
    page.fill("#occlusion-steps input[type=number]", "50")
    page.press("#occlusion-steps input[type=number]", "Enter")
    page.click("#occlusion-draw")
    page.click("#occlusion-status .cancel")
    page.wait_for_function("document.querySelector('#occlusion-status').innerText.includes('Stopped')")


def test_every_stage_goes_home(visitors: Visitors, one_face: Path) -> None:
    page = opened(visitors)
    covered(page, one_face, "sunglasses")
    picture = Pillow.open(io.BytesIO(saved(page, "unmasked")))
    assert picture.size == Pillow.open(one_face).size
    record = json.loads(saved(page, "json"))
    assert record["truth"]["cover"] == "sunglasses" and record["method"] == "mien" and record["note"]
    rows = list(csv.DictReader(io.StringIO(saved(page, "csv").decode())))
    assert [row["stage"] for row in rows] == ["before", "after"]
    with zipfile.ZipFile(io.BytesIO(saved(page, "stages"))) as archive:
        assert {"input.png", "coarse.png", "refined.png", "blended.png", "numbers.json"} <= set(archive.namelist())
    assert Pillow.open(io.BytesIO(saved(page, "side"))).size[0] > 800


def test_a_stage_is_opened_in_another_tab(visitors: Visitors, one_face: Path) -> None:
    page = opened(visitors)
    covered(page, one_face, "sunglasses")
    figure = page.locator("#occlusion-stages figure", has_text="Clean")
    figure.locator("summary").click()
    figure.get_by_role("button", name="Open in Expression").click()
    page.wait_for_selector("#photo-card .face-card")


def test_another_face_of_the_photo_is_taken(visitors: Visitors, two_faces: Path) -> None:
    page = opened(visitors)
    shown(page, two_faces)
    first = stage(page, "Input")
    page.click("#occlusion-faces .face-list [data-number='2']")
    page.wait_for_function(
        "old => document.querySelector(\"#occlusion-stages img[alt^='Input']\").src !== old", arg=first
    )


def test_no_face_and_broken_files_are_explained_and_the_next_photo_works(
    visitors: Visitors, no_face: Path, broken: Path, one_face: Path
) -> None:
    page = opened(visitors)
    give(page, no_face)
    page.wait_for_selector("#occlusion-status .status.note")
    assert "No face found" in page.inner_text("#occlusion-status")
    assert page.is_hidden("#occlusion-work")
    give(page, broken)
    page.wait_for_function("document.querySelector('#occlusion-status').innerText.includes('broken.jpg')")
    shown(page, one_face)


def test_on_a_phone_nothing_is_cut_off(visitors: Visitors, one_face: Path) -> None:
    page = opened(visitors, width=390, height=844)
    covered(page, one_face, "medical_mask")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#occlusion-editor canvas").first.bounding_box()["width"] > 250
    assert (
        page.evaluate("Math.min(...[...document.querySelectorAll('.palette button')].map((b) => b.offsetHeight))") > 43
    )


def test_endpoints_guess_and_explain(studio_url: str, one_face: Path) -> None:
    client = Client(studio_url, verbose=False)
    try:
        call = {"api_name": "/occlusion_photo"}
        told = client.predict(handle_file(str(one_face)), 1, 1.0, "mien", None, "sunglasses", 3, **call)
        assert told["truth"]["cover"] == "sunglasses" and set(told["stages"]) >= {"clean", "input", "distance_map"}
        whole = Pillow.open(io.BytesIO(base64.b64decode(told["photo"].split(",")[1])))
        assert whole.size == Pillow.open(one_face).size
        with pytest.raises(AppError, match="tomato"):
            client.predict(handle_file(str(one_face)), 1, 1.0, "mien", None, "tomato", 0, **call)
        with pytest.raises(AppError, match="no face 4"):
            client.predict(handle_file(str(one_face)), 4, 1.0, "mien", None, "", 0, **call)
        with pytest.raises(AppError, match=r"cannot run here|endpoint of its own"):
            client.predict(handle_file(str(one_face)), 1, 1.0, "diffusion", None, "", 0, **call)
    finally:
        client.close()
