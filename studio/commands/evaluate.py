"""`mien evaluate`: measure a shipped network on pictures of your own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from studio.commands.places import use_settings

app = typer.Typer(help="Measure a network on pictures of your own; one JSON line.", no_args_is_help=True)


@app.command()
def faces(
    faces: Annotated[Path, typer.Option(help="folder with labels.npz and the pictures it names")],
    people: Annotated[str, typer.Option(help="all, or held-out: those that training never saw")] = "all",
) -> None:
    """Landmarks and blendshapes: found, nme_median, nme_p90, blendshape_corr, ms_per_face."""
    from models.evaluation import evaluate_faces

    use_settings()
    typer.echo(json.dumps(evaluate_faces(faces, people=people)))


@app.command()
def expression(
    folder: Annotated[Path, typer.Option(help="one folder of pictures for each class; groups.csv keeps people apart")],
) -> None:
    """A linear probe of the expression vector: accuracy, balanced_accuracy, knn_accuracy."""
    from models.evaluation import evaluate_expression

    use_settings()
    typer.echo(json.dumps(evaluate_expression(folder)))


@app.command()
def mesh(
    faces: Annotated[Path, typer.Option(help="folder with labels.npz and the pictures it names")],
    people: Annotated[str, typer.Option(help="all, or held-out: those that training never saw")] = "all",
    method: Annotated[str | None, typer.Option(help="fit, encoder or both; default: the one the Mesh tab uses")] = None,
) -> None:
    """The open head: reprojected_median, ratio to the landmark network's, expression_corr, mirror_corr, ms."""
    from models.mesh_evaluation import evaluate_mesh

    use_settings()
    typer.echo(json.dumps(evaluate_mesh(faces, people=people, method=method)))
