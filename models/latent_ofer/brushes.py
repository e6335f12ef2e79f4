"""What the drawn occluders are made of: smooth outlines, soft masks, and surfaces with light on them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

Floats = NDArray[np.float32]
FRACTION = 4
"""Bits after the point with which OpenCV draws."""


@dataclass(frozen=True, eq=False)
class Scene:
    """The picture to draw on, where its face is, and the source of chance."""

    image: Floats
    """(H, W, 3) in [0, 1]."""
    points: Floats
    """(478, 2) MediaPipe's points in pixels."""
    chance: np.random.Generator

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def length(self) -> float:
        """Pixels from the top of the forehead to the chin."""
        return float(np.linalg.norm(self.points[152] - self.points[10]))

    @property
    def right(self) -> Floats:
        """Unit vector along the eyes, towards the picture's right."""
        across = self.points[263] - self.points[33]
        return across / max(float(np.linalg.norm(across)), 1e-6)

    @property
    def down(self) -> Floats:
        """Unit vector across the eyes, towards the chin."""
        return np.array([-self.right[1], self.right[0]], np.float32)

    @cached_property
    def light(self) -> float:
        """How bright the face is, 0.35 to 1: what is drawn gets the same light."""
        inside = outline(self, self.points[OVAL]) > 0.5
        return float(np.clip(self.image[inside].mean() * 1.6, 0.35, 1.0)) if inside.any() else 0.8

    def at(self, anchor: ArrayLike, across: float = 0.0, along: float = 0.0) -> Floats:
        """Return a point moved from an anchor by shares of the face's length, right and down in the face's frame."""
        moved = np.asarray(anchor, np.float32) + self.length * (across * self.right + along * self.down)
        return moved.astype(np.float32)

    def between(self, low: float, high: float) -> float:
        """Return a number drawn evenly from low to high."""
        return float(self.chance.uniform(low, high))


@dataclass(frozen=True, eq=False)
class Layer:
    """Something drawn: its colours (H, W, 3) in [0, 1] and how much of the picture it covers (H, W) in [0, 1]."""

    colour: Floats
    cover: Floats


OVAL = [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149]
OVAL += [150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109]
"""The points around the face, clockwise on the picture from the top."""


def fixed(points: ArrayLike) -> NDArray[np.int32]:
    """Return points in OpenCV's fixed-point numbers."""
    return np.round(np.asarray(points, np.float64) * 2**FRACTION).astype(np.int32)


def outline(scene: Scene, points: ArrayLike) -> Floats:
    """Return the cover (H, W) of a closed outline (n, 2)."""
    canvas = np.zeros(scene.size, np.uint8)
    cv2.fillPoly(canvas, [fixed(points)], 255, cv2.LINE_AA, FRACTION)
    return canvas.astype(np.float32) / 255


def stroke(scene: Scene, points: ArrayLike, width: float) -> Floats:
    """Return the cover (H, W) of a line through points (n, 2), `width` pixels thick, with round ends."""
    canvas = np.zeros(scene.size, np.uint8)
    cv2.polylines(canvas, [fixed(points)], False, 255, max(1, round(width)), cv2.LINE_AA, FRACTION)
    return canvas.astype(np.float32) / 255


def ellipse(scene: Scene, centre: ArrayLike, across: float, along: float, *, power: float = 2.0) -> Floats:
    """Return points (64, 2) around a centre in the face's frame, half axes in pixels; power over 2 is boxier."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    cosine, sine = np.cos(angle), np.sin(angle)
    x = across * np.sign(cosine) * np.abs(cosine) ** (2 / power)
    y = along * np.sign(sine) * np.abs(sine) ** (2 / power)
    return (np.asarray(centre) + x[:, None] * scene.right + y[:, None] * scene.down).astype(np.float32)


def curve(points: ArrayLike, *, closed: bool = False, count: int = 80) -> Floats:
    """Return `count` points on a smooth line through points (n, 2)."""
    knots = np.asarray(points, np.float64)
    if closed:
        knots = np.concatenate([knots, knots[:1]])
    spline = CubicSpline(np.arange(len(knots)), knots, bc_type="periodic" if closed else "natural")
    return spline(np.linspace(0, len(knots) - 1, count, endpoint=not closed)).astype(np.float32)


def turn(points: Floats, centre: ArrayLike, degrees: float) -> Floats:
    """Return points turned around a centre, clockwise on the picture."""
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return ((points - np.asarray(centre)) @ rotation + np.asarray(centre)).astype(np.float32)


def noise(scene: Scene, *, cell: float) -> Floats:
    """Return smooth noise (H, W) around 0, about -1 to 1, with lumps of `cell` pixels."""
    height, width = scene.size
    grid = scene.chance.normal(size=(int(height / cell) + 3, int(width / cell) + 3)).astype(np.float32)
    return np.clip(cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * 0.6, -1, 1)


def surface(scene: Scene, colour: ArrayLike, *, rough: float = 0.03, folds: float = 0.08) -> Floats:
    """Return a lit surface (H, W, 3) of one colour (3,): brighter on one side, with folds and grain."""
    height, width = scene.size
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = scene.between(0, 2 * np.pi)
    slope = (np.cos(angle) * (columns / width - 0.5) + np.sin(angle) * (rows / height - 0.5)) * 0.35
    shade = 1 + slope + folds * noise(scene, cell=scene.length / 6) + rough * noise(scene, cell=1.5)
    return np.clip(np.asarray(colour, np.float32) * scene.light * shade[..., None], 0, 1).astype(np.float32)


def rounded(cover: Floats, *, depth: float) -> Floats:
    """Return the shade (H, W), 1 in the middle and 0.6 at the edge, of a body bulging over `depth` pixels."""
    distance = cv2.distanceTransform((cover > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    return (0.6 + 0.4 * np.sin(np.clip(distance / max(depth, 1), 0, 1) * np.pi / 2)).astype(np.float32)


def paint(below: Layer, colour: Floats, cover: Floats) -> Layer:
    """Return a layer with something painted over it; `colour` is (H, W, 3) or (3,)."""
    share = cover[..., None]
    return Layer(below.colour * (1 - share) + colour * share, np.maximum(below.cover, cover))


def pick(scene: Scene, *colours: tuple[float, float, float]) -> Floats:
    """Return one of the colours, a little changed."""
    chosen = np.array(colours[scene.chance.integers(len(colours))], np.float32)
    return np.clip(chosen + scene.chance.normal(scale=0.03, size=3), 0.02, 1).astype(np.float32)


def any_colour(scene: Scene) -> Floats:
    """Return any colour at all."""
    return scene.chance.uniform(0.03, 1.0, 3).astype(np.float32)
