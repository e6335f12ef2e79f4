"""Make one labelled picture look like many photographs: place, light, camera, and things in the way."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.types import Image


@dataclass(frozen=True)
class Placement:
    """How far the crop may stray from the face; ranges are uniform unless said otherwise."""

    scale: tuple[float, float]
    """Crop edge over the longer edge of the landmark box."""
    shift: float
    """Standard deviation of the centre's offset, in longer edges."""
    roll: float
    """Standard deviation of the in-plane rotation, degrees."""
    wide_roll: float = 45.0
    wide_share: float = 0.15
    """Share of crops whose rotation is uniform over +-wide_roll."""


def place(landmarks: NDArray[np.float32], size: int, placement: Placement, rng: np.random.Generator) -> NDArray:
    """Draw a (2, 3) matrix from picture to crop pixels around the landmark box."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    longest = float((high - low).max())
    centre = (low + high) / 2 + rng.normal(0, placement.shift, 2).clip(-0.3, 0.3) * longest
    if rng.random() < placement.wide_share:
        angle = rng.uniform(-placement.wide_roll, placement.wide_roll)
    else:
        angle = rng.normal(0, placement.roll)
    stretch = np.exp(rng.normal(0, 0.03))
    zoom = size / (longest * rng.uniform(*placement.scale))
    turn = np.deg2rad(angle)
    linear = (
        zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag([stretch, 1 / stretch])
    )
    offset = (size - 1) / 2 - linear @ centre
    return np.concatenate([linear, offset[:, None]], 1)


def move(matrix: NDArray, landmarks: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Landmarks (478, 3) in crop units: the crop's edges are -1 and 1, z in the same scale."""
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    plane = landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    plane = (plane - (size - 1) / 2) / (size / 2)
    return np.concatenate([plane, landmarks[:, 2:] * scale / (size / 2)], 1).astype(np.float32)


def cut(picture: Image, matrix: NDArray, size: int, rng: np.random.Generator) -> Image:
    """Warp the crop out of the picture; what lies outside is repeated, black or grey."""
    border = rng.choice([cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT_101], p=[0.5, 0.3, 0.2])
    value = (0, 0, 0) if rng.random() < 0.6 else tuple(int(v) for v in rng.integers(0, 256, 3))
    shrink = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    flags = cv2.INTER_AREA if shrink < 0.5 else cv2.INTER_LINEAR
    return cv2.warpAffine(picture, matrix, (size, size), flags=flags, borderMode=int(border), borderValue=value)


def light(pixels: NDArray[np.float32], rng: np.random.Generator, *, grey_share: float = 0.3) -> NDArray[np.float32]:
    """Change exposure, contrast, colour and the side the light comes from; pixels in [0, 1]."""
    size = pixels.shape[0]
    if rng.random() < 0.8:
        pixels = (pixels - 0.5) * rng.uniform(0.55, 1.5) + 0.5 + rng.uniform(-0.22, 0.22)
    if rng.random() < 0.4:
        pixels = np.clip(pixels, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.35)))
    if rng.random() < 0.3:
        ramp = np.linspace(-1, 1, size, dtype=np.float32)
        turn = rng.uniform(0, 2 * np.pi)
        slope = np.cos(turn) * ramp[None, :] + np.sin(turn) * ramp[:, None]
        pixels = pixels * (1 + np.float32(rng.uniform(0.1, 0.6)) * slope[..., None])
    if rng.random() < grey_share:
        grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
        pixels = np.repeat(grey[..., None], 3, 2)
    elif rng.random() < 0.6:
        pixels = pixels * rng.uniform(0.8, 1.2, 3).astype(np.float32)
    return np.clip(pixels, 0, 1).astype(np.float32)


def camera(pixels: NDArray[np.float32], rng: np.random.Generator, *, small_share: float = 0.3) -> NDArray[np.float32]:
    """Blur, shrink and enlarge, add noise, compress; pixels in [0, 1]."""
    size = pixels.shape[0]
    if rng.random() < small_share:
        small = int(rng.uniform(28, 80) * size / 112)
        down = cv2.resize(pixels, (small, small), interpolation=cv2.INTER_AREA)
        up = rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST], p=[0.5, 0.4, 0.1])
        pixels = cv2.resize(down, (size, size), interpolation=int(up))
    elif rng.random() < 0.25:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 2.0))
    elif rng.random() < 0.1:
        length = int(rng.integers(3, 9))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1 / length
        turned = cv2.getRotationMatrix2D(((length - 1) / 2,) * 2, rng.uniform(0, 180), 1)
        pixels = cv2.filter2D(pixels, -1, cv2.warpAffine(kernel, turned, (length, length)))
    if rng.random() < 0.3:
        pixels = pixels + rng.normal(0, rng.uniform(0.01, 0.07), pixels.shape).astype(np.float32)
    if rng.random() < 0.25:
        quality = int(rng.uniform(15, 80))
        ok, code = cv2.imencode(
            ".jpg", (np.clip(pixels, 0, 1) * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
        )
        if ok:
            pixels = cv2.imdecode(code, cv2.IMREAD_COLOR).astype(np.float32) / 255
    return np.clip(pixels, 0, 1).astype(np.float32)


def occlude(pixels: NDArray[np.float32], rng: np.random.Generator, *, share: float = 0.3) -> NDArray[np.float32]:
    """Lay a plain or noisy shape over part of the crop; pixels in [0, 1]."""
    if rng.random() > share:
        return pixels
    size = pixels.shape[0]
    pixels = pixels.copy()
    for _ in range(int(rng.integers(1, 3))):
        mask = np.zeros((size, size), np.uint8)
        centre = tuple(int(v) for v in rng.integers(0, size, 2))
        axes = tuple(int(v) for v in rng.uniform(0.06, 0.3, 2) * size)
        if rng.random() < 0.5:
            cv2.ellipse(mask, centre, axes, rng.uniform(0, 180), 0, 360, 1, -1)
        else:
            box = cv2.boxPoints((centre, (axes[0] * 2.0, axes[1] * 2.0), rng.uniform(0, 180)))
            cv2.fillConvexPoly(mask, box.astype(np.int32), 1)
        cover = rng.random(3).astype(np.float32) * np.ones_like(pixels)
        if rng.random() < 0.5:
            cover = cover + rng.normal(0, 0.15, pixels.shape).astype(np.float32)
        pixels = np.where(mask[..., None] > 0, cover, pixels)
    return np.clip(pixels, 0, 1).astype(np.float32)


def photograph(
    crop: Image, rng: np.random.Generator, *, hide: float = 0.3, grey_share: float = 0.3, small_share: float = 0.3
) -> Image:
    """Occlude, light and re-photograph a uint8 crop."""
    pixels = occlude(crop.astype(np.float32) / 255, rng, share=hide)
    pixels = light(pixels, rng, grey_share=grey_share)
    pixels = camera(pixels, rng, small_share=small_share)
    return (pixels * 255 + 0.5).astype(np.uint8)
