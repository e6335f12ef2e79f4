"""More expressions from few photos: move a face's points along an expression basis and warp the picture after them.

The pictures are labelled again by the teachers, so a warp need not be perfect, only varied.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from models.faces.names import BLENDSHAPE_NAMES
from models.faces.pose import align_to, mean_shape
from models.training.data import FaceSet
from models.training.faces import expression_weights
from models.types import Image

log = logging.getLogger(__name__)

GRID = 33
"""Points along an edge at which the warp is computed; between them it is interpolated."""


@dataclass(frozen=True, eq=False)
class ExpressionBasis:
    """How the points move with each blendshape, in the frame of the mean face."""

    mean: NDArray[np.float32]
    """(478, 3)"""
    directions: NDArray[np.float64]
    """(52, 478, 3)"""


def expression_basis(faces: FaceSet, *, ridge: float = 20.0) -> ExpressionBasis:
    """Least squares of the pose-free points on the blendshapes, over faces seen from near the front."""
    chosen = np.random.default_rng(0).choice(len(faces), min(400, len(faces)), replace=False)
    mean = mean_shape(faces.landmarks[chosen])
    aligned, kept = [], []
    for points, shapes in zip(faces.landmarks, faces.blendshapes, strict=True):
        frame = align_to(mean, points)
        if np.degrees(np.arccos(np.clip((np.trace(frame.rotation) - 1) / 2, -1, 1))) < 25:
            aligned.append(frame.undo(points) - mean)
            kept.append(shapes)
    moved = np.asarray(aligned).reshape(len(aligned), -1)
    known = np.asarray(kept, dtype=np.float64)
    known = known - known.mean(0)
    normal = known.T @ known + ridge * np.eye(known.shape[1])
    directions = np.linalg.solve(normal, known.T @ (moved - moved.mean(0)))
    return ExpressionBasis(mean, directions.reshape(len(BLENDSHAPE_NAMES), -1, 3))


def draw_target(faces: FaceSet, chance: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw an expression (52,): somebody else's, made weaker or stronger, sometimes with the halves of two people."""
    first, second = (min(int(np.searchsorted(chance, rng.random())), len(faces) - 1) for _ in range(2))
    target = faces.blendshapes[first].astype(np.float64)
    if rng.random() < 0.25:
        left = np.array([name.endswith("Left") for name in BLENDSHAPE_NAMES])
        target = np.where(left, faces.blendshapes[second], target)
    return np.clip(target * rng.uniform(0.7, 1.35), 0, 1)


def move_points(
    landmarks: NDArray[np.float32], change: NDArray[np.float64], basis: ExpressionBasis
) -> NDArray[np.float64]:
    """Points (478, 3) after the blendshapes have changed by `change` (52,)."""
    frame = align_to(basis.mean, landmarks)
    return landmarks + frame.turn(np.tensordot(change, basis.directions, 1))


def warp(picture: Image, before: NDArray, after: NDArray) -> Image:
    """Carry the points `before` (n, 2) to `after` (n, 2) by a thin-plate spline; the picture's border stays."""
    height, width = picture.shape[:2]
    edge_x, edge_y = np.linspace(0, width - 1, 7), np.linspace(0, height - 1, 7)
    border = np.array([(x, y) for x in edge_x for y in edge_y if x in (0, width - 1) or y in (0, height - 1)])
    rng = np.random.default_rng(0)
    known = np.concatenate([after + rng.normal(0, 1e-3, after.shape), border])
    spline = RBFInterpolator(known, np.concatenate([before, border]), smoothing=2.0, degree=1)
    # the grid's points are the centres of its cells, which is what cv2.resize takes them for
    x, y = np.meshgrid((np.arange(GRID) + 0.5) * width / GRID - 0.5, (np.arange(GRID) + 0.5) * height / GRID - 0.5)
    places = np.stack([x.ravel(), y.ravel()], 1)
    offsets = (spline(places) - places).reshape(GRID, GRID, 2).astype(np.float32)
    pixels = np.stack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)), 2)
    dense = pixels + cv2.resize(offsets, (width, height), interpolation=cv2.INTER_CUBIC)
    moved = cv2.remap(picture, dense[..., 0], dense[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.uint8)


def warp_folder(faces: FaceSet, out: Path, *, each: int, seed: int = 0) -> int:
    """Write `each` warped pictures of every face to `out`, named so that a person stays one person; returns how many.

    They carry no labels: run `mien data label` on `out`.
    """
    rng = np.random.default_rng(seed)
    basis = expression_basis(faces)
    chance = np.cumsum(expression_weights(faces.blendshapes, faces.source))
    written = 0
    for row in range(len(faces)):
        person = out / str(faces.identity[row]).replace("/", "__")
        person.mkdir(parents=True, exist_ok=True)
        for number in range(each):
            change = draw_target(faces, chance, rng) - faces.blendshapes[row]
            after = move_points(faces.landmarks[row], change, basis)
            picture = warp(faces.pictures[row], faces.landmarks[row, :, :2].astype(np.float64), after[:, :2])
            path = person / f"{row:05d}_{number}.jpg"
            cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 93])
            written += 1
        if row % 200 == 0:
            log.info("%d of %d faces warped", row, len(faces))
    return written
