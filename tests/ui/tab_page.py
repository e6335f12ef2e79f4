"""One tab alone on a page, on a database of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import gradio as gr

from db.engine import open_database
from db.store import Store
from studio.components.scripts import PLOTLY, STATIC, head
from studio.context import Context
from studio.hidden_progress import show_nowhere
from studio.palette import colour_variables
from studio.settings import read_settings
from studio.theme import MienTheme


@contextmanager
def tab_page(
    tab: ModuleType, folder: Path, *, prepare: Callable[[Store], object] | None = None
) -> Iterator[tuple[str, Store]]:
    """Serve the tab and yield its address and its store, which `prepare` fills before the page is built."""
    settings = replace(read_settings({"MIEN_DATA_DIR": str(folder)}), port=0)
    engine = open_database(settings.database_url)
    store = Store(engine)
    if prepare is not None:
        prepare(store)
    gr.set_static_paths([STATIC, PLOTLY])
    with gr.Blocks(title="Mien", analytics_enabled=False, fill_width=True) as page, gr.Tabs(), gr.Tab(tab.TITLE):
        tab.build(Context(settings, store))
        show_nowhere(page)
    look = {"theme": MienTheme(), "css": colour_variables(), "head": head()}
    _, address, _ = page.queue().launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, **look)
    try:
        yield address, store
    finally:
        page.close()
        engine.dispose()
