"""`mien unmask`: what hides the faces of photos is found, what lies behind it guessed, and every stage written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from studio.commands.places import use_settings


def unmask(
    path: Annotated[Path, typer.Argument(help="a photo, or a folder of photos")],
    out: Annotated[Path, typer.Option("--out", "-o", help="the folder to write into")] = Path("unmasked"),
    radius: Annotated[float, typer.Option(min=0.05, max=20, help="in units of the detector's own")] = 1.0,
    method: Annotated[str, typer.Option(help="mien, diffusion, hub, mean_face, telea, navier_stokes, ...")] = "mien",
    samples: Annotated[int, typer.Option(min=1, max=16, help="guesses of the diffusion")] = 1,
    steps: Annotated[int, typer.Option(min=2, max=100, help="steps of the diffusion")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="of the diffusion")] = 0,
) -> None:
    """Write each face's stages as PNG, and a CSV and JSON of emotions and vectors before and after."""
    from studio.services.occlusion import Effort
    from studio.services.occlusion_files import Wish, photos_in, unmask_files
    from studio.services.occlusion_methods import method_called

    use_settings()
    files = photos_in(path)
    wish = Wish(radius, method_called(method).name, Effort(samples, steps, seed))
    console = Console(stderr=True)
    columns = (TextColumn("looking behind"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=len(files))
        base = path if path.is_dir() else None
        tally = unmask_files(files, out, wish, base=base, done=lambda: bar.advance(task))
    for name in tally.without_face:
        console.print(f"{name}: no face found", markup=False, highlight=False)
    for reason in tally.failed:
        console.print(reason, markup=False, highlight=False)
    typer.echo(json.dumps(tally.summary() | {"out": str(out)}))
    raise typer.Exit(0 if tally.faces else 1)
