"""Motions to take with one press."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.components.markup import capital, render
from studio.components.scripts import STATIC, script
from studio.services.reenact_gallery import shelf_names


class Shelf(gr.HTML):
    """Asks for the motions' names when it is first shown; triggers `example` with the `name` of one."""

    def __init__(self, **options: Any) -> None:
        settings: dict[str, Any] = {
            "value": "",
            "js_on_load": script("examples"),
            "css_template": (STATIC / "reenact.css").read_text(encoding="utf-8"),
            "apply_default_css": False,
        }
        super().__init__(**(settings | options))
        self.opened(
            lambda: render("shelf.html", names=[(name, capital(name)) for name in shelf_names()]),
            outputs=self,
            concurrency_limit=None,
            show_progress="hidden",
            api_visibility="private",
        )
