"""Pictures of the stages: what the detector measured, what is hidden, where the network looked, all on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from models.errors import BadInput
from models.types import Image

SHOWN = 384
"""Edge in pixels at which a crop is painted on."""
COVER = (0xD5, 0x5E, 0x00)
COVER_ALPHA = 150
PAINTED = 0.5
"""Share of a crop's pixel that has to be painted for the pixel to count as hidden."""
SAME = 0.002
"""Share of the crop up to which two masks count as one: painting and back rounds a pixel here and there."""
BRUSH = f"rgba({COVER[0]}, {COVER[1]}, {COVER[2]}, {COVER_ALPHA / 255:.2f})"

Mask = NDArray[np.bool_]
"""(S, S) True where a crop is hidden."""


def enlarged(picture: Image, edge: int = SHOWN) -> Image:
    """Return a square crop at another size, smooth."""
    return np.asarray(cv2.resize(picture, (edge, edge), interpolation=cv2.INTER_CUBIC), np.uint8)


def mask_layer(mask: Mask) -> NDArray[np.uint8]:
    """Return the mask as paint over a crop: (SHOWN, SHOWN, 4)."""
    layer = np.zeros((*mask.shape, 4), np.uint8)
    layer[mask] = (*COVER, COVER_ALPHA)
    return np.asarray(cv2.resize(layer, (SHOWN, SHOWN), interpolation=cv2.INTER_NEAREST), np.uint8)


def painted_mask(layer: NDArray[np.uint8], edge: int) -> Mask:
    """Return what was painted, as a mask (edge, edge); raises BadInput unless the layer has four channels."""
    if layer.ndim != 3 or layer.shape[2] != 4:
        raise BadInput("The painted part did not arrive; paint it again.")
    covered = (layer[..., 3] > COVER_ALPHA // 3).astype(np.float32)
    return np.asarray(cv2.resize(covered, (edge, edge), interpolation=cv2.INTER_AREA) > PAINTED)


def is_same(one: Mask, other: Mask) -> bool:
    """Tell whether two masks are one but for rounding."""
    return bool(one.shape == other.shape and np.mean(one != other) <= SAME)


def distance_picture(crop: Image, distances: NDArray[np.float32], radius: float) -> Image:
    """Return the crop in grey with every patch coloured by its distance over the radius; beyond it, it glows."""
    heat = np.clip(distances / max(radius, 1e-9) / 2, 0, 1).astype(np.float32)  # the radius is in the middle
    grid = np.asarray(cv2.resize(heat, (SHOWN, SHOWN), interpolation=cv2.INTER_NEAREST), np.float32)
    grey = cv2.cvtColor(cv2.cvtColor(enlarged(crop), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float32)
    coloured = _ramp(grid)
    share = (0.2 + 0.55 * grid)[..., None]
    mixed = np.asarray(grey * (1 - share) + coloured * share, np.uint8)
    return _outlined(mixed, distances > radius)


def attention_picture(crop: Image, attention: NDArray[np.float32]) -> Image:
    """Return the crop, darkened where the network looks least; attention is (g, g), any range."""
    top = float(attention.max())
    share = attention / top if top > 0 else np.ones_like(attention)
    smooth = cv2.resize(share.astype(np.float32), (SHOWN, SHOWN), interpolation=cv2.INTER_CUBIC)
    light = 0.35 + 0.65 * np.sqrt(np.clip(smooth, 0, 1))
    return np.asarray(enlarged(crop).astype(np.float32) * light[..., None], np.uint8)


def mask_picture(crop: Image, mask: Mask) -> Image:
    """Return the crop with its hidden part painted."""
    layer = mask_layer(mask)
    share = layer[..., 3:].astype(np.float32) / 255
    return np.asarray(enlarged(crop) * (1 - share) + layer[..., :3] * share, np.uint8)


def sheet(pictures: Sequence[tuple[str, Image]], *, columns: int = 4, edge: int = 256) -> Image:
    """Return named square pictures in rows, their names below them."""
    words = 26
    rows = -(-len(pictures) // columns)
    page = Pillow.new("RGB", (columns * edge, rows * (edge + words)), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=14)
    for place, (name, picture) in enumerate(pictures):
        left, top = place % columns * edge, place // columns * (edge + words)
        page.paste(Pillow.fromarray(enlarged(picture, edge)), (left, top))
        pen.text((left + 6, top + edge + 4), name, fill="#1F2328", font=font)
    return np.asarray(page)


def _ramp(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colour 0..1 from the blue of near to the orange of far, pale between: told apart without red and green."""
    low, middle, high = (np.array(colour, np.float32) for colour in ((0x1B, 0x6C, 0xA8), (0xF4, 0xF2, 0xEC), COVER))
    near, far = np.clip(values * 2, 0, 1)[..., None], np.clip(values * 2 - 1, 0, 1)[..., None]
    return np.asarray(low + (middle - low) * near + (high - middle) * far, np.float32)


def _outlined(picture: Image, cells: Mask) -> Image:
    """Draw a line around cells (g, g)."""
    area = cv2.resize(cells.astype(np.uint8), (SHOWN, SHOWN), interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(area, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(picture.copy(), contours, -1, (255, 255, 255), 2), np.uint8)
