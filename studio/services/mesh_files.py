"""From a file to a file, for the command line: what to make is told by the endings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.errors import BadInput, NoFaceFound
from models.images import read_image
from studio.services.expression import read_photo
from studio.services.mesh import ICT, on_ict, read_meshes
from studio.services.mesh_clip import MeshClip, clip_csv, clip_glb, clip_npz, filtered, overlay_film, read_mesh_clip
from studio.services.mesh_orders import Made, Order, carry_out

OPEN = "open"
CLIPS = (".mp4", ".webm", ".mov", ".gif", ".mkv", ".avi")
KINDS = {
    ".glb": "glb", ".zip": "obj", ".ply": "ply", ".stl": "stl", ".npz": "npz", ".csv": "csv", ".json": "json",
    ".png": "overlay", ".jpg": "sheet", ".mp4": "turntable", ".gif": "gif",
}  # fmt: skip
"""What is made of a photo, by the ending of the file to write."""


def _film(clip: MeshClip) -> bytes:
    return next(step for step in overlay_film(clip) if isinstance(step, bytes))


CLIP_WRITERS: dict[str, Callable[[MeshClip], bytes]] = {
    ".glb": clip_glb, ".csv": clip_csv, ".npz": clip_npz, ".mp4": _film,
}  # fmt: skip


def write_mesh(source: Path, out: Path, *, number: int, smoothing: str, head: str = OPEN) -> dict[str, Any]:
    """Write `out` and say what it holds; raises BadInput for an ending that cannot be written, or NoFaceFound."""
    is_clip, ending = source.suffix.lower() in CLIPS, out.suffix.lower()
    if head not in (OPEN, ICT) or (is_clip and head != OPEN):
        raise BadInput(f"the head is {OPEN} or, for photos, {ICT}; got {head!r}")
    known = CLIP_WRITERS if is_clip else KINDS
    if ending not in known:
        raise BadInput(f"{out.name}: of a {'clip' if is_clip else 'photo'} can be written {', '.join(known)}")
    summary = _of_clip(source, out, smoothing) if is_clip else _of_photo(source, out, number, head)
    return summary | {"out": str(out), "bytes": out.stat().st_size}


def _of_photo(source: Path, out: Path, number: int, head: str) -> dict[str, Any]:
    meshes = read_meshes(read_photo(read_image(source), name=source.name))
    if number > len(meshes):
        raise NoFaceFound(f"face {number} was asked for, and {len(meshes)} were found in {source.name}")
    mesh = on_ict(meshes[number - 1]) if head == ICT else meshes[number - 1]
    order = Order(KINDS[out.suffix.lower()])
    made = next(step for step in carry_out(mesh, mesh, order) if isinstance(step, Made))
    out.write_bytes(made.content)
    return {"faces": len(meshes), "face": number, "backend": mesh.backend, "warning": mesh.warning or None}


def _of_clip(source: Path, out: Path, smoothing: str) -> dict[str, Any]:
    *_, clip = read_mesh_clip(source, name=source.name, frames_per_second=0.0)
    if not clip.read:
        raise NoFaceFound(f"no face was found in {source.name}")
    now = filtered(clip, smoothing)
    out.write_bytes(CLIP_WRITERS[out.suffix.lower()](now))
    return {"frames": len(clip.frames), "with_face": len(clip.read), "turned_far": len(clip.far_turned)}
