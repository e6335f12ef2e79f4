"""From settings to an open page: the registry is told where things are, the database is brought up to date."""

from __future__ import annotations

import socket

import gradio as gr
from sqlalchemy.exc import SQLAlchemyError

from db.engine import open_database
from db.store import Store
from models.errors import BadInput
from studio.app import build_app, launch_arguments
from studio.context import Context
from studio.services.networks import tell_registry
from studio.settings import Settings

LAUNCHES = 4


def make_context(settings: Settings) -> Context:
    """Tell the registry its places and open the database; raises BadInput where the address leads nowhere."""
    tell_registry(settings)
    return Context(settings=settings, store=open_store(settings.database_url))


def open_store(url: str) -> Store:
    """Return the store on the newest schema; raises BadInput, without passwords, when it cannot be opened."""
    try:
        return Store(open_database(url))
    except (SQLAlchemyError, OSError) as error:
        place = url.rsplit("@", 1)[-1].removeprefix("sqlite:///")
        raise BadInput(
            f"the database {place} cannot be opened ({type(error).__name__}): see MIEN_DATABASE_URL"
        ) from error


def check_port(host: str, port: int) -> None:
    """Raise BadInput when another program listens there already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise BadInput(
                f"{host}:{port} cannot be used ({error.strerror}). Choose another port: `mien serve --port {port + 1}` "
                f"or `make run PORT={port + 1}`"
            ) from error


def open_page(settings: Settings) -> gr.Blocks:
    """Serve the page and return the running app at once; `app.block_thread()` waits until it is stopped."""
    check_port(settings.host, settings.port)
    app = build_app(make_context(settings))
    for _ in range(LAUNCHES):
        try:
            app.launch(prevent_thread_lock=True, **launch_arguments(settings))
        except ValueError as error:
            # Gradio gives up when its own page takes three seconds, as it may the first time on a busy machine.
            if "localhost" not in str(error):
                raise
            app.close(verbose=False)
        else:
            return app
    raise BadInput(
        "the page was started and cannot be reached from this machine; where a proxy is set, exclude this machine from "
        "it: `export no_proxy=localhost,127.0.0.1`"
    )
