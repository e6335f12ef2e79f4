"""Motion without pixels: a face's points, coefficients and pose over time, and how one face takes over another's.

Everything stands in crop units: -1 and 1 are the edges of a square crop that stays where it is for a whole clip; x
points right, y down, z away in the same scale. A face's `shape` is what remains when the pose is undone: its points in
metres about the mean head's origin, in the same axes. No network and no picture is involved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from models.errors import BadInput, NoFaceFound
from models.faces.pose import align_to
from models.head.head import load_head
from models.head.parameters import TO_PICTURE
from models.motion_files import read_arrays
from models.types import BLENDSHAPES, LANDMARKS

Floats = NDArray[np.float32]

FILE_KIND = "mien motion: landmarks, coefficients and pose"
VERSION = 1
MOST_FRAMES = 20_000
MAX_FILE_BYTES = 128 * 2**20
"""Unpacked; a frame takes 6 kB, and half of that on disk."""
REACH = 50.0
"""Crop units beyond which nothing of a face can lie."""
DEGREES_PER_SPREAD = 20.0
"""So much of a turn counts as much as one unit of difference in expression when a reference frame is chosen."""

RIGHT_LIDS = ((246, 7), (161, 163), (160, 144), (159, 145), (158, 153), (157, 154), (173, 155))
LEFT_LIDS = ((466, 249), (388, 390), (387, 373), (386, 374), (385, 380), (384, 381), (398, 382))
LIPS = ((191, 95), (80, 88), (81, 178), (82, 87), (13, 14), (312, 317), (311, 402), (310, 318), (415, 324))
"""Points of an upper edge and those below them on the lower one."""


@dataclass(frozen=True, eq=False)
class Drive:
    """One frame of a motion: what a face does, and where it stands."""

    landmarks: Floats
    """(478, 3) crop units"""
    coefficients: Floats
    """(52,) in [0, 1], in the order of models.faces.names.BLENDSHAPE_NAMES"""
    rotation: Floats
    """(3, 3) from the upright head's axes to the crop's"""
    translation: Floats
    """(3,) where the head's origin lies, crop units"""
    scale: float
    """Crop units for a metre of the mean head."""

    @property
    def shape(self) -> Floats:
        """(478, 3) metres, with the pose undone."""
        return ((self.landmarks - self.translation) @ self.rotation / self.scale).astype(np.float32)

    def reshaped(self, shape: Floats) -> Drive:
        """The same pose with another shape (478, 3)."""
        return replace(self, landmarks=laid(shape, self.rotation, self.scale, self.translation))


def read_drive(landmarks: NDArray[np.floating[Any]], coefficients: NDArray[np.floating[Any]]) -> Drive:
    """Find the pose of points (478, 3) in crop units; raises BadInput for other shapes or what is no number."""
    if landmarks.shape != (LANDMARKS, 3) or coefficients.shape != (BLENDSHAPES,):
        raise BadInput(
            f"expected (478, 3) landmarks and (52,) coefficients, got {landmarks.shape}, {coefficients.shape}"
        )
    if not (np.isfinite(landmarks).all() and np.isfinite(coefficients).all()):
        raise BadInput("landmarks and coefficients must be numbers")
    frame = align_to(mean_landmarks(), landmarks.astype(np.float64))
    return Drive(
        landmarks=landmarks.astype(np.float32),
        coefficients=np.clip(coefficients, 0, 1).astype(np.float32),
        rotation=frame.rotation.astype(np.float32),
        translation=frame.centre.astype(np.float32),
        scale=float(frame.scale),
    )


def laid(shape: Floats, rotation: Floats, scale: float, translation: Floats) -> Floats:
    """Lay a shape (478, 3) in metres into the crop."""
    return (scale * shape @ rotation.T + translation).astype(np.float32)


@cache
def mean_landmarks() -> Floats:
    """(478, 3) the mean head's points in metres, in the axes of a crop."""
    head = load_head()
    return (head.neutral[head.landmark_vertices] * TO_PICTURE).astype(np.float32)


@cache
def action_directions() -> Floats:
    """(52, 478, 3) by how many metres each coefficient moves each point, in the axes of a crop."""
    head = load_head()
    return (head.expression[:, head.landmark_vertices] * TO_PICTURE).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Motion:
    """A face over time, in a crop that stays where it is."""

    landmarks: Floats
    """(T, 478, 3) crop units, the pose included; where no face was seen, those of a neighbouring frame"""
    coefficients: Floats
    """(T, 52) in [0, 1]"""
    rotation: Floats
    """(T, 3, 3) from the upright head's axes to the crop's"""
    translation: Floats
    """(T, 3) crop units"""
    scale: Floats
    """(T,) crop units for a metre of the mean head"""
    present: NDArray[np.bool_]
    """(T,) False where no face was seen"""
    fps: float
    version: int = VERSION

    def __post_init__(self) -> None:
        frames = len(self.landmarks)
        if not 0 < frames <= MOST_FRAMES:
            raise BadInput(f"a motion has 1 to {MOST_FRAMES} frames, got {frames}")
        wanted = {
            "landmarks": (frames, LANDMARKS, 3),
            "coefficients": (frames, BLENDSHAPES),
            "rotation": (frames, 3, 3),
            "translation": (frames, 3),
            "scale": (frames,),
            "present": (frames,),
        }
        for name, shape in wanted.items():
            values = getattr(self, name)
            if values.shape != shape:
                raise BadInput(f"a motion's {name} must be {shape}, got {values.shape}")
            if not np.isfinite(values).all() or (values.dtype != np.bool_ and np.abs(values).max() > 1e4):
                raise BadInput(f"a motion's {name} hold values that are no sensible numbers")
        if np.abs(self.landmarks).max() > REACH or self.scale.min() <= 0:
            raise BadInput("the motion's face lies far outside its crop")
        turned = self.rotation @ self.rotation.transpose(0, 2, 1)
        if np.abs(turned - np.eye(3)).max() > 0.02 or np.linalg.det(self.rotation).min() < 0:
            raise BadInput("the motion's rotations do not turn, they distort")
        if not (math.isfinite(self.fps) and 0 < self.fps <= 1000):
            raise BadInput(f"frames per second must lie above 0 and up to 1000, got {self.fps}")
        if self.version != VERSION:
            raise BadInput(f"this is a motion of version {self.version}; this Mien reads version {VERSION}")

    def __len__(self) -> int:
        return len(self.landmarks)

    def __iter__(self) -> Iterator[Drive]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> Drive:
        return Drive(
            self.landmarks[number],
            self.coefficients[number],
            self.rotation[number],
            self.translation[number],
            float(self.scale[number]),
        )

    @property
    def seconds(self) -> float:
        """How long the motion takes."""
        return len(self) / self.fps

    @classmethod
    def of(cls, drives: Sequence[Drive | None], *, fps: float) -> Motion:
        """Join frames; None where no face was seen. Raises NoFaceFound when there is no other frame."""
        present = np.array([drive is not None for drive in drives], dtype=bool)
        if not present.any():
            raise NoFaceFound(f"no face in any of the {len(drives)} frames")
        seen = np.flatnonzero(present)
        nearest = seen[np.abs(np.arange(len(drives))[:, None] - seen[None]).argmin(1)]
        held = [drive for drive in (drives[index] for index in nearest) if drive is not None]
        return cls(
            landmarks=np.stack([drive.landmarks for drive in held]),
            coefficients=np.stack([drive.coefficients for drive in held]),
            rotation=np.stack([drive.rotation for drive in held]),
            translation=np.stack([drive.translation for drive in held]),
            scale=np.array([drive.scale for drive in held], np.float32),
            present=present,
            fps=float(fps),
        )

    def save(self, path: Path) -> None:
        """Write a small .npz file; nothing in it shows a picture."""
        with path.open("wb") as file:
            np.savez_compressed(
                file,
                kind=np.array(FILE_KIND),
                version=np.array(self.version),
                landmarks=self.landmarks.astype(np.float32),
                coefficients=self.coefficients.astype(np.float16),
                rotation=self.rotation.astype(np.float32),
                translation=self.translation.astype(np.float32),
                scale=self.scale.astype(np.float32),
                present=self.present,
                fps=np.array(float(self.fps)),
            )

    @classmethod
    def load(cls, path: Path) -> Motion:
        """Read a file written by `save`; raises BadInput for anything else."""
        entries = read_arrays(path, most_bytes=MAX_FILE_BYTES)
        try:
            if str(entries["kind"]) != FILE_KIND:
                raise BadInput(f"{path.name} is not a motion of Mien's own networks")
            numbers = ("landmarks", "coefficients", "rotation", "translation", "scale")
            if any(entries[name].dtype.kind != "f" for name in numbers) or entries["present"].dtype != np.bool_:
                raise BadInput(f"{path.name} holds values of the wrong kind")
            return cls(
                **{name: entries[name].astype(np.float32) for name in numbers},
                present=entries["present"],
                fps=float(entries["fps"]),
                version=int(entries["version"]),
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise BadInput(f"{path.name} is not a complete motion file: {error}") from error


def best_reference(motion: Motion, source: Drive) -> int:
    """The frame whose expression and pose are most like the source's; frames without a face are passed over."""
    apart = np.linalg.norm(motion.coefficients - source.coefficients, axis=1)
    turned = Rotation.from_matrix(motion.rotation @ source.rotation.T).magnitude()
    distance = apart + np.degrees(turned) / DEGREES_PER_SPREAD
    if not motion.present.any():
        raise NoFaceFound(f"no face in any of the {len(motion)} frames of the driver")
    return int(np.where(motion.present, distance, np.inf).argmin())


def relative(motion: Motion, source: Drive, reference_frame: int) -> Motion:
    """Move the source's face by what the driver's did since its reference frame, in sizes of the face.

    The shape stays the source's own: only differences are taken over. Lids follow in shares of the source's own eye
    opening, so that a narrow eye and a wide one close alike.
    """
    if not 0 <= reference_frame < len(motion):
        raise BadInput(f"the reference frame must be within 0..{len(motion) - 1}, got {reference_frame}")
    start, own = motion[reference_frame], source.shape
    size = source.scale / start.scale
    turn = start.rotation.T @ source.rotation
    opened = _opening_ratios(own, start.shape)
    moved = []
    for drive in motion:
        change = drive.shape - start.shape
        for lids, ratio in zip((RIGHT_LIDS, LEFT_LIDS), opened, strict=True):
            change[np.ravel(lids), 1] *= ratio
        pose = Drive(
            landmarks=source.landmarks,
            coefficients=np.clip(source.coefficients + drive.coefficients - start.coefficients, 0, 1),
            rotation=(drive.rotation @ turn).astype(np.float32),
            translation=source.translation + (drive.translation - start.translation) * np.float32(size),
            scale=drive.scale * size,
        )
        moved.append(pose.reshaped(kept_apart(own + change)))
    return replace(Motion.of(moved, fps=motion.fps), present=motion.present)


def absolute(motion: Motion, source: Drive) -> Motion:
    """Give the source the driver's pose and named actions as they are, on its own shape."""
    directions, own = action_directions(), source.shape
    moved = []
    for drive in motion:
        change = np.tensordot(drive.coefficients - source.coefficients, directions, 1)
        moved.append(drive.reshaped(kept_apart(own + change.astype(np.float32))))
    return replace(Motion.of(moved, fps=motion.fps), present=motion.present)


def scaled(motion: Motion, source: Drive, *, expression_strength: float = 1.0, pose_strength: float = 1.0) -> Motion:
    """Go only so far from the source as told: 0 stays with it, 1 is the motion, above 1 exaggerates."""
    own = source.shape
    moved = []
    for drive in motion:
        turn = Rotation.from_matrix(drive.rotation @ source.rotation.T).as_rotvec() * pose_strength
        pose = Drive(
            landmarks=drive.landmarks,
            coefficients=np.clip(_between(source.coefficients, drive.coefficients, expression_strength), 0, 1),
            rotation=(Rotation.from_rotvec(turn).as_matrix() @ source.rotation).astype(np.float32),
            translation=_between(source.translation, drive.translation, pose_strength),
            scale=float(source.scale * (drive.scale / source.scale) ** pose_strength),
        )
        moved.append(pose.reshaped(kept_apart(_between(own, drive.shape, expression_strength))))
    return replace(Motion.of(moved, fps=motion.fps), present=motion.present)


def pose_only(motion: Motion, source: Drive) -> Motion:
    """The motion's pose with the source's own expression."""
    return scaled(motion, source, expression_strength=0.0)


def expression_only(motion: Motion, source: Drive) -> Motion:
    """The motion's expression on a head that stays where the source's is."""
    return scaled(motion, source, pose_strength=0.0)


def smoothed(motion: Motion, seconds: float) -> Motion:
    """Calm jitter with a quadratic Savitzky-Golay filter over about so many seconds, without delay; 0 changes nothing.

    0.15 calms a webcam; above 0.4 blinks and words get lost.
    """
    from scipy.signal import savgol_filter  # noqa: PLC0415 - it takes a second to load

    if seconds < 0:
        raise BadInput(f"smoothing must be 0 or more seconds, got {seconds}")
    window = 2 * int(seconds * motion.fps / 2) + 1
    window = min(window, len(motion) - 1 + len(motion) % 2)
    if window < 5:
        return motion

    def calm(values: Floats) -> Floats:
        return savgol_filter(values, window, 2, axis=0, mode="interp").astype(np.float32)

    shapes = calm(np.stack([drive.shape for drive in motion]))
    left, _, right = np.linalg.svd(calm(motion.rotation))  # the nearest rotations to the averaged ones
    signs = np.ones((len(motion), 3))
    signs[:, 2] = np.sign(np.linalg.det(left @ right))
    rotation = ((left * signs[:, None]) @ right).astype(np.float32)
    translation, scale = calm(motion.translation), np.exp(calm(np.log(motion.scale)))
    places = zip(shapes, rotation, scale, translation, strict=True)
    return replace(
        motion,
        landmarks=np.stack([laid(shape, turn, float(size), place) for shape, turn, size, place in places]),
        coefficients=np.clip(calm(motion.coefficients), 0, 1),
        rotation=rotation,
        translation=translation,
        scale=scale.astype(np.float32),
    )


def kept_apart(shape: Floats) -> Floats:
    """Where an upper lid or lip has come to lie below the lower one, let both meet half way: (478, 3) -> (478, 3)."""
    upper, lower = np.array((*RIGHT_LIDS, *LEFT_LIDS, *LIPS)).T
    crossed = np.maximum(shape[upper, 1] - shape[lower, 1], 0) / 2
    kept = shape.astype(np.float32, copy=True)
    kept[upper, 1] -= crossed
    kept[lower, 1] += crossed
    return kept


def _opening_ratios(own: Floats, other: Floats) -> tuple[float, float]:
    """How much wider each of one face's eyes is open than another's, within a factor of two."""
    ratios = []
    for lids in (RIGHT_LIDS, LEFT_LIDS):
        upper, lower = np.array(lids).T
        heights = [float((shape[lower, 1] - shape[upper, 1]).mean()) for shape in (own, other)]
        ratios.append(float(np.clip(max(heights[0], 1e-4) / max(heights[1], 1e-4), 0.5, 2.0)))
    return ratios[0], ratios[1]


def _between(start: Floats, end: Floats, share: float) -> Floats:
    """Exactly `start` at 0 and exactly `end` at 1."""
    return ((1.0 - share) * start + share * end).astype(np.float32)
