"""`mien gallery`: fill galleries and list them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studio.commands.places import use_settings
from studio.settings import settings

if TYPE_CHECKING:
    from studio.context import Context
    from studio.services.gallery import Added, Progress

app = typer.Typer(help="Fill galleries of faces and list them.", no_args_is_help=True)


@app.command("list")
def list_galleries() -> None:
    """Show all galleries with their credit and licence, and the sources that can be fetched."""
    from studio.services.gallery_sources import SOURCES

    store = _context().store
    for row in store.galleries():
        typer.echo(f"{row.name}: {store.count_faces(row.id)} faces, {row.licence}")
        typer.echo(f"    {row.credit}")
    for source in SOURCES.values():
        typer.echo(f"to be had: {source.about.name} ({source.about.licence}): mien gallery get {source.key}")


@app.command()
def starter() -> None:
    """Put the starter faces and their vectors into the database, where they are missing."""
    from studio.services.gallery import ensure_starter_gallery

    context = _context()
    with _bar() as report:
        row = ensure_starter_gallery(context, progress=report)
    typer.echo(f"{context.store.count_faces(row.id)} faces in {row.name!r}")
    typer.echo(f"credit: {row.credit} · licence: {row.licence}")


@app.command()
def add(
    folder: Annotated[Path, typer.Argument(help="folder with pictures; subfolders too", exists=True, file_okay=False)],
    name: Annotated[str | None, typer.Option(help="name of the gallery; the folder's where left out")] = None,
    credit: Annotated[str, typer.Option(help="whom to thank")] = "own pictures",
    licence: Annotated[str, typer.Option(help="on what terms they may be shown")] = "private",
    consent: Annotated[str | None, typer.Option(help="what the people shown agreed to")] = None,
    copy: Annotated[bool, typer.Option(help="keep copies in the database, not only where the files are")] = False,
) -> None:
    """Find the faces of a folder's pictures and keep them with their vectors."""
    from studio.services.gallery import About, add_folder

    about = About(name or folder.resolve().name, credit, licence, str(folder.resolve()), consent)
    with _bar() as report:
        added = add_folder(_context().store, folder, about, copy=copy, progress=report)
    _say(added)


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="london or sfhq")],
    folder: Annotated[
        Path | None, typer.Option(help="pictures fetched before, instead of the network", exists=True, file_okay=False)
    ] = None,
) -> None:
    """Fetch openly licensed faces from their public home, check every file, and keep them with credit."""
    from studio.services import gallery_sources as sources
    from studio.services.gallery import add_folder

    source = sources.source_called(name)
    typer.echo(f"{source.about.name}: {source.about.credit} · {source.about.licence}")
    if folder is None:
        with _bar() as report:
            folder = sources.fetch(source, settings().data_dir / "galleries", progress=report)
        typer.echo(
            f"every file is the one that commit {source.commit[:12]} names; hashes in {folder / sources.MANIFEST}"
        )
    with _bar() as report:
        added = add_folder(_context().store, folder, source.about, label=sources.label, progress=report)
    _say(added)


def _say(added: Added) -> None:
    from studio.services.gallery import summary

    for line in summary(added):
        typer.echo(line)


def _context() -> Context:
    from db.engine import open_database
    from db.store import Store
    from studio.context import Context

    chosen = use_settings()
    return Context(chosen, Store(open_database(chosen.database_url)))


@contextmanager
def _bar() -> Iterator[Progress]:
    """Show a progress bar on the terminal's error side while the block runs."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("")

        def report(done: int, total: int, words: str) -> None:
            bar.update(task, completed=done, total=max(total, 1), description=words[-40:])

        yield report
