"""Examples that work without a network: a row of pictures to press."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from studio.components.markup import render
from studio.components.scripts import script
from studio.services.examples import Example


class Examples(gr.HTML):
    """Asks for the examples when it is first shown; triggers `example` with the `name` of one."""

    def __init__(self, examples: Callable[[], Sequence[Example]], **options: Any) -> None:
        super().__init__(value="", js_on_load=script("examples"), apply_default_css=False, **options)
        self.opened(
            lambda: render("examples.html", examples=examples()),
            outputs=self,
            concurrency_limit=None,
            show_progress="hidden",
            api_visibility="private",
        )
