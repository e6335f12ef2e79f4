"""Weights of others are found, fetched over HTTP, brought and removed; a wrong file is never loaded."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from models import weights
from models.brought import Brought
from models.downloads import DOWNLOADS, Download, DownloadFile
from models.errors import BadInput, BadWeights, MissingWeights

CONTENT = {"one.bin": b"first" * 100, "two.json": b"{}"}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def home(tmp_path: Path) -> Iterator[str]:
    """A public home of weights: a real HTTP server in this process."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def pair(home: str, monkeypatch: pytest.MonkeyPatch) -> Download:
    """A download of two files, known under the name pair."""
    files = tuple(
        DownloadFile(f"pair/{name}", f"{home}/{name}", hashlib.sha256(content).hexdigest(), len(content))
        for name, content in CONTENT.items()
    )
    download = Download("pair", "A pair", "Two files.", "us", "CC0-1.0", files)
    monkeypatch.setitem(DOWNLOADS, "pair", download)
    return download


def test_a_download_is_fetched_once_and_found(pair: Download, tmp_path: Path, home: str) -> None:
    target = tmp_path / "weights"
    with pytest.raises(MissingWeights, match="mien weights get pair"):
        weights.require_weight("pair", target)
    path = weights.get("pair", target)
    assert path.read_bytes() == CONTENT["one.bin"]
    (tmp_path / "home" / "one.bin").unlink()
    assert weights.get("pair", target) == path == weights.find_weight("pair", target)


def test_a_mirror_comes_first(pair: Download, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    weights.get("pair", mirror)
    assert weights.get("pair", tmp_path / "mine", mirrors=[mirror]).is_relative_to(mirror)
    assert not (tmp_path / "mine").exists()


def test_another_file_under_the_name_is_refused(pair: Download, tmp_path: Path) -> None:
    (tmp_path / "home" / "one.bin").write_bytes(b"evil" * 125)
    with pytest.raises(BadWeights, match="another file"):
        weights.get("pair", tmp_path / "weights")
    assert weights.find_weight("pair", tmp_path / "weights") is None
    folder = tmp_path / "weights" / "pair"
    folder.mkdir(exist_ok=True)
    for name in CONTENT:
        (folder / name).write_bytes(b"evil" * 125)
    with pytest.raises(BadWeights, match="delete it"):
        weights.find_weight("pair", tmp_path / "weights")


def test_no_network_says_what_else_to_do(pair: Download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = DownloadFile("far/one.bin", "http://127.0.0.1:9/one.bin", "0" * 64, 5)
    monkeypatch.setitem(DOWNLOADS, "far", Download("far", "Far", "", "", "", (far,)))
    with pytest.raises(MissingWeights, match="mien weights add far FILE"):
        weights.get("far", tmp_path)


def test_a_download_fetched_elsewhere_is_added_and_removed(pair: Download, tmp_path: Path) -> None:
    target = tmp_path / "weights"
    assert "installed" in weights.add("pair", tmp_path / "home", target)
    assert weights.find_weight("pair", target) is not None
    assert len(weights.remove("pair", target)) == 2
    assert weights.find_weight("pair", target) is None
    with pytest.raises(BadWeights, match="sha256"):
        weights.add("yunet", tmp_path / "home" / "one.bin", target)


def install_upper(source: Path, target: Path) -> str:
    text = source.read_text()
    if not text.isalpha():
        raise BadWeights("letters only")
    target.write_text(text.upper())
    return "Letters are installed."


def test_a_brought_file_is_checked_and_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Brought(
        "letters", "Letters", "letters/a.txt", f"{__name__}:install_upper", "A poet", "all rights", "a book", "verse"
    )
    monkeypatch.setitem(weights.BROUGHT, "letters", entry)
    source, target = tmp_path / "a.txt", tmp_path / "weights"
    source.write_text("abc")
    with pytest.raises(MissingWeights, match="mien weights add letters FILE"):
        weights.require_weight("letters", target)
    assert weights.add("letters", source, target) == "Letters are installed."
    assert weights.require_weight("letters", target).read_text() == "ABC"
    source.write_text("1 2 3")
    with pytest.raises(BadWeights):
        weights.add("letters", source, target)
    with pytest.raises(BadInput, match="has to be brought"):
        weights.get("letters", target)


@pytest.mark.parametrize("call", [weights.find_weight, weights.get, weights.remove])
def test_unknown_names_are_refused(call: object, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="called 'nothing'"):
        call("nothing", tmp_path)  # type: ignore[operator]
    with pytest.raises(BadInput):
        weights.add("nothing", tmp_path, tmp_path)


def test_records_of_downloads_are_complete() -> None:
    for name, download in DOWNLOADS.items():
        assert download.name == name
        assert all((download.title, download.what, download.who, download.licence))
        for file in download.files:
            assert file.url.startswith("https://")
            assert len(file.sha256) == 64
            assert not Path(file.filename).is_absolute()
            assert ".." not in file.filename
