"""`mien finetune PROJECT`: learn from a project's answers, in this process, with progress."""

from __future__ import annotations

import json
import os
import time
from typing import Annotated

import typer


def finetune(
    project: Annotated[str, typer.Argument(help="name of the project")],
    seed: Annotated[int, typer.Option()] = 0,
    run: Annotated[int | None, typer.Option(help="continue a run that was announced", hidden=True)] = None,
    rollback: Annotated[bool, typer.Option(help="return to the model before the one in use")] = False,
    trunk: Annotated[bool, typer.Option(help="tune the network's last stage too; slow without a GPU")] = False,
    learning: Annotated[bool, typer.Option(help="also measure what fewer answers would have given")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="one line of JSON")] = False,
) -> None:
    """Fit a head to the answers; it is put into use only if kept-out faces say it is better."""
    from db.engine import open_database
    from db.store import Store
    from models.device import words_for
    from studio.commands.places import use_settings
    from studio.services import finetuning

    chosen = use_settings()
    store = Store(open_database(chosen.database_url))
    made = store.project(project)
    if rollback:
        back = finetuning.roll_back(store, made)
        typer.echo(f"in use: run {back.id}" if back else "in use: the untouched vectors")
        return

    def tell(share: float, step: str) -> None:
        if not as_json:
            typer.echo(f"{time.strftime('%H:%M:%S')}  {share:4.0%}  {step}")

    if trunk and words_for(chosen.device) == "CPU" and not as_json:
        typer.echo("There is no GPU here: training the trunk will be slow.")
    announced = store.run(run) if run is not None else None
    if announced is not None:
        _beside_the_studio()
    done = finetuning.finetune(store, made, run=announced, trunk=trunk, seed=seed, learning=learning, progress=tell)
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


def _beside_the_studio() -> None:
    """Leave visitors the better half of the machine."""
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))
    if hasattr(os, "nice"):
        os.nice(10)
