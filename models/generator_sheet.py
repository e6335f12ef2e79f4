"""A contact sheet of unseen generated faces: photo, overlay, turned 40 degrees, neutral, and photos that change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from models import registry
from models.errors import BadInput
from models.generator_evaluation import PRESETS
from models.head.drawing import Drawable, draw, over
from models.head.head import Head
from models.head.parameters import HeadParameters
from models.head.texture import bake_texture
from models.images import encode_image
from models.training.data import read_faces, split
from models.types import Image

GENERATED = "sfhq_t2i"
"""Faces of people who do not exist: the only ones that may be shown."""
TILE, GROUND = 150, (250, 249, 247)
FACES, BLOCKS = 24, 2
ASKED = ("smile", "open mouth", "surprise", "neutral", "blink")
BESIDE = ("skull", "neck", "ear_left", "ear_right")
SPANNED = 0.335
"""Metres that the edge of a tile spans in which a head stands alone."""


def contact_sheet(folder: Path, out: Path) -> None:
    """Write the sheet as a JPEG; raises BadInput when `folder` holds no generated face that training never saw."""
    held = split(read_faces(folder, sets=("faces256",)))[1]
    rows = np.flatnonzero(held.source == GENERATED)
    if not len(rows):
        raise BadInput(f"{folder} holds no face of {GENERATED} that training never saw")
    rows = rows[np.linspace(0, len(rows) - 1, min(FACES, len(rows))).round().astype(int)]
    finder, strips = registry.load("faces"), []
    for number, row in enumerate(rows):
        picture = held.pictures[row]
        for face in finder.find(picture, most=1):
            parameters = registry.load("head").read(picture, face)
            strips.append(strip(picture, parameters, ASKED[number % len(ASKED)]))
    strips += [np.full_like(strips[0], 255)] * (-len(strips) % BLOCKS)
    high = len(strips) // BLOCKS
    blocks = [np.concatenate(strips[block * high : (block + 1) * high]) for block in range(BLOCKS)]
    out.write_bytes(encode_image(np.ascontiguousarray(np.concatenate(blocks, 1)), "JPEG", quality=88))


def strip(picture: Image, parameters: HeadParameters, asked: str) -> Image:
    """One face in one row, (TILE, 6 TILE, 3); the last two are the photo carried only, and painted, with `asked`."""
    head, painter = registry.load("head").head, registry.load("smirk_open_generator")
    vertices = head.vertices(parameters.identity, parameters.expression)
    skin = bake_texture(head, parameters, vertices, picture)
    front = head.part_faces(*(name for name in head.part_names if name not in BESIDE))
    size = picture.shape[0]
    laid = draw(Drawable(parameters.to_picture(vertices), front, head.colours), height=size, width=size)
    wanted = parameters.with_expression(head.coefficients(PRESETS[asked]))
    resting = parameters.with_expression(parameters.expression * 0)
    views = [picture, over(laid, picture, opacity=0.85), portrait(head, parameters, skin, yaw=40)]
    views += [portrait(head, resting, skin), painter.carried(picture, parameters, wanted)]
    views += [painter(picture, parameters, wanted)]
    return np.concatenate([cv2.resize(view, (TILE, TILE), interpolation=cv2.INTER_AREA) for view in views], 1)


def portrait(head: Head, parameters: HeadParameters, skin: Image, *, yaw: float = 0.0) -> Image:
    """The head alone in its skin, (2 TILE, 2 TILE, 3), turned by `yaw` degrees."""
    size = 2 * TILE
    turn = Rotation.from_euler("y", yaw, degrees=True).as_matrix()
    middle = (turn @ np.array([0.0, -0.012, -0.07]))[:2] * size / SPANNED
    shift = np.array([size / 2 - middle[0], size / 2 + middle[1]], np.float32)
    alone = replace(parameters, rotation=turn.astype(np.float32), scale=size / SPANNED, shift=shift)
    placed = alone.to_picture(head.vertices(alone.identity, alone.expression))
    drawn = draw(Drawable(placed, head.faces, head.colours, head.uvs, skin), height=size, width=size)
    return over(drawn, np.full((size, size, 3), GROUND, np.uint8))
