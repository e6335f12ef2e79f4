"""The face that performs: one to three photos of it, cut to squares that may be moved, and encoded once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models import registry
from models.cards import all_cards
from models.errors import BadInput, MissingWeights, NoFaceFound
from models.fsrt_open.crop import SIZE, cut_box, drive_in_box, in_crop, paste_back, static_box
from models.motions import Drive
from models.types import Box, Face, Image
from studio.gpu import is_lent, on_gpu
from studio.services.expression import scaled, shrink
from studio.services.reenact_mark import marked

OPEN = "fsrt_open"
"""Name of the network in the registry."""
MOST_PHOTOS = 3
KEPT_EDGE = 2048
"""Longest edge of a source that stills are pasted back into."""
FILM_EDGE = 960
SHOWN_EDGE = 720
CLOSE = 0.8
"""Edges of the square from its middle that a preview shows of the photo."""
LEAST_EDGE, MOST_EDGE = 1.0, 4.0
"""Edge of a crop over the longer edge of the landmarks' box."""
ADVICE = "Faces are found from 40 pixels up. Try a sharper or larger picture, or one with more light."


@dataclass(frozen=True, eq=False)
class SourcePhoto:
    """One photo of the face that performs."""

    picture: Image
    """Longest edge at most KEPT_EDGE."""
    faces: tuple[Face, ...]
    """In pixels of `picture`, the largest first."""
    face: Face
    box: Box
    """The square that is cut, in pixels of `picture`."""


@dataclass(frozen=True, eq=False)
class Performer:
    """A face ready to perform."""

    name: str
    photos: tuple[SourcePhoto, ...]
    """The first sets place and identity, and is what results are pasted back into."""
    source: Any | None
    """What the network keeps of it; None where a GPU is lent for each call, and it is made there."""
    milliseconds: float

    @property
    def own(self) -> Drive:
        """What the face does in its first photo."""
        return drive_in_box(self.photos[0].face, self.photos[0].box)


@dataclass(frozen=True, eq=False)
class Scene:
    """Where frames are laid: the whole photo at some size, or nothing but the frame."""

    picture: Image | None
    box: Box | None
    mark: bool

    def laid(self, frame: Image) -> Image:
        """Return the frame as it is shown and taken home."""
        picture = frame if self.picture is None or self.box is None else paste_back(self.picture, self.box, frame)
        return marked(picture) if self.mark else picture


def is_here() -> bool:
    """Tell whether the weights ship here, without loading them."""
    return OPEN in all_cards()


@on_gpu
def find_largest(images: list[Image]) -> list[list[Face]]:
    """Return the faces of each picture, the largest first."""
    finder = registry.load("faces")
    return [sorted(finder.find(image, most=12), key=lambda face: -face.box.width * face.box.height) for image in images]


def hold(pictures: Sequence[Image], *, name: str) -> Performer:
    """Find the face of one to three photos and encode it; raises BadInput, NoFaceFound or MissingWeights."""
    if not 0 < len(pictures) <= MOST_PHOTOS:
        raise BadInput(f"Give one to {MOST_PHOTOS} photos of one face, not {len(pictures)}.")
    kept = [shrink(picture, KEPT_EDGE)[0] for picture in pictures]
    found = find_largest(kept)
    for number, faces in enumerate(found, start=1):
        if not faces:
            which = f"There is no face in photo {number}. " if len(kept) > 1 else ""
            raise NoFaceFound(which + ADVICE)
    photos = tuple(
        SourcePhoto(picture, tuple(faces), faces[0], static_box(faces[0].landmarks))
        for picture, faces in zip(kept, found, strict=True)
    )
    return encoded(Performer(name, photos, None, 0.0))


def encoded(performer: Performer) -> Performer:
    """Return the performer with what its network keeps of it."""
    if not is_here():
        raise MissingWeights("The weights that make a face perform are not installed; `mien train fsrt` makes them.")
    begun = time.perf_counter()
    source = None if is_lent() else registry.load(OPEN).source(*crops(performer))
    return replace(performer, source=source, milliseconds=(time.perf_counter() - begun) * 1000)


def crops(performer: Performer) -> tuple[list[Image], list[Face]]:
    """Return the square cut out of each photo, and the face in its pixels."""
    cut = [cut_box(photo.picture, photo.box, size=SIZE) for photo in performer.photos]
    faces = [in_crop(photo.face, crop) for photo, crop in zip(performer.photos, cut, strict=True)]
    return [crop.pixels for crop in cut], faces


def with_photo(performer: Performer, picture: Image) -> Performer:
    """Add a photo of the same face; raises BadInput beyond three, NoFaceFound without a face."""
    if len(performer.photos) >= MOST_PHOTOS:
        raise BadInput(f"A face takes at most {MOST_PHOTOS} photos.")
    added = hold([picture], name=performer.name)
    return encoded(replace(performer, photos=performer.photos + added.photos))


def without_photo(performer: Performer, place: object) -> Performer:
    """Leave a photo out; the last one stays."""
    kept = tuple(photo for index, photo in enumerate(performer.photos) if index != place)
    return encoded(replace(performer, photos=kept)) if kept else performer


def cropped(performer: Performer, place: object, said: object) -> Performer:
    """Move a photo's square; `said` comes from a browser: left, top and edge as shares of the picture's width.

    Without `said` the square is set anew. The face nearest the square's middle performs. Raises BadInput.
    """
    if not isinstance(place, int) or not 0 <= place < len(performer.photos):
        raise BadInput("There is no such photo.")
    photo = performer.photos[place]
    if said is None:
        after = replace(photo, box=static_box(photo.face.landmarks))
    else:
        box = box_of(said, photo.picture.shape[1])
        face = min(photo.faces, key=lambda one: _apart(one.box, box))
        after = replace(photo, face=face, box=checked_box(box, [face]))
    photos = tuple(after if index == place else one for index, one in enumerate(performer.photos))
    return encoded(replace(performer, photos=photos))


def box_of(said: object, width: float) -> Box:
    """Read a square out of what a browser sent; raises BadInput."""
    try:
        left, top, edge = (float(said[name]) for name in ("left", "top", "edge"))  # type: ignore[index]
    except (TypeError, KeyError, ValueError) as error:
        raise BadInput("A crop is three numbers: left, top and edge.") from error
    if not (np.isfinite([left, top, edge]).all() and max(abs(left), abs(top)) < 20 and 0 < edge < 20):
        raise BadInput("A crop's numbers are shares of the picture's width.")
    return Box(left * width, top * width, (left + edge) * width, (top + edge) * width)


def checked_box(box: Box, faces: Sequence[Face]) -> Box:
    """Keep a square within what the networks know: around the faces, neither cut close nor far away."""
    longest = float(np.median([max(face.box.width, face.box.height) for face in faces]))
    half = float(np.clip(box.width, LEAST_EDGE * longest, MOST_EDGE * longest)) / 2
    middles = np.array([face.box.centre for face in faces])
    reach = half * 0.6
    low, high = middles.max(0) - reach, middles.min(0) + reach
    x, y = (float(np.clip(at, min(a, b), max(a, b))) for at, a, b in zip(box.centre, low, high, strict=True))
    return Box(x - half, y - half, x + half, y + half)


def _apart(one: Box, other: Box) -> float:
    return float(np.hypot(one.centre[0] - other.centre[0], one.centre[1] - other.centre[1]))


@on_gpu
def draw(square: tuple[list[Image], list[Face]], source: Any | None, drives: list[Any]) -> list[Image]:
    """Draw the face of a square, or what was kept of it, under each drive, (256, 256, 3)."""
    animator = registry.load(OPEN)
    return list(animator.frames(animator.source(*square) if source is None else source, drives))


def played(performer: Performer, drives: list[Any]) -> list[Image]:
    """Draw the performer under each drive."""
    square = crops(performer) if performer.source is None else ([], [])
    return draw(square, performer.source, drives)


def scene_of(performer: Performer, *, edge: int, is_pasted: bool, mark: bool, is_close: bool = False) -> Scene:
    """Return where frames are laid: in the first photo with its longest edge at most `edge`, or alone.

    `is_close` keeps only the surroundings of the square, so that a small face in a large photo can be seen.
    """
    if not is_pasted:
        return Scene(None, None, mark)
    photo = performer.photos[0]
    picture, box = _around(photo.picture, photo.box) if is_close else (photo.picture, photo.box)
    picture, factor = shrink(picture, edge)
    height, width = (length // 2 * 2 for length in picture.shape[:2])
    return Scene(np.ascontiguousarray(picture[:height, :width]), scaled_box(box, factor), mark)


def _around(picture: Image, box: Box) -> tuple[Image, Box]:
    """Cut the part of a picture within CLOSE edges of the square's middle; the box moves along."""
    height, width = picture.shape[:2]
    (x, y), reach = box.centre, CLOSE * box.width
    left, top = max(int(x - reach), 0), max(int(y - reach), 0)
    right, bottom = min(round(x + reach), width), min(round(y + reach), height)
    moved = Box(box.left - left, box.top - top, box.right - left, box.bottom - top)
    return picture[top:bottom, left:right], moved


def scaled_box(box: Box, factor: float) -> Box:
    """Return the box as it lies in a picture that was resized by `factor`."""
    return Box(box.left * factor, box.top * factor, box.right * factor, box.bottom * factor)


def scaled_face(face: Face, factor: float) -> Face:
    """Return the face as it lies in a picture that was resized by `factor`."""
    return face if factor == 1.0 else scaled(face, factor)
