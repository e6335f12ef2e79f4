"""Spare the browser what nobody sees: Gradio's own progress marks, which Mien replaces by its Status."""

from __future__ import annotations

import gradio as gr


def show_nowhere(app: gr.Blocks) -> None:
    """Give events whose progress is hidden no component to show it on; call inside the Blocks, after all events.

    Gradio otherwise tells every output of every past event about each new one, and copies the properties of it and of
    all that lies in it for that, even if nothing is to be seen. In the latent studio this took longer than a picture.
    """
    for event in app.fns.values():
        if event.show_progress == "hidden" and event.show_progress_on is None:
            event.show_progress_on = []
