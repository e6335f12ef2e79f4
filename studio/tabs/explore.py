"""The Explore tab: a map of expressions one can take faces from, and a studio in which faces can be moved."""

from __future__ import annotations

import gradio as gr

from studio.components.doors import Doors
from studio.context import Context
from studio.tabs import explore_map, latent

TITLE = "Explore"


def build(context: Context) -> Doors:
    """Lay out both parts; a visitor's table is shared, so that the map can fit a slider for the studio."""
    table = latent.new_table()
    with gr.Tabs(elem_classes="modes") as modes:
        with gr.Tab("Map", id="map"):
            on_map = explore_map.build(context, table, modes)
        with gr.Tab("Latent studio", id="latent"):
            studio = latent.build(context, table)
    return Doors(inlet=on_map.inlet, outlets=(*on_map.outlets, *studio.outlets))
