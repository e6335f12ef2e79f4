"""Head pose from landmarks: the rotation that lays the mean face over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.faces.names import MIRRORED_LANDMARKS
from models.types import HeadPose, Points

_UPPER = np.array(
    [33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 1, 2, 10, 151, 9, 8, 127, 234, 93, 356, 454, 323, 21, 251]
)
"""Points that expression hardly moves: eye corners, nose, forehead and temples."""
_LEVEL = 6.1
"""Degrees of pitch that MediaPipe's frame of the head differs from the mean of its own landmarks (1,563 faces)."""


def mean_shape(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average shape (478, 3) of many faces (N, 478, 3): unit size, centred, mirror-symmetric, looking at the camera."""
    shapes = [_unit(shape) for shape in landmarks.astype(np.float64)]
    mean = shapes[0]
    for _ in range(5):
        mean = np.mean([shape @ _rotation(shape, mean).T for shape in shapes], 0)
        mean = _unit((mean + mean[MIRRORED_LANDMARKS] * [-1, 1, 1]) / 2)
    return mean.astype(np.float32)


def head_pose(landmarks: Points, mean: NDArray[np.float32]) -> HeadPose:
    """Angles in degrees of the rotation from the mean face (478, 3) to `landmarks` (478, 3) in pixels (Kabsch 1976)."""
    rotation = _rotation(mean[_UPPER].astype(np.float64), landmarks[_UPPER].astype(np.float64))
    ahead = rotation @ np.array([0.0, 0.0, -1.0])  # the way the face looks; -z is towards the camera
    across = rotation @ np.array([1.0, 0.0, 0.0])
    yaw = np.degrees(np.arctan2(ahead[0], -ahead[2]))
    pitch = np.degrees(np.arcsin(np.clip(ahead[1], -1, 1)))
    roll = np.degrees(np.arctan2(across[1], across[0]))
    return HeadPose(yaw=float(yaw), pitch=float(pitch) - _LEVEL, roll=float(roll))


def _unit(shape: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = shape - shape.mean(0)
    return centred / np.sqrt((centred**2).sum() / len(centred))


def _rotation(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation (3, 3) that best carries `source` onto `target`, both (n, 3), each about its own centre."""
    u, _, vt = np.linalg.svd((target - target.mean(0)).T @ (source - source.mean(0)))
    return u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt


@dataclass(frozen=True, eq=False)
class Frame:
    """The similarity that lays the mean face over some landmarks."""

    rotation: NDArray[np.float64]
    """(3, 3)"""
    scale: float
    centre: NDArray[np.float64]
    """(3,) pixels"""

    def turn(self, offsets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Offsets (..., 3) in the mean face's frame, as pixels of the picture."""
        return self.scale * offsets @ self.rotation.T

    def undo(self, landmarks: NDArray) -> NDArray[np.float64]:
        """Landmarks (478, 3) in pixels, carried into the mean face's frame."""
        return (landmarks - self.centre) @ self.rotation / self.scale


def align_to(mean: NDArray[np.float32], landmarks: NDArray[np.float32]) -> Frame:
    """Similarity from the mean face (478, 3) to landmarks (478, 3) in pixels, by the points expression hardly moves."""
    source, target = mean[_UPPER].astype(np.float64), landmarks[_UPPER].astype(np.float64)
    rotation = _rotation(source, target)
    turned = (source - source.mean(0)) @ rotation.T
    scale = float((turned * (target - target.mean(0))).sum() / (turned**2).sum())
    return Frame(rotation, scale, target.mean(0) - scale * rotation @ source.mean(0))
