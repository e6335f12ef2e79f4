"""The faces one map shows: their vectors in memory-mapped arrays, and the nearest of them in the full space.

An atlas is a folder named by its content, so it never changes: another face, or a deleted one, makes another atlas.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.errors import BadInput

if TYPE_CHECKING:
    from db.store import Store

BLOCK = 131072
"""Rows per block: 32 MB of 64 float32 numbers. Each block is one product, at whose end the threads wait for each other;
where another program holds a core, that wait costs more than the sums."""
FEWEST = 3
KEPT = 3
"""Atlases of one choice of galleries that stay on disk: visitors may still look at the one before."""


FORMAT = 3
"""Of the files in an atlas's folder; a version that writes others counts on."""


class NothingToMap(BadInput):
    """There are not enough faces with vectors."""


@dataclass(frozen=True, eq=False)
class Atlas:
    """Faces in the order of their ids; row i of every array belongs to face ids[i]."""

    key: str
    folder: Path
    backend: str
    """Whose vectors these are; vectors of different networks are never mixed."""
    galleries: dict[int, str]
    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    """(faces, dimension) on disk."""
    lengths: NDArray[np.float32]
    """(faces,) squared lengths of the vectors."""
    gallery_of: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def rows_of(self, face_ids: Sequence[int]) -> NDArray[np.int64]:
        """Return the rows of those ids that are here; ids come from a browser and may be anything."""
        wanted = np.array(sorted({int(face_id) for face_id in face_ids}), np.int64)
        places = np.searchsorted(self.ids, wanted)
        places = np.minimum(places, len(self.ids) - 1)
        found: NDArray[np.int64] = places[self.ids[places] == wanted]
        return found


@dataclass(frozen=True, eq=False)
class Nearest:
    """Rows of an atlas by distance."""

    rows: NDArray[np.int64]
    distances: NDArray[np.float64]


def make_atlas(store: Store, home: Path, *, backend: str, gallery_ids: Sequence[int] = ()) -> Atlas:
    """Lay out the vectors of some galleries, or of all, under `home`; raises NothingToMap when there are too few."""
    names = {gallery.id: gallery.name for gallery in store.galleries()}
    chosen = [gallery_id for gallery_id in names if not gallery_ids or gallery_id in gallery_ids]
    home.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=home, suffix=".part") as kept:
        ids, gallery_of = _gathered(store, chosen, backend, kept)
        if len(ids) < FEWEST:
            raise NothingToMap(f"{backend} has read fewer than {FEWEST} faces of these galleries; a map needs more.")
        forget_gone(store, home, backend=backend, there=ids)
        vectors = np.memmap(kept.name, np.float32, "r").reshape(len(ids), -1)
        if (np.diff(ids) < 0).any():  # galleries filled in turns
            order = np.argsort(ids, kind="stable")
            ids, gallery_of, vectors = ids[order], gallery_of[order], vectors[order]
        used = {gallery_id: names[gallery_id] for gallery_id in chosen if (gallery_of == gallery_id).any()}
        scope = hashlib.sha256(json.dumps([backend, sorted(gallery_ids)]).encode()).hexdigest()[:12]
        return save_atlas(home / scope, backend, used, ids, vectors, gallery_of)


def _gathered(
    store: Store, galleries: Sequence[int], backend: str, kept: IO[bytes]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Write the vectors of some galleries to `kept` block by block; return the faces' ids and galleries."""
    ids, gallery_of = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for gallery_id in galleries:
        for part, matrix in store.vector_blocks(gallery_id, backend=backend):
            kept.write(matrix.data)
            ids.append(part)
            gallery_of.append(np.full(len(part), gallery_id))
    kept.flush()
    return np.concatenate(ids), np.concatenate(gallery_of)


def save_atlas(
    scope: Path,
    backend: str,
    galleries: dict[int, str],
    ids: NDArray[np.int64],
    vectors: NDArray[np.float32],
    gallery_of: NDArray[np.int64],
) -> Atlas:
    """Write the arrays unless they are there, forget the oldest atlases of the scope, and open the new one."""
    content = hashlib.sha256(json.dumps([backend, sorted(galleries.items())]).encode())
    for array in (ids, vectors, gallery_of):
        content.update(np.ascontiguousarray(array).data)
    key = f"{scope.name}-{content.hexdigest()[:16]}"
    folder = scope / key
    if not (folder / "atlas.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "ids.npy", ids)
        np.save(folder / "vectors.npy", vectors.astype(np.float32, copy=False))
        np.save(folder / "lengths.npy", np.einsum("ij,ij->i", vectors, vectors, dtype=np.float32))
        np.save(folder / "galleries.npy", gallery_of.astype(np.int64))
        about = {"format": FORMAT, "backend": backend, "galleries": galleries}
        (folder / "atlas.json").write_text(json.dumps(about))
    _forget_old(scope, keep=folder)
    return _open(folder)


def forget_gone(store: Store, home: Path, *, backend: str = "", there: NDArray[np.int64] | None = None) -> int:
    """Delete every atlas that shows a face or a gallery that is gone, or that another version wrote; tells how many.

    `there` are ids already known to have vectors of `backend`, which saves looking them up.
    """
    galleries = {gallery.id for gallery in store.galleries()}
    stale = [folder for folder in _folders(home) if _is_stale(store, folder, galleries, backend, there)]
    for folder in stale:
        shutil.rmtree(folder, ignore_errors=True)
    return len(stale)


def _folders(home: Path) -> list[Path]:
    return [folder for scope in home.glob("*") if scope.is_dir() for folder in scope.iterdir() if folder.is_dir()]


def _is_stale(store: Store, folder: Path, galleries: set[int], backend: str, there: NDArray[np.int64] | None) -> bool:
    try:
        about = json.loads((folder / "atlas.json").read_text())
        ids = np.load(folder / "ids.npy", mmap_mode="r")
    except (OSError, ValueError):  # another process is writing it, or has just deleted it
        return False
    if about.get("format") != FORMAT or not {int(number) for number in about["galleries"]} <= galleries:
        return True
    unsure = np.setdiff1d(ids, there) if there is not None and about["backend"] == backend else np.asarray(ids)
    return len(unsure) > 0 and len(store.faces_by_id(unsure.tolist())) < len(unsure)


def open_atlas(home: Path, key: str) -> Atlas:
    """Open an atlas by its key, which comes from a browser; raises NothingToMap when it is gone."""
    folder = home / key.partition("-")[0] / key
    if not re.fullmatch(r"[0-9a-z]+-[0-9a-f]{16}", key) or not (folder / "atlas.json").is_file():
        raise NothingToMap("The gallery has changed since this map was drawn. Choose the gallery again.")
    return _open(folder)


def _open(folder: Path) -> Atlas:
    about = json.loads((folder / "atlas.json").read_text())
    return Atlas(
        key=folder.name,
        folder=folder,
        backend=about["backend"],
        galleries={int(gallery_id): name for gallery_id, name in about["galleries"].items()},
        ids=np.load(folder / "ids.npy", mmap_mode="r"),
        vectors=np.load(folder / "vectors.npy", mmap_mode="r"),
        lengths=np.load(folder / "lengths.npy", mmap_mode="r"),
        gallery_of=np.load(folder / "galleries.npy", mmap_mode="r"),
    )


def _forget_old(scope: Path, *, keep: Path) -> None:
    (keep / "atlas.json").touch()
    others = [folder for folder in scope.iterdir() if folder.is_dir() and folder != keep]
    others.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in others[KEPT - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)


def nearest(atlas: Atlas, vector: NDArray[np.float32], *, most: int, without: int | None = None) -> Nearest:
    """Return the `most` nearest rows in the full space, `without` one row; exact, in blocks, in float32."""
    query = np.ascontiguousarray(vector, np.float32)
    if query.shape != (atlas.vectors.shape[1],):
        raise BadInput(f"a vector of {len(query)} numbers cannot be compared with {atlas.vectors.shape[1]}")
    rows = np.zeros(0, np.int64)
    scores = np.zeros(0, np.float32)
    wanted = most + (without is not None)
    for start in range(0, len(atlas), BLOCK):
        block = np.asarray(atlas.vectors[start : start + BLOCK])
        # |block - query|^2 without the query's own length, which is the same for all
        score = atlas.lengths[start : start + BLOCK] - 2 * (block @ query)
        best = np.argpartition(score, wanted - 1)[:wanted] if wanted < len(score) else np.arange(len(score))
        rows, scores = np.concatenate([rows, best + start]), np.concatenate([scores, score[best]])
    # The subtraction above loses digits where distances are small: the few that are left are measured exactly.
    best = np.argsort(scores)[: wanted + 8]
    rows = rows[best]
    distances = np.linalg.norm(np.asarray(atlas.vectors[rows], np.float64) - query.astype(np.float64), axis=1)
    order = np.lexsort((rows, distances))
    order = order[rows[order] != without][:most] if without is not None else order[:most]
    return Nearest(rows[order], distances[order])
