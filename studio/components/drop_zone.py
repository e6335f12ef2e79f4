"""Where a visitor puts photos and clips: drop, choose, paste, or take a picture with the camera."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, ListFiles

from studio.components.markup import render
from studio.components.scripts import script

PHOTO_TYPES = "image/*,.heic,.heif,.avif"
CLIP_TYPES = "video/mp4,video/webm,video/quicktime,image/gif,.mp4,.webm,.mov,.gif"


@dataclass(frozen=True)
class Upload:
    """A file a visitor gave; `name` is what it was called there."""

    path: Path
    name: str


class DropZone(gr.HTML):
    """Gives a list of Upload; triggers `submit` when files have arrived.

    Gradio checks that every path lies in the upload folder, because the data model says these are files.
    """

    data_model = ListFiles

    def __init__(
        self,
        *,
        title: str,
        hint: str,
        types: str,
        again: str,
        camera: bool = False,
        multiple: bool = False,
        **options: Any,
    ) -> None:
        words = {"title": title, "hint": hint, "types": types, "again": again}
        super().__init__(
            value=None,
            html_template=render("drop_zone.html", camera=camera, multiple=multiple, **words),
            js_on_load=script("drop_zone"),
            apply_default_css=False,
            **options,
        )

    def preprocess(self, payload: ListFiles | None) -> list[Upload]:  # type: ignore[override]
        """Return the files, named as the visitor's browser named them."""
        files = payload.root if payload is not None else []
        return [Upload(Path(file.path), Path(file.orig_name or file.path).name) for file in files]

    def postprocess(self, value: None) -> None:  # type: ignore[override]
        """Empty the zone: the server never sends a picture back through it."""
        return None

    def api_info(self) -> dict[str, Any]:
        """Describe the value to API clients."""
        return {"type": "array", "items": FileData.model_json_schema()}


def folded(is_folded: bool) -> dict[str, Any]:
    """Return the update that empties the zone and folds it to a button, or opens it again."""
    update: dict[str, Any] = gr.update(value=None, elem_classes=["drop", "folded"] if is_folded else ["drop"])
    return update


def photo_zone(elem_id: str) -> DropZone:
    """Where a visitor gives one photo, or takes one with the camera."""
    return DropZone(
        title="Drop a photo, or choose one",
        hint="JPEG, PNG, WebP, AVIF or HEIC, up to 50 megapixels. You can also paste.",
        types=PHOTO_TYPES,
        again="Another photo",
        camera=True,
        elem_classes="drop",
        elem_id=elem_id,
    )
