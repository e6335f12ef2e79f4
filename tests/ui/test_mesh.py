"""The Mesh tab, used as visitors use it: a head is shown, turned, edited and taken home."""

from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image as Pillow

from studio.components.mesh_viewer import MeshViewer
from studio.services.mesh_scene import head_data
from tests.ui.conftest import Visitors
from tests.ui.test_page import open_tab

pytestmark = pytest.mark.filterwarnings("ignore")  # Gradio and Starlette warn about each other's future
VIEWER = "document.querySelector('.mesh-viewer')"


def opened(visitors: Visitors, **size: int) -> Any:
    page = visitors.open(**size)
    open_tab(page, "Mesh")
    page.wait_for_selector("#mesh-zone .drop-zone")
    return page


def give(page: Any, *files: Path, zone: str = "#mesh-zone") -> None:
    page.set_input_files(f"{zone} input[type=file]", [str(file) for file in files])


def shown(page: Any, file: Path) -> None:
    give(page, file)
    page.wait_for_function(f"{VIEWER}?.dataset.frames > 0 && !{VIEWER}.hidden", timeout=90_000)


def pixels(page: Any) -> np.ndarray:
    """What the head's canvas shows, taken home and shrunk or enlarged to (600, 600, 4)."""
    page.wait_for_timeout(500)
    return np.asarray(Pillow.open(io.BytesIO(saved(page, "view"))).resize((600, 600), Pillow.Resampling.BOX))


def value_of(page: Any, name: str) -> float:
    return float(page.input_value(f".mesh-group label[title={name}] input"))


def saved(page: Any, kind: str) -> bytes:
    with page.expect_download(timeout=90_000) as waiting:
        page.click(f".mesh-files [data-kind={kind}]")
    return Path(waiting.value.path()).read_bytes()


def test_a_photo_becomes_a_head_that_turns_and_moves(visitors: Visitors, one_face: Path) -> None:
    page = opened(visitors)
    shown(page, one_face)
    front = pixels(page)
    assert 0.1 < (front[..., 3] > 0).mean() < 0.9
    assert "shape" in page.inner_text("#mesh-line")
    page.click("[data-turn='90']")
    side = pixels(page)
    assert np.abs(side.astype(int) - front).mean() > 3
    page.click("[data-turn='0']")
    assert value_of(page, "mouthSmileLeft") > 0.1
    page.click("[data-preset='Surprise']")
    surprised = pixels(page)
    assert np.abs(surprised.astype(int) - front).mean() > 0.3
    page.click(".mesh-group summary:text-is('Jaw')")
    assert value_of(page, "jawOpen") == pytest.approx(0.5, abs=0.02)
    page.click("[data-preset='photo']")
    assert np.abs(pixels(page).astype(int) - front).mean() < 0.2


def test_sliders_ask_the_server_nothing(visitors: Visitors, one_face: Path) -> None:
    page = opened(visitors)
    shown(page, one_face)
    page.click(".mesh-group summary:text-is('Mouth')")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.check(".mesh-both")
    page.fill(".mesh-group label[title=mouthFrownLeft] input", "0.8")
    page.wait_for_timeout(400)
    assert value_of(page, "mouthFrownRight") == pytest.approx(0.8, abs=0.01)
    page.uncheck(".mesh-both")
    page.fill(".mesh-group label[title=mouthFrownLeft] input", "0.2")
    page.click("[data-mirror]")
    page.wait_for_timeout(400)
    assert value_of(page, "mouthFrownRight") == pytest.approx(0.2, abs=0.02)
    before = value_of(page, "mouthFrownLeft")
    page.fill(".mesh-strength input", "0.5")
    assert value_of(page, "mouthFrownLeft") == pytest.approx(before / 2, abs=0.02)
    assert not [address for address in asked if "gradio_api" in address and "heartbeat" not in address]


def test_the_head_lies_on_the_photo_with_an_opacity(visitors: Visitors, one_face: Path) -> None:
    page = opened(visitors)
    shown(page, one_face)
    page.click("[data-place=over]")
    page.fill(".mesh-opacity input", "0.4")
    opacity = page.evaluate("getComputedStyle(document.querySelector('.mesh-canvas')).opacity")
    assert float(opacity) == pytest.approx(0.4)
    page.click("[data-look=wire]")
    wire = pixels(page)
    assert 0.01 < (wire[..., 3] > 0).mean() < 0.6
    page.focus(".mesh-stage")
    page.keyboard.press("ArrowLeft")  # turning it takes it off the photo
    assert page.get_attribute("[data-place=free]", "aria-pressed") == "true"


def test_faces_lend_each_other_their_expression(visitors: Visitors, two_faces: Path, one_face: Path) -> None:
    page = opened(visitors)
    shown(page, two_faces)
    page.wait_for_selector(".mesh-others button")
    page.click("#mesh-faces .face-list [data-number='2']")
    page.wait_for_function("document.querySelector('.mesh-others button')?.textContent === 'Face 1'")
    page.click(".mesh-others button")
    page.wait_for_selector(".mesh-blend:not([hidden])")
    give(page, one_face, zone="#mesh-lend")
    page.wait_for_selector(".mesh-others button:text-is('The other photo')", timeout=60_000)


def test_what_the_head_is_read_from_is_chosen_and_said(visitors: Visitors, one_face: Path) -> None:
    page = opened(visitors)
    shown(page, one_face)
    assert "landmarks" in page.inner_text("#mesh-line")
    if not page.is_visible("#mesh-system"):
        pytest.skip("the weights smirk_open are not there")
    page.click("#mesh-system label:has-text('encoder')")
    page.wait_for_function("document.querySelector('#mesh-line').innerText.includes('smirk_open')")


def test_files_hold_the_edited_head(visitors: Visitors, one_face: Path) -> None:
    page = opened(visitors)
    shown(page, one_face)
    page.click("[data-preset='Open mouth']")
    page.wait_for_timeout(500)
    record = json.loads(saved(page, "json"))
    assert record["expression"]["jawOpen"] == pytest.approx(0.75, abs=0.01)
    assert saved(page, "glb")[:4] == b"glTF"
    row = next(csv.DictReader(io.StringIO(saved(page, "csv").decode())))
    assert float(row["jawOpen"]) == pytest.approx(0.75, abs=0.01)
    assert Pillow.open(io.BytesIO(saved(page, "view"))).mode == "RGBA"
    picture = Pillow.open(io.BytesIO(saved(page, "photo")))
    assert picture.size == Pillow.open(one_face).size
    assert page.is_visible(".mesh-result img")


def test_no_face_is_an_answer_and_the_next_photo_works(visitors: Visitors, no_face: Path, one_face: Path) -> None:
    page = opened(visitors)
    give(page, no_face)
    page.wait_for_selector("#mesh-status .status.note")
    assert "No face found" in page.inner_text("#mesh-status .status.note")
    assert page.is_hidden(".mesh-viewer")
    shown(page, one_face)


def test_a_broken_file_is_explained(visitors: Visitors, broken: Path) -> None:
    page = opened(visitors)
    give(page, broken)
    page.wait_for_selector("#mesh-status .status.note")
    assert "broken.jpg" in page.inner_text("#mesh-status .status.note")


def test_a_clip_is_followed_filtered_and_taken_home(visitors: Visitors, short_clip: Path) -> None:
    page = opened(visitors)
    page.click("[role=tab]:text-is('Clip') >> visible=true")
    give(page, short_clip, zone="#mesh-clip-zone")
    page.wait_for_selector("#mesh-clip-saver button", timeout=120_000)
    page.wait_for_selector("#mesh-clip-chart .plot-container", timeout=60_000)
    page.click("#mesh-clip-smoothing label:has-text('None')")
    page.wait_for_timeout(500)
    with page.expect_download(timeout=120_000) as waiting:
        page.click("#mesh-clip-saver [data-kind=csv]")
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text())))
    assert len(rows) >= 15 and float(rows[-1]["time_s"]) > 1.5


def test_on_a_phone_nothing_is_cut_off(visitors: Visitors, one_face: Path) -> None:
    page = opened(visitors, width=390, height=844)
    shown(page, one_face)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".mesh-stage").bounding_box()["width"] > 280


def test_endpoints_give_heads_and_files(studio_url: str, two_faces: Path) -> None:
    client = Client(studio_url, verbose=False)
    try:
        record = client.predict(handle_file(str(two_faces)), api_name="/mesh_photo")
        assert [face["number"] for face in record["faces"]] == [1, 2]
        made = client.predict(handle_file(str(two_faces)), "glb", 2, {"jawOpen": 0.5}, api_name="/mesh_file")
        assert base64.b64decode(made["base64"])[:4] == b"glTF"
        with pytest.raises(AppError, match="no face 9"):
            client.predict(handle_file(str(two_faces)), "glb", 9, None, api_name="/mesh_file")
    finally:
        client.close()


def test_the_viewer_is_built_with_its_head() -> None:
    viewer = MeshViewer(mesh_head=lambda wanted: head_data())
    assert "mesh_head" in str(viewer.get_config())
