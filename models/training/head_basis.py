"""Learn the open head's statistics: a neutral mean, 52 named expression shapes and an identity basis, from landmarks.

Each named shape is a regression of the pose-normalised landmarks on the 52 coefficients, with a prior per point: a
left eye's name may move the left eye's surroundings and little else. Names that photos hardly show (puffed cheeks,
wrinkled nose) fall back on the prior's mean, a plain displacement in the direction that the name says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.faces.names import BLENDSHAPE_NAMES, IRIS_LEFT, IRIS_RIGHT
from models.training.face_shapes import (
    frontal_mean,
    mirror_coefficients,
    mirror_shapes,
    read_labels,
    similarity_frames,
)

STABLE = np.array(
    "33 133 362 263 168 6 197 195 5 4 1 2 10 151 9 8 127 234 93 356 454 323 21 251".split(), dtype=np.int64
)
"""Points that expression hardly moves; poses are taken from them."""
WIDEST_TURN = 25.0
UNSURE_SOURCES = ("vladmandic_human",)
"""Pictures whose origin is unclear: looked at, never learned from."""
IDENTITIES = 40

NOISE = 0.05
"""Spread of the points of different people, in units of the face's root-mean-square radius."""
REACH = 0.2
"""Prior spread of a shape's displacement where its name may act."""
STRAY = 0.001
"""The same where its name should not act."""

UNTAUGHT = (
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "jawForward",
    "jawLeft",
    "jawRight",
    "mouthClose",
    "noseSneerLeft",
    "noseSneerRight",
)
"""Names that the teacher hardly ever gives: their spread over the photos is below 0.015, so the prior alone speaks."""

NOSE_TIP, UPPER_LIP, CHIN = 4, 13, 152
CHEEK = {"Left": 425, "Right": 205}
NOSE_WING = {"Left": 278, "Right": 48}


@dataclass(frozen=True, eq=False)
class Basis:
    """Shapes of 478 points in the common frame of face_shapes: x to the picture's right, y down, z away."""

    neutral: np.ndarray
    """(478, 3) the mean face with all coefficients at zero"""
    expression: np.ndarray
    """(52, 478, 3) displacement at coefficient 1, in the order of BLENDSHAPE_NAMES"""
    identity: np.ndarray
    """(k, 478, 3) displacement per standard deviation, most important first"""
    faces: int
    expression_share: float
    """Share of the shape variance that the expressions explain"""
    identity_share: float
    """Share of the rest that the identity basis explains"""


def learn_basis(data: Path, *, identities: int = IDENTITIES) -> Basis:
    """Read the labelled faces below `data`, mirror them all, and learn the three parts."""
    landmarks, coefficients = _gather(data)
    frame_mean = frontal_mean(landmarks[::4])
    turned = np.linalg.norm(similarity_frames(landmarks, frame_mean).turn, axis=1)
    landmarks, coefficients = landmarks[turned < WIDEST_TURN], coefficients[turned < WIDEST_TURN]
    shapes, mean = _pose_normalised(landmarks, frame_mean)
    shapes = np.concatenate([shapes, mirror_shapes(shapes)])
    coefficients = np.concatenate([coefficients, mirror_coefficients(coefficients)])
    average = coefficients.mean(0)
    offsets = (shapes - mean).reshape(len(shapes), -1)
    expression = regress(coefficients - average, offsets, mean)
    rest = offsets - (coefficients - average) @ expression.reshape(len(average), -1)
    total = offsets.var(0).sum()
    identity, share = _principal(rest, identities)
    return Basis(
        neutral=mean - np.tensordot(average, expression, 1),
        expression=expression,
        identity=identity,
        faces=len(landmarks),
        expression_share=float(1 - rest.var(0).sum() / total),
        identity_share=share,
    )


def _gather(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (n, 478, 3) and coefficients (n, 52) of all labelled faces with a clear origin."""
    sets = [read_labels(data / name) for name in ("faces256", "congress160") if (data / name).is_dir()]
    keep = [~np.isin(labels.source, UNSURE_SOURCES) for labels in sets]
    return (
        np.concatenate([labels.landmarks[clear] for labels, clear in zip(sets, keep, strict=True)]),
        np.concatenate([labels.blendshapes[clear] for labels, clear in zip(sets, keep, strict=True)]),
    )


def _pose_normalised(landmarks: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lay every face over the mean by the points that expression hardly moves."""
    for _ in range(3):
        shapes = similarity_frames(landmarks[:, STABLE], mean[STABLE]).normalised(landmarks)
        mean = shapes.mean(0)
        mean = (mean + mirror_shapes(mean)) / 2
    return shapes, mean


def regress(coefficients: np.ndarray, offsets: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Maximum a posteriori displacements (52, 478, 3) with a prior mean and spread per name and point."""
    names, points = len(BLENDSHAPE_NAMES), len(mean)
    masks, prior = name_masks(mean), prior_displacements(mean)
    gram = coefficients.T @ coefficients
    wanted = (coefficients.T @ offsets).reshape(names, points, 3)
    spread = STRAY + (REACH - STRAY) * masks  # (52, 478)
    precision = NOISE**2 / spread**2
    precision[np.isin(BLENDSHAPE_NAMES, UNTAUGHT)] = 1e6
    learned = np.empty((names, points, 3))
    for point in range(points):
        system = gram + np.diag(precision[:, point])
        learned[:, point] = np.linalg.solve(system, wanted[:, point] + precision[:, point, None] * prior[:, point])
    learned[BLENDSHAPE_NAMES.index("_neutral")] = 0
    return learned


def name_masks(mean: np.ndarray) -> np.ndarray:
    """(52, 478) where each named action may show, 0..1, judged on the frontal mean."""
    left = _step(mean[:, 0], -0.18, 0.18)
    sides = {"Left": left, "Right": 1 - left}
    eyes = {"Left": mean[IRIS_LEFT], "Right": mean[IRIS_RIGHT]}
    lower = _step(mean[:, 1], mean[NOSE_TIP, 1] - 0.1, mean[UPPER_LIP, 1] - 0.2)
    masks = np.ones((len(BLENDSHAPE_NAMES), len(mean)))
    for row, name in enumerate(BLENDSHAPE_NAMES):
        side = "Left" if name.endswith("Left") else "Right" if name.endswith("Right") else None
        if name.startswith("eyeLook"):
            masks[row] = _near(mean, eyes[side], 0.28, 0.22)
        elif name.startswith("eye"):
            masks[row] = _near(mean, eyes[side], 0.42, 0.36)
        elif name.startswith("brow"):
            masks[row] = _step(-mean[:, 1], -eyes["Left"][1] - 0.12, -eyes["Left"][1] + 0.12)
            masks[row] *= sides[side] if side else 1.0
        elif name.startswith("cheekSquint"):
            masks[row] = _near(mean, eyes[side] + np.array([0, 0.45, 0]), 0.5, 0.5) * sides[side]
        elif name.startswith("noseSneer"):
            masks[row] = _near(mean, mean[NOSE_WING[side]], 0.4, 0.5) * sides[side]
        elif name.startswith(("jaw", "cheek")) or name in ("mouthLeft", "mouthRight"):
            masks[row] = lower
        else:
            masks[row] = lower * (sides[side] if side else 1.0)
    return masks


def prior_displacements(mean: np.ndarray) -> np.ndarray:
    """(52, 478, 3) what a name says in itself, for those that photos hardly show; zero for the others."""
    prior = np.zeros((len(BLENDSHAPE_NAMES), len(mean), 3))
    chin = _step(mean[:, 1], mean[UPPER_LIP, 1], mean[CHIN, 1] - 0.25)

    def put(name: str, weight: np.ndarray, direction: tuple[float, float, float]) -> None:
        prior[BLENDSHAPE_NAMES.index(name)] += weight[:, None] * np.array(direction)

    put("jawForward", chin, (0, 0, -0.16))
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        cheek, wing = mean[CHEEK[side]], mean[NOSE_WING[side]]
        eye = mean[IRIS_LEFT if side == "Left" else IRIS_RIGHT]
        put(f"jaw{side}", chin, (0.16 * sign, 0, 0))
        put("cheekPuff", _near(mean, cheek, 0.36, 0.4), (0.12 * sign, 0, -0.11))
        put(f"cheekSquint{side}", _near(mean, eye + np.array([0.04 * sign, 0.33, 0]), 0.4, 0.2), (0, -0.1, -0.03))
        put(f"noseSneer{side}", _near(mean, wing + np.array([0, -0.06, 0]), 0.22, 0.3), (0.02 * sign, -0.11, -0.01))
    return prior


def _near(points: np.ndarray, centre: np.ndarray, width: float, height: float) -> np.ndarray:
    """(n,) one at the centre, falling off as a Gaussian with these half-widths at 60 %, in the frontal view."""
    return np.exp(-0.5 * (((points[:, :2] - centre[:2]) / [width, height]) ** 2).sum(1) ** 2)


def _step(values: np.ndarray, start: float, end: float) -> np.ndarray:
    """Smooth step from 0 at `start` to 1 at `end`."""
    share = np.clip((values - start) / (end - start), 0, 1)
    return share * share * (3 - 2 * share)


def _principal(rest: np.ndarray, count: int) -> tuple[np.ndarray, float]:
    """Principal components scaled to one standard deviation, with a sign that does not depend on the solver."""
    scatter = rest.T @ rest / len(rest)
    values, vectors = np.linalg.eigh(scatter)
    order = np.argsort(-values)[:count]
    components = vectors[:, order].T * np.sqrt(values[order])[:, None]
    largest = np.abs(components).argmax(1)
    components *= np.sign(components[np.arange(count), largest])[:, None]
    return components.reshape(count, -1, 3), float(values[order].sum() / values.sum())
