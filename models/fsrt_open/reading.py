"""Read a motion off a clip: the face is followed from frame to frame, and no frame is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.clips import ClipFrame
from models.errors import BadInput, NoFaceFound
from models.faces.finder import FaceFinder
from models.fsrt_open.crop import drive_in_box, static_box
from models.motions import Motion
from models.types import Box, Face, Image

PATIENCE, SEARCH_EVERY = 3, 5
"""Whole frames are searched so often after the face was lost, and then every so many frames."""
STEADY = 0.2
"""Overlap that a face must have with its place in the frame before."""


@dataclass(frozen=True, eq=False)
class ClipReading:
    """A motion, and where and when it was read."""

    motion: Motion
    box: Box
    """The square that stays where it is for the whole clip, in the clip's pixels."""
    times: NDArray[np.float64]
    """(T,) seconds since the beginning"""


class Follower:
    """Finds one face in frame after frame, near where it was."""

    def __init__(self, finder: FaceFinder) -> None:
        self._finder = finder
        self._last: Face | None = None
        self._missed = 0

    def __call__(self, image: Image) -> Face | None:
        """The face, or None: after it was lost, whole frames are searched now and then."""
        if self._last is not None:
            near = self._finder.follow(image, [self._last])
            if near and near[0].box.overlap(self._last.box) > STEADY:
                return self._found(near[0])
        elif self._missed > PATIENCE and self._missed % SEARCH_EVERY:
            self._missed += 1
            return None
        faces = self._finder.find(image, most=3)
        if not faces:
            self._last = None
            self._missed += 1
            return None
        return self._found(max(faces, key=lambda face: face.box.width * face.box.height))

    def _found(self, face: Face) -> Face:
        self._last, self._missed = face, 0
        return face


def read_clip(
    frames: Iterable[ClipFrame],
    finder: FaceFinder,
    *,
    fps: float | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> ClipReading:
    """Read the largest face of a clip; without `fps` the frames' times tell it.

    `on_frame` gets the number of frames read and may raise Cancelled. Raises BadInput for a clip without frames and
    NoFaceFound for one without a face.
    """
    follow = Follower(finder)
    faces: list[Face | None] = []
    times: list[float] = []
    for time_s, image in frames:
        faces.append(follow(image))
        times.append(time_s)
        if on_frame is not None:
            on_frame(len(faces))
    if not faces:
        raise BadInput("the clip holds no frame")
    seen = [face for face in faces if face is not None]
    if not seen:
        raise NoFaceFound(f"no face in any of the {len(faces)} frames; the smallest that can be found is 40 px")
    box = static_box(np.stack([face.landmarks for face in seen]))
    drives = [None if face is None else drive_in_box(face, box) for face in faces]
    if fps is None:
        fps = (len(times) - 1) / max(times[-1] - times[0], 1e-3) if len(times) > 1 else 25.0
    return ClipReading(Motion.of(drives, fps=min(fps, 240.0)), box, np.array(times))
