"""How a face takes over a driver's motion: the options, and what the face does under them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from models import registry
from models.errors import BadInput
from models.fsrt.motion import Motion as OfficialMotion
from models.motions import Drive, Motion
from models.types import Image
from studio.gpu import on_gpu
from studio.services.reenact import OPEN, Performer, crops
from studio.services.reenact_driver import Driver, reference_of

MODES = ("relative", "absolute")
PARTS = ("all", "pose", "expression")
NETWORKS = ("open", "official")
GRID = 256
"""Edge of what the networks draw; FSRT's own can draw every second or fourth pixel of it."""
SIZES = (64, 128, 256)
MOST_STRENGTH = 2.0
MOST_SMOOTHING = 1.0
PREVIEW_EDGE = 320


@dataclass(frozen=True)
class Options:
    """How a source follows a driver; see models.fsrt_open.animator.Retarget."""

    mode: str = "relative"
    part: str = "all"
    strength: float = 1.0
    """Of the expression: 0 keeps the source's own, above 1 exaggerates."""
    smoothing_s: float = 0.0
    adapt_scale: bool = True
    """Measure the head's way in sizes of the face, so that a small driver moves a large face as far."""
    reference_s: float | None = None
    """When the driver looks most like the source; None looks for it."""
    paste_back: bool = True
    network: str = "open"
    """official: FSRT's own, for those who brought its files."""
    size: int = GRID
    """Edge of what FSRT's own networks draw; Mien's own always draws 256."""
    half: bool = False
    """FSRT's own networks in bfloat16: faster where the processor knows it, colours off by a grey level or so."""

    def __post_init__(self) -> None:
        if self.network not in NETWORKS or self.size not in SIZES:
            sizes = ", ".join(map(str, SIZES))
            raise BadInput(f"A network is {' or '.join(NETWORKS)}; FSRT's own draws {sizes} pixels across.")
        if self.mode not in MODES or self.part not in PARTS:
            raise BadInput(f"A motion is {' or '.join(MODES)}; of it, {', '.join(PARTS)} can be taken.")
        numbers = (self.strength, self.smoothing_s, self.reference_s or 0.0)
        if not np.isfinite(numbers).all() or not 0 <= self.strength <= MOST_STRENGTH:
            raise BadInput(f"The expression's strength lies from 0 to {MOST_STRENGTH:.0f}, got {self.strength}.")
        if not 0 <= self.smoothing_s <= MOST_SMOOTHING:
            raise BadInput(f"Smoothing lies from 0 to {MOST_SMOOTHING:.0f} seconds, got {self.smoothing_s}.")


@dataclass(frozen=True, eq=False)
class Moved:
    """The source's own motion, frame by frame."""

    drives: tuple[Any, ...]
    """models.motions.Drive each, or what FSRT's own networks read."""
    times: tuple[float, ...]
    rate: float
    reference: int | None
    """The driver's frame from which movements were counted; None where it does not matter."""


@dataclass(frozen=True, eq=False)
class Preview:
    """A few frames at low cost."""

    frames: tuple[tuple[float, Image], ...]
    """Seconds and picture."""
    moved: Moved
    milliseconds: float


@dataclass(frozen=True, eq=False)
class Plan:
    """What a film takes: what the face does, and how it is drawn."""

    moved: Moved
    motion: Motion | OfficialMotion
    """What drives it, to be taken home."""
    draw: Callable[[int, Callable[[float], None]], list[Image]]
    """Draw the frame of this number, and further ones where that is faster; tells the share of them that is done."""
    frame_s: float | None = None
    """Seconds of one frame, where they were measured before."""


def options_of(said: Mapping[str, Any]) -> Options:
    """Check options that came from a program; raises BadInput for names or values that are none."""
    known = {field.name for field in fields(Options)}
    unknown = set(said) - known
    if unknown:
        raise BadInput(f"There is no option {sorted(unknown)[0][:40]!r}; there are {', '.join(sorted(known))}.")
    try:
        return Options(**dict(said))
    except TypeError as error:
        raise BadInput(f"The options hold a value of the wrong kind: {error}") from error


@on_gpu
def retarget(square: tuple[list[Any], list[Any]], source: Any | None, motion: Any, chosen: Mapping[str, Any]) -> Any:
    """Turn a driver's motion into the source's own, as the animator does."""
    from models.fsrt_open.animator import Retarget  # noqa: PLC0415 - torch loads when a face is first animated

    animator = registry.load(OPEN)
    source = animator.source(*square) if source is None else source
    return animator.retarget(motion, source, Retarget(**chosen))


def retargeted(performer: Performer, driver: Driver, options: Options) -> Moved:
    """Return what the performer does when it follows the driver."""
    own, motion = performer.own, driver.motion
    # A single picture has moved by nothing since itself: only what it shows can be taken.
    mode = "absolute" if len(motion) == 1 else options.mode
    reference = reference_of(driver, own, options.reference_s) if mode == "relative" else None
    chosen = {
        "mode": mode,
        "reference": reference,
        "part": options.part,
        "expression_strength": options.strength,
        "smoothing_seconds": options.smoothing_s,
    }
    square = crops(performer) if performer.source is None else ([], [])
    moved: Motion = retarget(square, performer.source, motion, chosen)
    if reference is not None and not options.adapt_scale:
        moved = with_own_steps(moved, own, motion[reference])
    return Moved(tuple(moved), tuple(driver.times), driver.rate, reference)


def with_own_steps(moved: Motion, own: Drive, start: Drive) -> Motion:
    """Undo the adaption of the head's way to the size of the source's face."""
    way = (moved.translation - own.translation) * np.float32(start.scale / own.scale - 1)
    return replace(moved, translation=moved.translation + way, landmarks=moved.landmarks + way[:, None])
