"""The named endpoints, called as programs call them, from the upload to the answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import skimage
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from models.types import EMOTIONS
from studio.settings import ROOT

pytestmark = pytest.mark.filterwarnings("ignore")  # Gradio and Starlette warn about each other's future


@pytest.fixture(scope="module")
def client(studio_url: str) -> Iterator[Client]:
    connected = Client(studio_url, verbose=False)
    yield connected
    connected.close()


def test_a_photo_is_read_compared_and_refused(client: Client, one_face: Path, two_faces: Path, broken: Path) -> None:
    record = client.predict(handle_file(str(two_faces)), api_name="/expression_photo")
    assert record["name"] == "two.png" and (record["width"], record["height"]) == (640, 320)
    left, right = sorted(record["faces"], key=lambda face: face["box"]["left"])
    assert left["box"]["right"] < 330 and right["box"]["left"] > 310
    assert set(left["emotions"]) == set(EMOTIONS)
    assert sum(left["emotions"].values()) == pytest.approx(1, abs=1e-3)
    vectors = np.array([left["vector"], right["vector"]])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-3)

    files = [handle_file(str(one_face)), handle_file(str(two_faces))]
    compared = client.predict(files, api_name="/expression_compare")
    assert len(compared["faces"]) == 3 and compared["distances"][0][0] == 0

    with pytest.raises(AppError, match=r"broken\.jpg"):
        client.predict(handle_file(str(broken)), api_name="/expression_photo")


def test_a_clip_is_read_with_progress(client: Client, short_clip: Path) -> None:
    job = client.submit(handle_file(str(short_clip)), 5.0, api_name="/expression_clip")
    record = job.result(timeout=90)
    assert record["complete"] is True and len(record["frames"]) == 10
    steps = job.outputs()
    assert any(step["complete"] is False for step in steps)


def test_files_of_the_server_cannot_be_read(client: Client, studio_url: str) -> None:
    """A path that was never uploaded is refused, with and without the mark that makes it a file."""
    picture = str(Path(skimage.__file__).parent / "data" / "astronaut.png")
    for meta in ({}, {"meta": {"_type": "gradio.FileData"}}):
        body = {"data": [{"path": picture, **meta}]}
        called = httpx.post(f"{studio_url}gradio_api/call/expression_photo", json=body, timeout=30)
        answer = httpx.get(f"{studio_url}gradio_api/call/expression_photo/{called.json()['event_id']}", timeout=60)
        assert "event: error" in answer.text and "faces" not in answer.text


def test_only_documented_endpoints_are_public(client: Client) -> None:
    named = client.view_api(return_format="dict")["named_endpoints"]
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    missing = [name for name in named if f"`{name}`" not in text]
    assert not missing
    assert {"/expression_photo", "/expression_clip", "/expression_compare", "/expression_nearest"} <= set(named)
