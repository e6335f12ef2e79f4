"""What the browser needs to turn and move a head without asking again, as compact JSON."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.faces.names import MIRRORED_BLENDSHAPES
from models.head.head import Head
from models.head.parameters import HeadParameters
from models.images import encode_image
from models.types import Face, Image
from studio.services.mesh import MeshFace, texture_of, the_head

STILL = 3e-5
"""Metres: vertices that an action moves less are left out of it."""
REACH = 0.25
"""Metres: half of the cube whose edges the quantised positions span."""
STAGE_SIZE = 640
STAGE_SCALE = 2.1
"""Edge of the shown part of the photo over the face's longer edge."""
FRONT_PARTS = ("face", "mouth_cavity", "gums", "eye_pocket_right", "eye_pocket_left", "teeth_upper", "teeth_lower")
EYE_PARTS = ("eye_right", "eye_left", "iris_right", "iris_left")


def front_of(head: Head) -> tuple[str, ...]:
    """Name the parts of a head that are seen over its photo."""
    return tuple(name for name in head.part_names if name in (*FRONT_PARTS, *EYE_PARTS))


def packed(values: NDArray[Any]) -> str:
    """Return an array's bytes as base64."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


@cache
def head_data() -> str:
    """Return what all faces of the open head share, as JSON."""
    return json.dumps(head_message(the_head()), separators=(",", ":"))


@cache
def head_message(head: Head) -> dict[str, Any]:
    """Return triangles, map, colours and the 52 displacements of a head, sparse and in 16 bits."""
    ranks = np.full(len(head.part_names), 2)
    ranks[[place for place, name in enumerate(head.part_names) if name in FRONT_PARTS]] = 0
    ranks[[place for place, name in enumerate(head.part_names) if name in EYE_PARTS]] = 1
    rank = ranks[head.part_of[head.faces]].max(1)
    order = np.argsort(rank, kind="stable")
    shapes = []
    for shape in head.expression:
        rows = np.flatnonzero(np.abs(shape).max(1) > STILL)
        scale = float(np.abs(shape).max() / 32767) or 1.0
        shapes.append(
            {
                "rows": packed(rows.astype("<u2")),
                "moves": packed(np.round(shape[rows] / scale).astype("<i2")),
                "scale": scale,
            }
        )
    return {
        "vertices": len(head.neutral),
        "faces": packed(head.faces[order].astype("<u2")),
        "counts": [int((rank == number).sum()) * 3 for number in range(3)],
        "uvs": packed(np.round(np.clip(head.uvs, 0, 1) * 65535).astype("<u2")),
        "colours": packed(head.colours),
        "shapes": shapes,
        "mirrored": MIRRORED_BLENDSHAPES.tolist(),
        "reach": REACH,
    }


def scene(mesh: MeshFace, *, others: Sequence[MeshFace] = ()) -> str:
    """Return one face for the viewer: its shape, its expression, where it stands in its photo, and its skin."""
    head = mesh.head
    stage, at = stage_of(mesh)
    still = head.vertices(mesh.parameters.identity, np.zeros(len(head.expression), np.float32))
    message: dict[str, Any] = {
        "key": secrets.token_hex(4),
        "neutral": packed(np.round(np.clip(still / REACH, -1, 1) * 32767).astype("<i2")),
        "expression": plain(mesh.parameters.expression),
        "rotation": plain(at.rotation.ravel(), digits=5),
        "scale": at.scale / STAGE_SIZE,
        "shift": plain((at.shift + 0.5) / STAGE_SIZE, digits=5),
        "photo": data_url(stage, quality=86),
        "texture": data_url(texture_of(mesh), quality=90),
        "others": [
            {"name": f"Face {other.number}", "expression": plain(other.parameters.expression)}
            for other in others
            if other.number != mesh.number
        ],
        "warning": mesh.warning,
    }
    if mesh.own_head is not None:
        message["own"] = head_message(mesh.own_head)
    return json.dumps(message, separators=(",", ":"))


def borrowed(mesh: MeshFace, name: str) -> str:
    """Return another photo's expression for the viewer."""
    return json.dumps({"key": secrets.token_hex(4), "name": name, "expression": plain(mesh.parameters.expression)})


def stage_of(mesh: MeshFace) -> tuple[Image, HeadParameters]:
    """Return the square of the photo around the head, (STAGE_SIZE, STAGE_SIZE, 3), and the head as it stands there."""
    stage, matrix = stage_around(mesh.picture, mesh.face)
    return stage, mesh.parameters.moved(matrix)


def stage_around(picture: Image, face: Face) -> tuple[Image, NDArray[np.float64]]:
    """Return the square of a photo around a face, and the (3, 3) map from the photo's pixels to its own."""
    box = face.box
    edge = max(box.width, box.height) * STAGE_SCALE
    zoom = STAGE_SIZE / edge
    x, y = box.centre
    matrix = np.diag([zoom, zoom, 1.0])
    matrix[:2, 2] = (STAGE_SIZE - 1) / 2 - zoom * np.array([x, y - 0.12 * edge])
    flags = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    stage = cv2.warpAffine(picture, matrix[:2], (STAGE_SIZE, STAGE_SIZE), flags=flags, borderValue=(236, 234, 230))
    return np.asarray(stage, np.uint8), matrix


def plain(values: NDArray[Any], *, digits: int = 4) -> list[float]:
    """Return an array as rounded numbers."""
    return [round(float(value), digits) for value in values]


def data_url(image: Image, *, quality: int) -> str:
    """Return a picture as a JPEG inside an address."""
    return f"data:image/jpeg;base64,{base64.b64encode(encode_image(image, 'JPEG', quality=quality)).decode()}"
