"""A short recording with the camera, handed over like a dropped file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, ListFiles

from studio.components.drop_zone import Upload
from studio.components.markup import render
from studio.components.scripts import STATIC, script

MOST_SECONDS = 15


class ClipRecorder(gr.HTML):
    """Gives a list of one Upload; triggers `submit` when it has arrived."""

    data_model = ListFiles

    def __init__(self, **options: Any) -> None:
        settings: dict[str, Any] = {
            "value": None,
            "html_template": render("clip_recorder.html", seconds=MOST_SECONDS),
            "js_on_load": script("clip_recorder"),
            "css_template": (STATIC / "reenact.css").read_text(encoding="utf-8"),
            "apply_default_css": False,
        }
        super().__init__(**(settings | options))

    def preprocess(self, payload: ListFiles | None) -> list[Upload]:  # type: ignore[override]
        """Return the recording, named by its kind."""
        files = payload.root if payload is not None else []
        return [Upload(Path(file.path), Path(file.orig_name or file.path).name) for file in files]

    def postprocess(self, value: None) -> None:  # type: ignore[override]
        """Empty the component: the server never sends a clip back through it."""
        return None

    def api_info(self) -> dict[str, Any]:
        """Describe the value to API clients."""
        return {"type": "array", "items": FileData.model_json_schema()}
