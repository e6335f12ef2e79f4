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


@app.command()
def generator(
    faces: Annotated[Path, typer.Option(help="data folder with faces256, and films if there are any")],
    sheet: Annotated[Path | None, typer.Option(help="write a picture of 24 generated faces instead")] = None,
) -> None:
    """Edited photos of people never trained on, painted and only carried: psnr, l1_hidden, points, expression_corr."""
    from models.generator_evaluation import evaluate_generator
    from models.generator_sheet import contact_sheet

    use_settings()
    if sheet:
        contact_sheet(faces, sheet)
    else:
        typer.echo(json.dumps(evaluate_generator(faces)))


@app.command()
def reenact(
    clips: Annotated[Path, typer.Option(help="folder of clips, one person each; the first frame is the source")],
    people: Annotated[str, typer.Option(help="all, or held-out: films that training never saw")] = "all",
    identity: Annotated[Path | None, typer.Option(help="an identity network as ONNX, for csim")] = None,
) -> None:
    """Reenactment: l1, akd, aed, apd, csim against the still photo and a plain warp; cross-reenactment; jitter; fps."""
    from models.reenact_evaluation import evaluate_reenact

    use_settings()
    typer.echo(json.dumps(evaluate_reenact(clips, people=people, identity=identity)))


@app.command("reenact-pictures")
def reenact_pictures(
    faces: Annotated[Path, typer.Option(help="labelled faces with generated ones among them")],
    out: Annotated[Path, typer.Option("-o", help="folder for a sheet and two films")],
) -> None:
    """Draw generated faces that training never saw while they perform the project's own motions."""
    from models.fsrt_open.pictures import draw_pictures

    use_settings()
    for file in draw_pictures(faces, out):
        typer.echo(file.name)


@app.command()
def latent(
    faces: Annotated[Path, typer.Option(help="labelled faces, laid out as docs/training.md says")],
    people: Annotated[str, typer.Option(help="all, or held-out: those that training never saw")] = "all",
    controls: Annotated[
        Path | None, typer.Option(help="model folder of a run of `mien train dfc_vae_pixel`; default: its usual place")
    ] = None,
    sheet: Annotated[Path | None, typer.Option(help="write a picture of 24 faces beside their reconstructions")] = None,
) -> None:
    """Reconstructions by ours, the pixel control and PCA: psnr, ssim, sharpness, landmark_error, blendshape_corr ..."""
    from models.dfc_vae.evaluation import contact_sheet, evaluate_latent

    use_settings()
    usual = Path("runs") / "dfc_vae_pixel" / "model"
    controls = controls or (usual if (usual / "config.json").is_file() else None)
    typer.echo(json.dumps(evaluate_latent(faces, people=people, controls=controls)))
    if sheet:
        contact_sheet(faces, sheet, people=people, controls=controls)


@app.command()
def sliders(
    faces: Annotated[Path, typer.Option(help="labelled faces, laid out as docs/training.md says")],
    people: Annotated[str, typer.Option(help="all, or held-out: those that training never saw")] = "all",
    name: Annotated[str, typer.Option(help="which slider")] = "smile",
) -> None:
    """One slider of the latent space on many faces: rising, gain per step, identity kept."""
    from models.dfc_vae.slider_evaluation import evaluate_slider

    use_settings()
    typer.echo(json.dumps(evaluate_slider(faces, people=people, name=name)))


@app.command()
def occlusion(
    faces: Annotated[Path, typer.Option(help="labelled faces, laid out as docs/training.md says")],
    seed: Annotated[int, typer.Option(help="what decides which occluder lies where")] = 0,
    most: Annotated[int, typer.Option(min=1, help="occluded faces to measure")] = 120,
    people: Annotated[str, typer.Option(help="held-out: those that training never saw, or all")] = "held-out",
    sheet: Annotated[Path | None, typer.Option(help="write a picture of 24 faces and the stages of the chain")] = None,
) -> None:
    """Hidden patches found, holes filled, expressions read behind occluders never trained on."""
    from models.occlusion.evaluation import evaluate_occlusion
    from models.occlusion.sheet import contact_sheet

    use_settings()
    typer.echo(json.dumps(evaluate_occlusion(faces, seed=seed, most=most, people=people)))
    if sheet:
        contact_sheet(faces, sheet, seed=seed)
