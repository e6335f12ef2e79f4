"""From a performer and a driver to a film: options, a fast preview, and the full run, which keeps what it has."""

from __future__ import annotations

import os
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from models.clips import ClipFrame
from models.films import write_film
from models.images import encode_image
from models.types import Image
from studio.services.background import Done, Report, steps_of
from studio.services.expression import shrink
from studio.services.reenact import FILM_EDGE, KEPT_EDGE, Performer, Scene, played, scene_of
from studio.services.reenact_driver import Driver, read_whole, share_of
from studio.services.reenact_mark import film_metadata
from studio.services.reenact_motion import Moved, Options, retargeted

BATCH = 4
PREVIEW_FRAMES = 6
PREVIEW_EDGE = 320
READING_SHARE = 0.35
"""Of the whole work, where a clip still has to be read."""


class Reel:
    """Drawn frames on disk, losslessly, in a file without a name that is gone when nobody holds it any more."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()
        weakref.finalize(self, self._file.close)
        self._places: list[tuple[float, int, int]] = []

    def __len__(self) -> int:
        return len(self._places)

    def add(self, time_s: float, frame: Image) -> None:
        """Keep one more frame."""
        _, content = cv2.imencode(".png", frame[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
        start = self._places[-1][1] + self._places[-1][2] if self._places else 0
        os.pwrite(self._file.fileno(), content.tobytes(), start)
        self._places.append((time_s, start, len(content)))

    def __iter__(self) -> Iterator[ClipFrame]:
        for time_s, start, length in list(self._places):
            content = np.frombuffer(os.pread(self._file.fileno(), length, start), np.uint8)
            yield ClipFrame(time_s, np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR_RGB), np.uint8))


@dataclass(frozen=True, eq=False)
class Progress:
    """The work so far; `picture` is the newest frame as JPEG, empty before the first."""

    words: str
    share: float | None
    seconds_left: float | None
    picture: bytes


@dataclass(frozen=True, eq=False)
class Performance:
    """What came of it, complete or stopped."""

    performer: Performer
    driver: Driver
    """Read as far as it was needed."""
    moved: Moved
    options: Options
    scene: Scene
    reel: Reel
    film: bytes
    """MP4; of a single picture, nothing."""
    is_whole: bool
    reading_s: float
    drawing_s: float

    @property
    def is_still(self) -> bool:
        """Whether the driver was a single picture."""
        return len(self.moved.times) == 1

    @property
    def still(self) -> Image:
        """The first frame as it is taken home."""
        return self.scene.laid(next(iter(self.reel)).image)


@dataclass(frozen=True, eq=False)
class Preview:
    """A few frames at low cost."""

    frames: tuple[tuple[float, Image], ...]
    """Seconds and picture."""
    moved: Moved
    milliseconds: float


def preview(performer: Performer, driver: Driver, options: Options, *, mark: bool) -> Preview:
    """Draw a few frames spread over what is known of the driver."""
    begun = time.perf_counter()
    moved = retargeted(performer, driver, options)
    last = len(moved.drives) - 1
    numbers = sorted({round(place) for place in np.linspace(0, last, min(PREVIEW_FRAMES, last + 1))})
    drawn = played(performer, [moved.drives[number] for number in numbers])
    scene = scene_of(performer, edge=PREVIEW_EDGE, is_pasted=options.paste_back, mark=mark)
    frames = tuple((moved.times[number], scene.laid(frame)) for number, frame in zip(numbers, drawn, strict=True))
    return Preview(frames, moved, (time.perf_counter() - begun) * 1000)


def perform(
    performer: Performer, driver: Driver, options: Options, *, mark: bool, stopped: Callable[[], bool]
) -> Iterator[Progress | Performance]:
    """Yield the progress, then the performance; when `stopped` answers True, what there is until then."""
    newest: list[bytes] = [b""]

    def work(report: Report) -> Performance:
        return _carried_out(
            performer, driver, options, mark=mark, newest=newest, wanted=lambda *at: report(*at) and not stopped()
        )

    for step in steps_of(work, first="Reading the motion"):
        if isinstance(step, Done):
            yield step.result
        else:
            yield Progress(step.words, step.share, step.seconds_left, newest[0])


def _carried_out(
    performer: Performer, driver: Driver, options: Options, *, mark: bool, newest: list[bytes], wanted: Report
) -> Performance:
    begun = time.perf_counter()
    has_to_read = not driver.is_whole
    for reading in read_whole(driver):
        driver = reading
        if not wanted("Reading the motion", READING_SHARE * share_of(reading)):
            break
    moved = retargeted(performer, driver, options)
    read = time.perf_counter()
    # A single picture goes home at the photo's own size.
    edge = KEPT_EDGE if len(moved.drives) == 1 else FILM_EDGE
    scene, reel = scene_of(performer, edge=edge, is_pasted=options.paste_back, mark=mark), Reel()
    before = READING_SHARE if has_to_read else 0.0

    def pictures() -> Iterator[ClipFrame]:
        for start in range(0, len(moved.drives), BATCH):
            share = before + (1 - before) * start / len(moved.drives)
            if not driver.is_whole or not wanted(f"Drawing frame {start + 1} of {len(moved.drives)}", share):
                return
            drawn = played(performer, list(moved.drives[start : start + BATCH]))
            for time_s, frame in zip(moved.times[start:], drawn, strict=False):
                reel.add(time_s, frame)
                laid = scene.laid(frame)
                yield ClipFrame(time_s, laid)
            newest[0] = encode_image(shrink(laid, PREVIEW_EDGE)[0], "JPEG", quality=80)

    film = _film(pictures(), driver, rate=moved.rate) if len(moved.drives) > 1 else b""
    if len(moved.drives) == 1:
        for _ in pictures():
            pass
    drawn = time.perf_counter()
    is_whole = len(reel) == len(moved.drives)
    return Performance(
        performer, driver, moved, options, scene, reel, film, is_whole, read - begun, drawn - read
    )  # fmt: skip


def _film(pictures: Iterator[ClipFrame], driver: Driver, *, rate: float) -> bytes:
    sound = driver.path if driver.info is not None and driver.info.has_audio else None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.mp4"
        count = write_film(pictures, file, rate=rate, sound=sound, about=film_metadata())
        return file.read_bytes() if count else b""
