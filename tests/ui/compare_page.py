"""The Compare tab alone on a page, on a database of its own, with drawn faces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import gradio as gr

from db.engine import open_database
from db.store import Store
from studio.components.scripts import head
from studio.context import Context
from studio.palette import colour_variables
from studio.settings import read_settings
from studio.tabs import compare
from studio.theme import MienTheme
from tests.drawn_faces import add_drawn_gallery


@contextmanager
def compare_page(folder: Path, *, database_url: str | None = None) -> Iterator[tuple[str, Store]]:
    """Serve the tab and yield its address and its store."""
    settings = replace(read_settings({"MIEN_DATA_DIR": str(folder)}), port=0)
    engine = open_database(database_url or settings.database_url)
    store = Store(engine)
    if not store.galleries():
        add_drawn_gallery(store)
    with gr.Blocks(title="Mien", analytics_enabled=False, fill_width=True) as page, gr.Tabs(), gr.Tab(compare.TITLE):
        compare.build(Context(settings, store))
    look = {"theme": MienTheme(), "css": colour_variables(), "head": head()}
    _, address, _ = page.queue().launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, **look)
    try:
        yield address, store
    finally:
        page.close()
        engine.dispose()
