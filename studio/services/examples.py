"""Pictures to try that need no network: scikit-image's astronaut, and faces that Mien made itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import skimage

from models.appearance import StarterFace, starter_faces
from models.errors import BadInput, MissingWeights
from models.images import read_image
from models.types import Image
from studio.services.expression import shrink

ASTRONAUT, GROUP, TURNING = "astronaut", "group", "turning"
THUMBNAIL_EDGE = 112
GROUP_ROWS, GROUP_COLUMNS = 2, 3
SINGLE = 4
MADE = "A face made by Mien; nobody's photo"


@dataclass(frozen=True, eq=False)
class Example:
    """One example: `name` is what the page sends back when it is pressed."""

    name: str
    description: str
    credit: str
    thumbnail: Image


@cache
def examples() -> tuple[Example, ...]:
    """Return the examples; only the astronaut where Mien's own faces are not installed."""
    portrait, _ = shrink(astronaut()[:256, 96:352], THUMBNAIL_EDGE)
    first = Example(ASTRONAUT, "Example: astronaut Eileen Collins", "Eileen Collins, NASA, public domain", portrait)
    chosen = varied_faces()
    if not chosen:
        return (first,)
    group, _ = shrink(group_picture(), THUMBNAIL_EDGE)
    singles = (Example(face.name, "Example: a made face", MADE, _thumbnail(face)) for face in chosen[:SINGLE])
    return (first, Example(GROUP, "Example: six made faces in one picture", MADE, group), *singles)


def clip_examples() -> tuple[Example, ...]:
    """Return the example of the clip part; none where Mien's own faces are not installed."""
    chosen = varied_faces()
    words = "Example: made faces turning into each other"
    return (Example(TURNING, words, MADE, _thumbnail(chosen[0])),) if chosen else ()


def example_picture(name: str) -> tuple[Image, str]:
    """Return an example's picture and what to call it; raises BadInput for a name that is none."""
    if name == ASTRONAUT:
        return astronaut(), "astronaut"
    chosen = varied_faces()
    if name == GROUP and chosen:
        return group_picture(), "six made faces"
    for face in chosen:
        if face.name == name:
            return face.image, name
    raise BadInput("There is no such example.")


@cache
def astronaut() -> Image:
    """Return the portrait of Eileen Collins that ships in the scikit-image wheel, (512, 512, 3)."""
    return read_image(Path(skimage.__file__).parent / "data" / "astronaut.png")


@cache
def varied_faces(count: int = 6) -> tuple[StarterFace, ...]:
    """Return made faces whose expressions lie far from each other, the strongest first; none where none ship."""
    try:
        faces = starter_faces()
    except MissingWeights:
        return ()
    actions = np.array([face.coefficients for face in faces])  # (faces, 52)
    chosen = [int(np.argmax(np.linalg.norm(actions - actions.mean(axis=0), axis=1)))]
    while len(chosen) < min(count, len(faces)):
        gaps = np.linalg.norm(actions[:, None] - actions[None, chosen], axis=2).min(axis=1)  # (faces,)
        chosen.append(int(np.argmax(gaps)))
    return tuple(faces[index] for index in chosen)


@cache
def group_picture() -> Image:
    """Return six made faces in two rows, (512, 768, 3)."""
    pictures = [face.image for face in varied_faces(GROUP_ROWS * GROUP_COLUMNS)]
    rows = [np.concatenate(pictures[start : start + GROUP_COLUMNS], axis=1) for start in (0, GROUP_COLUMNS)]
    return np.concatenate(rows, axis=0)


def _thumbnail(face: StarterFace) -> Image:
    return shrink(face.image, THUMBNAIL_EDGE)[0]
