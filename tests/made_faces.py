"""A gallery of the made faces that ship, with vectors read off their labels: no network, yet faces that are found."""

from __future__ import annotations

import numpy as np

from db.store import Store
from db.types import NewFace, NewPicture
from models.appearance import starter_faces

BACKEND = "labels@1"


def add_made_gallery(store: Store, *, count: int = 32) -> int:
    """Fill a gallery with made faces and their vectors (16 numbers, unit length); return its id."""
    made = starter_faces()[:count]
    gallery = store.add_gallery("Made faces", credit="Mien", licence="Apache-2.0", source="tests/made_faces.py")
    faces = []
    for face in made:
        height, width = face.image.shape[:2]
        kept = NewPicture(face.sha256, "image/webp", width, height, face.encoded)
        box = {side: getattr(face.box, side) for side in ("left", "top", "right", "bottom")}
        faces.append(NewFace(kept, box=box))
    ids = store.add_faces(gallery.id, faces)
    coefficients = np.stack([face.coefficients for face in made])
    centred = coefficients - coefficients.mean(0)
    vectors = centred @ np.linalg.svd(centred, full_matrices=False)[2][:16].T
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    store.add_vectors(ids, vectors.astype(np.float32), backend=BACKEND)
    return gallery.id
