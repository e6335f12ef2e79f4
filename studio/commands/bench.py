"""`mien bench`: how fast and how large Mien is on this machine."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from studio.commands.places import use_settings


def bench(repeats: Annotated[int, typer.Option(min=3, help="calls behind each median")] = 30) -> None:
    """Measure speed and memory of the networks, the studio loaded beside them; one JSON line."""
    import studio.start  # noqa: F401 - what the studio itself holds counts as well
    from models.benchmark import measure

    use_settings()
    typer.echo(json.dumps(measure(repeats=repeats)))
