"""Many faces in one picture, so that the map shows thumbnails without a request for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from db.errors import NotThere
from models.errors import BadInput, MienError
from models.faces.align import cut, square
from models.images import encode_image
from models.types import Box, Image
from studio.services.atlas import Atlas
from studio.services.layouts import LayoutChoice, layout
from studio.services.nearest import gallery_picture

if TYPE_CHECKING:
    from db.store import Store

EDGE = 64
"""Pixels of one thumbnail."""
COLUMNS = 16
PAGE = COLUMNS * COLUMNS
"""Faces on one page of 1024 px."""
NO_PICTURE = 128
"""Grey level where a face has no picture here."""
ROOM = 1.25
"""How much wider than the face's box a thumbnail is."""


def slots(atlas: Atlas) -> NDArray[np.uint32]:
    """Return the place of each face in the pages; faces that lie together on the map share a page."""
    path = atlas.folder / "slots.npy"
    if not path.is_file():
        places = np.asarray(layout(atlas, LayoutChoice("pca", 2)))
        pages = max(1, int(np.sqrt(len(atlas) / PAGE)))
        across = np.argsort(np.argsort(places[:, 0], kind="stable"), kind="stable")
        strip = across * pages // len(atlas)
        order = np.lexsort((places[:, 1], strip))
        found = np.empty(len(atlas), np.uint32)
        found[order] = np.arange(len(atlas), dtype=np.uint32)
        with path.with_suffix(".part").open("wb") as stream:
            np.save(stream, found)
        path.with_suffix(".part").replace(path)
    stored: NDArray[np.uint32] = np.load(path)
    return stored


def sprite_page(store: Store, atlas: Atlas, page: int) -> bytes:
    """Return one page as JPEG, made when first asked for; raises BadInput for a page that is not there."""
    if not 0 <= page * PAGE < len(atlas):
        raise BadInput(f"there is no page {page} of thumbnails")
    path = atlas.folder / f"page-{page}.jpg"
    if not path.is_file():
        rows = np.flatnonzero(slots(atlas) // PAGE == page)
        rows = rows[np.argsort(slots(atlas)[rows])]
        canvas = np.full((COLUMNS * EDGE, COLUMNS * EDGE, 3), NO_PICTURE, np.uint8)
        for place, row in enumerate(rows.tolist()):
            top, left = EDGE * (place // COLUMNS), EDGE * (place % COLUMNS)
            canvas[top : top + EDGE, left : left + EDGE] = _sprite(store, int(atlas.ids[row]))
        partial = path.with_suffix(".part")
        partial.write_bytes(encode_image(canvas, "JPEG", quality=82))
        partial.replace(path)
    return path.read_bytes()


def face_thumbnail(store: Store, face_id: int, *, edge: int) -> Image:
    """Return a square picture of a gallery face; raises NotThere or NotAnImage."""
    picture, row = gallery_picture(store, face_id)
    height, width = picture.shape[:2]
    centre, side = ((width - 1) / 2, (height - 1) / 2), float(min(height, width))
    if row.box is not None:
        box = Box(**{name: row.box[name] for name in ("left", "top", "right", "bottom")})
        centre, side = box.centre, min(max(box.width, box.height) * ROOM, max(height, width))
    return cut(picture, square(centre, side, size=edge), size=edge).pixels


def _sprite(store: Store, face_id: int) -> Image | int:
    try:
        return face_thumbnail(store, face_id, edge=EDGE)
    except (NotThere, MienError):  # deleted meanwhile, or only its vector is here
        return NO_PICTURE
