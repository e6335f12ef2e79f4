"""One frame of a clip with what was read off it, a slider to move through the clip, and its key moments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from studio.components.markup import render
from studio.components.scripts import script
from studio.services.expression import strongest_actions
from studio.services.timeline import ClipReading, Moment


class FrameView(gr.HTML):
    """Shows one frame; triggers `seek` with the `index` of another."""

    def __init__(self, **options: Any) -> None:
        super().__init__(js_on_load=script("clip_view"), apply_default_css=False, **options)


class Moments(gr.HTML):
    """Shows key moments as pictures; triggers `seek` with the `index` of a frame."""

    def __init__(self, **options: Any) -> None:
        super().__init__(value="", js_on_load=script("clip_view"), apply_default_css=False, **options)


def frame_view(reading: ClipReading, index: int, *, with_slider: bool = True) -> str:
    """Return the frame with its face outlined, its emotions and strongest actions."""
    frame = reading.frames[index]
    return render(
        "frame.html",
        reading=reading,
        index=index,
        frame=frame,
        with_slider=with_slider and len(reading.frames) > 1,
        strongest=strongest_actions(frame.face.blendshapes, most=4) if frame.face is not None else [],
    )


def moment_strip(reading: ClipReading, moments: Sequence[Moment]) -> str:
    """Return the key moments as buttons in order of time."""
    return render("moments.html", reading=reading, moments=moments)
