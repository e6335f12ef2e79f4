"""What the Expression tab does, as named endpoints for programs; docs/api.md describes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gradio import FileData
from gradio.events import api

from models.errors import BadInput, NoFaceFound
from models.images import read_image
from studio.context import Context
from studio.errors import explained
from studio.services import exports
from studio.services.comparison import MOST
from studio.services.expression import read_photo
from studio.services.gather import Gathered, gather
from studio.services.nearest import near_vector
from studio.services.timeline import read_clip

GPU: dict[str, Any] = {"concurrency_id": "gpu", "concurrency_limit": 1}


def build(context: Context) -> None:
    """Register the endpoints; call inside the Blocks."""

    @explained
    def expression_photo(photo: FileData) -> dict[str, Any]:
        """Read every face of a photo: boxes, emotions, valence, arousal, muscle actions and vectors."""
        path, name = file_of(photo)
        return exports.photo_record(read_photo(read_image(path), name=name))

    @explained
    def expression_clip(clip: FileData, frames_per_second: float = 10.0) -> Iterator[dict[str, Any]]:
        """Read a clip frame by frame (0 frames per second: all of them); yields progress, then the whole reading."""
        path, name = file_of(clip)
        for reading in read_clip(path, name=name, frames_per_second=frames_per_second):
            if reading.is_complete:
                yield exports.clip_record(reading)
            else:
                yield {"complete": False, "share": round(reading.share, 4), "frames_read": len(reading.frames)}

    @explained
    def expression_compare(photos: list[FileData]) -> dict[str, Any]:
        """Compare the faces of up to nine photos: distances, the closest pair and the odd one out."""
        if not 1 <= len(photos) <= MOST:
            raise BadInput(f"{len(photos)} photos cannot be compared; give 1 to {MOST}.")
        now = Gathered()
        for path, name in map(file_of, photos):
            now = gather(now.faces, read_image(path), name=name)
        comparison = now.comparison
        if comparison is None:
            raise NoFaceFound(f"{len(now.faces)} face was found; a comparison needs at least two.")
        return exports.comparison_record(comparison, [face.name for face in now.faces])

    @explained
    def expression_nearest(vector: list[float], backend: str, most: int = 6) -> list[dict[str, Any]]:
        """Return the gallery faces nearest to a vector that `backend` made, nearest first."""
        numbers = np.asarray(vector, np.float32)
        return near_vector(context.store, numbers, backend=backend, most=most)

    api(expression_photo, api_name="expression_photo", **GPU)
    api(expression_clip, api_name="expression_clip", **GPU)
    api(expression_compare, api_name="expression_compare", **GPU)
    api(expression_nearest, api_name="expression_nearest", concurrency_limit=None)


def file_of(given: Any) -> tuple[Path, str]:
    """Return an uploaded file's path and name.

    Gradio lets a path through only when it lies in the upload folder, which it checks for values marked as files;
    the mark is therefore demanded here.
    """
    try:
        file = FileData.model_validate(given, context={"validate_meta": True})
    except ValueError as error:
        raise BadInput("Give files with gradio_client's handle_file(...).") from error
    return Path(file.path), Path(file.orig_name or file.path).name
