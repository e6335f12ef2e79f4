"""A Plotly chart drawn by the browser from a figure; a click on it names a frame."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from studio.components.markup import render
from studio.components.scripts import script


class Chart(gr.HTML):
    """Shows a figure as made by services.plots; triggers `point` with the `index` under the pointer."""

    def __init__(self, *, description: str, **options: Any) -> None:
        super().__init__(
            value=None,
            html_template=render("chart.html", description=description),
            js_on_load=script("chart"),
            apply_default_css=False,
            **options,
        )

    def postprocess(self, value: dict[str, Any] | None) -> str | None:  # type: ignore[override]
        """Send the figure as text, so that nothing but the chart's own script reads it."""
        return None if value is None else json.dumps(value)
