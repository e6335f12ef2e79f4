"""A row of faces with their menus: neighbours, or a selection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from models.types import Image
from studio.components.markup import render
from studio.components.scripts import script


@dataclass(frozen=True, eq=False)
class StripFace:
    """One face of the row."""

    key: str
    name: str
    picture: Image | None
    """None when only its vector is here."""
    credit: str = ""
    words: str = ""
    distance: float | None = None


class FaceStrip(gr.HTML):
    """Triggers the face menu's events."""

    def __init__(self, **options: Any) -> None:
        super().__init__(js_on_load=script("face_strip"), apply_default_css=False, **options)


def face_strip(faces: Sequence[StripFace], *, title: str, words: str = "") -> str:
    """Return the row under its title; `words` says what it is a row of."""
    return render("face_strip.html", faces=faces, title=title, words=words)
