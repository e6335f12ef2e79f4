"""The photo with every face outlined: pick one on the photo, in the list below it, or by keyboard."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.components.markup import render
from studio.components.scripts import script
from studio.services.expression import PhotoReading


class PhotoFaces(gr.HTML):
    """Triggers `pick` with the `number` of a face."""

    def __init__(self, **options: Any) -> None:
        super().__init__(value="", js_on_load=script("photo_faces"), apply_default_css=False, **options)


def photo_faces(reading: PhotoReading, *, chosen: int = 1) -> str:
    """Return the photo with a button around each face, and the list of faces when there are several."""
    return render("photo.html", reading=reading, chosen=chosen)
