"""A still face beside sliders for its expression and head; each move asks the server for one picture."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr
import numpy as np

from models.faces.names import BLENDSHAPE_NAMES
from models.types import Image
from studio.components.markup import render, source
from studio.components.scripts import STATIC, script
from studio.services.mesh_words import PRESETS, grouped_actions
from studio.services.reenact import Performer
from studio.services.reenact_words import MAIN, TURNS


class FaceDesk(gr.HTML):
    """Shows `desk_of` as its value and `picture_of` as its `picture`.

    Triggers `move` with `expression` (52), `yaw`, `pitch` and `roll`: these come from a browser, check them; and the
    face menu's events.
    """

    def __init__(self, **options: Any) -> None:
        settings: dict[str, Any] = {
            "value": None,
            "picture": None,
            "html_template": render(
                "face_desk.html",
                presets=PRESETS,
                names=list(BLENDSHAPE_NAMES),
                turns=TURNS,
                mains=MAIN,
                groups=grouped_actions(),
            ),
            "js_on_load": script("face_desk"),
            "css_template": (STATIC / "reenact.css").read_text(encoding="utf-8"),
            "apply_default_css": False,
        }
        super().__init__(**(settings | options))

    def postprocess(self, value: str | None) -> str | None:
        """Send the text as it is; only the component's own script reads it."""
        return value

    def api_info(self) -> dict[str, Any]:
        """Describe the value to API clients."""
        return {"type": "string", "description": "a face's own coefficients, as JSON"}


def desk_of(performer: Performer) -> str:
    """Return what the sliders begin from."""
    own = [round(float(value), 3) for value in np.clip(performer.own.coefficients, 0, 1)]
    return json.dumps({"own": own, "name": performer.name, "key": id(performer)})


def picture_of(image: Image, line: str) -> str:
    """Return a drawn picture and the quiet line below it."""
    return json.dumps({"src": source(image), "line": line})
