"""`mien simulate`: what answers would be worth, with the real store, queue and fine-tuning."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from studio.services.simulation import Outcome, Worth


def simulate(
    answers: Annotated[str, typer.Option(help="amounts of answers, such as 100,300,1000,3000")] = "100,300,1000,3000",
    seed: Annotated[int, typer.Option(help="draws the hidden metric, the people and the questions")] = 0,
    runs: Annotated[int, typer.Option(min=1, help="so many seeds, from --seed on")] = 1,
    samplers: Annotated[str, typer.Option(help="random, nearest, active: compared when several are named")] = "random",
    consistent: Annotated[float, typer.Option(min=0, max=1, help="how often people say what they see")] = 0.89,
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
        said = (lambda _step: None) if as_json else (lambda step: typer.echo(step, err=True))
        found = simulation.simulate(
            store, starter.id, backend, amounts=amounts, samplers=names, seeds=range(seed, seed + runs),
            consistent=consistent, progress=said,
        )  # fmt: skip
        engine.dispose()
    summed = simulation.worth(found)
    if as_json:
        told = {"seed": seed, "backend": backend, "seconds": round(time.monotonic() - began, 1)}
        told |= {"amounts": [asdict(one) for one in found]}
        typer.echo(json.dumps(told | ({"worth": [asdict(one) for one in summed]} if len(summed) < len(found) else {})))
        return
    for one in found:
        _say_outcome(one)
    if len(summed) < len(found) or len(names) > 1:
        _say_worth(summed)


def _say_outcome(one: Outcome) -> None:
    tuned = f"{one.tuned:.3f}" if one.tuned is not None else "  -  "
    truly = f"{one.true_base:.3f} to " + (f"{one.true_tuned:.3f}" if one.true_tuned is not None else "  -  ")
    verdict = "promoted" if one.promoted else one.note or f"kept as candidate, better in {one.better:.0%}"
    typer.echo(
        f"seed {one.seed:>3} {one.sampler:>8} {one.answers:>6}  base {one.base:.3f}  tuned {tuned}  {one.interval}  "
        f"truly {truly}  {verdict}"
    )


def _say_worth(summed: Sequence[Worth]) -> None:
    typer.echo("\nTrue accuracy on kept-out faces, mean over seeds; +/- is one standard error")
    for one in summed:
        typer.echo(
            f"{one.sampler:>8} {one.answers:>6}  {one.base:.3f} to {one.learned:.3f} (+/- {one.error:.3f})  "
            f"against {summed[0].sampler} {one.against_first:+.3f} (+/- {one.against_first_error:.3f})  "
            f"promoted {one.promoted} of {one.seeds}, worse than before {one.promoted_worse}"
        )
