"""Labelled faces on disk, read once and kept as arrays; people are split into training and held-out once and for all.

A data folder holds `faces256/labels.npz` and, if there, `congress160/labels.npz` and `clips/labels.npz`, or is itself
one such set (`labels.npz` beside its pictures): see docs/training.md for the columns.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import BadInput
from models.types import Image

log = logging.getLogger(__name__)

SETS = ("faces256", "congress160", "clips", "warped")
LOOK_ONLY = ("vladmandic_human",)
"""Sources whose terms allow looking but no weights: always held out."""
MADE = ("warped",)
"""Sources made from the training people's own pictures: never held out."""


@dataclass(frozen=True, eq=False)
class FaceSet:
    """Faces of one training run; row i of every array belongs to picture i."""

    pictures: list[Image]
    landmarks: NDArray[np.float32]
    """(N, 478, 3) in pixels of the picture."""
    blendshapes: NDArray[np.float32]
    """(N, 52)"""
    identity: NDArray[np.str_]
    caption: NDArray[np.str_]
    source: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.pictures)

    def rows(self, chosen: NDArray[np.bool_]) -> FaceSet:
        """Keep the rows where `chosen` (N,) is true."""
        return FaceSet(
            pictures=[picture for picture, keep in zip(self.pictures, chosen, strict=True) if keep],
            landmarks=self.landmarks[chosen],
            blendshapes=self.blendshapes[chosen],
            identity=self.identity[chosen],
            caption=self.caption[chosen],
            source=self.source[chosen],
        )


def held_out(identity: str, *, source: str = "", share: float = 0.1) -> bool:
    """Tell whether a person belongs to the people training never sees; depends on nothing but the name."""
    if source in LOOK_ONLY or source in MADE:
        return source in LOOK_ONLY
    return hashlib.sha256(f"mien held out {identity}".encode()).digest()[0] < 256 * share


def split(faces: FaceSet) -> tuple[FaceSet, FaceSet]:
    """Return the training people and the held-out people."""
    is_held = np.array([held_out(i, source=s) for i, s in zip(faces.identity, faces.source, strict=True)])
    return faces.rows(~is_held), faces.rows(is_held)


def read_faces(folder: Path, *, sets: tuple[str, ...] = SETS) -> FaceSet:
    """Read every labelled set in a data folder; raises BadInput naming what is missing."""
    if (folder / "labels.npz").is_file():
        found = [folder]
    else:
        found = [folder / name for name in sets if (folder / name / "labels.npz").is_file()]
    if not found:
        raise BadInput(f"{folder} has no labels.npz, nor a folder {' or '.join(sets)} with one")
    parts = [_read_set(part) for part in found]
    return FaceSet(
        pictures=[picture for part in parts for picture in part.pictures],
        landmarks=np.concatenate([part.landmarks for part in parts]),
        blendshapes=np.concatenate([part.blendshapes for part in parts]),
        identity=np.concatenate([part.identity for part in parts]),
        caption=np.concatenate([part.caption for part in parts]),
        source=np.concatenate([part.source for part in parts]),
    )


def pictures_of(labels: Path) -> Iterator[tuple[int, Image]]:
    """Yield row number and RGB picture for each row of a labels file; unreadable pictures are skipped and logged."""
    for row, path in enumerate(np.load(labels)["path"]):
        picture = cv2.imread(str(labels.parent / str(path)), cv2.IMREAD_COLOR)
        if picture is None:
            log.warning("cannot read %s", labels.parent / str(path))
            continue
        yield row, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _read_set(folder: Path) -> FaceSet:
    labels = np.load(folder / "labels.npz")
    pairs = list(pictures_of(folder / "labels.npz"))
    rows = np.array([row for row, _ in pairs], dtype=np.int64)
    identity = labels["identity"][rows].astype(str)
    source = labels["source"][rows].astype(str) if "source" in labels else np.full(len(rows), folder.name)
    caption = labels["caption"][rows].astype(str) if "caption" in labels else np.full(len(rows), "")
    return FaceSet(
        pictures=[picture for _, picture in pairs],
        landmarks=labels["landmarks"][rows].astype(np.float32),
        blendshapes=labels["blendshapes"][rows].astype(np.float32),
        identity=np.char.add(np.char.add(source, "/"), identity),
        caption=caption,
        source=source,
    )
