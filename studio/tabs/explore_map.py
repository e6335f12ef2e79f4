"""The map: expressions one can point at, search, colour, filter and take faces from."""

from __future__ import annotations

import gradio as gr

from studio.components.doors import Doors, Inlet, Outlet
from studio.context import Context
from studio.tabs import explore_actions, explore_controls, explore_events
from studio.tabs.explore_desk import Desk


def build(context: Context, table: gr.State, modes: gr.Tabs) -> Doors:
    """Lay out and wire the map; `table` is the latent studio's, `modes` leads there."""
    desk = gr.State(Desk(), time_to_live=3600)
    with gr.Row(elem_classes=["bench", "map-bench"]):
        with gr.Column(elem_classes="input-side", min_width=280):
            controls = explore_controls.controls(context)
        with gr.Column(elem_classes="result-side", min_width=320):
            result = explore_controls.result(context)
    events = explore_events.Events(context, controls, result, desk)
    events.wire()
    explore_actions.Actions(context, result, desk, table, modes).wire()
    return Doors(
        inlet=Inlet(events.receive, [desk], events.found),
        outlets=(Outlet(result.strip, events.carried, [desk]),),
    )
