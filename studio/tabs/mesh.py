"""The Mesh tab: a face as a head one can turn, edit and take home, from a photo or a clip."""

from __future__ import annotations

import gradio as gr

from studio.components.doors import Doors
from studio.context import Context
from studio.tabs import mesh_clip, mesh_endpoints, mesh_photo

TITLE = "Mesh"


def build(context: Context) -> Doors:
    """Lay out the two parts, and their endpoints for programs."""
    with gr.Tabs(elem_classes="modes"):
        with gr.Tab("Photo", id="mesh-photo"):
            doors = mesh_photo.build(context)
        with gr.Tab("Clip", id="mesh-clip"):
            mesh_clip.build(context)
    mesh_endpoints.build(context)
    return doors
