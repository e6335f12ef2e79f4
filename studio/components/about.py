"""The About page: what Mien is and is not, what happens to pictures, and a card for every set of weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from models.cards import WeightCard
from studio.components.markup import render


class AboutPage(gr.HTML):
    """Text and cards."""

    def __init__(self, cards: Sequence[WeightCard], **options: Any) -> None:
        super().__init__(
            value=render("about.html", cards=cards),
            js_on_load=None,
            apply_default_css=False,
            elem_id="about-page",
            **options,
        )
