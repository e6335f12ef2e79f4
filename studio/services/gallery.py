"""Fill galleries: the starter faces, a folder of somebody's own, or openly licensed faces from their public homes."""

from __future__ import annotations

import hashlib
import mimetypes
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from db.types import GalleryRow, NewFace, NewPicture
from models import registry
from models.appearance import MEDIA_TYPE, StarterFace, starter_faces
from models.errors import BadInput, MienError
from models.faces.align import crop
from models.images import read_image
from models.types import Box, Expression, Face, Image
from studio.gpu import on_gpu
from studio.services.expression import find_and_read, strongest_actions

if TYPE_CHECKING:
    from db.store import Store
    from studio.context import Context

Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all and what is being done."""

STARTER = "Starter faces"
STARTER_CREDIT = "Made by Mien: mixtures of synthetic faces of SFHQ-T2I (David Beniaguev, MIT); nobody's photo"
STARTER_LICENCE = "Apache-2.0"
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif", ".bmp", ".tif", ".tiff", ".gif"}
AT_ONCE = 32

_filling = threading.Lock()


def _silent(_done: int, _total: int, _words: str) -> None:
    """Report to nobody."""


@dataclass(frozen=True)
class About:
    """What a person or a source says of the pictures it gives."""

    name: str
    credit: str
    licence: str
    source: str
    consent: str | None = None


@dataclass(frozen=True)
class Label:
    """What a file's name tells of its face."""

    identity: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Added:
    """What became of a folder."""

    gallery: GalleryRow
    faces: int
    """Faces added now."""
    known: int
    """Pictures that were in the gallery already."""
    without_face: tuple[str, ...]
    unreadable: tuple[str, ...]
    """File name and reason."""


def ensure_starter_gallery(context: Context, *, progress: Progress = _silent) -> GalleryRow:
    """Put the starter faces and their vectors into the store where they are missing, and return their gallery.

    Safe to call often and from several visitors at once. Raises MissingWeights where the expression reader is absent;
    the faces are in the store by then, and the vectors follow at a later call.
    """
    store = context.store
    with _filling:
        gallery = store.add_gallery(
            STARTER, credit=STARTER_CREDIT, licence=STARTER_LICENCE, source="mien train appearance"
        )
        made = starter_faces()
        known = {face.sha256: face.id for face in store.faces(gallery.id)}
        missing = [face for face in made if face.sha256 not in known]
        if missing:
            progress(0, len(made), "keeping the starter faces")
            store.add_faces(gallery.id, [_starter_row(face) for face in missing])
            known = {face.sha256: face.id for face in store.faces(gallery.id)}
        read_missing(store, gallery, [(known[face.sha256], face) for face in made], progress=progress)
    return gallery


def read_missing(
    store: Store, gallery: GalleryRow, faces: list[tuple[int, StarterFace]], *, progress: Progress = _silent
) -> None:
    """Read and keep the vectors that the network in use has not made yet."""
    backend = registry.load("deepfever").backend
    there = set(store.vectors(gallery.id, backend=backend)[0])
    waiting = [(number, face) for number, face in faces if number not in there]
    for start in range(0, len(waiting), AT_ONCE):
        part = waiting[start : start + AT_ONCE]
        progress(start, len(waiting), "reading the starter faces")
        expressions = read_known([face.image for _, face in part], [face.as_face() for _, face in part])
        store.add_vectors(
            [number for number, _ in part], np.stack([one.vector for one in expressions]), backend=backend
        )
    progress(len(waiting), len(waiting), "starter faces are ready")


@on_gpu
def read_known(images: list[Image], faces: list[Face]) -> list[Expression]:
    """Return the expressions of faces whose landmarks are known, one face per picture."""
    from models.deepfever import CROP_SCALE  # noqa: PLC0415 - it brings torch, which loads with the first network

    reader = registry.load("deepfever")
    pairs = zip(images, faces, strict=True)
    crops = [crop(face, image, size=reader.size, scale=CROP_SCALE).pixels for image, face in pairs]
    expressions: list[Expression] = reader.read_crops(crops)
    return expressions


def add_folder(
    store: Store,
    folder: Path,
    about: About,
    *,
    copy: bool = False,
    label: Callable[[Path], Label] = lambda _: Label(),
    progress: Progress = _silent,
) -> Added:
    """Find the faces in all pictures of a folder, and keep them with vectors, provenance and credit.

    The files stay where they are unless `copy` is set. A picture that is in the gallery already is passed over, and
    one that cannot be read is reported and does not stop the others. Raises BadInput for an empty folder.
    """
    files = list(pictures_below(folder))
    if not files:
        raise BadInput(f"{folder} holds no pictures; {', '.join(sorted(PICTURES))} are read")
    gallery = store.add_gallery(about.name, credit=about.credit, licence=about.licence, source=about.source)
    known = {face.sha256 for face in store.faces(gallery.id)}
    added, passed, without, broken = 0, 0, [], []
    for number, file in enumerate(files):
        progress(number, len(files), file.name)
        try:
            content = file.read_bytes()
            if hashlib.sha256(content).hexdigest() in known:
                passed += 1
                continue
            count = _add_picture(store, gallery, file, content, about=about, copy=copy, label=label(file))
        except (MienError, OSError) as error:
            broken.append(f"{file.name}: {error}")
            continue
        added += count
        if not count:
            without.append(file.name)
    progress(len(files), len(files), "done")
    return Added(gallery, added, passed, tuple(without), tuple(broken))


def pictures_below(folder: Path) -> Iterator[Path]:
    """Yield the pictures of a folder and its subfolders in order; hidden files are left out."""
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in PICTURES and file.is_file() and not file.name.startswith("."):
            yield file


def _add_picture(
    store: Store, gallery: GalleryRow, file: Path, content: bytes, *, about: About, copy: bool, label: Label
) -> int:
    """Keep every face of one picture; returns how many there were."""
    image = read_image(content)
    faces, expressions, _ = find_and_read(image)
    if not faces:
        return 0
    picture = NewPicture(
        sha256=hashlib.sha256(content).hexdigest(),
        media_type=mimetypes.guess_type(file.name)[0] or "application/octet-stream",
        width=image.shape[1],
        height=image.shape[0],
        content=content if copy else None,
        path=None if copy else str(file.resolve()),
    )
    rows = [_found_row(face, picture, file, about=about, label=label) for face in faces]
    ids = store.add_faces(gallery.id, rows)
    vectors = np.stack([expression.vector for expression in expressions])
    store.add_vectors(ids, vectors, backend=expressions[0].backend)
    return len(ids)


def _found_row(face: Face, picture: NewPicture, file: Path, *, about: About, label: Label) -> NewFace:
    return NewFace(
        picture=picture,
        box=_box(face.box),
        provenance={"file": file.name, "sha256": picture.sha256, "credit": about.credit, "licence": about.licence},
        tags=label.tags | _action_tag(face),
        identity=label.identity,
        consent=about.consent,
    )


def _starter_row(face: StarterFace) -> NewFace:
    image = face.image
    return NewFace(
        picture=NewPicture(face.sha256, MEDIA_TYPE, image.shape[1], image.shape[0], content=face.encoded),
        box=_box(face.box),
        provenance={
            "recipe": "mien train appearance",
            "name": face.name,
            **asdict(face.made_from),
            "coefficients": [round(float(value), 3) for value in face.coefficients],
        },
        tags={"origin": "made by Mien"} | _action_tag(face.as_face()),
        identity=face.name,
    )


def _action_tag(face: Face) -> dict[str, str]:
    """The strongest muscle action in plain words, where one is worth a word."""
    strongest = strongest_actions(face.blendshapes, most=1)
    return {"action": strongest[0].plain} if strongest else {}


def _box(box: Box) -> dict[str, float]:
    return {
        "left": round(box.left, 2),
        "top": round(box.top, 2),
        "right": round(box.right, 2),
        "bottom": round(box.bottom, 2),
    }


def summary(added: Added) -> Iterable[str]:
    """Say what became of a folder, line by line."""
    yield f"{added.faces} faces added to {added.gallery.name!r}; {added.known} pictures were there already"
    yield f"credit: {added.gallery.credit} · licence: {added.gallery.licence}"
    if added.without_face:
        yield f"no face found in {len(added.without_face)}: {', '.join(added.without_face[:8])}"
    for reason in added.unreadable:
        yield f"not read: {reason}"
