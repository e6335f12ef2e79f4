"""What the Mesh tab does, as named endpoints for programs; docs/api.md describes them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from gradio import FileData
from gradio.events import api

from models.errors import NoFaceFound
from models.faces.names import BLENDSHAPE_NAMES
from models.images import read_image
from studio.context import Context
from studio.errors import explained
from studio.services.expression import read_photo
from studio.services.mesh import MeshFace, edited, read_meshes
from studio.services.mesh_clip import filtered, read_mesh_clip
from studio.services.mesh_exports import mesh_record, parameter_record
from studio.services.mesh_orders import Made, carry_out, order_of
from studio.tabs.expression_endpoints import file_of

GPU: dict[str, Any] = {"concurrency_id": "gpu", "concurrency_limit": 1}


def build(context: Context) -> None:
    """Register the endpoints; call inside the Blocks."""

    @explained
    def mesh_photo(photo: FileData) -> dict[str, Any]:
        """Read every face of a photo as a head: pose, camera, identity and 52 named actions."""
        return {"faces": [mesh_record(mesh) for mesh in _meshes(photo)]}

    @explained
    def mesh_file(
        photo: FileData, kind: str = "glb", number: int = 1, expression: dict[str, float] | None = None
    ) -> dict[str, Any]:
        """Make a file of one face's head (glb, obj, ply, stl, npz, csv, json, overlay, sheet, photo, turntable, gif).

        `expression` names actions from 0 to 1, all others at rest; without it the photo's is kept.
        """
        chosen = [mesh for mesh in _meshes(photo) if mesh.number == number]
        if not chosen:
            raise NoFaceFound(f"There is no face {number} in this picture.")
        wanted = None if expression is None else [float(expression.get(name, 0.0)) for name in BLENDSHAPE_NAMES]
        order = order_of({"kind": kind, "expression": wanted})
        made = [step for step in carry_out(chosen[0], edited(chosen[0], wanted), order) if isinstance(step, Made)][-1]
        return {
            "name": made.suffix,
            "media_type": made.media_type,
            "base64": base64.b64encode(made.content).decode(),
        }

    @explained
    def mesh_clip(
        clip: FileData, frames_per_second: float = 10.0, smoothing: str = "savitzky-golay"
    ) -> Iterator[dict[str, Any]]:
        """Follow one face through a clip; yields progress, then the head's parameters at every frame."""
        path, name = file_of(clip)
        for now in read_mesh_clip(path, name=name, frames_per_second=frames_per_second):
            if not now.is_complete:
                yield {"complete": False, "share": round(now.share, 4), "frames_read": len(now.frames)}
                continue
            found = filtered(now, smoothing)
            yield {
                "complete": True,
                "name": name,
                "duration_s": round(now.duration_s, 3),
                "frames": [
                    {
                        "time_s": round(frame.time_s, 4),
                        "head": parameter_record(frame.parameters) if frame.parameters is not None else None,
                    }
                    for frame in found.frames
                ],
            }

    api(mesh_photo, api_name="mesh_photo", **GPU)
    api(mesh_file, api_name="mesh_file", **GPU)
    api(mesh_clip, api_name="mesh_clip", **GPU)


def _meshes(photo: Any) -> tuple[MeshFace, ...]:
    path, name = file_of(photo)
    return read_meshes(read_photo(read_image(path), name=name))
