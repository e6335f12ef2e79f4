"""`mien simulate`: what answers would be worth, with the real store, queue and fine-tuning."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def simulate(
    answers: Annotated[str, typer.Option(help="amounts of answers, such as 100,300,1000,3000")] = "100,300,1000,3000",
    seed: Annotated[int, typer.Option(help="draws the hidden metric, the people and the questions")] = 0,
    samplers: Annotated[str, typer.Option(help="random, nearest, active: compared when several are named")] = "random",
    as_json: Annotated[bool, typer.Option("--json", help="one line of JSON")] = False,
) -> None:
    """Let simulated people answer questions about the starter gallery and see what the fine-tuning makes of it."""
    from db.engine import open_database
    from db.store import Store
    from studio.commands.places import use_settings
    from studio.context import Context
    from studio.services import gallery, simulation

    amounts, names = [int(value) for value in answers.split(",")], samplers.split(",")
    if unknown := set(names) - {"random", "nearest", "active"}:
        raise typer.BadParameter(f"no sampler is called {', '.join(sorted(unknown))}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mien-simulate-") as folder:
        engine = open_database(f"sqlite:///{Path(folder) / 'mien.sqlite'}")
        store = Store(engine)
        starter = gallery.ensure_starter_gallery(Context(use_settings(), store))
        backend = str(store.backends(starter.id)[0])
        said = (lambda _step: None) if as_json else typer.echo
        found = simulation.simulate(
            store, starter.id, backend, amounts=amounts, samplers=names, seed=seed, progress=said
        )
        engine.dispose()
    if as_json:
        told = {"seed": seed, "backend": backend, "seconds": round(time.monotonic() - began, 1)}
        typer.echo(json.dumps(told | {"amounts": [asdict(one) for one in found]}))
        return
    for one in found:
        tuned = f"{one.tuned:.3f}" if one.tuned is not None else "  -  "
        verdict = "promoted" if one.promoted else one.note or f"kept as candidate, better in {one.better:.0%}"
        typer.echo(f"{one.sampler:>8} {one.answers:>6}  base {one.base:.3f}  tuned {tuned}  {one.interval}  {verdict}")
