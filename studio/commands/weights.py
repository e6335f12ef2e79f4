"""`mien weights`: what ships, what may be fetched, what has to be brought."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated

import typer

from studio.settings import settings

app = typer.Typer(help="List, fetch, add and remove weights.", no_args_is_help=True)


@app.command("list")
def list_weights() -> None:
    """Show every weight: its size, its licence, and whether it is here."""
    from models.brought import BROUGHT
    from models.cards import all_cards
    from models.downloads import DOWNLOADS
    from models.weights import find_weight

    folders = settings().weights_folders
    for card in all_cards().values():
        _show(card.name, "ships with Mien", card.licence, card.what, card.bytes)
    for download in DOWNLOADS.values():
        state = "here" if find_weight(download.name, *folders) else f"mien weights get {download.name}"
        _show(download.name, state, download.licence, f"{download.title}. {download.what}", download.bytes)
    for brought in BROUGHT.values():
        state = "here" if find_weight(brought.name, *folders) else f"mien weights add {brought.name} FILE"
        _show(brought.name, state, brought.licence, f"{brought.title}: {brought.unlocks}")


@app.command()
def get(name: Annotated[str, typer.Argument(help="a name from `mien weights list`")]) -> None:
    """Fetch a weight from its public home and check it."""
    from models import weights

    chosen = settings()
    path = weights.get(name, chosen.own_weights_dir, mirrors=chosen.weights_folders, progress=True)
    typer.echo(f"{name} is at {path}")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="a name from `mien weights list`")],
    source: Annotated[Path, typer.Argument(help="the file or folder you have")],
) -> None:
    """Check a file you bring and install it."""
    from models import weights

    typer.echo(weights.add(name, source, settings().own_weights_dir))


@app.command()
def remove(name: Annotated[str, typer.Argument(help="a name from `mien weights list`")]) -> None:
    """Delete a weight that was fetched or added."""
    from models import weights

    removed = weights.remove(name, settings().own_weights_dir)
    typer.echo(f"Removed {len(removed)} of its files." if removed else f"{name} is not in your weights folder.")


def _show(name: str, state: str, licence: str, what: str, size: int = 0) -> None:
    weighs = f" ({size / 1e6:.1f} MB)" if size else ""
    typer.echo(f"{name}{weighs}: {state}")
    typer.echo(textwrap.fill(f"{what} Licence: {licence}.", 100, initial_indent="    ", subsequent_indent="    "))
