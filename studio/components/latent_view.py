"""The latent studio's own parts: the faces on the table, and a strip of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import gradio as gr
import numpy as np

from models.types import Image
from studio.components.markup import jpeg, render
from studio.components.scripts import STATIC, script
from studio.services.latent import LETTERS, Table

SHOWN = 256
"""Pixels at which pictures of 128 are sent: smooth enlargement looks better than the browser's."""


class FaceTable(gr.HTML):
    """Triggers `choose` and `drop` with the `place` of a face, and the face menu's events."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            value="", js_on_load=script("latent"), css_template=style(), apply_default_css=False, **options
        )


class LatentView(gr.HTML):
    """Shows `strip_view`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(value="", css_template=style(), apply_default_css=False, **options)


def style() -> str:
    """Return what all parts of the latent studio look like."""
    return (STATIC / "latent.css").read_text(encoding="utf-8")


def face_table(table: Table) -> str:
    """Return the faces on the table, the chosen one marked."""
    return render("latent_table.html", faces=table.faces, chosen=table.chosen, letters=LETTERS) if table.faces else ""


def enlarged(picture: Image) -> str:
    """Return a picture of the latent space as a data URL of twice its size."""
    large = cv2.resize(picture, (SHOWN, SHOWN), interpolation=cv2.INTER_CUBIC)
    done, content = cv2.imencode(".jpg", large[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    return jpeg(content.tobytes()) if done else ""


def strip_view(pictures: Sequence[Image], words: str) -> str:
    """Return pictures in a row."""
    sources = [enlarged(np.ascontiguousarray(picture)) for picture in pictures]
    return render("latent_strip.html", sources=sources, words=words)
