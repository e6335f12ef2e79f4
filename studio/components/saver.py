"""Files made on demand and handed to the browser directly, so that none of them lies on the server."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import gradio as gr

from studio.components.markup import render
from studio.components.scripts import script


class Kind(NamedTuple):
    """What a download is called, and what is in it."""

    label: str
    tip: str


KINDS = {
    "json": Kind("JSON", "Everything that was read, for programs"),
    "csv": Kind("CSV", "One row per face or frame, for tables"),
    "npz": Kind("NPZ", "Vectors and landmarks, for NumPy"),
    "png": Kind("Picture", "The photo with faces outlined and named"),
    "glb": Kind("GLB", "The head with its movement, for Blender and three.js"),
    "film": Kind("Film", "The clip with the head laid over it, with its own sound"),
    "edited": Kind("Picture", "The photo at full size with the face as the sliders left it"),
    "code": Kind("Code", "The face's numbers and the sliders, as JSON for programs"),
    "strip": Kind("Strip", "The way between the faces in one picture"),
    "mp4": Kind("MP4", "The way between the faces as a film"),
    "gif": Kind("GIF", "The way between the faces as a moving picture, there and back"),
    "unmasked": Kind("Picture", "The photo at full size with the hidden part guessed"),
    "stages": Kind("All stages", "Every stage as PNG, the numbers as JSON, in one ZIP file"),
    "side": Kind("Side by side", "All stages in one picture"),
    "zip": Kind("Pictures", "The faces and whom to thank for them, in one ZIP file"),
    "reenact_film": Kind("MP4", "The film, with the driver's frame rate and sound"),
    "reenact_side": Kind("Side by side", "The driver and the film in one picture, as MP4"),
    "reenact_gif": Kind("GIF", "The film as a moving picture without sound"),
    "reenact_frames": Kind("Frames", "The film's frames as PNG files in one ZIP file"),
    "reenact_still": Kind("Picture", "One picture as PNG, at the photo's size"),
    "reenact_moved": Kind("Film", "From the photo's expression to this one and back, as MP4"),
    "reenact_motion": Kind("Motion", "The motion without any pixel of a face, as .npz, to give to other faces"),
}


@dataclass(frozen=True)
class Download:
    """A file to hand over."""

    name: str
    media_type: str
    content: bytes


class Saver(gr.HTML):
    """Download buttons; triggers `save` with `kind`, and saves the Download it is then given."""

    def __init__(self, kinds: tuple[str, ...], **options: Any) -> None:
        super().__init__(
            value=None,
            html_template=render("saver.html", kinds=kinds, words=KINDS),
            js_on_load=script("saver"),
            apply_default_css=False,
            **options,
        )

    def postprocess(self, value: Download | None) -> str | None:  # type: ignore[override]
        """Send the file as text that only the component's script reads."""
        if value is None:
            return None
        content = base64.b64encode(value.content).decode()
        return json.dumps({"name": value.name, "href": f"data:{value.media_type};base64,{content}"})
