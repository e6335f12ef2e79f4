"""`mien parity`: our arithmetic against stored outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def parity(
    system: Annotated[str, typer.Argument(help="smirk, dfc_vae, latent_ofer or fsrt")],
    fixtures: Annotated[Path, typer.Option(help="folder with stored outputs of the official code")],
    seed: Annotated[str, typer.Option(help="the word the rule-made weights are drawn from")] = "dev",
    only: Annotated[str | None, typer.Option(help="check one part")] = None,
) -> None:
    """Compare our arithmetic with stored outputs of an official implementation."""
    from models.parity import checks_of

    failed = 0
    for check in checks_of(system, fixtures, seed=seed, only=only):
        typer.echo(check.line())
        failed += not check.ok
    typer.echo(f"{system}: {'all ok' if not failed else f'{failed} FAILED'}")
    raise typer.Exit(1 if failed else 0)
