"""Faces, one question, and the keys to answer it; the browser paints the next faces before they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from studio.components.scripts import STATIC, script


class TripletCard(gr.HTML):
    """The annotator's seat. Its script calls the server functions and draws what they return."""

    def __init__(self, calls: Sequence[Callable[..., Any]], **options: Any) -> None:
        super().__init__(
            value="",
            html_template='<section class="compare" aria-label="Compare expressions"></section>',
            css_template=(STATIC / "compare.css").read_text(encoding="utf-8"),
            js_on_load=script("compare_faces", "compare"),
            server_functions=list(calls),
            apply_default_css=False,
            elem_id="compare",
            **options,
        )

    def api_info(self) -> dict[str, Any]:
        """The card takes and gives no value; its calls are its own."""
        return {"type": "string"}
