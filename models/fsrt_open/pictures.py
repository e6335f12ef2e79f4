"""Pictures for the documentation: generated faces that perform the project's own motions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from models import registry
from models.clips import ClipFrame
from models.errors import BadInput
from models.faces.names import BLENDSHAPE_NAMES
from models.films import write_film
from models.fsrt_open.animator import Animator, Retarget, Source
from models.fsrt_open.crop import cut_box, in_crop, static_box
from models.fsrt_open.shelf import shelf
from models.images import write_image
from models.training.data import held_out, pictures_of
from models.types import Image

GENERATED = "sfhq_t2i"
"""The source of labelled pictures that show nobody."""
MOMENTS = (("smile", 1.5), ("surprise", 1.0), ("wink", 1.0), ("talk", 0.62), ("nod", 0.55))
TILE = 192
JAW, CALM = BLENDSHAPE_NAMES.index("jawOpen"), 0.15
"""Most photos that people bring have closed mouths."""
FILMED = ("smile", "talk")
AT_REST = Retarget(reference=0)
"""The shelf's motions begin at rest."""


def draw_pictures(faces: Path, out: Path, *, animator: Animator | None = None, rows: int = 6) -> list[Path]:
    """Write a contact sheet and two films of generated faces that training never saw; returns the files.

    `faces` holds labels.npz with a column `source`. Raises BadInput without such faces.
    """
    animator = animator or registry.load("fsrt_open")
    finder = registry.load("faces")
    sources: list[Source] = []
    for image in generated(faces / "labels.npz"):
        found = finder.find(image, most=1)
        if not found or found[0].quality.flags or abs(found[0].pose.yaw) > 20 or found[0].blendshapes[JAW] > CALM:
            continue
        crop = cut_box(image, static_box(found[0].landmarks))
        sources.append(animator.source([crop.pixels], [in_crop(found[0], crop)]))
        if len(sources) == rows:
            break
    if len(sources) < len(FILMED):
        raise BadInput(f"{faces} has too few generated faces that training never saw")
    out.mkdir(parents=True, exist_ok=True)
    files = [write_image(sheet(animator, sources), out / "reenact_sheet.jpg")]
    for name, source in zip(FILMED, sources, strict=False):
        files.append(out / f"reenact_{name}.mp4")
        write_film(filmed(animator, source, name), files[-1], rate=25)
    return files


def generated(labels: Path) -> Iterator[Image]:
    """Generated faces of people whom training never saw."""
    if not labels.is_file():
        raise BadInput(f"{labels.name} is not in {labels.parent.name}")
    with np.load(labels) as stored:
        source, identity = stored["source"].astype(str), stored["identity"].astype(str)
    for row, image in pictures_of(labels):
        if source[row] == GENERATED and held_out(f"{GENERATED}/{identity[row]}", source=GENERATED):
            yield image


def sheet(animator: Animator, sources: list[Source]) -> Image:
    """A row for each source: the photo, then one moment of each motion, then a turn to either side."""
    rows = []
    for source in sources:
        motions = {name: animator.retarget(motion, source, AT_REST) for name, motion in shelf().items()}
        drives = [motions[name][round(second * motions[name].fps)] for name, second in MOMENTS]
        drives += [animator.drive_from_sliders(source, rotation=(yaw, 0.0, 0.0)) for yaw in (-20.0, 20.0)]
        tiles = [source.image, *animator.frames(source, drives)]
        rows.append(np.hstack([cv2.resize(tile, (TILE, TILE), interpolation=cv2.INTER_AREA) for tile in tiles]))
    return np.asarray(np.vstack(rows), dtype=np.uint8)


def filmed(animator: Animator, source: Source, name: str) -> Iterator[ClipFrame]:
    """The photo beside its performance."""
    motion = animator.retarget(shelf()[name], source, AT_REST)
    for number, frame in enumerate(animator.frames(source, motion)):
        yield ClipFrame(number / motion.fps, np.hstack([source.image, frame]))
