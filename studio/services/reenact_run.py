"""From a performer and a driver to a film: options, a fast preview, and the full run, which keeps what it has."""

from __future__ import annotations

import os
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from models.clips import ClipFrame
from models.errors import Cancelled
from models.films import write_film
from models.fsrt.motion import Motion as OfficialMotion
from models.images import encode_image
from models.motions import Motion
from models.types import Image
from studio.services.background import Done, Report, steps_of
from studio.services.expression import shrink
from studio.services.reenact import FILM_EDGE, KEPT_EDGE, Performer, Scene, played, scene_of
from studio.services.reenact_driver import Driver, read_whole, share_of
from studio.services.reenact_mark import film_metadata
from studio.services.reenact_motion import PREVIEW_EDGE, Moved, Options, Plan, Preview, retargeted
from studio.services.reenact_official import Begun, begin, official_plan

BATCH = 4
PREVIEW_FRAMES = 6
READING_SHARE = 0.35
"""Of the whole work, where a clip still has to be read."""
OFFICIAL_SHARES = {64: 0.35, 128: 0.15, 256: 0.05}
"""The same for FSRT's own networks, of which half goes by finding faces; they draw long."""


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
    motion: Motion | OfficialMotion
    """What drove it, to be taken home."""
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


def preview(performer: Performer, driver: Driver, options: Options, *, mark: bool) -> Preview:
    """Draw a few frames spread over what is known of the driver."""
    begun = time.perf_counter()
    moved = retargeted(performer, driver, options)
    last = len(moved.drives) - 1
    numbers = sorted({round(place) for place in np.linspace(0, last, min(PREVIEW_FRAMES, last + 1))})
    drawn = played(performer, [moved.drives[number] for number in numbers])
    scene = scene_of(performer, edge=PREVIEW_EDGE, is_pasted=options.paste_back, mark=mark, is_close=True)
    frames = tuple((moved.times[number], scene.laid(frame)) for number, frame in zip(numbers, drawn, strict=True))
    return Preview(frames, moved, (time.perf_counter() - begun) * 1000)


@dataclass
class Screen:
    """What the work shows while it goes on."""

    picture: bytes = b""
    """The newest frame as JPEG."""
    seconds_left: float | None = None
    """Where the time of a frame is known; else the share that is done tells it."""


def perform(
    performer: Performer,
    driver: Driver,
    options: Options,
    *,
    mark: bool,
    stopped: Callable[[], bool],
    most_frames: int | None = None,
) -> Iterator[Progress | Performance]:
    """Yield the progress, then the performance; when `stopped` answers True, what there is until then.

    With `most_frames`, FSRT's own networks raise BadInput for a longer film before they begin to draw it.
    """
    screen = Screen()

    def work(report: Report) -> Performance:
        return _carried_out(
            performer, driver, options, mark=mark, screen=screen, most_frames=most_frames,
            wanted=lambda *at: report(*at) and not stopped(),
        )  # fmt: skip

    for step in steps_of(work, first="Reading the motion"):
        if isinstance(step, Done):
            yield step.result
        else:
            left = step.seconds_left if screen.seconds_left is None else screen.seconds_left
            yield Progress(step.words, step.share, left, screen.picture)


def _carried_out(
    performer: Performer, driver: Driver, options: Options, *, mark: bool, screen: Screen, most_frames: int | None,
    wanted: Report,
) -> Performance:  # fmt: skip
    started = time.perf_counter()
    begun = _begun(performer, driver, options, most_frames=most_frames, wanted=wanted)
    has_to_read = not driver.is_whole
    whole_share = OFFICIAL_SHARES[options.size] if options.network == "official" else READING_SHARE
    before = whole_share if has_to_read else 0.0
    for reading in read_whole(driver):
        driver = reading
        if not wanted("Reading the motion", before / (2 if options.network == "official" else 1) * share_of(reading)):
            break
    plan = _plan(performer, driver, options, begun, most_frames=most_frames, wanted=wanted, before=before)
    moved = plan.moved
    read = time.perf_counter()
    # A single picture goes home at the photo's own size.
    edge = KEPT_EDGE if len(moved.drives) == 1 else FILM_EDGE
    scene, reel = scene_of(performer, edge=edge, is_pasted=options.paste_back, mark=mark), Reel()
    pictures = _pictures(plan, scene, reel, screen, wanted=wanted, before=before) if driver.is_whole else iter(())
    film = _film(pictures, driver, rate=moved.rate) if len(moved.drives) > 1 else b""
    if len(moved.drives) == 1:
        for _ in pictures:
            pass
    drawn = time.perf_counter()
    is_whole = 0 < len(reel) == len(moved.drives)
    return Performance(
        performer, driver, plan.motion, moved, options, scene, reel, film, is_whole, read - started, drawn - read
    )  # fmt: skip


def _begun(
    performer: Performer, driver: Driver, options: Options, *, most_frames: int | None, wanted: Report
) -> Begun | None:
    """Encode the face and measure a frame where FSRT's own networks draw; None elsewhere, or where it was stopped."""
    if options.network != "official":
        return None
    try:
        return begin(performer, driver, options, most_frames=most_frames, report=wanted)
    except Cancelled:
        return None


def _plan(
    performer: Performer, driver: Driver, options: Options, begun: Begun | None, *, most_frames: int | None,
    wanted: Report, before: float,
) -> Plan:  # fmt: skip
    """What the face does, and how it is drawn; nothing to draw where the visitor stopped the reading."""
    if options.network != "official":
        moved = retargeted(performer, driver, options)
        return Plan(
            moved, driver.motion, lambda start, _told: played(performer, list(moved.drives[start : start + BATCH]))
        )

    def report(words: str, share: float | None) -> bool:
        return driver.is_whole and wanted(words, before * (1 + (share or 0.0)) / 2)

    nothing = Plan(Moved((), (), driver.rate, None), driver.official or driver.motion, lambda _start, _told: [])
    if begun is None:
        return nothing
    try:
        return official_plan(performer, driver, options, begun, most_frames=most_frames, report=report)
    except Cancelled:
        return nothing


def _pictures(
    plan: Plan, scene: Scene, reel: Reel, screen: Screen, *, wanted: Report, before: float
) -> Iterator[ClipFrame]:
    """Draw frame after frame into the reel, and yield them as they are shown; ends where the visitor stops it."""
    total, began = len(plan.moved.drives), time.perf_counter()

    def told(start: int, share: float) -> None:
        if plan.frame_s is not None:
            done = start + share
            each = (time.perf_counter() - began) / done if done >= 1 else plan.frame_s
            screen.seconds_left = each * (total - done)
        if not wanted(f"Drawing frame {start + 1} of {total}", before + (1 - before) * (start + share) / total):
            raise Cancelled("Stopped.")

    while len(reel) < total:
        start = len(reel)
        try:
            told(start, 0.0)
            drawn = plan.draw(start, partial(told, start))
        except Cancelled:
            return
        for time_s, frame in zip(plan.moved.times[start:], drawn, strict=False):
            reel.add(time_s, frame)
            laid = scene.laid(frame)
            yield ClipFrame(time_s, laid)
        screen.picture = encode_image(shrink(laid, PREVIEW_EDGE)[0], "JPEG", quality=80)


def _film(pictures: Iterator[ClipFrame], driver: Driver, *, rate: float) -> bytes:
    sound = driver.path if driver.info is not None and driver.info.has_audio else None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.mp4"
        count = write_film(pictures, file, rate=rate, sound=sound, about=film_metadata())
        return file.read_bytes() if count else b""
