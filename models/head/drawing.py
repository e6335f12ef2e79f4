"""Draw a head as a picture, in plain torch: works where there is no graphics library."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.head.rastered import rastered, towards_viewer
from models.head.texture import normals_of
from models.types import Image, Points

AMBIENT = 0.38
LIGHTS = ((-0.45, 0.55, 0.75, 0.5), (0.7, 0.1, 0.6, 0.2), (0.0, -0.5, 0.6, 0.08))
"""Direction to each light in the viewer's axes, and its strength."""
FLATTER = 0.35
"""How much of the shading a photo texture gets: it has its own light already."""


@dataclass(frozen=True, eq=False)
class Drawable:
    """A posed mesh with its colours, in pixels of the picture it is drawn in."""

    points: Points
    """(V, 3) x right, y down, smaller z is nearer"""
    faces: NDArray[np.int32]
    colours: NDArray[np.uint8]
    """(V, 3)"""
    uvs: NDArray[np.float32] | None = None
    texture: Image | None = None
    """Row 0 at v = 1; where given, `uvs` are too and `colours` are not used."""


def draw(what: Drawable, *, height: int, width: int, smooth: int = 2) -> NDArray[np.uint8]:
    """Return (height, width, 4) RGBA, transparent where nothing is; `smooth` samples a pixel so often each way."""
    edge = max(height, width) * smooth
    points = (what.points * smooth).astype(np.float32)
    screen = points * (2 / edge)
    screen[:, :2] += smooth / edge - 1  # whole numbers are pixel centres
    front = towards_viewer(screen, what.faces)
    found = rastered(screen, front, size=edge)
    covered = found.covered[0].numpy()
    corners = front[found.triangles[0].numpy()[covered]]  # (P, 3)
    weights = found.weights[0].numpy()[covered][..., None]  # (P, 3, 1)
    light = (lit(normals_of(viewer(what.points), what.faces))[corners][..., None] * weights).sum(1)
    if what.texture is None or what.uvs is None:
        colour = (what.colours[corners] * weights).sum(1) * light
    else:
        colour = sampled(what.texture, (what.uvs[corners] * weights).sum(1)) * (1 - FLATTER + FLATTER * light)
    picture = np.zeros((edge, edge, 4), np.float32)
    picture[covered] = np.concatenate([np.clip(colour, 0, 255), np.full((len(colour), 1), 255)], 1)
    picture = picture[: height * smooth, : width * smooth]
    return smaller(picture, height=height, width=width)


def smaller(picture: NDArray[np.float32], *, height: int, width: int) -> NDArray[np.uint8]:
    """Shrink an RGBA picture so that colours of clear pixels do not bleed into the rim."""
    solid = picture[..., 3:] / 255
    small = cv2.resize(
        np.concatenate([picture[..., :3] * solid, picture[..., 3:]], 2), (width, height), interpolation=cv2.INTER_AREA
    )
    small[..., :3] *= 255 / np.maximum(small[..., 3:], 1)
    return np.clip(small + 0.5, 0, 255).astype(np.uint8)


def viewer(points: Points) -> NDArray[np.float32]:
    """A picture's axes as the viewer's: x right, y up, z towards the viewer."""
    return points * np.array([1, -1, -1], np.float32)


def lit(normals: NDArray[np.float32]) -> NDArray[np.float32]:
    """(V, 3) normals in the viewer's axes -> (V,) brightness, about 1 where a face looks at the viewer."""
    total = np.full(len(normals), AMBIENT, np.float32)
    for x, y, z, strength in LIGHTS:
        direction = np.array([x, y, z], np.float32) / np.sqrt(x * x + y * y + z * z)
        total += strength * np.clip(normals @ direction, 0, None)
    return total


def sampled(texture: Image, uvs: NDArray) -> NDArray[np.float32]:
    """Colours (P, 3) of a texture at (P, 2) places, between texels."""
    height, width = texture.shape[:2]
    x = (uvs[:, 0] * width - 0.5).astype(np.float32).reshape(1, -1)
    y = ((1 - uvs[:, 1]) * height - 0.5).astype(np.float32).reshape(1, -1)
    parts = [
        cv2.remap(
            texture,
            x[:, start : start + 30000],
            y[:, start : start + 30000],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for start in range(0, x.shape[1], 30000)
    ]
    return np.concatenate(parts, 1)[0].astype(np.float32) if parts else np.zeros((0, 3), np.float32)


def over(picture: NDArray[np.uint8], ground: Image, *, opacity: float = 1.0) -> Image:
    """Lay an RGBA picture over an RGB one of the same size."""
    share = picture[..., 3:].astype(np.float32) * (opacity / 255)
    return (picture[..., :3] * share + ground * (1 - share) + 0.5).astype(np.uint8)
