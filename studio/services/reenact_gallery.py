"""Faces and motions to try that need no network."""

from __future__ import annotations

from functools import cache

from models.appearance import StarterFace, starter_faces
from models.errors import BadInput, MissingWeights
from models.fsrt_open.shelf import shelf
from models.types import Image
from studio.services.examples import MADE, THUMBNAIL_EDGE, Example
from studio.services.expression import shrink

CALM = (242, 131, 226, 259, 135, 132)
"""Numbers of the starter faces to try: of the calmest sixth, adults, chosen by eye."""


@cache
def calm_faces() -> tuple[StarterFace, ...]:
    """Return made adults who look ahead with little expression: from these any motion can begin."""
    try:
        faces = starter_faces()
    except MissingWeights:
        return ()
    return tuple(face for number in CALM for face in faces if face.number == number)


@cache
def source_examples() -> tuple[Example, ...]:
    """Return made faces that may perform; nobody has to be asked."""
    return tuple(
        Example(face.name, "Example: a made face", MADE, shrink(face.image, THUMBNAIL_EDGE)[0]) for face in calm_faces()
    )


def source_picture(name: object) -> Image:
    """Return a made face's picture; raises BadInput for a name that is none."""
    for face in calm_faces():
        if face.name == name:
            return face.image
    raise BadInput("There is no such example.")


def shelf_names() -> tuple[str, ...]:
    """Return the names of the motions on the shelf."""
    return tuple(shelf())
