"""Read a clip frame by frame: follow one face, keep what is known when stopped, pick out the moments that stand out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models import registry
from models.clips import ClipFrame, frames, open_clip
from models.images import encode_image
from models.types import EMOTIONS, Expression, Face, Image
from studio.gpu import on_gpu
from studio.services.expression import scaled, shrink

MOST_SECONDS = 60.0
SEARCH_EDGE = 960
"""Frames are searched at this size: a face that matters in a clip is larger than 40 px there."""
SHOWN_EDGE = 480
BATCH = 4
SMOOTHING_S = 0.25
MOST_MOMENTS = 5


@dataclass(frozen=True, eq=False)
class FrameReading:
    """One frame of a clip; face and expression are None where no face was found."""

    time_s: float
    picture: bytes
    """JPEG, longest edge SHOWN_EDGE."""
    width: int
    height: int
    face: Face | None
    """In pixels of `picture`."""
    expression: Expression | None


@dataclass(frozen=True, eq=False)
class ClipReading:
    """The frames of a clip that were read so far."""

    name: str
    duration_s: float
    every_s: float
    frames: tuple[FrameReading, ...]
    is_complete: bool
    most_faces: int
    """The most faces seen in one frame; one of them is followed."""
    seconds_spent: float

    @property
    def read(self) -> tuple[FrameReading, ...]:
        """The frames in which the face was found."""
        return tuple(frame for frame in self.frames if frame.expression is not None)

    @property
    def share(self) -> float:
        """How much of the clip has been read, 0..1."""
        return 1.0 if self.is_complete else share_read(len(self.frames), self.every_s, self.duration_s)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest will take at the pace so far; None at the very start."""
        if self.share <= 0.0 or self.seconds_spent <= 0.0:
            return None
        return self.seconds_spent / self.share * (1.0 - self.share)


def share_read(frames: int, every_s: float, duration_s: float) -> float:
    """How much of a clip so many frames are, 0..1; all of it where its length is not known."""
    return 1.0 if duration_s <= 0 else min(frames * max(every_s, 1e-3) / duration_s, 1.0)


@dataclass(frozen=True)
class Moment:
    """A frame that stands out."""

    index: int
    """Into ClipReading.frames."""
    time_s: float
    title: str


@on_gpu
def find_and_read_frames(
    images: list[Image], followed: Face | None
) -> list[tuple[Face | None, Expression | None, int]]:
    """Return for each frame the followed face, its expression, and how many faces there were."""
    finder, reader = registry.load("faces"), registry.load("deepfever")
    answers: list[tuple[Face | None, Expression | None, int]] = []
    for image in images:
        faces = finder.find(image)
        face = follow(faces, followed)
        followed = face or followed
        expression = reader.read(image, [face])[0] if face is not None else None
        answers.append((face, expression, len(faces)))
    return answers


def follow(faces: list[Face], last: Face | None) -> Face | None:
    """Return the face that continues the last one: most overlap, or the largest when there is none to continue."""
    if not faces:
        return None
    if last is None:
        return max(faces, key=lambda face: face.box.width * face.box.height)
    best = max(faces, key=lambda face: face.box.overlap(last.box))
    # A lone face that jumped is the same person after a cut; among several nobody can tell.
    return best if best.box.overlap(last.box) > 0.1 or len(faces) == 1 else None


def read_clip(
    path: Path, *, name: str, frames_per_second: float, most_seconds: float = MOST_SECONDS
) -> Iterator[ClipReading]:
    """Yield the reading after every few frames; the last one is complete. Raises BadClip."""
    info = open_clip(path)
    rate = min(frames_per_second, info.frames_per_second) if frames_per_second > 0 else info.frames_per_second
    every = 1.0 / max(rate, 0.1)
    done: tuple[FrameReading, ...] = ()
    followed, most_faces, start = None, 0, time.perf_counter()
    source = frames(path, every=every if rate < info.frames_per_second else 0.0, most_seconds=most_seconds)
    yield ClipReading(name, info.duration_s, every, (), False, 0, 0.0)
    while batch := list(islice(source, BATCH)):
        searched = [shrink(frame.image, SEARCH_EDGE)[0] for frame in batch]
        answers = find_and_read_frames(searched, followed)
        done += tuple(
            _frame(frame, image, face, expression)
            for frame, image, (face, expression, _) in zip(batch, searched, answers, strict=True)
        )
        followed = next((face for face, _, _ in reversed(answers) if face is not None), followed)
        most_faces = max(most_faces, *(count for _, _, count in answers))
        yield ClipReading(name, info.duration_s, every, done, False, most_faces, time.perf_counter() - start)
    yield ClipReading(name, info.duration_s, every, done, True, most_faces, time.perf_counter() - start)


def _frame(frame: ClipFrame, searched: Image, face: Face | None, expression: Expression | None) -> FrameReading:
    shown, factor = shrink(searched, SHOWN_EDGE)
    height, width = shown.shape[:2]
    picture = encode_image(shown, "JPEG", quality=82)
    return FrameReading(frame.time_s, picture, width, height, scaled(face, factor) if face else None, expression)


def emotions_over_time(reading: ClipReading) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times (n,) and emotion probabilities (n, 8) of the frames with a face."""
    read = [(frame.time_s, frame.expression.emotions) for frame in reading.frames if frame.expression is not None]
    times = np.array([time_s for time_s, _ in read])
    return times, np.array([emotions for _, emotions in read], np.float64).reshape(len(read), len(EMOTIONS))


def actions_over_time(reading: ClipReading) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times (n,) and muscle actions (n, 52) of the frames with a face."""
    read = [(frame.time_s, frame.face.blendshapes) for frame in reading.frames if frame.face is not None]
    return np.array([time_s for time_s, _ in read]), np.array([row for _, row in read], np.float64).reshape(-1, 52)


def expressiveness(reading: ClipReading) -> NDArray[np.float64]:
    """Return for each frame with a face how far its expression is from the clip's usual one, smoothed, (n,)."""
    vectors = np.array([frame.expression.vector for frame in reading.frames if frame.expression is not None])
    if not len(vectors):
        return np.zeros(0)
    usual = np.median(vectors, axis=0)
    usual /= max(float(np.linalg.norm(usual)), 1e-6)
    away = np.linalg.norm(vectors - usual, axis=1)
    width = max(1, round(SMOOTHING_S / max(reading.every_s, 1e-3)))
    padded = np.pad(away, (width // 2, width - 1 - width // 2), mode="edge")
    return np.convolve(padded, np.ones(width) / width, mode="valid")


def key_moments(reading: ClipReading) -> list[Moment]:
    """Return the calmest frame and up to five peaks of expressiveness, in order of time."""
    from scipy.signal import find_peaks  # noqa: PLC0415 - it takes a second to load

    away = expressiveness(reading)
    if len(away) < 3:
        return []
    places = [index for index, frame in enumerate(reading.frames) if frame.expression is not None]
    apart = max(1, round(0.6 / max(reading.every_s, 1e-3)))
    edged = np.concatenate([[away.min()], away, [away.min()]])  # so that a peak may lie at either end
    spread = float(away.max() - away.min())
    peaks, found = find_peaks(edged, distance=apart, prominence=max(0.25 * spread, 0.02))
    strongest = peaks[np.argsort(-found["prominences"])][:MOST_MOMENTS] - 1
    chosen = {int(place): "" for place in strongest}
    chosen.setdefault(int(np.argmin(away)), "closest to the usual face")
    return [_moment(reading, places[place], words) for place, words in sorted(chosen.items())]


def _moment(reading: ClipReading, index: int, words: str) -> Moment:
    frame = reading.frames[index]
    if not words and frame.expression is not None:
        best = int(np.argmax(frame.expression.emotions))
        words = f"{EMOTIONS[best]} {frame.expression.emotions[best] * 100:.0f} %"
    return Moment(index, frame.time_s, words)
