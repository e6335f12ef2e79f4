"""A running studio, a real browser, and pictures to give it."""

from __future__ import annotations

import gc
import socket
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image as Pillow

from models import cards, registry
from models.types import Image
from studio.settings import read_settings
from studio.start import open_page

playwright = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright")
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


@pytest.fixture(scope="session", autouse=True)
def swept() -> Iterator[None]:
    """Collect what Gradio and its client leave open before pytest does, for which each such thing is an error."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="session")
def studio_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the whole studio with its shipped weights and a database of its own."""
    missing = {"faces", "deepfever"} - set(cards.all_cards())
    if missing:
        pytest.skip(f"the shipped weights {', '.join(sorted(missing))} are not there")
    settings = read_settings({"MIEN_DATA_DIR": str(tmp_path_factory.mktemp("studio"))})
    registry.load.cache_clear()
    app = open_page(replace(settings, port=_free_port()))
    yield str(app.local_url)
    app.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window, with an empty profile."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not there; apt-get install chromium")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield chromium
        chromium.close()


class Visitors:
    """Opens pages, each with a profile of its own, and collects what a page must never do."""

    def __init__(self, browser: Any, url: str) -> None:
        self._browser, self._url = browser, url
        self._contexts: list[Any] = []
        self.faults: list[str] = []

    def open(self, *, width: int = 1280, height: int = 900, scheme: str = "light") -> Any:
        """Return a page on which the studio is ready to be used."""
        size = {"width": width, "height": height}
        context = self._browser.new_context(viewport=size, color_scheme=scheme, accept_downloads=True)
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))
        page.on("request", lambda request: self._check_address(request.url))
        page.goto(self._url)
        page.wait_for_selector("#photo-zone .drop-zone")
        page.wait_for_selector("#photo-examples button")
        return page

    def _check_address(self, address: str) -> None:
        if not address.startswith((self._url.rstrip("/"), "data:", "blob:")):
            self.faults.append(f"request to elsewhere: {address}")

    def close(self) -> None:
        """Close all pages."""
        for context in self._contexts:
            context.close()


@pytest.fixture
def visitors(browser: Any, studio_url: str) -> Iterator[Visitors]:
    """Pages of the studio; after the test no script may have failed and nothing been asked of other hosts."""
    opened = Visitors(browser, studio_url)
    yield opened
    opened.close()
    assert not opened.faults


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="session")
def one_face(folder: Path, photo: Image) -> Path:
    return _saved(photo[:320, 60:400], folder / "one.png")


@pytest.fixture(scope="session")
def two_faces(folder: Path, photo: Image) -> Path:
    """The same person twice, once mirrored, side by side."""
    part = photo[:320, 60:380]
    return _saved(np.concatenate([part, part[:, ::-1]], axis=1), folder / "two.png")


@pytest.fixture(scope="session")
def no_face(folder: Path) -> Path:
    gradient = np.linspace(60, 200, 300, dtype=np.uint8)
    return _saved(np.repeat(np.tile(gradient, (200, 1))[..., None], 3, axis=2), folder / "none.png")


@pytest.fixture(scope="session")
def broken(folder: Path) -> Path:
    path = folder / "broken.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0 this is no picture")
    return path


def _saved(image: Image, path: Path) -> Path:
    Pillow.fromarray(np.ascontiguousarray(image)).save(path)
    return path


@pytest.fixture(scope="session")
def short_clip(folder: Path, photo: Image) -> Path:
    return moving_face(photo, folder / "short.mp4", seconds=2.0)


@pytest.fixture(scope="session")
def long_clip(folder: Path, photo: Image) -> Path:
    return moving_face(photo, folder / "long.mp4", seconds=30.0)


def moving_face(photo: Image, path: Path, *, seconds: float, rate: int = 10) -> Path:
    """Write a clip in which a face moves and grows, so that its readings change from frame to frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 320, 320, "yuv420p"
        stream.bit_rate = 2_000_000
        for number in range(round(seconds * rate)):
            edge = 240 + 60 * np.sin(number / 6)
            left, top = 230 - edge / 2, 130 - edge / 2 + 20
            box = (left, max(top, 0), left + edge, max(top, 0) + edge)
            picture = Pillow.fromarray(photo).resize((320, 320), Pillow.Resampling.BILINEAR, box=box)
            for packet in stream.encode(av.VideoFrame.from_image(picture)):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path
