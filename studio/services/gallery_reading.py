"""Let the networks read gallery faces: vectors go to the store, emotions and muscle actions beside the atlas."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from db.errors import NotThere
from models.errors import MienError
from models.types import BLENDSHAPES, EMOTIONS, Box, Expression, Face, Image
from studio.services.nearest import gallery_picture
from studio.services.tuned import base_of

if TYPE_CHECKING:
    from db.store import Store
    from db.types import FaceRow

Read = Callable[[Image, "FaceRow"], tuple[list[Face], list[Expression]]]
"""Finds and reads every face of a picture; the row says which one is asked for."""
WRITE_EVERY = 32
LEAST_OVERLAP = 0.2


@dataclass(frozen=True, eq=False)
class Readings:
    """What one network read off gallery faces besides the vector; row i belongs to face ids[i], ids rising."""

    ids: NDArray[np.int64]
    emotions: NDArray[np.float32]
    """(faces, 8) probabilities in the order of EMOTIONS."""
    affect: NDArray[np.float32]
    """(faces, 2) valence and arousal."""
    actions: NDArray[np.float32]
    """(faces, 52) in the order of BLENDSHAPE_NAMES."""

    def for_ids(self, ids: NDArray[np.int64], name: str) -> NDArray[np.float32]:
        """Return one of the arrays with a row for each of `ids`, NaN where a face was not read."""
        source: NDArray[np.float32] = getattr(self, name)
        found = np.full((len(ids), source.shape[1]), np.nan, np.float32)
        if len(self.ids):
            places = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
            known = self.ids[places] == ids
            found[known] = source[places[known]]
        return found


NONE_READ = Readings(
    np.zeros(0, np.int64),
    np.zeros((0, len(EMOTIONS)), np.float32),
    np.zeros((0, 2), np.float32),
    np.zeros((0, BLENDSHAPES), np.float32),
)


def readings_file(home: Path, backend: str) -> Path:
    """Return where the readings of one network lie."""
    return home / f"readings-{re.sub(r'[^0-9A-Za-z]+', '-', base_of(backend))}.npz"


def load_readings(home: Path, backend: str) -> Readings:
    """Return what this network has read so far."""
    path = readings_file(home, backend)
    if not path.is_file():
        return NONE_READ
    stored = np.load(path)
    return Readings(stored["ids"], stored["emotions"], stored["affect"], stored["actions"])


def unread(store: Store, home: Path, *, backend: str) -> list[int]:
    """Return the faces with a picture that this network has not read."""
    known = set(load_readings(home, backend).ids.tolist())
    faces = [face for gallery in store.galleries() for face in store.faces(gallery.id, with_picture=True)]
    return [face.id for face in faces if face.id not in known]


def read_gallery(store: Store, home: Path, *, backend: str, read: Read) -> Iterator[tuple[int, int]]:
    """Read what is unread and keep it, yielding (done, all); stopping early loses nothing that was read."""
    faces = unread(store, home, backend=backend)
    fresh: list[tuple[int, Face, Expression]] = []
    try:
        for done, face_id in enumerate(faces):
            yield done, len(faces)
            fresh += _read_one(store, face_id, read)
            if len(fresh) >= WRITE_EVERY:
                _keep(store, home, backend, fresh)
                fresh = []
    finally:
        _keep(store, home, backend, fresh)
    yield len(faces), len(faces)


def forget_deleted(store: Store, home: Path, *, backend: str) -> None:
    """Drop the readings of faces that are no longer in the store."""
    readings = load_readings(home, backend)
    there = store.faces_by_id(readings.ids.tolist())
    keep = np.array([face_id in there for face_id in readings.ids.tolist()], bool)
    if not keep.all():
        _write(home, backend, _rows(readings, keep))


def _read_one(store: Store, face_id: int, read: Read) -> list[tuple[int, Face, Expression]]:
    try:
        picture, row = gallery_picture(store, face_id)
    except (NotThere, MienError):  # deleted meanwhile, or a file its owner has moved
        return []
    faces, expressions = read(picture, row)
    place = place_of(row, faces)
    return [] if place is None else [(face_id, faces[place], expressions[place])]


def place_of(row: FaceRow, faces: Sequence[Face]) -> int | None:
    """Return which of its picture's faces a row means: the one its box covers best, the first where it has no box."""
    if not faces:
        return None
    if row.box is None:
        return 0
    here = Box(**{side: row.box[side] for side in ("left", "top", "right", "bottom")})
    overlaps = [face.box.overlap(here) for face in faces]
    best = int(np.argmax(overlaps))
    return best if overlaps[best] > LEAST_OVERLAP else None


def _keep(store: Store, home: Path, backend: str, fresh: list[tuple[int, Face, Expression]]) -> None:
    there = store.faces_by_id([face_id for face_id, _, _ in fresh])
    fresh = [item for item in fresh if item[0] in there]
    if not fresh:
        return
    ids = [face_id for face_id, _, _ in fresh]
    store.add_vectors(ids, np.stack([expression.vector for _, _, expression in fresh]), backend=backend)
    new = Readings(
        np.array(ids, np.int64),
        np.stack([expression.emotions for _, _, expression in fresh]).astype(np.float32),
        np.array([(expression.valence, expression.arousal) for _, _, expression in fresh], np.float32),
        np.stack([face.blendshapes for _, face, _ in fresh]),
    )
    old = load_readings(home, backend)
    old = _rows(old, ~np.isin(old.ids, new.ids))
    joined = Readings(*(np.concatenate([a, b]) for a, b in zip(_arrays(old), _arrays(new), strict=True)))
    _write(home, backend, _rows(joined, np.argsort(joined.ids)))


def _arrays(readings: Readings) -> tuple[NDArray[np.generic], ...]:
    return readings.ids, readings.emotions, readings.affect, readings.actions


def _rows(readings: Readings, chosen: NDArray[np.generic]) -> Readings:
    return Readings(*(array[chosen] for array in _arrays(readings)))


def _write(home: Path, backend: str, readings: Readings) -> None:
    home.mkdir(parents=True, exist_ok=True)
    number, partial = tempfile.mkstemp(dir=home, suffix=".part")
    with os.fdopen(number, "wb") as stream:
        np.savez(stream, ids=readings.ids, emotions=readings.emotions, affect=readings.affect, actions=readings.actions)
    Path(partial).replace(readings_file(home, backend))
