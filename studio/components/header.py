"""The frame: the name above, what is and is not kept below."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from studio.components.scripts import script

LINE = "See, compare and move facial expression"


class Header(gr.HTML):
    """Name, one line, the device and weights in use, and the theme switch."""

    def __init__(self, chip: str, **options: Any) -> None:
        super().__init__(
            value=chip,
            html_template=(
                f'<header class="mien-header"><div><h1>Mien</h1><p>{LINE}</p></div>'
                '<div class="right"><span class="chip" title="Where the networks run, and whose weights they use">'
                "${value}</span>"
                '<button type="button" class="theme-switch" aria-label="Switch between light and dark">'
                '<span aria-hidden="true">◐</span></button></div></header>'
            ),
            js_on_load=script("header"),
            elem_id="mien-header",
            apply_default_css=False,
            **options,
        )


class Footer(gr.HTML):
    """The promise about pictures, and for the page's script the tabs that take a face."""

    def __init__(self, face_tabs: Sequence[str], **options: Any) -> None:
        names = escape(json.dumps(list(face_tabs)))
        super().__init__(
            value=(
                f'<footer class="mien-footer" data-face-tabs="{names}">Pictures stay on this server while you look at '
                "them and are deleted within the hour. Nothing is sent elsewhere.</footer>"
            ),
            js_on_load=None,
            elem_id="mien-footer",
            apply_default_css=False,
            **options,
        )
