"""A photo with another expression: its own pixels, carried where the edited head carries its skin.

No network paints here. Around the face the photo is drawn along and comes to rest; what the photo did not show, such as
the inside of a mouth that opens, is the head's own plain parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.head.drawing import Drawable, draw
from models.head.head import Head
from models.head.parameters import HeadParameters
from models.head.rastered import rastered
from models.head.texture import filled, seen
from models.types import Image

INNER = ("mouth_cavity", "teeth_upper", "teeth_lower", "eye_right", "eye_left", "eye_pocket_right", "eye_pocket_left")
SHADE = {"mouth_cavity": 0.45, "teeth_upper": 0.75, "teeth_lower": 0.6}
"""How much of the light reaches into a mouth."""
REST_AT = 0.55
"""Distance from the face, in its own widths, at which the photo is at rest."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """What each pixel of the new picture shows."""

    covered: NDArray[np.bool_]
    source: NDArray[np.float32]
    """(H, W, 2) where that lay in the photo"""
    shown: NDArray[np.float32]
    """(H, W) how well the photo showed it"""
    inner: NDArray[np.bool_]


def repaint(head: Head, before: HeadParameters, after: HeadParameters, image: Image) -> Image:
    """Return the square photo (S, S, 3) with the expression of `after`; both heads stand in its pixels."""
    size = image.shape[0]
    old, new = (head.vertices(part.identity, part.expression) for part in (before, after))
    faces = head.part_faces("face", *INNER)
    show = seen(head, before, before.to_picture(old), old, parts=("face", *INNER))
    found = _look(head, faces, before.to_picture(old), after.to_picture(new), show, size=size)
    offsets = _drawn_along(found, size)
    places = np.stack(np.meshgrid(np.arange(size), np.arange(size)), 2).astype(np.float32)
    moved = places + offsets
    result = cv2.remap(image, moved[..., 0], moved[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    plain = draw(Drawable(after.to_picture(new), faces, _tinted(head, image, before, old)), height=size, width=size)
    hidden = (found.inner & (found.shown < 0.5)).astype(np.float32)
    share = cv2.GaussianBlur(hidden, (0, 0), max(size / 500, 0.6))[..., None] * (plain[..., 3:] / 255)
    return np.clip(result * (1 - share) + plain[..., :3] * share + 0.5, 0, 255).astype(np.uint8)


def _look(head: Head, faces: NDArray[np.int32], old: NDArray, new: NDArray, show: NDArray, *, size: int) -> _Seen:
    screen = (new * (2 / size)).astype(np.float32)
    screen[:, :2] += 1 / size - 1
    fragments = rastered(screen, faces, size=size)
    covered = fragments.covered[0].numpy()
    corners, weights = faces[fragments.triangles[0].numpy()], fragments.weights[0].numpy()[..., None]
    inner = np.isin(head.part_of, [head.part_names.index(name) for name in INNER])
    return _Seen(
        covered=covered,
        source=(old[..., :2][corners] * weights).sum(2).astype(np.float32),
        shown=(show[corners] * weights[..., 0]).sum(2),
        inner=inner[corners[..., 0]] & covered,
    )


def _drawn_along(found: _Seen, size: int) -> NDArray[np.float32]:
    """(S, S, 2) from each pixel to where its colour lies in the photo: smooth around the face, nothing far from it."""
    places = np.stack(np.meshgrid(np.arange(size), np.arange(size)), 2).astype(np.float32)
    skin = found.covered & ~found.inner
    known = np.where(skin[..., None], found.source - places, 0).astype(np.float32)
    power = 1 << max(int(np.ceil(np.log2(size))), 2)
    pad = ((0, power - size), (0, power - size))
    around = filled(np.pad(known, (*pad, (0, 0))), np.pad(skin.astype(np.float32), pad))[:size, :size]
    around = cv2.GaussianBlur(around, (0, 0), size / 60)
    away = cv2.distanceTransform((~found.covered).astype(np.uint8), cv2.DIST_L2, 5)
    width = max(float(np.sqrt(found.covered.sum())), 1.0)
    rest = np.clip(1 - away / (REST_AT * width), 0, 1)
    outside = around * (rest * rest * (3 - 2 * rest))[..., None]
    # a seam a few pixels wide, so that the rim of the face does not tear
    near = np.clip(cv2.distanceTransform(found.covered.astype(np.uint8), cv2.DIST_L2, 5) / (size / 40), 0, 1)[..., None]
    inside = np.where((found.covered & (skin | (found.shown >= 0.5)))[..., None], found.source - places, around)
    return (inside * near + outside * (1 - near)).astype(np.float32)


def _tinted(head: Head, image: Image, before: HeadParameters, vertices: NDArray) -> NDArray[np.uint8]:
    """(V, 3) the head's plain colours under the photo's light: as bright as its skin is there."""
    placed = before.to_picture(vertices)[head.landmark_vertices[[50, 280, 151, 199]]]
    rows = np.clip(placed[:, 1].round().astype(int), 0, image.shape[0] - 1)
    columns = np.clip(placed[:, 0].round().astype(int), 0, image.shape[1] - 1)
    bright = float(np.median(image[rows, columns].max(1))) / 215
    light = np.full(len(head.colours), np.clip(bright, 0.25, 1.0))
    for name, share in SHADE.items():
        light[head.part_of == head.part_names.index(name)] *= share
    return np.clip(head.colours * light[:, None], 0, 255).astype(np.uint8)
