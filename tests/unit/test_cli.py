"""The command says what went wrong in words, and prints figures as one JSON line."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from models import registry
from models.brought import BROUGHT
from models.cards import all_cards
from models.downloads import DOWNLOADS
from models.errors import BadInput
from models.images import write_image
from models.types import EMOTIONS, Image
from studio.cli import app
from studio.settings import settings
from studio.start import check_port, open_store
from tests.conftest import ROOT

runner = CliRunner()


@pytest.fixture(scope="module", autouse=True)
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Commands of this module share a data folder of their own, and so the networks they load."""
    registry.load.cache_clear()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MIEN_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        environment.delenv("MIEN_WEIGHTS_DIR", raising=False)
        yield
    registry.load.cache_clear()
    registry.configure(device="auto", weights_folders=())


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[None]:
    settings.cache_clear()
    yield
    settings.cache_clear()


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    names = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert len(names) > 8
    assert not [name for name in names if f"`mien {name}" not in readme]


def test_all_weights_are_listed_with_what_to_do() -> None:
    listed = runner.invoke(app, ["weights", "list"]).output
    for name in DOWNLOADS:
        assert f"mien weights get {name}" in listed
    for name in BROUGHT:
        assert f"mien weights add {name} FILE" in listed
    for name in all_cards():
        assert f"{name} (" in listed


def test_a_weight_fetched_elsewhere_is_added_listed_and_removed(tmp_path: Path, weights_mirror: Path) -> None:
    source = tmp_path / "fetched.onnx"
    shutil.copy(weights_mirror / DOWNLOADS["yunet"].files[0].filename, source)
    assert "installed" in runner.invoke(app, ["weights", "add", "yunet", str(source)]).output
    assert "yunet (0.2 MB): here" in runner.invoke(app, ["weights", "list"]).output
    assert "is at" in runner.invoke(app, ["weights", "get", "yunet"]).output
    assert "Removed 1" in runner.invoke(app, ["weights", "remove", "yunet"]).output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["weights", "get", "nothing"], "no download is called"),
        (["train", "nothing", "--data", "."], "no recipe"),
        (["evaluate", "faces", "--faces", "nowhere"], "nowhere"),
        (["evaluate", "expression", "--folder", "nowhere"], "nowhere"),
        (["embed", "nowhere"], "nowhere is not there"),
        (["parity", "nothing", "--fixtures", "."], "no system"),
    ],
)
def test_mistakes_are_explained_without_a_stack_trace(arguments: list[str], words: str) -> None:
    done = runner.invoke(app, arguments)
    assert done.exit_code == 1
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.output


def test_a_wrong_setting_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_PORT", "many")
    done = runner.invoke(app, ["weights", "list"])
    assert done.exit_code == 1
    assert "MIEN_PORT" in done.stderr


def test_a_taken_port_is_explained() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(BadInput, match=rf"--port {port + 1}"):
            check_port("127.0.0.1", port)
        done = runner.invoke(app, ["serve", "--port", str(port)])
    assert done.exit_code == 1
    assert "cannot be used" in done.stderr
    check_port("127.0.0.1", port)


@pytest.mark.parametrize(
    "url", ["nonsense", "postgresql://someone:secret@127.0.0.1:9/mien", "sqlite:////proc/x/y.sqlite"]
)
def test_an_unreachable_database_is_explained_without_its_password(url: str) -> None:
    with pytest.raises(BadInput, match="MIEN_DATABASE_URL") as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def write_clip(path: Path, image: Image) -> None:
    """Write one second of the same picture at five frames a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.height, stream.width, stream.pix_fmt = image.shape[0], image.shape[1], "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def test_embedding_writes_one_row_for_each_face(tmp_path: Path, photo: Image) -> None:
    folder = tmp_path / "photos" / "inner"
    folder.mkdir(parents=True)
    write_image(photo, folder / "astronaut.jpg")
    write_image(photo[:80, :80].copy() // 8, folder / "nobody.png")
    write_clip(folder / "clip.mp4", photo[:256, 96:352].copy())
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture, and none is expected")
    out = tmp_path / "faces.parquet"
    arguments = ["embed", str(tmp_path / "photos"), "-o", str(out), "--batch", "2", "--every", "0.4"]
    done = runner.invoke(app, arguments)
    assert done.exit_code == 0, done.output
    counts = json.loads(done.stdout)
    assert (counts["files"], counts["pictures"], counts["failed"]) == (4, 2 + 3, 1)
    assert "broken.jpg" in done.stderr
    rows = pq.read_table(out).to_pylist()
    assert len(rows) == counts["faces"] >= 4
    still = next(row for row in rows if row["file"].endswith("astronaut.jpg"))
    assert sum(value**2 for value in still["vector"]) == pytest.approx(1, abs=1e-3)
    assert sum(still[f"emotion_{name}"] for name in EMOTIONS) == pytest.approx(1, abs=1e-3)
    assert still["left"] < 240 < still["right"]
    assert still["time_s"] is None
    moving = [row for row in rows if row["file"].endswith("clip.mp4")]
    assert [row["time_s"] for row in moving] == pytest.approx([0, 0.4, 0.8], abs=0.01)
    assert all(np.dot(row["vector"], still["vector"]) > 0.9 for row in moving), "the same face reads alike"
    assert not list(tmp_path.glob("*.part"))


def test_a_folder_without_pictures_is_explained(tmp_path: Path) -> None:
    done = runner.invoke(app, ["embed", str(tmp_path)])
    assert done.exit_code == 1
    assert "no photo or clip" in " ".join(done.stderr.split())


def test_bench_prints_speed_and_memory() -> None:
    done = runner.invoke(app, ["bench", "--repeats", "3"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    measured = ["photo_720p_to_vector_ms", "find_720p_ms", "landmarks_ms", "vector_ms", "vectors_per_s", "memory_mb"]
    assert all(figures[name] > 0 for name in measured)
    assert figures["find_720p_ms"] < figures["photo_720p_to_vector_ms"] * 1.5
