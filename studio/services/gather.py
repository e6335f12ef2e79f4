"""Collect faces from several pictures for a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.types import Image
from studio.services.comparison import MOST, Comparison, compare
from studio.services.expression import FaceReading, read_photo, scaled, shrink

KEPT_EDGE = 800


@dataclass(frozen=True, eq=False)
class NamedFace:
    """A face to compare, where it comes from, and its picture."""

    name: str
    reading: FaceReading
    """Its face lies in pixels of `picture`."""
    picture: Image


@dataclass(frozen=True, eq=False)
class Gathered:
    """The faces collected so far, and what could not be taken."""

    faces: tuple[NamedFace, ...] = ()
    without_face: tuple[str, ...] = ()
    left_out: int = 0
    refused: tuple[str, ...] = ()
    """Why files could not be read."""

    @property
    def comparison(self) -> Comparison | None:
        """The distances; None while there is only one face."""
        return compare([face.reading.expression for face in self.faces]) if len(self.faces) > 1 else None


def gather(before: Sequence[NamedFace], image: Image, *, name: str) -> Gathered:
    """Add all faces of one more picture, as far as there is room."""
    photo = read_photo(image, name=name)
    picture, factor = shrink(image, KEPT_EDGE)
    found = [
        NamedFace(
            name if len(photo.faces) == 1 else f"face {item.number} of {name}",
            FaceReading(item.number, scaled(item.face, factor), item.expression, item.portrait),
            picture,
        )
        for item in photo.faces
    ]
    room = MOST - len(before)
    return Gathered((*before, *found[:room]), () if found else (name,), max(0, len(found) - room))


def leave_out(faces: Sequence[NamedFace], place: object) -> tuple[NamedFace, ...]:
    """Return the faces without the one at `place`, which may come from a browser."""
    return tuple(face for index, face in enumerate(faces) if index != place)
