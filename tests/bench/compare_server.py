"""The Compare tab as a server of its own, for load tests: `python -m tests.bench.compare_server FOLDER URL PORT`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import gradio as gr

from db.engine import open_database
from db.store import Store
from studio.context import Context
from studio.settings import read_settings
from studio.tabs import compare


def main(folder: str, url: str, port: str) -> None:
    """Serve until killed."""
    settings = replace(read_settings({"MIEN_DATA_DIR": str(Path(folder))}), port=int(port))
    with gr.Blocks(analytics_enabled=False) as page:
        compare.build(Context(settings, Store(open_database(url))))
    page.queue().launch(server_name="127.0.0.1", server_port=int(port), quiet=True, ssr_mode=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
