"""A head to turn, move and take home: drawn by our own WebGL inside Gradio's HTML, shaped in the browser."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

import gradio as gr

from models.faces.names import BLENDSHAPE_NAMES
from studio.components.markup import render
from studio.components.saver import Download
from studio.components.scripts import STATIC, script
from studio.services.mesh_words import PRESETS, grouped_actions

PARTS = ("mesh_viewer", "mesh_viewer_gl", "mesh_viewer_hands")
"""The script's files; together they are one, so that they share what is drawn."""


class FileKind(NamedTuple):
    """What can be taken home."""

    name: str
    label: str
    tip: str


FILE_KINDS = (
    FileKind("glb", "GLB", "The head with its skin and 51 named actions, for Blender and three.js"),
    FileKind("obj", "OBJ", "The head as it is shown, with its skin, in one ZIP file"),
    FileKind("ply", "PLY", "The head as it is shown, with colours"),
    FileKind("stl", "STL", "The surface as it is shown, for printing"),
    FileKind("npz", "NPZ", "Vertices, landmarks and all parameters, for NumPy"),
    FileKind("csv", "CSV", "All parameters in one row, for tables"),
    FileKind("json", "JSON", "All parameters, for programs"),
    FileKind("view", "This view", "The view as a transparent PNG"),
    FileKind("overlay", "Overlay", "The head over the photo"),
    FileKind("sheet", "Sheet", "Photo, overlay, turned and neutral views in one picture"),
    FileKind("turntable", "Turntable MP4", "The head turning once around"),
    FileKind("gif", "Turntable GIF", "The same as a GIF"),
    FileKind("photo", "Photo with this expression", "The photo's pixels go along; a network adds teeth and eyes"),
    FileKind("carried", "The same, carried only", "The photo's own pixels alone; what it did not show stays plain"),
)


def _part(name: str) -> str:
    return (STATIC / f"{name}.js").read_text(encoding="utf-8")


class MeshViewer(gr.HTML):
    """Shows `services.mesh_scene.scene` as its value.

    `lent` is another photo's expression, `file` a download. Triggers `save` with `kind`, `key`, `expression` (52),
    `yaw`, `pitch`, `look` and `eyes`: these come from a browser, check them. `mesh_head` returns what all faces share.
    """

    def __init__(
        self, value: str | None = None, *, mesh_head: Callable[[dict[str, Any]], str] | None = None, **options: Any
    ) -> None:
        # Gradio builds the component again for every update, then with all of these given.
        settings: dict[str, Any] = {
            "html_template": render(
                "mesh_viewer.html",
                presets=PRESETS,
                names=list(BLENDSHAPE_NAMES),
                groups=grouped_actions(),
                kinds=FILE_KINDS,
            ),
            "css_template": (STATIC / "mesh_viewer.css").read_text(encoding="utf-8"),
            "js_on_load": "\n".join([script(PARTS[0]), *(_part(name) for name in PARTS[1:])]),
            "apply_default_css": False,
            "lent": None,
            "file": None,
        }
        if mesh_head is not None:
            settings["server_functions"] = [mesh_head]
        super().__init__(value=value, **(settings | options))

    def postprocess(self, value: str | None) -> str | None:
        """Send the text as it is; only the viewer's own script reads it."""
        return value

    def api_info(self) -> dict[str, Any]:
        """Describe the value to API clients."""
        return {"type": "string", "description": "a head and where it stands in its photo, as JSON"}


def handed_over(download: Download, *, is_shown: bool = False, said: str = "", has_file: bool = True) -> dict[str, Any]:
    """Return the update that gives the browser a file; `is_shown` shows it as a picture as well."""
    href = f"data:{download.media_type};base64,{base64.b64encode(download.content).decode()}" if has_file else ""
    # the random word makes the same file twice two events
    message = {"name": download.name, "href": href, "picture": is_shown, "said": said, "word": secrets.token_hex(4)}
    update: dict[str, Any] = gr.update(file=json.dumps(message))
    return update
