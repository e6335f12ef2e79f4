"""`mien mesh`: a photo's face, or a clip's, as a 3D file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from studio.commands.places import use_settings


def mesh(
    source: Annotated[Path, typer.Argument(help="a photo, or with an ending such as .mp4 a clip")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help=".glb, .zip (OBJ), .ply, .stl, .npz, .csv, .json; .png, .mp4, .gif to look at"
        ),
    ] = Path("face.glb"),
    number: Annotated[int, typer.Option(min=1, help="which face, best first")] = 1,
    smoothing: Annotated[str, typer.Option(help="clips: none, one-euro or savitzky-golay")] = "savitzky-golay",
    head: Annotated[str, typer.Option(help="open, or for photos ict-facekit, once it is added")] = "open",
) -> None:
    """Write a face as a head: GLB with 51 named morph targets, other 3D files, parameters, or pictures."""
    from studio.services.mesh_files import write_mesh

    use_settings()
    typer.echo(json.dumps(write_mesh(source, out, number=number, smoothing=smoothing, head=head)))
