"""Triangles of the open head's base mesh: the landmarks' own face, then strips that close it behind, in eyes and mouth.

The face is a Delaunay triangulation of the learned shape with the jaw open, unrolled around the head's axis; one half
is triangulated and mirrored, so that the mesh has no side of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import Delaunay

from models.faces.names import MIRRORED_LANDMARKS
from models.training.face_shapes import FACE_OVAL

SURFACE_POINTS = 468
"""The first landmarks lie on the skin; the last ten mark the irises."""
LID_RIGHT = np.array("33 246 161 160 159 158 157 173 133 155 154 153 145 144 163 7".split(), dtype=np.int64)
"""Rim of the person's right eye, from the outer corner over the upper lid; the left eye's is its mirror image."""
LID_LEFT = MIRRORED_LANDMARKS[LID_RIGHT]
INNER_LIPS = np.array("78 191 80 81 82 13 312 311 310 415 308 324 318 402 317 14 87 178 88 95".split(), dtype=np.int64)
"""Inner rim of the mouth, from the person's right corner over the upper lip."""
ACROSS_LIPS = np.array([0, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10])
"""Place on the lower lip (in INNER_LIPS) that lies under each of the first eleven places."""
ACROSS_LIDS = np.array([0, 15, 14, 13, 12, 11, 10, 9, 8])
"""Place on the lower lid (in a lid's rim) that lies under each of the first nine places."""


@dataclass(frozen=True)
class Part:
    """A named range of vertices of the base mesh."""

    name: str
    start: int
    end: int

    @property
    def rows(self) -> np.ndarray:
        """The vertices."""
        return np.arange(self.start, self.end)


def unrolled(shape: np.ndarray) -> np.ndarray:
    """(n, 2) the frontal shape unrolled around a vertical axis behind the nose."""
    return np.stack([1.6 * np.arctan2(shape[:, 0], 1.6 - shape[:, 2]), shape[:, 1]], 1)


def face_triangles(open_shape: np.ndarray) -> np.ndarray:
    """(t, 3) triangles over the 468 skin points, with holes at the eyes and the mouth, counter-clockwise from outside.

    `open_shape` is the neutral face with the jaw open and the eyes open, mirror-symmetric.
    """
    flat = unrolled(open_shape[:SURFACE_POINTS])
    half = np.flatnonzero(flat[:, 0] > -1e-6)
    triangles = half[Delaunay(flat[half]).simplices]
    centres = flat[triangles].mean(1)
    keep = inside(flat[FACE_OVAL], centres)
    for rim in (LID_LEFT, INNER_LIPS):
        keep &= ~inside(flat[rim], centres)
    a, b, c = (flat[triangles[:, k]] for k in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    keep &= np.abs(area) > 1e-9
    triangles = triangles[keep]
    # y points down and z away: counter-clockwise from the viewer means a negative area here.
    wrong = area[keep] > 0
    triangles[wrong] = triangles[wrong][:, ::-1]
    mirrored = MIRRORED_LANDMARKS[triangles][:, ::-1]
    return np.concatenate([triangles, mirrored])


def inside(outline: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(n,) which points (n, 2) lie inside a closed outline (m, 2)."""
    line = outline.astype(np.float32)
    return np.array([cv2.pointPolygonTest(line, (float(x), float(y)), False) > 0 for x, y in points])


def strip(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Triangles between two closed rims of equal length, of which `outer` runs as the surface's border does.

    All quads are split along the same diagonal, so that every vertex has six neighbours and subdivides smoothly.
    """
    nxt = np.roll(np.arange(len(outer)), -1)
    first = np.stack([outer, inner, outer[nxt]], 1)
    second = np.stack([outer[nxt], inner, inner[nxt]], 1)
    return np.concatenate([first, second])


def cap(rim: np.ndarray, centre: int) -> np.ndarray:
    """Triangles from a closed rim to a point."""
    return np.stack([rim, np.full(len(rim), centre), np.roll(rim, -1)], 1)


def border_edges(triangles: np.ndarray) -> set[tuple[int, int]]:
    """Directed edges that belong to one triangle only."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    there = set(map(tuple, edges.tolist()))
    return {edge for edge in there if edge[::-1] not in there}


def oriented(rim: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The rim in the order in which the border of `triangles` has to be continued."""
    borders = border_edges(triangles)
    forward = (int(rim[0]), int(rim[1])) in borders
    return rim if forward else rim[::-1]
