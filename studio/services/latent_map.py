"""The latent space as a map: codes of gallery faces kept beside their expression vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.errors import Cancelled
from models.types import Face, Image
from studio.services import latent
from studio.services.background import Report
from studio.services.selection import code_of, starter_by_hash
from studio.services.tuned import LATENT

if TYPE_CHECKING:
    from db.store import Store

WRITE_EVERY = 32


def uncoded(store: Store) -> list[int]:
    """Return the faces with a picture that have no code of the latent space in use."""
    backend = latent.space().backend
    missing: list[int] = []
    for gallery in store.galleries():
        known = set(store.vectors(gallery.id, backend=backend)[0])
        missing += [face.id for face in store.faces(gallery.id, with_picture=True) if face.id not in known]
    return missing


def code_galleries(store: Store, report: Report) -> int:
    """Code every gallery face that has no code yet and return how many; what was coded stays when it is stopped."""
    waiting, known = uncoded(store), starter_by_hash()
    fresh: dict[int, NDArray[np.float32]] = {}
    coded = 0
    try:
        for done, face_id in enumerate(waiting):
            if not report(f"Coding gallery face {done + 1} of {len(waiting)}", done / len(waiting)):
                raise Cancelled("Coding was stopped; what was coded is kept.")
            code = code_of(store, face_id, known)
            if code is not None:
                fresh[face_id], coded = code, coded + 1
            if len(fresh) >= WRITE_EVERY:
                _keep(store, fresh)
                fresh = {}
    finally:
        _keep(store, fresh)
    return coded


def _keep(store: Store, fresh: dict[int, NDArray[np.float32]]) -> None:
    there = store.faces_by_id(fresh)
    kept = {face_id: code for face_id, code in fresh.items() if face_id in there}
    if kept:
        store.add_vectors(list(kept), np.stack(list(kept.values())), backend=latent.space().backend)


def is_latent(backend: str) -> bool:
    """Tell whether a map shows codes of a latent space."""
    return backend.startswith(LATENT)


def code_of_face(image: Image, face: Face) -> tuple[NDArray[np.float32], str]:
    """Return a new face's code and whose it is, to place it on the latent space's map."""
    return latent.code_faces(image, [face])[0].numbers, latent.space().backend
