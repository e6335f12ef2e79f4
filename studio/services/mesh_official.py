"""SMIRK's own networks and FLAME in the Mesh tab, for those who brought both: turned and taken home, not edited.

The browser and the files get vertices; the bases of FLAME stay on the server.
"""

from __future__ import annotations

import io
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import trimesh

from models import registry
from models.errors import BadInput
from models.head.fit import similarity
from models.head.parameters import TO_PICTURE, HeadParameters
from models.types import Face, Image
from models.weights import find_weight
from studio.gpu import on_gpu
from studio.services.expression import PhotoReading, scaled
from studio.services.mesh_exports import exported
from studio.services.mesh_orders import Made, Order
from studio.services.mesh_scene import REACH, STAGE_SIZE, data_url, packed, plain, stage_around

if TYPE_CHECKING:
    from models.smirk.reader import SmirkFace

NAME = "SMIRK, official (your files)"


@dataclass(frozen=True, eq=False)
class OfficialFace:
    """One face of a photo as SMIRK reads it."""

    number: int
    face: Face
    """In pixels of `picture`."""
    picture: Image
    read: SmirkFace
    front: SmirkFace
    """The same, looking at the viewer."""
    milliseconds: float


def is_here() -> bool:
    """Tell whether both of SMIRK's files were brought."""
    return all(find_weight(name, *registry.places().weights_folders) is not None for name in ("smirk", "flame"))


@on_gpu
def read_official(picture: Image, face: Face) -> tuple[SmirkFace, SmirkFace, float]:
    """Return the face as it stands and looking ahead, and the milliseconds the reading took."""
    reader = registry.load("smirk")
    begun = time.perf_counter()
    read = reader.read(picture, face)
    spent = (time.perf_counter() - begun) * 1000
    return read, reader.reshape(read, replace(read.parameters, pose=np.zeros_like(read.parameters.pose))), spent


def official_face(reading: PhotoReading, number: object) -> OfficialFace:
    """Read one face of a photo; raises NoFaceFound for a number that is none, MissingWeights without the files."""
    item = reading.face(number)
    face = scaled(item.face, reading.factor)
    return OfficialFace(item.number, face, reading.picture, *read_official(reading.picture, face))


def official_scene(face: OfficialFace) -> str:
    """Return the face for the viewer: vertices and triangles, and where they stand in the photo."""
    stage, matrix = stage_around(face.picture, face.face)
    still = face.front.vertices - face.front.vertices.mean(0)
    rotation, scale, shift = similarity(
        still.astype(np.float64), face.read.vertices_image.astype(np.float64) * TO_PICTURE
    )
    nothing = np.zeros(52, np.float32)
    at = HeadParameters(
        rotation.astype(np.float32), scale, np.array([shift[0], -shift[1]], np.float32), nothing[:0], nothing
    ).moved(matrix)
    return json.dumps(
        {
            "key": secrets.token_hex(4),
            "neutral": packed(np.round(np.clip(still / REACH, -1, 1) * 32767).astype("<i2").ravel()),
            "baked": {"vertices": len(still), "faces": packed(face.read.triangles.astype("<u2"))},
            "expression": plain(nothing),
            "rotation": plain(at.rotation.ravel(), digits=5),
            "scale": at.scale / STAGE_SIZE,
            "shift": plain((at.shift + 0.5) / STAGE_SIZE, digits=5),
            "photo": data_url(stage, quality=86),
            "texture": "",
            "others": [],
            "warning": "",
        },
        separators=(",", ":"),
    )


def _mesh(face: OfficialFace) -> trimesh.Trimesh:
    return trimesh.Trimesh(face.front.vertices, face.read.triangles, process=False)


def _npz(face: OfficialFace) -> bytes:
    stream = io.BytesIO()
    parameters = {name: getattr(face.read.parameters, name) for name in face.read.parameters.__dataclass_fields__}
    np.savez_compressed(
        stream, allow_pickle=False, vertices=face.front.vertices, vertices_image=face.read.vertices_image,
        faces=face.read.triangles, **parameters,
    )  # fmt: skip
    return stream.getvalue()


def _json(face: OfficialFace) -> bytes:
    names = face.read.parameters.__dataclass_fields__
    record = {name: plain(getattr(face.read.parameters, name), digits=6) for name in names}
    return json.dumps({"number": face.number, "backend": "smirk_em1"} | record, indent=1).encode()


WRITERS: dict[str, tuple[str, str, Callable[[OfficialFace], bytes]]] = {
    "obj": ("obj", "model/obj", lambda face: exported(_mesh(face), "obj")),
    "ply": ("ply", "application/octet-stream", lambda face: exported(_mesh(face), "ply")),
    "stl": ("stl", "model/stl", lambda face: exported(_mesh(face), "stl")),
    "npz": ("npz", "application/octet-stream", _npz),
    "json": ("json", "application/json", _json),
}


def write_official(face: OfficialFace, order: Order) -> Made:
    """Return the ordered file; raises BadInput for what is made of the open head only."""
    if order.kind not in WRITERS:
        raise BadInput(f"Of SMIRK's official head can be written {', '.join(WRITERS)}; the rest is the open head's.")
    ending, media_type, writer = WRITERS[order.kind]
    return Made(f"smirk.{ending}", media_type, writer(face))
