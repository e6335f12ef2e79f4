"""What the latent studio does, as named endpoints for programs; docs/api.md describes them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
from gradio import FileData
from gradio.events import api

from models.errors import BadInput
from models.images import read_image
from models.types import Image
from studio.errors import explained
from studio.services import latent, latent_morph
from studio.services.background import Done, steps_of
from studio.tabs.expression_endpoints import GPU, file_of


def build() -> None:
    """Register the endpoints; call inside the Blocks."""

    @explained
    def latent_code(photo: FileData) -> dict[str, Any]:
        """Code the clearest face of a photo: its numbers, the sliders there are, and the rebuilt picture."""
        path, name = file_of(photo)
        face = latent.hold(read_image(path), name=name)
        return {
            "backend": latent.space().backend,
            "code": [round(float(number), 5) for number in face.numbers],
            "sliders": [item.name for item in latent.attributes()],
            "rebuilt": _png(face.rebuilt),
        }

    @explained
    def latent_edit(photo: FileData, steps: dict[str, float], keep_detail: bool = True) -> dict[str, Any]:
        """Move the clearest face of a photo along sliders, such as {"smile": 2}, and put it back at full size."""
        unknown = set(steps) - {item.name for item in latent.attributes()}
        if unknown:
            raise BadInput(f"There is no slider {sorted(unknown)[0][:40]!r}.")
        path, name = file_of(photo)
        face = latent.hold(read_image(path), name=name)
        made = latent.edit(face, steps)
        return {
            "picture": _png(latent.into_photo(face, made, keep_detail=keep_detail)),
            "code": [round(float(number), 5) for number in made.numbers],
        }

    @explained
    def latent_picture(code: list[float]) -> str:
        """Return the picture of a code as a PNG data URL."""
        return _png(latent.space().decode(np.asarray(code, np.float32).reshape(1, -1))[0])

    @explained
    def latent_morph_film(photos: list[FileData], kind: str = "mp4") -> Iterator[dict[str, Any]]:
        """Make a film ("mp4" or "gif") through the faces of two to five photos; yields progress, then the film."""
        if kind not in ("mp4", "gif") or not 2 <= len(photos) <= latent.MOST_FACES:
            raise BadInput("Give two to five photos, and mp4 or gif.")
        faces = [latent.hold(read_image(path), name=name) for path, name in map(file_of, photos)]
        for step in steps_of(lambda report: latent_morph.film(faces, kind, report), first="Drawing the frames"):
            if isinstance(step, Done):
                media = "image/gif" if kind == "gif" else "video/mp4"
                yield {"complete": True, "film": f"data:{media};base64,{base64.b64encode(step.result).decode()}"}
            else:
                yield {"complete": False, "share": step.share}

    api(latent_code, api_name="latent_code", **GPU)
    api(latent_edit, api_name="latent_edit", **GPU)
    api(latent_picture, api_name="latent_picture", **GPU)
    api(latent_morph_film, api_name="latent_morph", **GPU)


def _png(picture: Image) -> str:
    return f"data:image/png;base64,{base64.b64encode(latent.picture_file(picture)).decode()}"
