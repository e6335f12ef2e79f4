"""FSRT's own networks in the Reenact tab, for those who brought them: slow on a CPU, so measured before they run.

They read keypoints and an expression off pixels. A motion of Mien's own therefore does not move them, nor do sliders.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from models import registry
from models.clips import frames
from models.errors import BadInput, Cancelled
from models.fsrt.motion import Motion, RetargetOptions, best_frame, retarget
from models.fsrt_open.crop import cut_box
from models.images import read_image
from models.types import Image
from models.weights import find_weight
from studio.gpu import is_lent, on_gpu
from studio.services.background import Report
from studio.services.reenact import Performer, crops, scaled_box, scene_of
from studio.services.reenact_driver import MOST_SECONDS, Driver, expected_frames
from studio.services.reenact_motion import GRID, PREVIEW_EDGE, Moved, Options, Plan, Preview

if TYPE_CHECKING:
    from models.fsrt.official import EncodedSource, Reading

NAME = "FSRT, official (your files)"
PREVIEW_STRIDE, PREVIEW_FRAMES = 4, 3
WINDOW_IN_SPREADS = 3
"""Smoothing is asked for as a window, which is about three standard deviations."""
MOST_WAIT_S = 1200.0
"""A film that would take longer is refused on the page: uploads and results are forgotten after half an hour."""


def is_here() -> bool:
    """Tell whether the keypoint detector and one of the two checkpoints were brought."""
    return _found("fsrt-keypoints") and any(map(_found, ("fsrt-vox256", "fsrt-vox256-two-sources")))


def network_for(photos: int, *, half: bool = False) -> str:
    """Return the registry's name of the checkpoint for so many photos: the one trained with as many, where it is here.

    Raises MissingWeights through the registry when neither is.
    """
    fitting = ("fsrt-vox256", "fsrt-vox256-two-sources")
    order = fitting if photos == 1 else fitting[::-1]
    name = next((name for name in order if _found(name)), order[0])
    return f"{name}-half" if half else name


def _found(name: str) -> bool:
    return find_weight(name, *registry.places().weights_folders) is not None


@dataclass(frozen=True, eq=False)
class Studied:
    """What the networks read of a face and of some frames of its driver, kept between previews."""

    performer: Performer
    driver: Driver
    network: str
    source: EncodedSource
    """Its memory is empty where a GPU is lent for each call."""
    motion: Motion
    """Of the frames that were looked at."""
    times: tuple[float, ...]
    pixel_s: float
    """Seconds to draw one pixel, as measured here."""


# ---- the networks, each call on its own ----


@on_gpu
def encode(network: str, squares: list[Image]) -> EncodedSource:
    """Encode the squares of one to three photos."""
    encoded: EncodedSource = registry.load(network).encode_source(squares)
    return replace(encoded, memory=()) if is_lent() else encoded


@on_gpu
def read(network: str, squares: list[Image]) -> list[Reading]:
    """Read keypoints and expression off driving squares."""
    fsrt = registry.load(network)
    return [fsrt.read(square) for square in squares]


@on_gpu
def render(
    network: str,
    squares: list[Image],
    source: EncodedSource,
    reading: Reading,
    stride: int,
    on_progress: Callable[[float], None] | None = None,
) -> Image:
    """Draw one frame, every `stride`-th pixel of it; `on_progress` may raise Cancelled."""
    fsrt = registry.load(network)
    encoded = source if source.memory else fsrt.encode_source(squares)
    drawn: Image = fsrt.render(encoded, reading, stride=stride, on_progress=on_progress)
    return drawn


# ---- what moves them ----


def refusal(driver: Driver, options: Options) -> str:
    """Say why the chosen network cannot follow this driver; empty where it can."""
    if options.network == "official" and driver.taken is not None:
        return (
            "FSRT's networks read a motion off pixels. Give a clip, a recording, a photo, or a motion saved with them; "
            "a motion of Mien's own moves only Mien's own network."
        )
    if options.network != "official" and driver.official is not None:
        return "This motion was read by FSRT's networks and moves only them. Choose them under “Drawn by”."
    return ""


def squares_of(driver: Driver) -> Iterator[Image]:
    """Yield the driver's square of each frame, one at a time; of a photo, from the copy that was kept."""
    if driver.box is None:
        raise BadInput("This driver has no picture to read.")
    if driver.path is None:
        yield from (square for _, square in small_squares(driver))
        return
    if not driver.path.is_file():
        raise BadInput("The clip is no longer here; uploads are forgotten after half an hour. Give it again.")
    for frame in frames(driver.path, most_seconds=MOST_SECONDS):
        yield cut_box(frame.image, driver.box).pixels


def small_squares(driver: Driver) -> Iterator[tuple[float, Image]]:
    """Yield time and square of the frames kept small, which is enough: the detector looks at 64 x 64 pixels."""
    for frame in driver.frames:
        picture = read_image(frame.picture)
        if driver.box is not None:
            box = scaled_box(driver.box, picture.shape[1] / driver.size[0])
            yield frame.time_s, cut_box(picture, box).pixels


def motion_of(readings: Sequence[Reading], rate: float) -> Motion:
    """Join what was read off frame after frame."""
    if not readings:
        raise BadInput("The clip holds no frame.")
    return Motion(
        keypoints=np.stack([reading.keypoints for reading in readings]),
        expressions=np.stack([reading.expression for reading in readings]),
        frames_per_second=rate,
    )


def reference_in(driver: Driver, motion: Motion, performer: Performer, wanted_s: float | None, source: Motion) -> int:
    """The frame movements are counted from: at `wanted_s`, or the one whose face is most like the source's.

    Faces are compared by their landmarks, as FSRT's authors do, and frames without one are passed over; a motion file
    has keypoints only.
    """
    if wanted_s is not None:
        return int(np.abs(np.array(driver.times[: len(motion)]) - wanted_s).argmin())
    if driver.official is not None:
        return best_frame(source.keypoints[0], list(motion.keypoints))
    found = [None if frame.face is None else frame.face.landmarks for frame in driver.frames[: len(motion)]]
    return best_frame(performer.photos[0].face.landmarks, found)


def moved_by(
    performer: Performer, driver: Driver, motion: Motion, source: EncodedSource, options: Options
) -> tuple[Motion, int | None]:
    """Return the source's own motion, and the frame its movements were counted from."""
    # A single picture has moved by nothing since itself: only what it shows can be taken.
    mode = "absolute" if len(motion) == 1 or options.mode == "absolute" else "relative"
    own = Motion(source.keypoints[:1], source.expressions[:1], motion.frames_per_second)
    reference = reference_in(driver, motion, performer, options.reference_s, own) if mode == "relative" else None
    told = RetargetOptions(
        mode="absolute" if mode == "absolute" else "relative",
        adapt_scale=options.adapt_scale,
        reference=reference or 0,
        part="pose" if options.part == "pose" else "expression" if options.part == "expression" else "all",
        expression_strength=options.strength,
        smoothing_seconds=options.smoothing_s / WINDOW_IN_SPREADS,
    )
    return retarget(motion, keypoints=own.keypoints[0], expression=own.expressions[0], options=told), reference


def readings_of(motion: Motion) -> list[Reading]:
    """Return a motion frame by frame."""
    from models.fsrt.official import Reading  # noqa: PLC0415 - torch loads when a face is first animated

    return [Reading(*one) for one in zip(motion.keypoints, motion.expressions, strict=True)]


# ---- the preview, and how long the film will take ----


def study(
    performer: Performer, driver: Driver, options: Options, kept: Studied | None, *, mark: bool, report: Report
) -> tuple[Preview, Studied]:
    """Draw every fourth pixel of a few frames and measure how long a pixel takes.

    What `kept` holds of the same face and driver is not read again. Raises BadInput where the driver cannot move these
    networks, and Cancelled when `report` answers False.
    """
    refused = refusal(driver, options)
    if refused:
        raise BadInput(refused)
    begun = time.perf_counter()
    network = network_for(len(performer.photos), half=options.half)
    seen = _seen_before(performer, driver, network, kept, report)
    moved, reference = moved_by(performer, driver, seen.motion, seen.source, options)
    picked = sorted({round(place) for place in np.linspace(0, len(moved) - 1, min(PREVIEW_FRAMES, len(moved)))})
    readings, squares = readings_of(moved), crops(performer)[0]
    drawn, spent = [], []
    for count, number in enumerate(picked):
        _go_on(report, f"Drawing frame {count + 1} of {len(picked)} at 64 x 64", 0.6 + 0.4 * count / len(picked))
        before = time.perf_counter()
        drawn.append(render(network, squares, seen.source, readings[number], PREVIEW_STRIDE))
        spent.append(time.perf_counter() - before)
    scene = scene_of(performer, edge=PREVIEW_EDGE, is_pasted=options.paste_back, mark=mark, is_close=True)
    pictures = tuple((seen.times[number], scene.laid(frame)) for number, frame in zip(picked, drawn, strict=True))
    known = Moved(tuple(readings), seen.times, driver.rate, reference)
    preview = Preview(pictures, known, (time.perf_counter() - begun) * 1000)
    return preview, replace(seen, pixel_s=min(spent) / (GRID // PREVIEW_STRIDE) ** 2)


def _seen_before(performer: Performer, driver: Driver, network: str, kept: Studied | None, report: Report) -> Studied:
    """Encode the face and read the sampled frames, as far as it has not been done."""
    source = kept.source if kept and kept.performer is performer and kept.network == network else None
    if source is None:
        _go_on(report, "Encoding the face", 0.0)
        source = encode(network, crops(performer)[0])
    if kept is not None and kept.driver is driver:
        motion, times = kept.motion, kept.times
    elif driver.official is not None:
        motion, times = driver.official, tuple(driver.times)
    else:
        found: list[Reading] = []
        at: list[float] = []
        for time_s, square in small_squares(driver):
            _go_on(report, "Reading some frames of the motion", 0.2 + 0.4 * len(at) / len(driver.frames))
            found += read(network, [square])
            at.append(time_s)
        motion, times = motion_of(found, _pace(driver)), tuple(at)
    return Studied(performer, driver, network, source, motion, times, 0.0)


def _pace(driver: Driver) -> float:
    """Frames a second of what was looked at so far."""
    times = [frame.time_s for frame in driver.frames]
    seconds = times[-1] - times[0] if times else 0.0
    return float(np.clip((len(times) - 1) / seconds, 0.1, 240)) if seconds > 0 else driver.rate


def _go_on(report: Report, words: str, share: float | None) -> None:
    if not report(words, share):
        raise Cancelled("Stopped.")


def seconds_for(studied: Studied, options: Options) -> tuple[float, float]:
    """Return the seconds of one frame and of the whole film in the wanted size, as measured at the preview."""
    frame_s = studied.pixel_s * options.size**2
    return frame_s, frame_s * expected_frames(studied.driver)


def check_wait(studied: Studied | None, options: Options, *, most_frames: int) -> None:
    """Raise BadInput, as far as the preview tells, for a film that is longer than a visitor may have it."""
    if studied is not None:
        check_length(expected_frames(studied.driver), seconds_for(studied, options)[0], options, most_frames)


def check_length(count: int, frame_s: float, options: Options, most_frames: int) -> None:
    """Raise BadInput for more frames than the host allows, or than can be drawn before the film is forgotten.

    `frame_s` is what one frame in the wanted size takes here, as measured.
    """
    in_time = max(int(MOST_WAIT_S / frame_s), 1)
    if count <= min(most_frames, in_time):
        return
    each = f"{frame_s:.1f} s" if frame_s >= 0.1 else f"{frame_s * 1000:.0f} ms"
    allowed = f"at most {min(most_frames, in_time)} are drawn here"
    why = f"{MOST_WAIT_S / 60:.0f} minutes can be waited for" if in_time < most_frames else "the host allows no more"
    raise BadInput(
        f"This film has about {count} frames; {allowed} at {options.size} x {options.size}: one takes about {each} on "
        f"this machine, all of them {count * frame_s / 60:.0f} minutes, and {why}. Choose a shorter clip or a smaller "
        "size, or let `mien reenact --official` make it."
    )


# ---- the film ----


@dataclass(frozen=True, eq=False)
class Begun:
    """An encoded face, and how long a frame of it takes."""

    source: EncodedSource
    frame_s: float
    """Seconds of one frame in the wanted size, as measured here."""


def begin(performer: Performer, driver: Driver, options: Options, *, most_frames: int | None, report: Report) -> Begun:
    """Encode the face and draw a sixteenth of a frame, to know how long the film will take before it is begun.

    With `most_frames`, raises BadInput for a film longer than that, or than can be waited for. Raises Cancelled.
    """
    refused = refusal(driver, options)
    if refused:
        raise BadInput(refused)
    network, squares = network_for(len(performer.photos), half=options.half), crops(performer)[0]
    _go_on(report, "Encoding the face", 0.0)
    source = encode(network, squares)
    reading = read(network, squares[:1])[0]
    _go_on(report, "Measuring how long a frame takes", 0.0)
    before = time.perf_counter()
    render(network, squares, source, reading, PREVIEW_STRIDE)
    frame_s = (time.perf_counter() - before) * (options.size * PREVIEW_STRIDE / GRID) ** 2
    if most_frames is not None:
        check_length(expected_frames(driver), frame_s, options, most_frames)
    return Begun(source, frame_s)


def official_plan(
    performer: Performer,
    driver: Driver,
    options: Options,
    begun: Begun,
    *,
    most_frames: int | None = None,
    report: Report,
) -> Plan:
    """Read all of a driver with FSRT's networks; raises Cancelled when `report` answers False.

    The shares reported are of this part of the work. What a clip says of its own length may be wrong, so frames are
    counted again here.
    """
    network, squares = network_for(len(performer.photos), half=options.half), crops(performer)[0]
    source = begun.source
    motion = driver.official
    if motion is None:
        found: list[Reading] = []
        for square in squares_of(driver):
            _go_on(report, "FSRT reads the motion", len(found) / max(len(driver.frames), 1))
            found += read(network, [square])
            if most_frames is not None:
                check_length(len(found), begun.frame_s, options, most_frames)
        motion = motion_of(found, _pace(driver))
    moved, reference = moved_by(performer, driver, motion, source, options)
    readings = readings_of(moved)
    stride = GRID // options.size

    def draw(start: int, told: Callable[[float], None]) -> list[Image]:
        # A function cannot travel to where a GPU is lent; there a frame takes no time to stop in.
        watched = None if is_lent() else told
        return [render(network, squares, source, readings[start], stride, watched)]

    times = tuple(driver.times[: len(readings)])
    return Plan(Moved(tuple(readings), times, driver.rate, reference), motion, draw, begun.frame_s)
