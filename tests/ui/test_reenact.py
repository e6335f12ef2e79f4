"""The Reenact tab, used as visitors use it: a face is given, moved, filmed and taken home."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image as Pillow

from models import cards
from models.clips import open_clip
from studio.services.reenact_gallery import calm_faces
from tests.sounding_clip import write_sounding_clip
from tests.ui.conftest import Visitors
from tests.ui.test_page import open_tab

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # Gradio and Starlette warn about each other's future
    pytest.mark.skipif("fsrt_open" not in cards.all_cards(), reason="the weights fsrt_open are not there"),
]
LONG = 180_000


@pytest.fixture(scope="module")
def made_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made face that moves sideways for a second, with a tone."""
    path = tmp_path_factory.mktemp("driver") / "driver.mp4"
    face = np.asarray(Pillow.fromarray(calm_faces()[1].image).resize((256, 256)))
    return write_sounding_clip(path, [np.roll(face, 2 * number, 1) for number in range(10)])


@pytest.fixture(scope="module")
def made_face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "face.png"
    Pillow.fromarray(calm_faces()[0].image).save(path)
    return path


def opened(visitors: Visitors, **size: int) -> Any:
    page = visitors.open(**size)
    page.set_default_timeout(LONG)
    open_tab(page, "Reenact")
    page.wait_for_selector("#reenact-zone .drop-zone")
    return page


def given(page: Any, *files: Path, zone: str = "#reenact-zone") -> None:
    page.set_input_files(f"{zone} input[type=file]", [str(file) for file in files])


def with_face(page: Any) -> None:
    page.click("#reenact-examples button >> nth=0")
    page.wait_for_selector("#reenact-crops .crop-view:not([hidden])")


def previewed(page: Any) -> None:
    page.wait_for_selector("#reenact-view .reenact-preview img")


def saved(page: Any, kind: str, saver: str = "#reenact-saver") -> bytes:
    with page.expect_download(timeout=LONG) as waiting:
        page.click(f"{saver} [data-kind={kind}]")
    return Path(waiting.value.path()).read_bytes()


def test_a_made_face_smiles_on_film(visitors: Visitors, tmp_path: Path) -> None:
    page = opened(visitors)
    assert "consent" in page.inner_text("#reenact-consent")
    with_face(page)
    page.click("#reenact-shelf [data-name=smile]")
    previewed(page)
    assert page.locator("#reenact-view .reenact-preview img").count() == 6
    assert "fsrt_open" in page.inner_text("#reenact-line")
    assert not page.is_visible("#reenact-network")  # FSRT's own files were not brought here
    page.click("#reenact-go")
    page.wait_for_selector("#reenact-status .working")
    page.wait_for_selector("#reenact-view video")
    page.wait_for_function("document.querySelector('#reenact-view video').readyState >= 2")
    film = tmp_path / "film.mp4"
    film.write_bytes(saved(page, "reenact_film"))
    assert open_clip(film).frames_per_second == pytest.approx(25, rel=0.05)
    with av.open(str(film)) as container:
        assert "Synthetic" in container.metadata["comment"]
    assert saved(page, "reenact_gif")[:4] == b"GIF8"
    assert saved(page, "reenact_motion")[:2] == b"PK"
    names = zipfile.ZipFile(io.BytesIO(saved(page, "reenact_frames"))).namelist()
    assert len(names) > 50


def test_a_clip_drives_and_its_sound_stays(
    visitors: Visitors, made_face: Path, made_clip: Path, tmp_path: Path
) -> None:
    page = opened(visitors)
    given(page, made_face)
    page.wait_for_selector("#reenact-crops .crop-view:not([hidden])")
    given(page, made_clip, zone="#reenact-driver-zone")
    previewed(page)
    assert page.is_visible("#reenact-driver-crops .crop-frame")
    page.click("#reenact-go")
    page.wait_for_selector("#reenact-view video")
    side = tmp_path / "side.mp4"
    side.write_bytes(saved(page, "reenact_side"))
    info = open_clip(side)
    assert info.has_audio and info.width > 1.5 * info.height


def test_the_square_moves_with_keys_and_the_preview_follows(visitors: Visitors) -> None:
    page = opened(visitors)
    with_face(page)
    page.click("#reenact-shelf [data-name=nod]")
    previewed(page)
    before = page.get_attribute("#reenact-view .reenact-preview img >> nth=3", "src")
    width = page.locator("#reenact-crops .crop-frame").bounding_box()["width"]
    page.focus("#reenact-crops .crop-frame")
    for _ in range(4):
        page.keyboard.press("-")
    assert page.locator("#reenact-crops .crop-frame").bounding_box()["width"] < width
    page.wait_for_function(
        "before => document.querySelectorAll('#reenact-view .reenact-preview img')[3]?.src !== before", arg=before
    )


def test_a_stopped_film_keeps_what_it_has(visitors: Visitors) -> None:
    page = opened(visitors)
    with_face(page)
    page.click("#reenact-shelf [data-name=talk]")
    previewed(page)
    page.click("#reenact-go")
    page.wait_for_selector("#reenact-view .reenact-shown img")
    page.click("#reenact-status .cancel")
    page.wait_for_selector("#reenact-status .status.note")
    assert "The first" in page.inner_text("#reenact-status .status.note")
    assert saved(page, "reenact_film")[4:8] == b"ftyp"


def test_sliders_move_the_face_given_in_the_other_mode(visitors: Visitors) -> None:
    page = opened(visitors)
    with_face(page)
    page.click("[role=tab]:text-is('Sliders') >> visible=true")
    page.wait_for_selector("#reenact-desk .face-desk:not([hidden]) .desk-picture[src]")
    before = page.get_attribute(".desk-picture", "src")
    page.click(".face-desk [data-preset='Smile']")
    page.wait_for_function("before => document.querySelector('.desk-picture').src !== before", arg=before)
    smiling = page.get_attribute(".desk-picture", "src")
    page.fill(".face-desk input[data-turn=yaw]", "15")
    page.wait_for_function("before => document.querySelector('.desk-picture').src !== before", arg=smiling)
    page.wait_for_selector(".face-desk:not([aria-busy])")
    picture = Pillow.open(io.BytesIO(saved(page, "reenact_still", "#reenact-desk-saver")))
    assert "Synthetic" in picture.text["Comment"]
    page.click("#reenact-desk .face-menu summary")
    page.click("#reenact-desk .face-menu .entries button:text-is('Open in Expression')")
    page.wait_for_selector("#photo-faces img, .face-card", timeout=LONG)


def test_what_cannot_be_used_is_explained(visitors: Visitors, no_face: Path, broken: Path, tmp_path: Path) -> None:
    page = opened(visitors)
    given(page, no_face)
    page.wait_for_selector("#reenact-status .status.note")
    assert "No face found" in page.inner_text("#reenact-status .status.note")
    wrong = tmp_path / "broken.mp4"
    wrong.write_bytes(broken.read_bytes())
    given(page, wrong, zone="#reenact-driver-zone")
    page.wait_for_selector("#reenact-status .status.note:has-text('is not a clip')")
    with_face(page)


def test_the_camera_records_a_driver(visitors: Visitors) -> None:
    """The browser's test picture shows no face, which is said; the recording itself arrives and is read."""
    page = opened(visitors)
    page.click("#reenact-recorder .open")
    page.wait_for_selector("#reenact-recorder .booth:not([hidden])")
    page.click("#reenact-recorder .go")
    page.wait_for_timeout(1500)
    page.click("#reenact-recorder .go")
    page.wait_for_selector("#reenact-status .status.note")
    assert "No face" in page.inner_text("#reenact-status .status.note")


def test_on_a_phone_nothing_is_cut_off(visitors: Visitors) -> None:
    page = opened(visitors, width=390, height=844)
    with_face(page)
    page.click("#reenact-shelf [data-name=wink]")
    previewed(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("[role=tab]:text-is('Sliders') >> visible=true")
    page.wait_for_selector("#reenact-desk .face-desk:not([hidden])")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_endpoints_make_films_pictures_and_motions(studio_url: str, made_face: Path, made_clip: Path) -> None:
    client = Client(studio_url, verbose=False)
    try:
        moved = client.predict(
            handle_file(str(made_face)), {"jawOpen": 0.6}, [10, 0, 0], True, api_name="/reenact_edit"
        )
        assert base64.b64decode(moved["base64"])[1:4] == b"PNG"
        read = client.predict(handle_file(str(made_clip)), api_name="/reenact_motion")
        assert read["frames"] == read["with_face"] == 10
        photos = [handle_file(str(made_face))]
        job = client.submit(photos, handle_file(str(made_clip)), "", {"smoothing_s": 0.15}, "film", api_name="/reenact")
        steps = list(job)
        assert steps[-1]["complete"] and base64.b64decode(steps[-1]["base64"])[4:8] == b"ftyp"
        assert any(not step["complete"] for step in steps)
        with pytest.raises(AppError, match="shelf holds"):
            client.predict(photos, None, "dance", None, "film", api_name="/reenact")
    finally:
        client.close()
