"""A still face moved by sliders: drawn again for each move, and taken home as picture, motion or a short film."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass

import numpy as np

from models import registry
from models.errors import BadInput
from models.faces.names import BLENDSHAPE_NAMES
from models.motions import Drive, Motion, scaled
from models.types import BLENDSHAPES, Face, Image
from studio.gpu import on_gpu
from studio.services.reenact import (
    KEPT_EDGE,
    OPEN,
    SHOWN_EDGE,
    Performer,
    crops,
    played,
    scene_of,
)
from studio.services.reenact_driver import Driver, motion_file
from studio.services.reenact_exports import Made
from studio.services.reenact_mark import png_file
from studio.services.reenact_motion import Options
from studio.services.reenact_run import Performance, perform

MOST_DEGREES = 45.0
FILM_RATE, FILM_SECONDS = 25.0, 2.4
KINDS = ("still", "motion", "film")


@dataclass(frozen=True, eq=False)
class Edit:
    """What the sliders made of a face."""

    performer: Performer
    drive: Drive
    frame: Image
    """(256, 256, 3) as the network drew it"""
    paste_back: bool
    milliseconds: float

    def shown(self, *, mark: bool, edge: int = SHOWN_EDGE) -> Image:
        """Return the picture as it is shown, its longest edge at most `edge`."""
        return scene_of(self.performer, edge=edge, is_pasted=self.paste_back, mark=mark).laid(self.frame)


@on_gpu
def drive_of(
    square: tuple[list[Image], list[Face]],
    source: object | None,
    coefficients: object,
    turn: tuple[float, float, float],
) -> Drive:
    """Return what a face does under 52 coefficients and a turn of yaw, pitch and roll in degrees."""
    animator = registry.load(OPEN)
    source = animator.source(*square) if source is None else source
    made: Drive = animator.drive_from_sliders(source, coefficients=coefficients, rotation=turn)
    return made


def edit(performer: Performer, coefficients: Iterable[object], turn: Iterable[object], *, paste_back: bool) -> Edit:
    """Draw a face under what came from a browser: 52 coefficients, three angles in degrees; raises BadInput."""
    begun = time.perf_counter()
    values = _numbers(coefficients, BLENDSHAPES, "An expression is 52 numbers.")
    yaw, pitch, roll = np.clip(_numbers(turn, 3, "A turn is three angles."), -MOST_DEGREES, MOST_DEGREES)
    square = crops(performer) if performer.source is None else ([], [])
    drive = drive_of(square, performer.source, np.clip(values, 0, 1), (float(yaw), float(pitch), float(roll)))
    (frame,) = played(performer, [drive])
    return Edit(performer, drive, frame, paste_back, (time.perf_counter() - begun) * 1000)


def named(expression: dict[str, float], performer: Performer) -> list[float]:
    """Return 52 coefficients: those named, and the photo's own for all others; raises BadInput for unknown names."""
    unknown = set(expression) - set(BLENDSHAPE_NAMES)
    if unknown:
        raise BadInput(f"There is no action {sorted(unknown)[0][:40]!r}.")
    own = performer.own.coefficients
    return [float(expression.get(name, own[row])) for row, name in enumerate(BLENDSHAPE_NAMES)]


def there_and_back(made: Edit) -> Driver:
    """Return a short motion from the photo's own expression to the edited one and back."""
    count = round(FILM_RATE * FILM_SECONDS)
    ways = (1 - np.cos(2 * np.pi * np.arange(count) / count)) / 2  # 0, 1, and 0 again, slow at both ends
    whole = Motion.of([made.drive], fps=FILM_RATE)
    own = made.performer.own
    drives = [scaled(whole, own, expression_strength=float(way), pose_strength=float(way))[0] for way in ways]
    return Driver("sliders", "shelf", taken=Motion.of(drives, fps=FILM_RATE))


def carry_out(made: Edit, kind: str, *, mark: bool) -> Generator[float | Made | None, None, None]:
    """Yield shares of the work, then the file; raises BadInput for a kind that is none."""
    if kind not in KINDS:
        raise BadInput(f"Of this can be made {', '.join(KINDS)}, not {kind[:12]!r}.")
    if kind == "still":
        yield Made("reenacted.png", "image/png", png_file(made.shown(mark=mark, edge=KEPT_EDGE)))
    elif kind == "motion":
        yield Made("motion.npz", "application/octet-stream", motion_file(Motion.of([made.drive], fps=FILM_RATE)))
    else:
        options = Options(mode="absolute", paste_back=made.paste_back)
        for step in perform(made.performer, there_and_back(made), options, mark=mark, stopped=lambda: False):
            if isinstance(step, Performance):
                yield Made("reenacted.mp4", "video/mp4", step.film)
            else:
                yield step.share


def _numbers(values: Iterable[object], count: int, words: str) -> np.ndarray:
    try:
        found = np.asarray([float(value) for value in values], np.float32)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise BadInput(words) from error
    if found.shape != (count,) or not np.isfinite(found).all():
        raise BadInput(f"{words} They must be finite.")
    return found
