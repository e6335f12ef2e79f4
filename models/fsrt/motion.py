"""Motion without pixels: keypoints and expression vectors over time, and how one face takes over another's.

The modes follow FSRT and the First Order Motion Model; strengths, parts and smoothing come free with the split into
keypoints and expression.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import ConvexHull, QhullError

from models.errors import BadInput, NoFaceFound
from models.motion_files import read_arrays

KEYPOINTS = 10
EXPRESSION_CHANNELS = 256
FILE_KIND = "mien motion: fsrt keypoints and expression"
FILE_VERSION = 1
MAX_FILE_BYTES = 64 * 2**20
"""Unpacked; at about 1.1 kB a frame this is over half an hour at 30 frames a second."""

Mode = Literal["relative", "absolute"]
Part = Literal["all", "pose", "expression"]


@dataclass(frozen=True, eq=False)
class Motion:
    """What the networks read off a clip, frame by frame."""

    keypoints: NDArray[np.float32]
    """(T, 10, 2) x and y, -1..1 within the picture."""
    expressions: NDArray[np.float32]
    """(T, 256) unbounded."""
    frames_per_second: float

    def __post_init__(self) -> None:
        frames = len(self.keypoints)
        if frames == 0:
            raise BadInput("a motion needs at least one frame")
        if self.keypoints.shape != (frames, KEYPOINTS, 2) or self.expressions.shape != (frames, EXPRESSION_CHANNELS):
            shapes = f"{self.keypoints.shape} and {self.expressions.shape}"
            raise BadInput(f"a motion holds keypoints (T, 10, 2) and expressions (T, 256), got {shapes}")
        if not (np.isfinite(self.keypoints).all() and np.isfinite(self.expressions).all()):
            raise BadInput("the motion holds values that are not numbers")
        if not (math.isfinite(self.frames_per_second) and self.frames_per_second > 0):
            raise BadInput(f"frames per second must be above 0, got {self.frames_per_second}")

    def __len__(self) -> int:
        return len(self.keypoints)

    def save(self, path: Path) -> None:
        """Write a small .npz file; nothing in it shows a picture."""
        with path.open("wb") as file:
            np.savez_compressed(
                file,
                kind=np.array(FILE_KIND),
                version=np.array(FILE_VERSION),
                keypoints=self.keypoints.astype(np.float32),
                expressions=self.expressions.astype(np.float32),
                frames_per_second=np.array(float(self.frames_per_second)),
            )

    @classmethod
    def load(cls, path: Path) -> Motion:
        """Read a file written by `save`; raises BadInput for anything else."""
        entries = read_arrays(path, most_bytes=MAX_FILE_BYTES)
        try:
            kind, version = str(entries["kind"]), int(entries["version"])
            if kind != FILE_KIND:
                raise BadInput(f"{path.name} is not a motion read by FSRT's networks")
            if version != FILE_VERSION:
                raise BadInput(f"{path.name} is a motion file of version {version}; this Mien reads {FILE_VERSION}")
            return cls(
                keypoints=entries["keypoints"].astype(np.float32),
                expressions=entries["expressions"].astype(np.float32),
                frames_per_second=float(entries["frames_per_second"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"{path.name} is not a complete motion file: {error}") from error


@dataclass(frozen=True)
class RetargetOptions:
    """How a source follows a driver."""

    mode: Mode = "relative"
    """relative: move by what the driver moved since the reference frame; absolute: take its keypoints as they are."""
    adapt_scale: bool = True
    """In relative mode, measure movements in sizes of the face: a small driver moves a large source as far."""
    reference: int = 0
    """The driver's frame that is most like the source; see `best_frame`."""
    part: Part = "all"
    """pose: keep the source's expression; expression: keep its keypoints."""
    pose_strength: float = 1.0
    expression_strength: float = 1.0
    """0 stays with the source, 1 is the driver, above 1 exaggerates."""
    smoothing_seconds: float = 0.0
    """Standard deviation of the Gaussian over time; 0.05 calms jitter, 0.2 blurs words."""


def hull_area(points: NDArray[np.floating[Any]]) -> float:
    """Area of the convex hull of points (n, 2); 0 when they lie on a line."""
    try:
        return float(ConvexHull(points[:, :2]).volume)
    except QhullError:
        return 0.0


def adaptive_scale(source: NDArray[np.floating[Any]], reference: NDArray[np.floating[Any]]) -> float:
    """Size of the source's keypoints (10, 2) over that of the driver's reference frame; 1 where either has none."""
    source_area, reference_area = hull_area(source), hull_area(reference)
    if source_area == 0.0 or reference_area == 0.0:
        return 1.0
    return math.sqrt(source_area) / math.sqrt(reference_area)


def relative_keypoints(
    source: NDArray[np.floating[Any]],
    driver: NDArray[np.floating[Any]],
    *,
    reference: NDArray[np.floating[Any]],
    adapt_scale: bool,
) -> NDArray[np.float32]:
    """Move the source's keypoints (10, 2) as the driver's (T, 10, 2) moved since its reference frame (10, 2)."""
    scale = adaptive_scale(source, reference) if adapt_scale else 1.0
    return (source + (driver - reference) * scale).astype(np.float32)


def smooth(motion: Motion, seconds: float) -> Motion:
    """Average over time with a Gaussian of this standard deviation, without delay; the ends repeat themselves."""
    if seconds < 0:
        raise BadInput(f"smoothing must be 0 or more seconds, got {seconds}")
    sigma = seconds * motion.frames_per_second
    if sigma == 0:
        return motion
    return replace(
        motion,
        keypoints=gaussian_filter1d(motion.keypoints, sigma, axis=0, mode="nearest"),
        expressions=gaussian_filter1d(motion.expressions, sigma, axis=0, mode="nearest"),
    )


def _between(start: NDArray[np.float32], end: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Exactly `start` at 0 and exactly `end` at 1."""
    return ((1.0 - share) * start + share * end).astype(np.float32)


def retarget(
    motion: Motion,
    *,
    keypoints: NDArray[np.float32],
    expression: NDArray[np.float32],
    options: RetargetOptions | None = None,
) -> Motion:
    """Turn a driver's motion into the source's; with several sources, give the first one's keypoints and expression.

    keypoints (10, 2), expression (256,).
    """
    options = options or RetargetOptions()
    if not 0 <= options.reference < len(motion):
        raise BadInput(f"the reference frame must be within 0..{len(motion) - 1}, got {options.reference}")
    driver = smooth(motion, options.smoothing_seconds)
    moved = driver.keypoints
    if options.mode == "relative":
        reference = driver.keypoints[options.reference]
        moved = relative_keypoints(keypoints, moved, reference=reference, adapt_scale=options.adapt_scale)
    pose = 0.0 if options.part == "expression" else options.pose_strength
    strength = 0.0 if options.part == "pose" else options.expression_strength
    return Motion(
        keypoints=_between(keypoints, moved, pose),
        expressions=_between(expression, driver.expressions, strength),
        frames_per_second=motion.frames_per_second,
    )


def best_frame(source: NDArray[np.floating[Any]], driver: Sequence[NDArray[np.floating[Any]] | None]) -> int:
    """The driver's frame whose landmarks are most like the source's, up to place and size.

    Landmarks are (n, 2) or (n, 3), the same points for all; frames without a face are None and passed over. Raises
    NoFaceFound when none is left.
    """
    aim = _normalised(source)
    if aim is None:
        raise NoFaceFound("the source's landmarks lie on a line; choose another picture")
    distances: dict[int, float] = {}
    for index, landmarks in enumerate(driver):
        shape = None if landmarks is None else _normalised(landmarks)
        if shape is not None:
            distances[index] = float(np.square(shape - aim).sum())
    if not distances:
        raise NoFaceFound(f"no face in any of the {len(driver)} frames of the driver")
    return min(distances, key=distances.__getitem__)


def _normalised(landmarks: NDArray[np.floating[Any]]) -> NDArray[np.float64] | None:
    points = landmarks[:, :2].astype(np.float64)
    points = points - points.mean(axis=0)
    area = hull_area(points)
    return points / math.sqrt(area) if area > 0 else None
