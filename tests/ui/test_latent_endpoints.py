"""The latent studio's endpoints, called as programs call them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image as Pillow

from models import cards
from studio.services.latent import attributes
from studio.tabs import explore
from tests.made_faces import add_made_gallery
from tests.ui.tab_page import tab_page

pytestmark = pytest.mark.filterwarnings("ignore")  # Gradio and Starlette warn about each other's future


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    missing = {"faces", "dfc_vae", "dfc_vae_directions"} - set(cards.all_cards())
    if missing:
        pytest.skip(f"the shipped weights {', '.join(sorted(missing))} are not there")
    with tab_page(explore, tmp_path_factory.mktemp("endpoints"), prepare=add_made_gallery) as (address, _):
        connected = Client(address, verbose=False)
        yield connected
        connected.close()


def picture(data_url: str) -> np.ndarray:
    """(H, W, 3) of a data URL."""
    content = base64.b64decode(data_url.partition(",")[2])
    return np.asarray(Pillow.open(io.BytesIO(content)).convert("RGB"))


def test_a_face_becomes_a_code_and_the_code_the_same_face(client: Client, one_face: Path) -> None:
    found = client.predict(handle_file(str(one_face)), api_name="/latent_code")
    assert len(found["code"]) == 128 and found["backend"].startswith("dfc_vae")
    assert found["sliders"] == [item.name for item in attributes()]
    again = picture(client.predict(found["code"], api_name="/latent_picture"))
    assert again.shape == (128, 128, 3)
    assert np.abs(again.astype(int) - picture(found["rebuilt"])).max() <= 2  # the code was rounded to five digits
    with pytest.raises(AppError, match="128 finite numbers"):
        client.predict(found["code"][:100], api_name="/latent_picture")


def test_an_edit_changes_the_face_and_nothing_far_from_it(client: Client, one_face: Path) -> None:
    before = np.asarray(Pillow.open(one_face).convert("RGB")).astype(int)
    still = client.predict(handle_file(str(one_face)), {}, api_name="/latent_edit")
    np.testing.assert_array_equal(picture(still["picture"]), before)
    smiling = client.predict(handle_file(str(one_face)), {"smile": 2}, api_name="/latent_edit")
    change = np.abs(picture(smiling["picture"]) - before).max(2)
    assert change.max() > 8 and change[-8:].max() == 0
    assert np.abs(np.array(smiling["code"]) - still["code"]).max() > 0.05
    with pytest.raises(AppError, match="no slider 'tail'"):
        client.predict(handle_file(str(one_face)), {"tail": 1}, api_name="/latent_edit")


def test_films_tell_how_far_they_are(client: Client, one_face: Path, two_faces: Path) -> None:
    photos = [handle_file(str(one_face)), handle_file(str(two_faces))]
    job = client.submit(photos, "mp4", api_name="/latent_morph")
    film = base64.b64decode(job.result(timeout=120)["film"].partition(",")[2])
    with av.open(io.BytesIO(film)) as clip:
        assert clip.streams.video[0].frames > 30
    assert any(step["complete"] is False for step in job.outputs())
    with pytest.raises(AppError, match="two to five"):
        client.predict(photos[:1], "mp4", api_name="/latent_morph")


def test_photos_without_a_face_and_broken_files_are_refused(client: Client, no_face: Path, broken: Path) -> None:
    with pytest.raises(AppError, match="40 pixels"):
        client.predict(handle_file(str(no_face)), api_name="/latent_code")
    with pytest.raises(AppError, match=r"broken\.jpg"):
        client.predict(handle_file(str(broken)), api_name="/latent_code")
