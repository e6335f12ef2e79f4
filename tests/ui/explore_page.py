"""The Explore tab alone on a page, on a database of its own, with drawn faces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import gradio as gr

from db.engine import open_database
from db.store import Store
from studio.components.doors import connect
from studio.components.header import Footer, Header
from studio.components.scripts import PLOTLY, STATIC, head
from studio.context import Context
from studio.hidden_progress import show_nowhere
from studio.palette import colour_variables
from studio.settings import read_settings
from studio.tabs import explore
from studio.theme import MienTheme
from tests.drawn_faces import add_drawn_gallery


@contextmanager
def explore_page(folder: Path, *, fill: bool = True) -> Iterator[tuple[str, Store]]:
    """Serve the tab and yield its address and its store."""
    settings = replace(read_settings({"MIEN_DATA_DIR": str(folder)}), port=0)
    engine = open_database(settings.database_url)
    store = Store(engine)
    if fill and not store.galleries():
        add_drawn_gallery(store)
    gr.set_static_paths([STATIC, PLOTLY])
    with gr.Blocks(title="Mien", analytics_enabled=False, fill_width=True) as page:
        Header("CPU · own weights")
        with gr.Tabs(elem_id="mien-tabs") as tabs, gr.Tab(explore.TITLE, id="explore"):
            doors = {explore.TITLE: explore.build(Context(settings, store))}
        connect(tabs, doors)
        Footer([explore.TITLE])
        show_nowhere(page)
    css = colour_variables() + (STATIC / "mien.css").read_text(encoding="utf-8")
    look = {"theme": MienTheme(), "css": css, "head": head(), "run_history": False}
    _, address, _ = page.queue().launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, **look)
    try:
        yield address, store
    finally:
        page.close()
        engine.dispose()
