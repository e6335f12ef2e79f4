"""A performance to take home: film, film beside its driver, GIF, frames, one picture, and the motion without pixels."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from models.clips import ClipFrame, frames
from models.errors import BadInput
from models.films import write_film, write_gif
from models.fsrt_open.crop import cut_box
from models.images import read_image
from models.types import Image
from studio.services.background import Done, Report, steps_of
from studio.services.expression import shrink
from studio.services.reenact import Scene
from studio.services.reenact_driver import MOST_SECONDS, motion_file
from studio.services.reenact_mark import COMMENT, film_metadata, frames_file, png_file
from studio.services.reenact_run import Performance

GIF_EDGE, GIF_RATE, MOST_GIF_FRAMES = 400, 12.5, 375
SIDE_EDGE = 512
MOST_ZIP_PIXELS = 60_000_000
"""Of all pictures of an archive together; about as many bytes go to the browser."""


@dataclass(frozen=True, eq=False)
class Made:
    """A file: how its name ends, and what is in it."""

    suffix: str
    media_type: str
    content: bytes


def carry_out(performance: Performance, kind: str) -> Generator[float | Made | None, None, None]:
    """Yield shares of the work, 0..1, then the file; raises BadInput for a kind that is none or does not fit."""
    writers = WRITERS | (STILL_WRITERS if performance.is_still else FILM_WRITERS)
    if kind not in writers:
        raise BadInput(f"Of this can be made {', '.join(writers)}, not {kind[:12]!r}.")
    for step in steps_of(lambda report: writers[kind](performance, report), first="Making the file"):
        yield step.result if isinstance(step, Done) else step.share


def _pictures(performance: Performance, report: Report) -> Iterator[ClipFrame]:
    total = max(len(performance.reel), 1)
    for number, (time_s, frame) in enumerate(performance.reel):
        if not report("", number / total):
            return
        yield ClipFrame(time_s, performance.scene.laid(frame))


def _film(performance: Performance, report: Report) -> Made:
    return Made("reenacted.mp4", "video/mp4", performance.film)


def _still(performance: Performance, report: Report) -> Made:
    return Made("reenacted.png", "image/png", png_file(performance.still))


def _motion(performance: Performance, report: Report) -> Made:
    return Made("motion.npz", "application/octet-stream", motion_file(performance.motion))


def _gif(performance: Performance, report: Report) -> Made:
    def fewer() -> Iterator[ClipFrame]:
        due = 0.0
        for time_s, image in _pictures(performance, report):
            if time_s + 1e-6 >= due:
                due = max(due + 1 / GIF_RATE, time_s)
                yield ClipFrame(time_s, np.ascontiguousarray(shrink(image, GIF_EDGE)[0]))

    content = _written(lambda file: write_gif(fewer(), file, rate=GIF_RATE, comment=COMMENT), "reenacted.gif")
    return Made("reenacted.gif", "image/gif", content)


def _frames(performance: Performance, report: Report) -> Made:
    shown = performance.still.size // 3
    scene, count = performance.scene, len(performance.reel)
    if shown * count > MOST_ZIP_PIXELS:
        scene = Scene(None, None, scene.mark)  # the face alone
        shown = next(iter(performance.reel)).image.size // 3
    step = max(1, int(np.ceil(shown * count / MOST_ZIP_PIXELS)))
    chosen = (frame for number, frame in enumerate(performance.reel) if number % step == 0)
    content = frames_file((time_s, scene.laid(frame)) for time_s, frame in chosen if report("", None))
    return Made("frames.zip", "application/zip", content)


def _side(performance: Performance, report: Report) -> Made:
    """The driver's frames at the left; for motions without pixels, the source as it was given."""

    def pairs() -> Iterator[ClipFrame]:
        beside = _beside(performance)
        for time_s, image in _pictures(performance, report):
            yield ClipFrame(time_s, joined(next(beside), image))

    driver = performance.driver
    sound = driver.path if driver.info is not None and driver.info.has_audio else None
    content = _written(
        lambda file: write_film(pairs(), file, rate=performance.moved.rate, sound=sound, about=film_metadata()),
        "side-by-side.mp4",
    )
    return Made("side-by-side.mp4", "video/mp4", content)


def _beside(performance: Performance) -> Iterator[Image]:
    """Endless: what stands beside the performance, frame by frame."""
    driver, photo = performance.driver, performance.performer.photos[0]
    image = photo.picture if performance.options.paste_back else cut_box(photo.picture, photo.box).pixels
    if driver.path is not None and driver.path.is_file():
        for _, image in frames(driver.path, most_seconds=MOST_SECONDS):
            yield image
    elif driver.frames:
        image = read_image(driver.frames[0].picture)
    while True:
        yield image


def joined(left: Image, right: Image) -> Image:
    """Put two pictures of any size side by side, both `right`'s height or SIDE_EDGE, whichever is less."""
    height = min(right.shape[0], SIDE_EDGE) // 2 * 2
    both = [cv2.resize(one, (_even(one.shape[1] * height / one.shape[0]), height), interpolation=cv2.INTER_AREA)
            for one in (left, right)]  # fmt: skip
    return np.concatenate(both, axis=1)


def _even(length: float) -> int:
    return max(2, round(length / 2) * 2)


def _written(write: Callable[[Path], object], name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        write(file)
        return file.read_bytes()


Writer = Callable[[Performance, Report], Made]
WRITERS: dict[str, Writer] = {"motion": _motion, "still": _still}
STILL_WRITERS: dict[str, Writer] = {}
FILM_WRITERS: dict[str, Writer] = {"film": _film, "side": _side, "gif": _gif, "frames": _frames}
