"""Gallery faces as the expression network sees them, cut anew from their pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from db.errors import NotThere
from models import registry
from models.appearance import StarterFace, starter_faces
from models.errors import MienError
from models.faces.align import crop
from models.types import Face, Image
from studio.services.gallery_reading import place_of
from studio.services.nearest import gallery_picture

if TYPE_CHECKING:
    from db.store import Store
    from db.types import FaceRow

Told = Callable[[float, str], None]


def crops_of(store: Store, face_ids: Iterable[int], *, told: Told = lambda _share, _step: None) -> dict[int, Image]:
    """Return (size, size, 3) crops by face; one whose picture or face cannot be found is left out."""
    from models.deepfever import CROP_SCALE  # noqa: PLC0415 - it brings torch, which loads with the first network

    size = registry.load("deepfever").size
    known = {one.sha256: one for one in starter_faces()}
    wanted, found = list(face_ids), {}
    for number, face_id in enumerate(wanted):
        told(number / len(wanted), f"cutting face {number + 1} of {len(wanted)}")
        try:
            picture, row = gallery_picture(store, face_id)
        except (NotThere, MienError):  # deleted meanwhile, or a file its owner has moved
            continue
        face = _face(picture, row, known)
        if face is not None:
            found[face_id] = crop(face, picture, size=size, scale=CROP_SCALE).pixels
    return found


def _face(picture: Image, row: FaceRow, known: dict[str, StarterFace]) -> Face | None:
    """The starter faces' landmarks are known; others are found again and told by their box."""
    if row.sha256 in known:
        return known[row.sha256].as_face()
    faces: list[Face] = registry.load("faces").find(picture)
    place = place_of(row, faces)
    return None if place is None else faces[place]
