"""What faces chosen on the map can become: a project of comparisons, or a slider of the latent studio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from db.errors import AlreadyThere, NotThere, WrongShape
from db.types import NewFace, NewPicture, NewProject
from models.appearance import StarterFace, starter_faces
from models.errors import BadInput, Cancelled, MienError, MissingWeights
from models.types import Box, Face
from studio.services import latent
from studio.services.atlas import Atlas
from studio.services.background import Report
from studio.services.compare import start_project
from studio.services.nearest import gallery_picture

if TYPE_CHECKING:
    from db.store import Store
    from db.types import FaceRow, ProjectRow

LEAST_COMPARED = 24
"""Of which nine are kept to judge models by."""
MOST_COMPARED = 2000
MOST_FITTED = 120
"""Faces of either kind that an attribute is fitted to."""
LONGEST_NAME = 60


@dataclass(frozen=True)
class Chosen:
    """Faces of an atlas by id."""

    atlas: Atlas
    face_ids: tuple[int, ...]


def compare_project(store: Store, chosen: Chosen, *, name: str) -> ProjectRow:
    """Start a project of comparisons among the chosen faces; raises BadInput for too few or a name that is taken.

    A project asks about one gallery, so the faces are listed in a gallery of the project's name; pictures are stored
    once however many galleries list them.
    """
    title = name.strip()[:LONGEST_NAME]
    if not title:
        raise BadInput("Give the project a name.")
    if not LEAST_COMPARED <= len(chosen.face_ids) <= MOST_COMPARED:
        raise BadInput(
            f"A project takes {LEAST_COMPARED} to {MOST_COMPARED:,} faces; {len(chosen.face_ids):,} are selected."
        )
    if any(project.name == title for project in store.projects()) or any(g.name == title for g in store.galleries()):
        raise BadInput(f"{title!r} is taken; give the project another name.")
    faces = store.faces_by_id(chosen.face_ids)
    galleries = {gallery.id: gallery for gallery in store.galleries()}
    used = [galleries[number] for number in sorted({face.gallery_id for face in faces.values()})]
    gallery = store.add_gallery(
        title,
        credit="; ".join(dict.fromkeys(item.credit for item in used if item.credit)),
        licence="; ".join(dict.fromkeys(item.licence for item in used if item.licence)),
        source="chosen on the map from " + ", ".join(item.name for item in used),
    )
    new = store.add_faces(gallery.id, [_copy(store, face) for face in faces.values()])
    rows = chosen.atlas.rows_of(list(faces))
    vectors = np.asarray(chosen.atlas.vectors[rows], np.float32)
    by_id = dict(zip(chosen.atlas.ids[rows].tolist(), vectors, strict=True))
    store.add_vectors(new, np.stack([by_id[face_id] for face_id in faces]), backend=chosen.atlas.backend)
    try:
        return start_project(store, NewProject(title, gallery.id, chosen.atlas.backend))
    except (AlreadyThere, WrongShape) as error:
        raise BadInput(f"{error}") from error


def _copy(store: Store, face: FaceRow) -> NewFace:
    try:
        stored = store.picture(face.id)
    except NotThere:
        picture = None
    else:
        picture = NewPicture(
            stored.sha256, stored.media_type, stored.width, stored.height, content=stored.content, path=stored.path
        )
    return NewFace(
        picture,
        box=face.box,
        key=f"face {face.id}",
        provenance=face.provenance,
        tags=face.tags,
        identity=face.identity,
        consent=face.consent,
    )


def fitted_step(store: Store, chosen: Chosen, report: Report, *, seed: int = 0) -> NDArray[np.float32]:
    """Return one slider step from the map's other faces towards the chosen ones: (latent,).

    Raises BadInput for too few faces, Cancelled when told to stop.
    """
    rng = np.random.default_rng(seed)
    inside = _some(np.array(chosen.face_ids, np.int64), rng)
    outside = _some(np.setdiff1d(np.asarray(chosen.atlas.ids), inside), rng)
    known = starter_by_hash()
    codes: dict[int, NDArray[np.float32]] = {}
    everyone = [*inside.tolist(), *outside.tolist()]
    for done, face_id in enumerate(everyone):
        if not report(f"Coding face {done + 1} of {len(everyone)}", done / len(everyone)):
            raise Cancelled("Fitting was stopped.")
        code = code_of(store, face_id, known)
        if code is not None:
            codes[face_id] = code
    groups = [[codes[i] for i in ids.tolist() if i in codes] for ids in (inside, outside)]
    if min(map(len, groups)) < latent.LEAST_FITTED:
        raise BadInput(
            f"An attribute needs at least {latent.LEAST_FITTED} faces with pictures inside the selection and outside "
            f"it; there are {len(groups[0])} and {len(groups[1])}."
        )
    return latent.fit_attribute(np.stack(groups[0]), np.stack(groups[1]))


def _some(ids: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    return np.sort(rng.choice(ids, MOST_FITTED, replace=False)) if len(ids) > MOST_FITTED else ids


def code_of(store: Store, face_id: int, known: dict[str, StarterFace]) -> NDArray[np.float32] | None:
    """Return a gallery face's code; None when its picture or the face on it is not there."""
    try:
        picture, row = gallery_picture(store, face_id)
        made = known.get(row.sha256 or "")
        face = made.as_face() if made is not None else _found(picture, row)
    except (NotThere, MienError):  # deleted meanwhile, or a file its owner has moved
        return None
    return latent.code_faces(picture, [face])[0].numbers if face is not None else None


def _found(picture: NDArray[np.uint8], row: FaceRow) -> Face | None:
    faces = latent.find_faces(picture, 8)
    if row.box is None or not faces:
        return faces[0] if faces else None
    box = Box(**{side: row.box[side] for side in ("left", "top", "right", "bottom")})
    return max(faces, key=lambda face: face.box.overlap(box))


def starter_by_hash() -> dict[str, StarterFace]:
    """Return the made faces, whose landmarks are known exactly, by their pictures' hashes."""
    try:
        return {face.sha256: face for face in starter_faces()}
    except MissingWeights:  # galleries of one's own need no starter faces
        return {}
