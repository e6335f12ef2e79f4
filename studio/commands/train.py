"""`mien train`: make a shipped weight again, or better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from studio.commands.places import use_settings


def train(
    name: Annotated[str, typer.Argument(help="the weight to make, such as faces or deepfever")],
    data: Annotated[Path, typer.Option(help="labelled faces, laid out as docs/training.md says")],
    out: Annotated[Path | None, typer.Option(help="folder of the run; default: runs/NAME")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cuda, mps or cpu; default: MIEN_DEVICE")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="stop and measure after so long")] = None,
    resume: Annotated[bool, typer.Option(help="go on where the last run stopped, or start anew")] = True,
    from_shipped: Annotated[
        bool, typer.Option("--from-shipped", help="a new run begins with the weights that ship, not with random ones")
    ] = False,
) -> None:
    """Train a network from data, measure it and write its card."""
    from models.training import run_recipe

    chosen = use_settings()
    figures = run_recipe(
        name,
        data=data,
        out=out or Path("runs") / name,
        device=device or chosen.device,
        minutes=minutes,
        resume=resume,
        from_shipped=from_shipped,
    )
    typer.echo(json.dumps(figures))
