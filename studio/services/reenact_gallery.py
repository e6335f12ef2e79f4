"""Faces and motions to try that need no network."""

from __future__ import annotations

from functools import cache

import numpy as np

from models.appearance import StarterFace, starter_faces
from models.errors import BadInput, MissingWeights
from models.fsrt_open.shelf import shelf
from models.types import Image
from studio.services.examples import MADE, THUMBNAIL_EDGE, Example
from studio.services.expression import shrink

SHOWN_FACES = 6
DEGREES_PER_ACTION = 12.0
"""So much of a turn counts as much as one whole action when calm faces are looked for."""


@cache
def calm_faces() -> tuple[StarterFace, ...]:
    """Return made faces that look ahead with little expression: from these any motion can begin."""
    try:
        faces = starter_faces()
    except MissingWeights:
        return ()
    stirred = [float(face.coefficients.sum() + np.abs(face.turn).sum() / DEGREES_PER_ACTION) for face in faces]
    calm = np.argsort(stirred)[: len(faces) // 6]
    return tuple(faces[index] for index in calm[:: max(1, len(calm) // SHOWN_FACES)][:SHOWN_FACES])


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
