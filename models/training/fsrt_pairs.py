"""Pairs of one face for `fsrt_open`: frames of films, photos and their expression warps, read by Mien's own finder.

A data folder's `films` holds clips, one person each; its labelled sets `faces256` and `warped` hold photos of people
and their twins. What the finder reads is kept beside the run, so that a later run begins at once.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.clips import frames
from models.errors import BadInput
from models.faces.finder import FaceFinder
from models.fsrt_open.crop import cut_box, drive_in_box, static_box
from models.fsrt_open.reading import Follower
from models.motions import Drive
from models.training.data import held_out, pictures_of
from models.training.label import CLIPS
from models.types import Box, Face, Image

log = logging.getLogger(__name__)

HELD_FILMS = ("echomimic_clips_a", "grid_clips_bbaf2n", "grid_clips_lwbsza")
"""People of films whom training never sees."""
FILM_RATE = 12.5
FILM_SIZE, FILM_ROOM = 320, 2.0
"""Edge of a film's frames as they are kept, and what they show, in edges of the median face."""
TWINS = 1
"""Warps of each photo that are used."""
SETS = ("faces256", "warped")


@dataclass(frozen=True, eq=False)
class Pair:
    """One person twice, in one crop that stays where it is."""

    source_image: Image
    """(256, 256, 3)"""
    source: Drive
    target_image: Image
    """(256, 256, 3)"""
    target: Drive


@dataclass(frozen=True, eq=False)
class Pictures:
    """Everything to draw pairs from; row i of every array belongs to picture i."""

    paths: NDArray[np.str_]
    """(N,) files of square pictures"""
    group: NDArray[np.str_]
    """(N,) pictures of one group show one person"""
    kind: NDArray[np.str_]
    """(N,) "film": frames in one box that stays; "photo": as taken; "twin": a warp of the photo of the same group"""
    landmarks: NDArray[np.float32]
    """(N, 478, 3) pixels"""
    blendshapes: NDArray[np.float32]
    """(N, 52)"""

    def __len__(self) -> int:
        return len(self.paths)

    def save(self, file: Path) -> None:
        """Write the arrays; the pictures stay where they are."""
        np.savez_compressed(file, **{name: getattr(self, name) for name in _COLUMNS})

    @classmethod
    def load(cls, file: Path) -> Pictures:
        """Read what `save` wrote."""
        with np.load(file) as stored:
            return cls(**{name: stored[name] for name in _COLUMNS})


_COLUMNS = ("paths", "group", "kind", "landmarks", "blendshapes")


@dataclass
class _Rows:
    paths: list[str]
    group: list[str]
    kind: list[str]
    faces: list[Face]

    def add(self, path: Path, group: str, kind: str, face: Face) -> None:
        self.paths.append(str(path))
        self.group.append(group)
        self.kind.append(kind)
        self.faces.append(face)


def gather(data: Path, folder: Path, finder: FaceFinder) -> Pictures:
    """Read films and photos of people who are not held out; raises BadInput when there are none."""
    kept = folder / "pictures.npz"
    if kept.is_file():
        return Pictures.load(kept)
    folder.mkdir(parents=True, exist_ok=True)
    rows = _Rows([], [], [], [])
    for film in sorted(path for path in (data / "films").glob("*") if path.suffix.lower() in CLIPS):
        if film.stem not in HELD_FILMS:
            _add_film(rows, film, folder, finder)
    for name in SETS:
        if (data / name / "labels.npz").is_file():
            _add_photos(rows, data / name / "labels.npz", finder)
    if not rows.faces:
        raise BadInput(f"{data} has neither a folder films with clips nor a labelled set {' or '.join(SETS)}")
    found = Pictures(
        paths=np.array(rows.paths),
        group=np.array(rows.group),
        kind=np.array(rows.kind),
        landmarks=np.stack([face.landmarks for face in rows.faces]).astype(np.float32),
        blendshapes=np.stack([face.blendshapes for face in rows.faces]).astype(np.float32),
    )
    found.save(kept)
    return found


def _add_film(rows: _Rows, film: Path, folder: Path, finder: FaceFinder) -> None:
    """Keep the frames of a film in one box; they are read twice, for the box and for the pixels."""
    follow = Follower(finder)
    faces = [follow(frame.image) for frame in frames(film, every=1 / FILM_RATE)]
    seen = [face.landmarks[:, :2] for face in faces if face is not None]
    if not seen:
        log.warning("no face in %s", film.name)
        return
    low, high = (np.stack([edge(points, axis=0) for points in seen]) for edge in (np.min, np.max))
    middle, half = np.median((low + high) / 2, axis=0), float(np.median((high - low).max(1))) * FILM_ROOM / 2
    box = Box(float(middle[0] - half), float(middle[1] - half), float(middle[0] + half), float(middle[1] + half))
    for number, frame in enumerate(frames(film, every=1 / FILM_RATE)):
        face = faces[number] if number < len(faces) else None
        if face is None:
            continue
        crop = cut_box(frame.image, box, size=FILM_SIZE)
        path = folder / f"{film.stem}_{number:04d}.jpg"
        _write(path, crop.pixels)
        points = crop.to_crop(face.landmarks)
        rows.add(path, film.stem, "film", Face(face.box, face.score, points, face.blendshapes, face.pose, face.quality))
    log.info("%s: %d frames", film.name, len(seen))


def _add_photos(rows: _Rows, labels: Path, finder: FaceFinder) -> None:
    """Read the photos of a labelled set; the label only says where the face is."""
    stored = np.load(labels)
    columns = {name: stored[name] for name in ("path", "identity", "source", "landmarks") if name in stored}
    twins: dict[str, int] = {}
    for row, picture in pictures_of(labels):
        name = str(columns["identity"][row])
        group, kind = _group_of(name, str(columns["source"][row]), str(columns["path"][row]))
        if group is None or twins.get(group, 0) >= TWINS:
            continue
        points = columns["landmarks"][row].astype(np.float32)
        low, high = points[:, :2].min(0), points[:, :2].max(0)
        found = finder.landmark(picture, [Box(float(low[0]), float(low[1]), float(high[0]), float(high[1]))])
        if found:
            twins[group] = twins.get(group, 0) + (kind == "twin")
            rows.add(labels.parent / str(columns["path"][row]), group, kind, found[0])
    log.info("%s: %d pictures so far", labels.parent.name, len(rows.paths))


def held_pairs(data: Path, finder: FaceFinder, *, each: int = 6) -> list[Pair]:
    """The first frame of each held-out film with `each` later ones; an empty list when there is none."""
    pairs = []
    for film in sorted(path for path in (data / "films").glob("*") if path.stem in HELD_FILMS):
        seen = [frame.image for frame in frames(film, every=0.4)]
        first = finder.find(seen[0], most=1)
        if not first:
            continue
        box = static_box(first[0].landmarks)
        for image in seen[1 : len(seen) : max((len(seen) - 1) // each, 1)]:
            for face in finder.landmark(image, [first[0].box])[:1]:
                pictures = [cut_box(one, box).pixels for one in (seen[0], image)]
                pairs.append(Pair(pictures[0], drive_in_box(first[0], box), pictures[1], drive_in_box(face, box)))
    return pairs


def _group_of(identity: str, source: str, path: str) -> tuple[str | None, str]:
    """Who a picture shows, and whether it is a photo or a warped one; None for whom training may not see."""
    if source == "warped":
        # the twin of sfhq_t2i's 017 is called sfhq_t2i__017_..., and its row number comes next in the file's name
        owner = identity.rsplit("_", 1)[0]
        return (None if owner.startswith("congress160") else owner), "twin"
    if source == "congress160" or held_out(f"{source}/{identity}", source=source):
        return None, "photo"
    return f"{source}__{identity}", "photo"


def _write(path: Path, picture: NDArray[np.uint8]) -> None:
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])


def room_of(landmarks: NDArray[np.float32], size: int) -> float:
    """How much a square picture shows around a face, in longer edges of its landmarks' box; about 1.6 for a photo."""
    longest = float((landmarks[:, :2].max(0) - landmarks[:, :2].min(0)).max())
    return size / max(longest, 1.0)
