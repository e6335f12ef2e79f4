"""Heads as files: GLB, OBJ, PLY and STL for 3D programs, NPZ, CSV and JSON for others."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import trimesh

from models.errors import BadInput
from models.faces.names import BLENDSHAPE_NAMES
from models.head.parameters import HeadParameters
from models.images import encode_image
from studio.services import mesh_pictures
from studio.services.mesh import MeshFace, texture_of, vertices_of
from studio.services.mesh_glb import glb

OBJ_HEAD = "# {title}, metres, y up\nmtllib head.mtl\nusemtl skin\n"
MTL = "newmtl skin\nKd 1 1 1\nKs 0 0 0\nmap_Kd head.jpg\n"


def parameter_record(parameters: HeadParameters) -> dict[str, Any]:
    """Return everything that shapes and places a head, as plain values."""
    pose = parameters.pose
    return {
        "pose": {name: round(getattr(pose, name), 3) for name in ("yaw", "pitch", "roll")},
        "rotation": [[round(float(value), 6) for value in row] for row in parameters.rotation],
        "scale_px_per_m": round(parameters.scale, 3),
        "origin_px": [round(float(value), 3) for value in parameters.shift],
        "identity": [round(float(value), 5) for value in parameters.identity],
        "expression": {n: round(float(v), 5) for n, v in zip(BLENDSHAPE_NAMES, parameters.expression, strict=True)},
    }


def mesh_record(mesh: MeshFace) -> dict[str, Any]:
    """Return one face's head; pixels are those of the picture as it is shown, whose size is given."""
    height, width = mesh.picture.shape[:2]
    return {
        "number": mesh.number,
        "picture": {"width": width, "height": height},
        "backend": mesh.backend,
        "warning": mesh.warning or None,
        "milliseconds": round(mesh.milliseconds, 1),
    } | parameter_record(mesh.parameters)


def as_json(mesh: MeshFace) -> bytes:
    """Return the record as a JSON file."""
    return json.dumps(mesh_record(mesh), indent=1).encode()


COLUMNS = (
    "yaw", "pitch", "roll", "scale_px_per_m", "origin_x_px", "origin_y_px",
)  # fmt: skip


def parameter_row(parameters: HeadParameters) -> list[float]:
    """Return the numbers of `parameter_columns`."""
    pose = parameters.pose
    return [
        pose.yaw, pose.pitch, pose.roll, parameters.scale, *parameters.shift.tolist(),
        *parameters.identity.tolist(), *parameters.expression.tolist(),
    ]  # fmt: skip


def parameter_columns(parameters: HeadParameters) -> list[str]:
    """Return what the numbers of `parameter_row` are."""
    return [*COLUMNS, *(f"identity_{place}" for place in range(len(parameters.identity))), *BLENDSHAPE_NAMES]


def as_csv(mesh: MeshFace) -> bytes:
    """Return one row of all parameters."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["number", *parameter_columns(mesh.parameters)])
    writer.writerow([mesh.number, *(f"{value:.6g}" for value in parameter_row(mesh.parameters))])
    return stream.getvalue().encode()


def as_npz(mesh: MeshFace) -> bytes:
    """Return vertices, triangles, landmarks and all parameters."""
    head, parameters = mesh.head, mesh.parameters
    vertices = vertices_of(parameters, head)
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        allow_pickle=False,
        vertices=vertices,
        vertices_image=parameters.to_picture(vertices),
        faces=head.faces,
        uvs=head.uvs,
        landmarks=head.landmarks(vertices),
        rotation=parameters.rotation,
        scale=np.array(parameters.scale),
        shift=parameters.shift,
        identity=parameters.identity,
        expression=parameters.expression,
        expression_names=np.array(BLENDSHAPE_NAMES),
    )
    return stream.getvalue()


def as_glb(mesh: MeshFace) -> bytes:
    """Return the head with its skin and 51 named morph targets."""
    return glb(mesh.head, mesh.parameters, texture_of(mesh))


def as_obj(mesh: MeshFace) -> bytes:
    """Return head.obj, head.mtl and head.jpg in one ZIP file."""
    head, vertices = mesh.head, vertices_of(mesh.parameters, mesh.head)
    lines = [OBJ_HEAD.format(title="A head by Mien")]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in vertices]
    lines += [f"vt {u:.5f} {v:.5f}\n" for u, v in head.uvs]
    lines += [f"f {a}/{a} {b}/{b} {c}/{c}\n" for a, b, c in head.faces + 1]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("head.obj", "".join(lines))
        archive.writestr("head.mtl", MTL)
        archive.writestr("head.jpg", encode_image(texture_of(mesh), "JPEG", quality=92))
    return stream.getvalue()


def _trimesh(mesh: MeshFace, *, coloured: bool) -> trimesh.Trimesh:
    colours = mesh_pictures.colours_of(mesh) if coloured else None
    return trimesh.Trimesh(
        vertices_of(mesh.parameters, mesh.head), mesh.head.faces, vertex_colors=colours, process=False
    )


def exported(shape: trimesh.Trimesh, kind: str) -> bytes:
    """Return trimesh's file of a surface, which for some kinds is text."""
    content = shape.export(file_type=kind)
    return content.encode() if isinstance(content, str) else bytes(content)


def as_ply(mesh: MeshFace) -> bytes:
    """Return the head with a colour at each vertex."""
    return exported(_trimesh(mesh, coloured=True), "ply")


def as_stl(mesh: MeshFace) -> bytes:
    """Return the surface; metres, as 3D programs take them."""
    return exported(_trimesh(mesh, coloured=False), "stl")


WRITERS: dict[str, tuple[str, str, Callable[[MeshFace], bytes]]] = {
    "glb": ("glb", "model/gltf-binary", as_glb),
    "obj": ("zip", "application/zip", as_obj),
    "ply": ("ply", "application/octet-stream", as_ply),
    "stl": ("stl", "model/stl", as_stl),
    "npz": ("npz", "application/octet-stream", as_npz),
    "csv": ("csv", "text/csv", as_csv),
    "json": ("json", "application/json", as_json),
}
"""Ending, media type and writer of each kind of file."""


def write(mesh: MeshFace, kind: str) -> tuple[str, str, bytes]:
    """Return ending, media type and content; raises BadInput for an unknown kind."""
    if kind not in WRITERS:
        raise BadInput(f"A head can be written as {', '.join(WRITERS)}, not as {kind[:12]!r}.")
    ending, media_type, writer = WRITERS[kind]
    return ending, media_type, writer(mesh)
