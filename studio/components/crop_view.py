"""A picture with the square that is cut out of it, which a visitor may move; for clips, frame by frame."""

from __future__ import annotations

import json
from typing import Any

import cv2
import gradio as gr
import numpy as np

from models.types import Box, Image
from studio.components.markup import jpeg, render, source
from studio.components.scripts import STATIC, script
from studio.services.reenact import Performer
from studio.services.reenact_driver import Driver

SHOWN = 480
MOST_FRAMES = 48


class CropView(gr.HTML):
    """Shows `photo_crops` or `driver_crops`.

    Triggers `crop` with `place` and either `left`, `top` and `edge` in shares of the picture's width, or `anew`;
    `leave` with the `place` of a photo; `reference` with a `time` in seconds or `anew`. All come from a
    browser: check them.
    """

    def __init__(self, *, label: str = "Crop", **options: Any) -> None:
        settings: dict[str, Any] = {
            "value": None,
            "html_template": render("crop_view.html", label=label),
            "js_on_load": script("crop_view"),
            "css_template": (STATIC / "reenact.css").read_text(encoding="utf-8"),
            "apply_default_css": False,
        }
        super().__init__(**(settings | options))

    def postprocess(self, value: str | None) -> str | None:
        """Send the text as it is; only the component's own script reads it."""
        return value

    def api_info(self) -> dict[str, Any]:
        """Describe the value to API clients."""
        return {"type": "string", "description": "pictures and squares on them, as JSON"}


def photo_crops(performer: Performer, *, shown: int = 0) -> str:
    """Return the photos of a face with their squares."""
    photos = performer.photos
    count = f", {len(photos)} photos" if len(photos) > 1 else ""
    others = max(len(photo.faces) for photo in photos) > 1
    choose = " Several faces were found: drag the square onto the one that shall perform." if others else ""
    return json.dumps(
        {
            "kind": "photos",
            "pictures": [
                _picture(_shrunk(photo.picture), photo.picture.shape, f"Photo {number}")
                for number, photo in enumerate(photos, start=1)
            ],
            "boxes": [_shares(photo.box, photo.picture.shape[1]) for photo in photos],
            "shown": min(shown, len(photos) - 1),
            "words": f"The square is what the network sees{count}.{choose}",
        }
    )


def driver_crops(driver: Driver, *, reference_s: float, automatic: bool) -> str | None:
    """Return frames of a driver with the square for all of them; None for motions without pixels."""
    if not driver.frames or driver.box is None:
        return None
    step = max(1, -(-len(driver.frames) // MOST_FRAMES))
    frames = driver.frames[::step]
    times = np.array([frame.time_s for frame in frames])
    width, height = driver.size
    pictures = [
        {
            "src": jpeg(frame.picture),
            "width": width,
            "height": height,
            "time": frame.time_s,
            "alt": f"The driver at {frame.time_s:.2f} seconds",
        }
        for frame in frames
    ]
    return json.dumps(
        {
            "kind": "frames",
            "pictures": pictures,
            "boxes": [_shares(driver.box, width)],
            "shown": int(np.abs(times - reference_s).argmin()),
            "automatic": automatic,
            "words": "One square for the whole clip: the head's own movement has to stay visible in it."
            if len(frames) > 1
            else "",
        }
    )


def _picture(image: Image, shape: tuple[int, ...], alt: str) -> dict[str, Any]:
    return {"src": source(image), "width": shape[1], "height": shape[0], "alt": alt}


def _shrunk(image: Image) -> Image:
    factor = min(1.0, SHOWN / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _shares(box: Box, width: float) -> list[float]:
    return [round(value / width, 5) for value in (box.left, box.top, box.width)]
