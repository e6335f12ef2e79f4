"""`mien reenact`: a face performs another's motion."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from studio.commands.places import use_settings


def reenact(
    source: Annotated[Path, typer.Argument(help="a photo of the face that performs")],
    driver: Annotated[
        str, typer.Argument(help="a clip, a photo, a motion (.npz), or smile, nod, wink, talk, surprise")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help=".mp4, .gif, .zip (frames), .png (one picture) or .npz (the motion)")
    ] = Path("out.mp4"),
    more: Annotated[list[Path] | None, typer.Option(help="further photos of the same person, at most two")] = None,
    mode: Annotated[str, typer.Option(help="relative or absolute")] = "relative",
    part: Annotated[str, typer.Option(help="all, expression or pose")] = "all",
    strength: Annotated[float, typer.Option(help="of the expression, 0 to 2")] = 1.0,
    smoothing: Annotated[float, typer.Option(help="seconds; 0.15 calms a webcam")] = 0.0,
    reference: Annotated[float | None, typer.Option(help="second at which the driver is most like the source")] = None,
    crop: Annotated[bool, typer.Option(help="write the square alone, not the photo around it")] = False,
    beside: Annotated[bool, typer.Option(help="put the driver beside the film")] = False,
    official: Annotated[bool, typer.Option(help="draw with FSRT's own networks, whose files you brought")] = False,
    size: Annotated[int, typer.Option(help="with --official: pixels across the face, 64, 128 or 256")] = 256,
    half: Annotated[bool, typer.Option(help="with --official: bfloat16, faster and a little less exact")] = False,
) -> None:
    """Let a face perform another's motion. Ask the person shown first; results say that they are synthetic."""
    from studio.services.reenact_files import write_reenacted
    from studio.services.reenact_motion import Options

    chosen = use_settings()
    options = Options(
        mode=mode, part=part, strength=strength, smoothing_s=smoothing, reference_s=reference, paste_back=not crop,
        network="official" if official else "open", size=size, half=half,
    )  # fmt: skip
    summary = write_reenacted(
        [source, *(more or [])], driver, out, options=options, mark=chosen.synthetic_mark, beside=beside,
        told=_told if sys.stderr.isatty() else lambda _words, _share: None,
    )  # fmt: skip
    typer.echo(json.dumps(summary))


def _told(words: str, share: float | None) -> None:
    typer.echo(f"\r{'' if share is None else f'{share:4.0%} '}{words:<60}", err=True, nl=False)
