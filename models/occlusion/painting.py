"""Pixels of a hole: the plain ways to fill it, the seam around it, and the way back into the photo."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.types import Crop, Image

INPAINT_RADIUS = 3
SEAM = 5.0
"""Pixels over which a difference at the hole's rim is carried inwards."""


def inpaint(pixels: Image, mask: NDArray[np.bool_], *, method: str) -> Image:
    """Fill the mask (H, W) by OpenCV's "telea" or "navier_stokes"."""
    flag = {"telea": cv2.INPAINT_TELEA, "navier_stokes": cv2.INPAINT_NS}[method]
    return np.asarray(cv2.inpaint(pixels, mask.astype(np.uint8), INPAINT_RADIUS, flag), dtype=np.uint8)


def lit_like(face: NDArray[np.float32], pixels: Image, mask: NDArray[np.bool_]) -> Image:
    """A face (H, W, 3) in levels with gain and offset of each colour fitted to the crop's visible pixels."""
    result = np.empty_like(face)
    seen = ~mask
    for colour in range(3):
        given, wanted = face[..., colour][seen], pixels[..., colour][seen].astype(np.float32)
        gain = float(np.cov(given, wanted)[0, 1] / max(given.var(), 1.0)) if len(given) > 1 else 1.0
        gain = float(np.clip(gain, 0.3, 1.5))
        offset = wanted.mean() - gain * given.mean() if len(given) else 0.0
        result[..., colour] = face[..., colour] * gain + offset
    return np.clip(result + 0.5, 0, 255).astype(np.uint8)


def blend(pixels: Image, filled: Image, mask: NDArray[np.bool_]) -> Image:
    """Put `filled` into the mask; how it differs from the crop around the hole fades inwards, so that no seam shows.

    Every pixel outside the mask stays as it is.
    """
    if not mask.any() or mask.all():
        return np.where(mask[..., None], filled, pixels)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    ring = ((outside > 1) & (outside <= 4)).astype(np.float32)
    off = (pixels.astype(np.float32) - filled.astype(np.float32)) * ring[..., None]
    weight = cv2.GaussianBlur(ring, (0, 0), SEAM)
    carried = cv2.GaussianBlur(off, (0, 0), SEAM) / np.maximum(weight, 1e-4)[..., None]
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    carried *= (np.exp(-inside / SEAM) * np.clip(weight * 20, 0, 1))[..., None]
    mended = np.clip(filled + carried + 0.5, 0, 255).astype(np.uint8)
    return np.where(mask[..., None], mended, pixels)


def into_photo(image: Image, crop: Crop, filled: Image, mask: NDArray[np.bool_]) -> Image:
    """Lay the masked pixels of a crop over the photo; the share falls to nothing at the mask's rim, within it."""
    height, width = image.shape[:2]
    reach = _reach(crop, mask, height=height, width=width)
    if reach is None:
        return image.copy()
    left, top, right, bottom = reach
    shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], np.float64)
    back = (shift @ crop.image_from_crop)[:2]
    size = (right - left, bottom - top)
    laid = cv2.warpAffine(filled, back, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.warpAffine(mask.astype(np.float32), back, size, flags=cv2.INTER_LINEAR)
    share = np.clip(share * 2 - 1, 0, 1)[..., None]
    result = image.copy()
    part = result[top:bottom, left:right]
    mixed = laid * share + part * (1 - share)
    result[top:bottom, left:right] = np.where(share > 0, np.clip(mixed + 0.5, 0, 255).astype(np.uint8), part)
    return result


def _reach(crop: Crop, mask: NDArray[np.bool_], *, height: int, width: int) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom in the photo of what the mask can touch, or None where it lies outside."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return None
    left, right, top, bottom = columns.min() - 1, columns.max() + 1, rows.min() - 1, rows.max() + 1
    corners = np.array([[left, top], [right, top], [left, bottom], [right, bottom]], np.float32)
    moved = crop.to_image(corners)
    low = np.maximum(np.floor(moved.min(0)).astype(int), 0)
    high = np.minimum(np.ceil(moved.max(0)).astype(int) + 1, [width, height])
    return (int(low[0]), int(low[1]), int(high[0]), int(high[1])) if (high > low).all() else None
