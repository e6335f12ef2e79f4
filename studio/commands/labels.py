"""`mien labels`: invite people, and carry answers in and out."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from db.store import Store

app = typer.Typer(help="Invite people, and carry answers in and out.", no_args_is_help=True)

Project = Annotated[str, typer.Argument(help="name of the project")]
Cutoff = Annotated[int | None, typer.Option(help="the answers as they stood when this one was the newest")]


def _store() -> Store:
    from db.engine import open_database
    from db.store import Store
    from studio.settings import settings

    return Store(open_database(settings().database_url))


@app.command()
def invite(
    name: Annotated[str, typer.Argument(help="what to call the person")],
    admin: Annotated[bool, typer.Option(help="may see the Team tab")] = False,
    address: Annotated[str, typer.Option(help="where the studio is open")] = "http://127.0.0.1:7860",
) -> None:
    """Add a person and print their link; whoever has it answers in their name."""
    from studio.services import access

    tab = "team" if admin else "compare"
    typer.echo(f"{address.rstrip('/')}/?invite={access.invite(_store(), name, admin=admin)}&tab={tab}")


@app.command("import")
def read(
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="FEC's .csv, or our .jsonl or .parquet")],
    project: Annotated[str, typer.Option(help="made now unless it is there")],
    pictures: Annotated[Path | None, typer.Option(exists=True, help="your own copy: a folder, or a ZIP file")] = None,
    evaluation: Annotated[bool, typer.Option(help="these questions judge models and never train them")] = False,
) -> None:
    """Take in answers; a broken row is named, and nothing of its file is kept."""
    from studio.services import compare, labels
    from studio.services.picture_archives import unpacked
    from studio.settings import settings

    def tell(words: str) -> None:
        typer.echo(words, err=True)

    if pictures is not None and pictures.is_file():
        pictures = unpacked(pictures, settings().data_dir, progress=tell)
    if path.suffix == ".csv":
        brought = labels.import_fec(
            _store(), path, project=project, pictures=pictures, evaluation=evaluation, progress=tell
        )
    else:
        brought = labels.import_records(_store(), path, project=project)
    tell("adding up who said what")
    compare.count_up(_store(), brought.project)
    typer.echo(f"{brought.answers} answers about {brought.faces} faces; pictures of {brought.missing} are missing")


@app.command()
def export(project: Project, path: Annotated[Path, typer.Argument(help=".csv, .jsonl or .parquet")],
           cutoff: Cutoff = None) -> None:  # fmt: skip
    """Write answers to a file: FEC's columns, or everything."""
    from studio.services import labels

    if path.suffix == ".csv":
        typer.echo(f"{labels.export_fec(_store(), project, path, cutoff=cutoff)} questions")
    else:
        typer.echo(f"{labels.export_records(_store(), project, path, cutoff=cutoff)} answers")


@app.command()
def report(project: Project, as_json: Annotated[bool, typer.Option("--json", help="one line of JSON")] = False) -> None:
    """Show how far people agree with each other and with themselves, and which questions are hardest."""
    from studio.services import labels

    told = labels.report(_store(), project)
    if as_json:
        typer.echo(json.dumps(told))
        return
    for name in ("answers", "alpha", "strong_share", "ceiling"):
        typer.echo(f"{name.replace('_', ' '):<14} {told[name]}")
    for person in told["people"]:
        figures = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in person.items() if name != "name")
        typer.echo(f"{person['name']}: {figures}")


@app.command()
def push(project: Project, repository: Annotated[str, typer.Argument(help="owner/name of a Hub dataset")],
         cutoff: Cutoff = None, public: Annotated[bool, typer.Option()] = False) -> None:  # fmt: skip
    """Push the answers to a Hugging Face dataset, private unless asked otherwise, with this machine's login."""
    from huggingface_hub import HfApi

    from studio.services import labels

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.parquet"
        count = labels.export_records(_store(), project, path, cutoff=cutoff)
        hub = HfApi()
        hub.create_repo(repository, repo_type="dataset", private=not public, exist_ok=True)
        hub.upload_file(
            path_or_fileobj=path, path_in_repo="data/answers.parquet", repo_id=repository, repo_type="dataset",
            commit_message=f"{count} answers of {project}",
        )  # fmt: skip
    typer.echo(f"{count} answers are at https://huggingface.co/datasets/{repository}")
