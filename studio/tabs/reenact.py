"""The Reenact tab: a face performs a clip's motion, or what sliders say."""

from __future__ import annotations

import gradio as gr

from studio.components.doors import Doors, Inlet
from studio.components.status import note
from studio.context import Context
from studio.services.reenact import is_here
from studio.tabs import reenact_clip, reenact_endpoints, reenact_sliders
from studio.tabs.reenact_source import Sources

TITLE = "Reenact"


def build(context: Context) -> Doors:
    """Lay out the two parts, and their endpoints for programs."""
    if not is_here():
        gr.HTML(
            note(
                "The weights that make a face perform are not installed",
                "They are made by `mien train fsrt`. The other tabs work without them.",
            ),
            apply_default_css=False,
        )
        return Doors()
    performer = gr.State(None, time_to_live=1800)
    with gr.Tabs(elem_classes="modes"):
        with gr.Tab("From a clip or motion", id="reenact-clip"):
            clip = reenact_clip.Clip(context, performer)
        with gr.Tab("Sliders", id="reenact-sliders"):
            sliders = reenact_sliders.Desk(context, performer)
    sources = Sources(performer, (clip.source, sliders.source), (clip.follower, sliders.follower))
    sources.wire()
    clip.wire()
    sliders.wire()
    reenact_endpoints.build(context)
    return Doors(inlet=Inlet(sources.receive, [performer], sources.outputs), outlets=(*clip.outlets, *sliders.outlets))
