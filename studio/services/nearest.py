"""The gallery's faces nearest to an expression, with their pictures and whom to thank."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from db.errors import NotThere
from models.errors import BadInput, MienError, MissingWeights
from models.images import read_image
from models.types import Expression, Image
from studio.services.comparison import Neighbour, nearest
from studio.services.expression import shrink
from studio.services.gallery import ensure_starter_gallery
from studio.services.tuned import moved

if TYPE_CHECKING:
    from db.store import Store
    from db.types import FaceRow, GalleryRow, PictureRow
    from studio.context import Context

THUMBNAIL_EDGE = 160
MARGIN = 0.25
"""How much of the face's size is shown around its box."""
MOST_FOR_REFERENCE = 300


@dataclass(frozen=True, eq=False)
class GalleryFace:
    """A neighbour with its picture."""

    neighbour: Neighbour
    thumbnail: Image
    gallery: str
    credit: str
    licence: str


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """The nearest faces, and how far gallery faces usually are from each other."""

    faces: tuple[GalleryFace, ...]
    searched: int
    """How many gallery faces this network has read."""
    reference: NDArray[np.float32]
    """Sorted distances between gallery faces; empty when there are fewer than two."""


def neighbourhood(
    store: Store, expression: Expression, *, portrait: Image | None = None, most: int = 6
) -> Neighbourhood:
    """Return the faces of all galleries nearest to an expression; only vectors of the same network are compared.

    Where a fine-tuned model is in use, faces are compared as it sees them.
    """
    galleries = {gallery.id: gallery for gallery in store.galleries()}
    vector, backend = moved(store, expression.vector, expression.backend, portrait=portrait)
    ids, vectors = _all_vectors(store, backend)
    if not ids:
        return Neighbourhood((), 0, np.zeros(0, np.float32))
    shown: list[GalleryFace] = []
    for neighbour in nearest(vector, ids, vectors, most=most * 2):
        face = _with_picture(store, neighbour, galleries)
        if face is not None:
            shown.append(face)
        if len(shown) == most:
            break
    return Neighbourhood(tuple(shown), len(ids), _reference(vectors))


def _all_vectors(store: Store, backend: str) -> tuple[list[int], NDArray[np.float32]]:
    """Return the vectors of all galleries that one network has made: ids and (faces, dimension)."""
    ids: list[int] = []
    rows: list[NDArray[np.float32]] = []
    for gallery in store.galleries():
        face_ids, matrix = store.vectors(gallery.id, backend=backend)
        if face_ids:
            ids.extend(face_ids)
            rows.append(matrix)
    return ids, np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)


def gallery_picture(store: Store, face_id: int) -> tuple[Image, FaceRow]:
    """Return a gallery face's whole picture; raises NotThere or NotAnImage."""
    return read_image(_source(store.picture(face_id))), store.face(face_id)


def _with_picture(store: Store, neighbour: Neighbour, galleries: dict[int, GalleryRow]) -> GalleryFace | None:
    try:
        picture, row = gallery_picture(store, neighbour.face_id)
    except (NotThere, MienError):  # removed meanwhile, or only its vector is here
        return None
    gallery = galleries[row.gallery_id]
    thumbnail, _ = shrink(_cut(picture, row.box), THUMBNAIL_EDGE)
    return GalleryFace(neighbour, thumbnail, gallery.name, gallery.credit, gallery.licence)


def _source(picture: PictureRow) -> bytes | Path:
    return picture.content if picture.content is not None else Path(picture.path or "")


def _cut(picture: Image, box: dict[str, float] | None) -> Image:
    """Return a square around the face, inside the picture."""
    height, width = picture.shape[:2]
    if box is None:
        return picture
    x, y = (box["left"] + box["right"]) / 2, (box["top"] + box["bottom"]) / 2
    half = max(box["right"] - box["left"], box["bottom"] - box["top"]) / 2 * (1 + MARGIN)
    half = min(half, width / 2, height / 2)
    left, top = round(min(max(x - half, 0), width - 2 * half)), round(min(max(y - half, 0), height - 2 * half))
    edge = max(1, round(2 * half))
    return np.ascontiguousarray(picture[top : top + edge, left : left + edge])


def _reference(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    step = max(1, len(vectors) // MOST_FOR_REFERENCE)
    some = vectors[::step].astype(np.float64)
    distances = np.sqrt(np.maximum(2.0 - 2.0 * some @ some.T, 0.0))
    return np.sort(distances[np.triu_indices(len(some), k=1)]).astype(np.float32)


def near_vector(store: Store, vector: NDArray[np.float32], *, backend: str, most: int) -> list[dict[str, object]]:
    """Return ids, distances and tags of the gallery faces nearest to a vector; raises BadInput for a wrong one."""
    ids, vectors = _all_vectors(store, backend)
    if not ids:
        raise BadInput(f"The gallery holds no vectors of {backend[:80]!r}.")
    if vector.shape != vectors.shape[1:] or not np.isfinite(vector).all():
        raise BadInput(f"Expected {vectors.shape[1]} finite numbers, got {vector.size}.")
    vector, seen_by = moved(store, vector, backend)
    if seen_by != backend:
        ids, vectors = _all_vectors(store, seen_by)
    found = nearest(vector, ids, vectors, most=min(max(most, 1), 100))
    rows = store.faces_by_id([neighbour.face_id for neighbour in found])
    return [
        {"face": n.face_id, "distance": round(n.distance, 5), "tags": rows[n.face_id].tags}
        for n in found
        if n.face_id in rows
    ]


def fill_if_empty(context: Context, backend: str) -> bool:
    """Fill the starter gallery when no gallery holds faces of this network; tells whether there are new ones."""
    store = context.store
    if any(store.vectors(gallery.id, backend=backend)[0] for gallery in store.galleries()):
        return False
    try:
        ensure_starter_gallery(context)
    except MissingWeights:  # without made faces the gallery stays empty, and the card says so
        return False
    return True
