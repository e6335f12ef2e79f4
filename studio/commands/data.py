"""`mien data`: make training data from photos of your own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from studio.commands.places import use_settings

app = typer.Typer(help="Make training data from photos of your own.", no_args_is_help=True)


@app.command()
def label(
    folder: Annotated[Path, typer.Argument(help="photos, in any folders")],
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for the cut faces and labels.npz")],
    frames_per_second: Annotated[float, typer.Option(min=0.1, help="how often to look at a clip")] = 2.0,
) -> None:
    """Cut the faces out of photos and clips and label them with MediaPipe (needs its extra)."""
    from models.training.label import label_folder
    from models.weights import require_weight

    task_file = require_weight("face_landmarker", *use_settings().weights_folders)
    count = label_folder(folder, out, task_file=task_file, frames_per_second=frames_per_second)
    typer.echo(json.dumps({"faces": count}))


@app.command()
def warp(
    folder: Annotated[Path, typer.Argument(help="labelled faces: a folder with labels.npz")],
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for the warped pictures")],
    each: Annotated[int, typer.Option(min=1, help="new expressions for each face")] = 4,
    seed: Annotated[int, typer.Option(help="the same seed gives the same pictures")] = 0,
) -> None:
    """Give the training people of a labelled folder other expressions by warping; label the result afterwards."""
    from models.training.data import read_faces, split
    from models.training.warp import warp_folder

    use_settings()
    training, _ = split(read_faces(folder))
    typer.echo(json.dumps({"pictures": warp_folder(training, out, each=each, seed=seed)}))
