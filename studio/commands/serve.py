"""`mien serve`: open the page."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from studio.settings import settings


def serve(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="default: 7860, or MIEN_PORT")] = None,
    host: Annotated[str | None, typer.Option(help="0.0.0.0 lets other machines in")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cuda, cuda:1, mps or cpu")] = None,
) -> None:
    """Open the studio in the browser at http://127.0.0.1:7860."""
    from studio.start import open_page

    chosen = settings()
    chosen = replace(chosen, port=port or chosen.port, host=host or chosen.host, device=device or chosen.device)
    app = open_page(chosen)
    typer.echo(f"Mien is open at {(app.local_url or '').rstrip('/')} (Ctrl+C stops it)")
    app.block_thread()
