"""`mien embed`: expression vectors of whole folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from studio.commands.places import use_settings


def embed(
    paths: Annotated[list[Path], typer.Argument(help="photos, clips, or folders of them")],
    out: Annotated[Path, typer.Option("--out", "-o", help="the Parquet file to write")] = Path("expressions.parquet"),
    every: Annotated[float, typer.Option(min=0, help="seconds between the frames of a clip; 0 takes all")] = 0.2,
    batch: Annotated[int, typer.Option(min=1, max=1024, help="faces read at once")] = 64,
) -> None:
    """Write the expression vector, emotions and place of every face to a Parquet file."""
    from studio.services.embedding import collect, embed_files

    use_settings()
    files = collect(paths)
    console = Console(stderr=True)
    columns = (TextColumn("reading faces"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=len(files))
        tally = embed_files(files, out, every=every, batch=batch, done=lambda: bar.advance(task))
    for reason in tally.failed:
        console.print(reason, markup=False, highlight=False)
    typer.echo(json.dumps(tally.summary() | {"out": str(out)}))
    raise typer.Exit(1 if len(tally.failed) == len(files) else 0)
