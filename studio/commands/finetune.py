"""`mien finetune PROJECT`: learn from a project's answers, in this process, with progress."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def finetune(
    project: Annotated[str, typer.Argument(help="name of the project")],
    seed: Annotated[int, typer.Option()] = 0,
    run: Annotated[int | None, typer.Option(help="continue a run that was announced", hidden=True)] = None,
    rollback: Annotated[bool, typer.Option(help="return to the model before the one in use")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one line of JSON")] = False,
) -> None:
    """Fit a head to the answers; it is put into use only if kept-out faces say it is better."""
    from db.engine import open_database
    from db.store import Store
    from studio.services import finetuning
    from studio.settings import settings

    store = Store(open_database(settings().database_url))
    made = store.project(project)
    if rollback:
        back = finetuning.roll_back(store, made)
        typer.echo(f"in use: run {back.id}" if back else "in use: the untouched vectors")
        return

    def tell(share: float, step: str) -> None:
        if not as_json:
            typer.echo(f"{share:4.0%}  {step}")

    announced = store.run(run) if run is not None else None
    done = finetuning.finetune(store, made, run=announced, seed=seed, progress=tell)
    figures = {name: value for name, value in done.metrics.items() if name != "curve"}
    if as_json:
        typer.echo(json.dumps({"run": done.id, "state": done.state} | figures))
        return
    base = figures.get("base", {}).get("accuracy", {})
    tuned = figures.get("tuned", {}).get("accuracy", {})
    typer.echo(f"run {done.id}: {done.state}. {figures.get('reason', '')}")
    if tuned:
        typer.echo(f"accuracy on kept-out faces {base['value']:.3f} -> {tuned['value']:.3f}, "
                   f"better in {figures['better']:.0%} of resamples")  # fmt: skip
