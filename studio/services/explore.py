"""Use cases of the map: what to draw, who is near, where a new face falls, and what a selection can be turned into."""

from __future__ import annotations

import base64
import csv
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from db.errors import NotThere
from db.types import Backend
from models.errors import BadInput, MienError
from models.images import encode_image
from models.types import EMOTIONS
from studio.palette import EMOTION_COLOURS
from studio.services import sprites
from studio.services.answers_on_map import Line
from studio.services.atlas import Atlas, nearest
from studio.services.columns import Column
from studio.services.gallery_reading import load_readings
from studio.services.layouts import LayoutChoice, layout, place

if TYPE_CHECKING:
    from db.store import Store

MOST_NEAR = 11
"""With the face itself, two rows of six."""
MOST_SHOWN = 48
MOST_PICTURES = 500
CATEGORY_COLOURS = (
    "#0F8B8D", "#E69F00", "#7E57C2", "#D55E00", "#56B4E9", "#6B8E23", "#CC79A7", "#0072B2",
    "#B8860B", "#8A8F98", "#C0392B", "#2E8B57", "#8E6C8A", "#4F6D7A", "#C97B63", "#5D8AA8",
)  # fmt: skip
RAMP = ("#3B4CC0", "#6F92F3", "#AAC7FD", "#DDDCDC", "#F7B89C", "#E7745B", "#B40426")
"""Low to high through a pale middle, for numbers with a sign."""
RISE = ("#C9D6D3", "#8FBDB5", "#4FA39A", "#12857B", "#075E5A", "#023E40")
"""Pale to dark, for numbers from zero up."""


@dataclass(frozen=True)
class Near:
    """A face near another one."""

    face_id: int
    distance: float


def text_of(array: NDArray[Any]) -> str:
    """Return an array as base64 of its little-endian bytes, which the browser reads without parsing numbers."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(little.tobytes()).decode()


def points(atlas: Atlas, choice: LayoutChoice) -> str:
    """Return what the map needs once: ids, places, and where thumbnails lie, as JSON."""
    placed = np.asarray(layout(atlas, choice), np.float32)
    message = {
        "key": atlas.key,
        "count": len(atlas),
        "layout": choice.name(),
        "ids": text_of(np.asarray(atlas.ids, np.uint32)),
        "axes": [text_of(np.ascontiguousarray(placed[:, axis])) for axis in range(choice.dimensions)],
        "slots": text_of(sprites.slots(atlas)),
        "page": sprites.PAGE,
        "columns": sprites.COLUMNS,
        "edge": sprites.EDGE,
    }
    return json.dumps(message)


def paint(atlas: Atlas, chosen: Column, shown: NDArray[np.bool_] | None = None) -> str:
    """Return one value per face, its colours and which faces to show, as JSON."""
    known = chosen.values[~np.isnan(chosen.values)]
    message: dict[str, Any] = {
        "key": atlas.key,
        "title": chosen.title,
        "kind": chosen.kind,
        "labels": list(chosen.labels),
    }
    if chosen.kind == "category":
        codes = np.where(np.isnan(chosen.values), 255, chosen.values).astype(np.uint8)
        message |= {"codes": text_of(codes), "colours": _colours(chosen)}
        message["counts"] = [int((codes == place).sum()) for place in range(len(chosen.labels))]
    else:
        low, high = _range(chosen.name, known)
        message |= {"numbers": text_of(chosen.values.astype(np.float32)), "low": low, "high": high}
        message["colours"] = list(RAMP if chosen.name in ("valence", "arousal") else RISE)
    message["shown"] = text_of(shown.astype(np.uint8)) if shown is not None else None
    message["unknown"] = int(np.isnan(chosen.values).sum())
    return json.dumps(message)


def _colours(chosen: Column) -> list[str]:
    return [
        EMOTION_COLOURS.get(label, CATEGORY_COLOURS[place % len(CATEGORY_COLOURS)])
        if chosen.name == "emotion"
        else CATEGORY_COLOURS[place % len(CATEGORY_COLOURS)]
        for place, label in enumerate(chosen.labels)
    ]


def _range(name: str, known: NDArray[np.float32]) -> tuple[float, float]:
    if not len(known):
        return 0.0, 1.0
    if name in ("valence", "arousal"):
        reach = max(float(np.percentile(np.abs(known), 98)), 0.1)
        return -reach, reach
    return 0.0, max(float(np.percentile(known, 98)), 0.05)


def marks(
    atlas: Atlas,
    choice: LayoutChoice,
    *,
    centre: int | None = None,
    near: Sequence[Near] = (),
    newcomer: NDArray[np.float32] | None = None,
) -> str:
    """Return what is drawn over the points: a face with lines to its neighbours, or a new one, as JSON."""
    rows = [int(row) for item in near for row in atlas.rows_of([item.face_id])]
    message: dict[str, Any] = {"key": atlas.key, "centre": None, "near": rows, "newcomer": None}
    if centre is not None:
        message["centre"] = int(atlas.rows_of([centre])[0])
    if newcomer is not None:
        message["newcomer"] = [float(number) for number in place(atlas, choice, newcomer)]
    return json.dumps(message)


def joined(atlas: Atlas, choice: LayoutChoice, lines: Sequence[Line]) -> str:
    """Return lines for the map as JSON; they belong to one layout and go when it does."""
    places = [[*line.start, *line.end, line.kind] for line in lines]
    return json.dumps({"key": atlas.key, "layout": choice.name(), "lines": places})


def near_face(atlas: Atlas, face_id: int, *, most: int = MOST_NEAR) -> list[Near]:
    """Return the faces nearest to one of the atlas in the full space; raises NotThere when it is not on the map."""
    rows = atlas.rows_of([face_id])
    if not len(rows):
        raise BadInput("This face is not on the map any more. Choose the gallery again.")
    found = nearest(atlas, np.asarray(atlas.vectors[rows[0]]), most=most, without=int(rows[0]))
    return _named(atlas, found.rows, found.distances)


def near_vector(atlas: Atlas, vector: NDArray[np.float32], *, backend: str, most: int = MOST_NEAR) -> list[Near]:
    """Return the faces nearest to a new one; raises BadInput when another network has read it."""
    if backend != atlas.backend:
        raise BadInput(f"The map shows vectors of {atlas.backend}, the new face was read by {backend}.")
    found = nearest(atlas, vector, most=most)
    return _named(atlas, found.rows, found.distances)


def _named(atlas: Atlas, rows: NDArray[np.int64], distances: NDArray[np.float64]) -> list[Near]:
    return [Near(int(atlas.ids[row]), float(gap)) for row, gap in zip(rows, distances, strict=True)]


def selected_ids(atlas: Atlas, face_ids: Sequence[object]) -> list[int]:
    """Return those ids of a browser's list that are on the map."""
    numbers = [int(value) for value in face_ids if isinstance(value, int | float) and float(value).is_integer()]
    return [int(atlas.ids[row]) for row in atlas.rows_of(numbers)]


def record(store: Store, atlas: Atlas, home: Path, face_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return everything known of some faces as plain values, with whom to thank for each."""
    galleries = {gallery.id: gallery for gallery in store.galleries()}
    faces = store.faces_by_id(face_ids)
    rows = atlas.rows_of(list(faces))
    readings = load_readings(home, atlas.backend)
    ids = np.asarray(atlas.ids[rows])
    emotions, affect = readings.for_ids(ids, "emotions"), readings.for_ids(ids, "affect")
    found = []
    for place_, row in enumerate(rows.tolist()):
        face = faces[int(atlas.ids[row])]
        gallery = galleries[face.gallery_id]
        item: dict[str, Any] = {"face": face.id, "gallery": gallery.name, "tags": face.tags}
        if not np.isnan(emotions[place_, 0]):
            item["emotions"] = {n: round(float(v), 5) for n, v in zip(EMOTIONS, emotions[place_], strict=True)}
            item["valence"], item["arousal"] = (round(float(number), 4) for number in affect[place_])
        item |= {"vector": [round(float(v), 6) for v in atlas.vectors[row]], "backend": atlas.backend}
        found.append(item | {"credit": gallery.credit, "licence": gallery.licence})
    return found


def as_json(records: Sequence[dict[str, Any]]) -> bytes:
    """Return the faces as a JSON file."""
    return json.dumps({"faces": list(records)}, indent=1, ensure_ascii=False).encode()


def as_csv(records: Sequence[dict[str, Any]]) -> bytes:
    """Return one row per face; tags become columns."""
    tags = sorted({tag for item in records for tag in item["tags"]})
    vector = [f"vector_{place_}" for place_ in range(len(records[0]["vector"]) if records else 0)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["face", "gallery", "licence", "valence", "arousal", *EMOTIONS, *map(_plain, tags), *vector])
    for item in records:
        emotions = [item.get("emotions", {}).get(name, "") for name in EMOTIONS]
        named = [_plain(item["tags"].get(tag, "")) for tag in tags]
        head = [item["face"], _plain(item["gallery"]), _plain(item["licence"])]
        writer.writerow([*head, item.get("valence", ""), item.get("arousal", ""), *emotions, *named, *item["vector"]])
    return stream.getvalue().encode()


def _plain(text: str) -> str:
    """Keep spreadsheets from taking a name for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" else text


def as_pictures(store: Store, face_ids: Sequence[int]) -> bytes:
    """Return the faces' pictures and a list of credits as a ZIP file; raises BadInput for more than MOST_PICTURES."""
    if len(face_ids) > MOST_PICTURES:
        raise BadInput(f"{len(face_ids):,} pictures are too many for one file; select up to {MOST_PICTURES}.")
    galleries = {gallery.id: gallery for gallery in store.galleries()}
    faces = store.faces_by_id(face_ids)
    stream = io.BytesIO()
    credits = []
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as bundle:
        for face_id, face in faces.items():
            try:
                picture = sprites.face_thumbnail(store, face_id, edge=256)
            except (NotThere, MienError):  # only its vector is here
                continue
            bundle.writestr(f"face-{face_id}.jpg", encode_image(picture, "JPEG", quality=92))
            gallery = galleries[face.gallery_id]
            credits.append(f"face-{face_id}.jpg: {gallery.name}; {gallery.credit}; {gallery.licence}")
        bundle.writestr("credits.txt", "\n".join(credits) + "\n")
    return stream.getvalue()


def tag_faces(store: Store, face_ids: Sequence[int], *, tag: str, value: str) -> int:
    """Give faces a tag and return how many got it; raises BadInput for an empty name."""
    tag, value = tag.strip()[:60], value.strip()[:120]
    if not tag or not value:
        raise BadInput("A tag needs a name and a value, such as mood and joking.")
    done = 0
    for face_id in face_ids:
        try:
            store.tag_face(face_id, {tag: value})
            done += 1
        except NotThere:  # deleted since the map was drawn
            continue
    return done


def backends_of(store: Store, gallery_ids: Sequence[int] = ()) -> list[str]:
    """Return the networks that have read faces of these galleries, or of all, as `name@hash`."""
    found: dict[Backend, None] = {}
    for gallery in store.galleries():
        if not gallery_ids or gallery.id in gallery_ids:
            found |= dict.fromkeys(store.backends(gallery.id))
    return [str(backend) for backend in found]
