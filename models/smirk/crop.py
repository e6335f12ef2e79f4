"""The upright square that SMIRK sees, cut out of a photo, and the way back.

The transform scales and moves but never turns, so rows and columns are interpolated one after the other, and only the
pixels that are needed are read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.types import Crop, Image, Points

CROP_SIZE = 224
CROP_SCALE = 1.4
"""Side of the square against the mean of the landmarks' width and height."""
ROUNDING_GUARD = 1e-7

Matrix = NDArray[np.float64]


def crop_from_image(landmarks: Points, *, scale: float = CROP_SCALE, size: int = CROP_SIZE) -> Matrix:
    """Return the (3, 3) map from image to crop pixels for the square around (n, 2 or 3) landmarks in pixels.

    The square's corners land on the centres of the crop's corner pixels. Raises ValueError when the landmarks span less
    than a pixel.
    """
    points = landmarks[:, :2].astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    side = int((high - low).sum() / 2 * scale)
    if side < 1:
        raise ValueError(f"the landmarks span {high - low} px; a crop needs a face of at least one pixel")
    zoom = (size - 1) / side
    shift = -((low + high) / 2 - side / 2) * zoom
    return np.array([[zoom, 0.0, shift[0]], [0.0, zoom, shift[1]], [0.0, 0.0, 1.0]])


def cut(image: Image, landmarks: Points, *, scale: float = CROP_SCALE, size: int = CROP_SIZE) -> Crop:
    """Cut the face out of a photo; what lies beyond the border is black."""
    matrix = crop_from_image(landmarks, scale=scale, size=size)
    return Crop(resample(image, np.linalg.inv(matrix), shape=(size, size)), matrix)


def paste_back(pixels: Image, crop: Crop, *, shape: tuple[int, int]) -> Image:
    """Bring crop pixels to their place in a black picture of (height, width)."""
    return resample(pixels, crop.crop_from_image, shape=shape)


def resample(image: Image, source_from_target: Matrix, *, shape: tuple[int, int]) -> Image:
    """Sample a picture bilinearly on the grid of a target of (height, width); outside is 0, values are rounded down.

    Raises ValueError for a transform that turns or shears.
    """
    if source_from_target[0, 1] or source_from_target[1, 0]:
        raise ValueError(f"only scale and shift can be resampled here, got {source_from_target.tolist()}")
    rows, row_weights = _taps(source_from_target[1, 1], source_from_target[1, 2], shape[0], limit=image.shape[0])
    columns, column_weights = _taps(source_from_target[0, 0], source_from_target[0, 2], shape[1], limit=image.shape[1])
    total = np.zeros((*shape, image.shape[2]))
    for row, down in zip(rows, row_weights, strict=True):
        strip = image[row]
        line = sum(strip[:, column] * across[:, None] for column, across in zip(columns, column_weights, strict=True))
        total += line * down[:, None, None]
    return np.floor(total + ROUNDING_GUARD).astype(np.uint8)


def _taps(zoom: float, shift: float, count: int, *, limit: int) -> tuple[NDArray[np.int64], Matrix]:
    """The two source indices of each target index and their weights, (2, count) each; outside has weight 0."""
    position = zoom * np.arange(count) + shift
    first = np.floor(position)
    fraction = position - first
    index = np.stack((first, first + 1)).astype(np.int64)
    weights = np.stack((1.0 - fraction, fraction))
    weights[(index < 0) | (index >= limit)] = 0.0
    return index.clip(0, limit - 1), weights
