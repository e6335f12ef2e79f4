"""The page: a header, one tab after the other, and a promise about pictures."""

from __future__ import annotations

from typing import Any

import gradio as gr

from models.device import words_for
from studio.components.doors import connect, slug
from studio.components.header import Footer, Header
from studio.components.scripts import PLOTLY, STATIC, head
from studio.context import Context
from studio.hidden_progress import show_nowhere
from studio.palette import colour_variables
from studio.settings import Settings
from studio.tabs import TABS
from studio.theme import MienTheme


def build_app(context: Context) -> gr.Blocks:
    """Build the page; nothing is loaded or computed until a visitor asks for it."""
    gr.set_static_paths([STATIC, PLOTLY])
    # Uploads lie in Gradio's cache only as long as a visitor may still be waiting for the answer.
    app: gr.Blocks
    with gr.Blocks(title="Mien", analytics_enabled=False, delete_cache=(600, 1800), fill_width=True) as app:
        Header(f"{words_for(context.settings.device)} · own weights")
        doors = {}
        with gr.Tabs(elem_id="mien-tabs") as tabs:
            for tab in TABS:
                with gr.Tab(tab.TITLE, id=slug(tab.TITLE)):
                    doors[tab.TITLE] = tab.build(context)
        connect(tabs, doors)
        Footer([title for title, tab in doors.items() if tab.inlet is not None])
        show_nowhere(app)
    app.queue(max_size=30)
    return app


def launch_arguments(settings: Settings) -> dict[str, Any]:
    """Return the arguments of `launch()`: address, theme, style, and what a page about faces leaves out."""
    return {
        "server_name": settings.host,
        "server_port": settings.port,
        "theme": MienTheme(),
        "css": colour_variables() + (STATIC / "mien.css").read_text(encoding="utf-8"),
        "head": head(),
        "favicon_path": STATIC / "favicon.svg",
        "footer_links": ["api"],
        "run_history": False,
        "max_file_size": "200mb",
        "state_session_capacity": 200,
        "enable_monitoring": False,
        "ssr_mode": False,
        "share": False,
        "show_error": False,
        "quiet": True,
    }
