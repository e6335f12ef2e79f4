"""Mix several people's photos into one new face: dense landmark warps and a mix of Laplacian bands.

A face made of several has the shape and colours of the weighted mean; averaging also dulls pores and lashes, so each
band's local contrast is brought back towards that of its sources (Tiddeman, Burt and Perrett 2001, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import Delaunay

from models.training.face_shapes import FACE_OVAL

RING_ANGLES = 32
RING_FACTORS = (1.1, 1.45, 2.2, 4.5)
BANDS = 4


def with_surround(points: np.ndarray) -> np.ndarray:
    """Add rings around the face to (478, 2+) points, so that hair and background follow: (478 + 128, 2)."""
    flat = points[:, :2]
    centre = (flat[FACE_OVAL].max(0) + flat[FACE_OVAL].min(0)) / 2
    angles = 2 * np.pi * np.arange(RING_ANGLES) / RING_ANGLES
    directions = np.stack([np.cos(angles), np.sin(angles)], 1)
    reach = ((flat - centre) @ directions.T).max(0)
    rings = [centre + factor * reach[:, None] * directions for factor in RING_FACTORS]
    return np.concatenate([flat, *rings])


def triangulate(shape: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """(t, 3) Delaunay triangles over a frontal shape and its surround, farthest first so that nearer ones paint over.

    `shape` is (478, 2+), `depth` (478,) with smaller values nearer.
    """
    points = with_surround(shape)
    triangles = Delaunay(points).simplices
    deep = np.concatenate([depth, np.full(len(points) - len(depth), depth.max() + 1)])
    return triangles[np.argsort(-deep[triangles].mean(1), kind="stable")]


@dataclass(frozen=True, eq=False)
class DenseShape:
    """For each pixel of a square picture: its triangle's three points and their weights."""

    corners: np.ndarray
    """(size, size, 3) point indices"""
    weights: np.ndarray
    """(size, size, 3) barycentric weights"""

    def sample(self, values: np.ndarray) -> np.ndarray:
        """Interpolate (n,) or (n, k) values given at the points, per pixel."""
        picked = values[self.corners]
        weights = self.weights if picked.ndim == 3 else self.weights[..., None]
        return (picked * weights).sum(2).astype(np.float32)


def rasterise(points: np.ndarray, triangles: np.ndarray, size: int) -> DenseShape:
    """Find the triangle and barycentric weights of each pixel of a `size` x `size` picture."""
    index = np.zeros((size, size), np.int32)
    fixed = np.round(points * 16).astype(np.int32)
    for number, corners in enumerate(triangles):
        cv2.fillConvexPoly(index, fixed[corners], number, shift=4)
    rows, columns = np.mgrid[:size, :size]
    corners = triangles[index]
    first, second, third = (points[corners[..., k]] for k in range(3))
    across, down = second - first, third - first
    offset = np.stack([columns, rows], -1) - first
    area = across[..., 0] * down[..., 1] - down[..., 0] * across[..., 1]
    area = np.where(np.abs(area) < 1e-6, 1e-6, area)
    u = np.clip((offset[..., 0] * down[..., 1] - down[..., 0] * offset[..., 1]) / area, -0.5, 1.5)
    v = np.clip((across[..., 0] * offset[..., 1] - offset[..., 0] * across[..., 1]) / area, -0.5, 1.5)
    return DenseShape(corners, np.stack([1 - u - v, u, v], -1))


def warp(image: np.ndarray, points: np.ndarray, dense: DenseShape) -> np.ndarray:
    """Carry a picture whose 478 landmarks are `points` into the dense target shape: float32 (size, size, 3)."""
    where = dense.sample(with_surround(points))
    warped = cv2.remap(image, where[..., 0], where[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return warped.astype(np.float32)


def match_colours(pictures: np.ndarray, mask: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Give each (n, size, size, 3) picture the colour mean and spread (3,) inside the mask."""
    inside = pictures[:, mask]
    own_mean, own_spread = inside.mean(1), inside.std(1)
    gain = spread / np.maximum(own_spread, 4.0)
    return (pictures - own_mean[:, None, None]) * gain[:, None, None] + mean


def bands(picture: np.ndarray) -> list[np.ndarray]:
    """Laplacian pyramid of a float picture: BANDS detail levels, finest first, then the rest."""
    levels = []
    for _ in range(BANDS):
        small = cv2.pyrDown(picture)
        levels.append(picture - cv2.pyrUp(small, dstsize=(picture.shape[1], picture.shape[0])))
        picture = small
    return [*levels, picture]


def collapse(levels: list[np.ndarray]) -> np.ndarray:
    """Invert `bands`."""
    picture = levels[-1]
    for detail in reversed(levels[:-1]):
        picture = cv2.pyrUp(picture, dstsize=(detail.shape[1], detail.shape[0])) + detail
    return picture


def mix_bands(pictures: np.ndarray, weights: np.ndarray, *, crispness: float) -> list[np.ndarray]:
    """Weighted mean of (n, size, size, 3) pictures band by band, local contrast restored to the power `crispness`."""
    stacks = [np.stack(level) for level in zip(*(bands(picture) for picture in pictures), strict=True)]
    mixed = []
    for detail in stacks[:-1]:
        mean = np.tensordot(weights, detail, 1)
        wanted = cv2.GaussianBlur(np.tensordot(weights, detail**2, 1), (0, 0), 5)
        present = cv2.GaussianBlur(mean**2, (0, 0), 5)
        gain = np.clip(np.sqrt((wanted + 0.5) / (present + 0.5)), 1.0, 1.9) ** crispness
        mixed.append(mean * gain)
    return [*mixed, np.tensordot(weights, stacks[-1], 1)]


def blend_regions(regions: list[list[np.ndarray]], masks: np.ndarray) -> list[np.ndarray]:
    """Join the bands of several regions; `masks` (r, size, size) sum to one at each pixel."""
    joined = []
    for level in range(BANDS + 1):
        height, width = regions[0][level].shape[:2]
        small = np.stack([cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA) for mask in masks])
        joined.append(sum(mask[..., None] * region[level] for mask, region in zip(small, regions, strict=True)))
    return joined
