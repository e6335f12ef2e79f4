"""Open the map for a visitor: which galleries, whose vectors, and reading what nobody has read yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from db.errors import NotThere
from models import cards
from models.appearance import StarterFace, starter_faces
from models.errors import Cancelled, MienError, MissingWeights
from models.types import Expression, Face, Image
from studio.services import explore
from studio.services.atlas import Atlas, NothingToMap, make_atlas
from studio.services.background import Report
from studio.services.expression import find_and_read
from studio.services.gallery import STARTER, ensure_starter_gallery, read_known
from studio.services.gallery_reading import forget_deleted, read_gallery, unread
from studio.services.sprites import face_thumbnail
from studio.services.tuned import LATENT, base_of, kept_up

if TYPE_CHECKING:
    from db.types import FaceRow
    from studio.context import Context

READ_AT_ONCE = 400
"""Unread faces that are read without asking; more are read when somebody asks for it."""
SHOWN_EDGE = 112


@dataclass(frozen=True)
class MapChoice:
    """What a visitor wants on the map; an empty backend is the one with most faces."""

    gallery_ids: tuple[int, ...] = ()
    backend: str = ""


def home_of(context: Context) -> Path:
    """Return where atlases lie."""
    return context.settings.data_dir / "explore"


def gallery_choices(context: Context) -> list[tuple[str, str]]:
    """Return (title, id) of all galleries that hold faces."""
    galleries = [(gallery, context.store.count_faces(gallery.id)) for gallery in context.store.galleries()]
    return [(f"{gallery.name} ({count:,})", str(gallery.id)) for gallery, count in galleries if count]


def open_map(context: Context, choice: MapChoice, report: Report = lambda words, share: True) -> Atlas:
    """Return the atlas of a choice, filling the starter gallery first when there is nothing else.

    Raises NothingToMap when no network has read enough faces, MissingWeights when none is here to read them.
    """
    backend = choice.backend or _backend(context, choice.gallery_ids, report)
    forget_deleted(context.store, home_of(context), backend=backend)
    return make_atlas(context.store, home_of(context), backend=backend, gallery_ids=choice.gallery_ids)


def _backend(context: Context, gallery_ids: Sequence[int], report: Report) -> str:
    present = present_backend()
    found = explore.backends_of(context.store, gallery_ids)
    starters = any(gallery.name == STARTER for gallery in context.store.galleries())
    if not found or (starters and present not in explore.backends_of(context.store)):
        # nothing was ever read, or all of it by a network of an earlier version
        ensure_starter_gallery(context, progress=lambda done, count, words: _tell(report, words, done / max(count, 1)))
        found = explore.backends_of(context.store, gallery_ids)
    if not found:
        raise NothingToMap("No network has read faces of this gallery yet.")
    if present in found:
        return kept_up(context.store, present)
    return kept_up(context.store, base_of(min(found, key=lambda name: name.startswith(LATENT))))


def _tell(report: Report, words: str, share: float) -> None:
    if not report(words[:1].upper() + words[1:], share):
        raise Cancelled("Reading was stopped; what was read is kept.")


def present_backend() -> str:
    """Return the name of the expression network that ships, read off its card; empty when there is none."""
    card = cards.PRETRAINED / "deepfever.json"
    return cards.read_card(card).backend if card.is_file() else ""


def waiting_faces(context: Context, backend: str) -> int:
    """Return how many faces the network in use could read and has not; 0 when it is not the map's network."""
    backend = base_of(backend)
    if backend != present_backend() or not (cards.PRETRAINED / "faces.json").is_file():
        return 0
    return len(unread(context.store, home_of(context), backend=backend))


def read_waiting(context: Context, backend: str) -> Callable[[Report], None]:
    """Return the work that reads what is unread: emotions, muscle actions, and vectors where they are missing."""

    base = base_of(backend)

    def work(report: Report) -> None:
        for done, count in read_gallery(context.store, home_of(context), backend=base, read=_read):
            if not report(f"Reading gallery face {done} of {count}", done / max(count, 1)):
                raise Cancelled("Reading was stopped; what was read is kept.")

    return work


def _read(image: Image, row: FaceRow) -> tuple[list[Face], list[Expression]]:
    known = _starter().get(row.sha256 or "")
    if known is not None:  # its landmarks are known exactly, so it need not be looked for
        face = known.as_face()
        return [face], read_known([image], [face])
    faces, expressions, _ = find_and_read(image)
    return faces, expressions


@cache
def _starter() -> dict[str, StarterFace]:
    try:
        return {face.sha256: face for face in starter_faces()}
    except MissingWeights:  # galleries of one's own need no starter faces
        return {}


def thumbnail(context: Context, face_id: int) -> Image | None:
    """Return a picture of a gallery face for a row of faces, None when there is none here."""
    try:
        return face_thumbnail(context.store, face_id, edge=SHOWN_EDGE)
    except (NotThere, MienError):
        return None
