"""Cut squares out of pictures and find the way back: the one place that knows crop and image coordinates."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.faces.names import IRIS_LEFT, IRIS_RIGHT
from models.types import Crop, Face, Image, Points, check_image

EYE_CORNERS_RIGHT, EYE_CORNERS_LEFT = (33, 133), (362, 263)


def roll_of(landmarks: Points) -> float:
    """In-plane rotation of the line between the eyes in degrees, > 0 clockwise on the picture."""
    right = landmarks[list(EYE_CORNERS_RIGHT), :2].mean(0)
    left = landmarks[list(EYE_CORNERS_LEFT), :2].mean(0)
    across = left - right
    return float(np.degrees(np.arctan2(across[1], across[0])))


def square(centre: NDArray | tuple[float, float], edge: float, *, size: int, roll: float = 0.0) -> NDArray[np.float64]:
    """Return the (3, 3) map from image to crop pixels for a square of `edge` image pixels turned by `roll` degrees."""
    if not edge > 0:
        raise ValueError(f"a crop needs an edge above 0 px, got {edge}")
    zoom, turn = size / edge, np.deg2rad(-roll)
    linear = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = (size - 1) / 2 - linear @ np.asarray(centre, dtype=np.float64)
    return matrix


def upright_matrix(landmarks: Points, *, size: int, scale: float) -> NDArray[np.float64]:
    """Map to a crop in which the eyes are level and the landmark box, so turned, fills 1 / scale of the edge."""
    roll = roll_of(landmarks)
    turn = np.deg2rad(-roll)
    level = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    turned = landmarks[:, :2].astype(np.float64) @ level.T
    low, high = turned.min(0), turned.max(0)
    centre = level.T @ ((low + high) / 2)
    return square(centre, float((high - low).max()) * scale, size=size, roll=roll)


def cut(image: Image, matrix: NDArray[np.float64], *, size: int) -> Crop:
    """Cut the crop that `matrix` (3, 3), image to crop pixels, describes; beyond the border the edge is repeated."""
    check_image(image)
    zoom = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    source, moved = image, matrix
    if zoom < 0.5:  # shrink by areas first: bilinear sampling alone would skip pixels
        smaller = max(zoom * 1.5, 16 / min(image.shape[:2]))
        if smaller < 1:
            height, width = (max(1, round(edge * smaller)) for edge in image.shape[:2])
            source = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            x, y = width / image.shape[1], height / image.shape[0]
            # pixel centres: small = (large + 0.5) * factor - 0.5
            shrink = np.array([[x, 0, x / 2 - 0.5], [0, y, y / 2 - 0.5], [0, 0, 1]])
            moved = matrix @ np.linalg.inv(shrink)
    pixels = cv2.warpAffine(source, moved[:2], (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return Crop(pixels=np.asarray(pixels, dtype=np.uint8), crop_from_image=matrix)


def crop(face: Face, image: Image, *, size: int, scale: float) -> Crop:
    """Cut an upright square around a face.

    `scale` is the crop's edge over the longer edge of the levelled landmark box: 1.0 touches the face, 1.6 leaves room.
    """
    return cut(image, upright_matrix(face.landmarks, size=size, scale=scale), size=size)


def paste(crop_: Crop, image: Image, *, mask: NDArray[np.float32] | None = None) -> Image:
    """Lay the crop's pixels back over the picture they came from.

    `mask` (size, size) in [0, 1] says how much of the crop is used; without it the crop's border is feathered.
    """
    size = crop_.size
    if mask is None:
        ramp = np.minimum(np.arange(size), np.arange(size)[::-1]) / (0.08 * size)
        mask = np.minimum.outer(np.clip(ramp, 0, 1), np.clip(ramp, 0, 1)).astype(np.float32)
    height, width = image.shape[:2]
    back = crop_.image_from_crop[:2]
    laid = cv2.warpAffine(crop_.pixels, back, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.warpAffine(mask.astype(np.float32), back, (width, height), flags=cv2.INTER_LINEAR)[..., None]
    return np.asarray(laid * share + image * (1 - share) + 0.5, dtype=np.uint8)


def eye_distance(landmarks: Points) -> float:
    """Distance of the iris centres in pixels."""
    return float(np.linalg.norm(landmarks[IRIS_RIGHT, :2] - landmarks[IRIS_LEFT, :2]))


def units(points: Points, size: int) -> Points:
    """Pixels (..., 3) of a square crop as crop units: whole numbers are pixel centres, -1 and 1 the edges."""
    moved = points.astype(np.float32) * np.float32(2 / size)
    moved[..., :2] += np.float32(1 / size - 1)
    return moved


def pixels(points: Points, size: int) -> Points:
    """Crop units (..., 3) as pixels of a square crop."""
    moved = points.astype(np.float32) * np.float32(size / 2)
    moved[..., :2] += np.float32((size - 1) / 2)
    return moved
