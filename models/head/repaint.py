"""A photo with another expression: its own pixels, carried where the edited head carries its skin.

No network paints here. Around the face the photo is drawn along and comes to rest; what the photo did not show, such as
the inside of a mouth that opens, is the head's own plain parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.head.drawing import Drawable, draw, viewer
from models.head.head import Head
from models.head.parameters import HeadParameters
from models.head.rastered import rastered, towards_viewer
from models.head.texture import filled, normals_of, seen
from models.types import Image

INNER = ("mouth_cavity", "teeth_upper", "teeth_lower", "eye_right", "eye_left", "eye_pocket_right", "eye_pocket_left")
MOUTH, TEETH, EYES = INNER[:1], INNER[1:3], INNER[3:]
SHADE = {"mouth_cavity": 0.45, "teeth_upper": 0.75, "teeth_lower": 0.6}
"""How much of the light reaches into a mouth."""
REST_AT = 0.55
"""Distance from the face, in its own widths, at which the photo is at rest."""


SKIN_KIND, MOUTH_KIND, TEETH_KIND, EYE_KIND = range(1, 5)
"""What a pixel of `Carried.kind` shows; 0 is no part of the head."""


@dataclass(frozen=True, eq=False)
class Carried:
    """A photo whose pixels went along with its head."""

    image: Image
    """(S, S, 3)"""
    plain: NDArray[np.float32]
    """(S, S) share of each pixel that the photo did not show, and that is the head's own plain colour"""
    kind: NDArray[np.uint8]
    """(S, S) which part of the head lies there now"""
    normals: NDArray[np.float32]
    """(S, S, 3) in the viewer's axes, zeros beside the head"""
    stretch: NDArray[np.float32]
    """(S, S) log2 of how much larger the photo's skin lies there now than it lay"""


@dataclass(frozen=True, eq=False)
class _Seen:
    """What each pixel of the new picture shows."""

    covered: NDArray[np.bool_]
    source: NDArray[np.float32]
    """(H, W, 2) where that lay in the photo"""
    shown: NDArray[np.float32]
    """(H, W) how well the photo showed it"""
    kind: NDArray[np.uint8]
    """(H, W)"""
    normals: NDArray[np.float32]
    """(H, W, 3)"""

    @property
    def inner(self) -> NDArray[np.bool_]:
        """(H, W) behind lips or lids"""
        return self.kind > SKIN_KIND


def repaint(head: Head, before: HeadParameters, after: HeadParameters, image: Image) -> Image:
    """Return the square photo (S, S, 3) with the expression of `after`; both heads stand in its pixels."""
    return carry(head, before, after, image).image


def carry(head: Head, before: HeadParameters, after: HeadParameters, image: Image) -> Carried:
    """Move the pixels of the square photo (S, S, 3) from where `before` has its skin to where `after` has it."""
    size = image.shape[0]
    old, new = (head.vertices(part.identity, part.expression) for part in (before, after))
    faces = head.part_faces("face", *INNER)
    placed, goal = before.to_picture(old), after.to_picture(new)
    show = seen(head, before, placed, old, parts=("face", *INNER))
    found = _look(head, faces, placed, goal, show, size=size)
    offsets = _drawn_along(found, size)
    places = np.stack(np.meshgrid(np.arange(size), np.arange(size)), 2).astype(np.float32)
    moved = places + offsets
    result = cv2.remap(image, moved[..., 0], moved[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    plain = draw(Drawable(goal, faces, _tinted(head, image, before, old)), height=size, width=size)
    hidden = (found.inner & (found.shown < 0.5)).astype(np.float32)
    share = cv2.GaussianBlur(hidden, (0, 0), max(size / 500, 0.6)) * (plain[..., 3] / np.float32(255))
    mixed = result * (1 - share[..., None]) + plain[..., :3] * share[..., None]
    return Carried(
        image=np.clip(mixed + 0.5, 0, 255).astype(np.uint8),
        plain=share,
        kind=found.kind,
        normals=found.normals,
        stretch=_stretch(moved),
    )


def _stretch(source: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, S) of a map (S, S, 2) from new pixels to old ones: log2 of the new area over the old, within +-3."""
    (xx, xy), (yx, yy) = (np.gradient(source[..., axis]) for axis in (0, 1))  # down the rows, along the columns
    area = np.abs(xy * yx - xx * yy)
    return np.clip(-np.log2(np.maximum(area, 1e-3)), -3, 3).astype(np.float32)


def _look(head: Head, faces: NDArray[np.int32], old: NDArray, new: NDArray, show: NDArray, *, size: int) -> _Seen:
    screen = (new * (2 / size)).astype(np.float32)
    screen[:, :2] += 1 / size - 1
    front = towards_viewer(screen, faces)
    fragments = rastered(screen, front, size=size)
    covered = fragments.covered[0].numpy()
    corners, weights = front[fragments.triangles[0].numpy()], fragments.weights[0].numpy()[..., None]
    kinds = np.full(len(head.part_of), SKIN_KIND, np.uint8)
    for kind, names in ((MOUTH_KIND, MOUTH), (TEETH_KIND, TEETH), (EYE_KIND, EYES)):
        kinds[np.isin(head.part_of, [head.part_names.index(name) for name in names])] = kind
    normals = normals_of(viewer(new), head.faces)
    return _Seen(
        covered=covered,
        source=(old[..., :2][corners] * weights).sum(2).astype(np.float32),
        shown=(show[corners] * weights[..., 0]).sum(2),
        kind=np.where(covered, kinds[corners[..., 0]], 0).astype(np.uint8),
        normals=(normals[corners] * weights).sum(2).astype(np.float32),
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
