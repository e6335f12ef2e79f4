"""Labelled faces as shapes: read the landmarks, bring them into one frontal, left-right symmetric frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from models.errors import BadInput
from models.faces.names import MIRRORED_BLENDSHAPES, MIRRORED_LANDMARKS

BROW_TOP, CHIN = 10, 152
FACE_OVAL = np.array(
    "10 338 297 332 284 251 389 356 454 323 361 288 397 365 379 378 400 377 152 148 176 149 150 136 172 58 132 93 234"
    " 127 162 21 54 103 67 109".split(),
    dtype=np.int64,
)
"""(36,) landmarks around the face, from the top of the forehead, by the person's left ear and the chin."""


@dataclass(frozen=True, eq=False)
class LabelledFaces:
    """Crops and what the teacher read off them; row i of every array is one picture."""

    folder: Path
    paths: np.ndarray
    identity: np.ndarray
    source: np.ndarray
    caption: np.ndarray
    landmarks: np.ndarray
    """(n, 478, 3) crop pixels"""
    blendshapes: np.ndarray
    """(n, 52)"""

    def __len__(self) -> int:
        return len(self.paths)

    def subset(self, keep: np.ndarray) -> LabelledFaces:
        """The rows chosen by a mask or by indices."""
        return LabelledFaces(
            self.folder,
            self.paths[keep],
            self.identity[keep],
            self.source[keep],
            self.caption[keep],
            self.landmarks[keep],
            self.blendshapes[keep],
        )


def read_labels(folder: Path) -> LabelledFaces:
    """Read `folder`/labels.npz; raises BadInput where it is missing."""
    file = folder / "labels.npz"
    if not file.is_file():
        raise BadInput(f"{file} is missing; `mien data label` makes it from a folder of photos")
    with np.load(file) as arrays:
        blank = np.full(len(arrays["path"]), folder.name)
        return LabelledFaces(
            folder=folder,
            paths=arrays["path"],
            identity=arrays["identity"],
            source=arrays["source"] if "source" in arrays else blank,
            caption=arrays["caption"] if "caption" in arrays else np.full(len(blank), ""),
            landmarks=arrays["landmarks"].astype(np.float64),
            blendshapes=arrays["blendshapes"].astype(np.float64),
        )


def mirror_shapes(shapes: np.ndarray) -> np.ndarray:
    """Mirror (..., 478, 3) shapes at x = 0, with left and right landmarks exchanged."""
    return shapes[..., MIRRORED_LANDMARKS, :] * np.array([-1.0, 1.0, 1.0])


def mirror_coefficients(coefficients: np.ndarray) -> np.ndarray:
    """Exchange the left and right names of (..., 52) blendshapes."""
    return coefficients[..., MIRRORED_BLENDSHAPES]


@dataclass(frozen=True, eq=False)
class Frames:
    """Similarity transforms that carry each picture's landmarks into the common frame."""

    scale: np.ndarray
    """(n,) common units per pixel"""
    rotation: np.ndarray
    """(n, 3, 3)"""
    shift: np.ndarray
    """(n, 3)"""

    def normalised(self, landmarks: np.ndarray) -> np.ndarray:
        """Carry (n, 478, 3) landmarks into the common frame."""
        turned = np.einsum("nij,npj->npi", self.rotation, landmarks)
        return self.scale[:, None, None] * turned + self.shift[:, None]

    @property
    def turn(self) -> np.ndarray:
        """(n, 3) rotation vectors, in degrees, from the common frame to the picture: x pitch, y yaw, z roll."""
        return np.degrees(Rotation.from_matrix(self.rotation.transpose(0, 2, 1)).as_rotvec())


def similarity_frames(landmarks: np.ndarray, target: np.ndarray) -> Frames:
    """The best similarity transform (Umeyama 1991, without reflection) of each (478, 3) shape onto `target`."""
    source_mean, target_mean = landmarks.mean(1), target.mean(0)
    source = landmarks - source_mean[:, None]
    goal = target - target_mean
    left, singular, right = np.linalg.svd(np.einsum("pi,npj->nij", goal, source))
    signs = np.ones_like(singular)
    signs[:, 2] = np.sign(np.linalg.det(left @ right))
    rotation = (left * signs[:, None]) @ right
    scale = (singular * signs).sum(1) / (source**2).sum((1, 2))
    shift = target_mean - scale[:, None] * np.einsum("nij,nj->ni", rotation, source_mean)
    return Frames(scale, rotation, shift)


def frontal_mean(landmarks: np.ndarray, *, rounds: int = 5) -> np.ndarray:
    """(478, 3) generalised Procrustes mean, mirror-symmetric, upright, unit root-mean-square radius, y down.

    Each round uses every face and its mirror image, so that the mean has no side of its own.
    """
    mean = _standardise(landmarks[0])
    for _ in range(rounds):
        shapes = similarity_frames(landmarks, mean).normalised(landmarks)
        mirrored = mirror_shapes(landmarks)
        twins = similarity_frames(mirrored, mean).normalised(mirrored)
        mean = _standardise((shapes.mean(0) + twins.mean(0)) / 2)
        mean = _symmetric(mean)
    return mean


def _standardise(shape: np.ndarray) -> np.ndarray:
    centred = shape - shape.mean(0)
    return centred / np.sqrt((centred**2).sum(1).mean())


def _symmetric(shape: np.ndarray) -> np.ndarray:
    """Turn a shape so that its mirror plane is x = 0, with forehead above chin, then average it with its mirror."""
    for _ in range(20):
        twin = mirror_shapes(shape)
        frame = similarity_frames(shape[None], twin)
        half = Rotation.from_rotvec(Rotation.from_matrix(frame.rotation[0]).as_rotvec() / 2).as_matrix()
        shape = shape @ half.T
        shape = shape - [(shape[:, 0].mean()), 0, 0]
    shape = (shape + mirror_shapes(shape)) / 2
    axis = shape[CHIN] - shape[BROW_TOP]
    upright = Rotation.from_euler("x", np.arctan2(axis[2], axis[1])).as_matrix().T
    return _standardise(shape @ upright.T)
