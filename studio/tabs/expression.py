"""The Expression tab: read a photo, follow a clip, or compare several faces."""

from __future__ import annotations

import gradio as gr

from studio.components.doors import Doors
from studio.context import Context
from studio.tabs import expression_clip, expression_compare, expression_endpoints, expression_photo

TITLE = "Expression"


def build(context: Context) -> Doors:
    """Lay out the three ways to read expressions, and their endpoints for programs."""
    with gr.Tabs(elem_classes="modes") as modes:
        with gr.Tab("Photo", id="photo"):
            photo = expression_photo.build(context, modes)
        with gr.Tab("Clip", id="clip"):
            expression_clip.build(context)
        with gr.Tab("Compare faces", id="compare-faces"):
            compare = expression_compare.build(context)
    expression_endpoints.build(context)
    return Doors(inlet=photo.inlet, outlets=(*photo.outlets, *compare.outlets))
