"""Galleries, faces, pictures and vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, RowMapping, delete, func, select, update

from db.compare_schema import Candidate, Triplet
from db.connected import Connected, now_ms
from db.errors import NotThere, WrongShape
from db.schema import Deletion, Face, Gallery, Picture, Vector
from db.types import Backend, FaceRow, GalleryRow, NewFace, PictureRow

CHUNK = 500
"""Ids per IN list; SQLite refuses more than a few thousand parameters."""
BLOCK = 8192
"""Vectors read at once."""


class Galleries(Connected):
    """The part of the store that keeps faces and what was read off them."""

    def add_gallery(self, name: str, *, credit: str, licence: str, source: str) -> GalleryRow:
        """Return the gallery of this name, made now if it was not there."""
        values = {"name": name, "credit": credit, "licence": licence, "source": source, "created_ms": now_ms()}
        with self._write() as connection:
            connection.execute(self._insert(Gallery).values(values).on_conflict_do_nothing())
        return self.gallery(name)

    def gallery(self, name: str) -> GalleryRow:
        """Return a gallery by name; raises NotThere."""
        with self._read() as connection:
            row = connection.execute(select(Gallery.__table__).where(Gallery.name == name)).mappings().one_or_none()
        if row is None:
            raise NotThere(f"there is no gallery called {name!r}")
        return GalleryRow(**row)

    def galleries(self) -> list[GalleryRow]:
        """Return all galleries in the order they were made."""
        with self._read() as connection:
            return [
                GalleryRow(**r) for r in connection.execute(select(Gallery.__table__).order_by(Gallery.id)).mappings()
            ]

    def add_face(self, gallery_id: int, face: NewFace) -> int:
        """Add one face and return its id; the id of the same face when the gallery has it already."""
        return self.add_faces(gallery_id, [face])[0]

    def add_faces(self, gallery_id: int, faces: Sequence[NewFace]) -> list[int]:
        """Add many faces at once, all or none, and return their ids in the order given."""
        with self._write() as connection:
            return [self._add_face(connection, gallery_id, face) for face in faces]

    def _add_face(self, connection: Connection, gallery_id: int, face: NewFace) -> int:
        key = face.key or _key_of(face)
        known = connection.scalar(select(Face.id).where(Face.gallery_id == gallery_id, Face.key == key))
        if known is not None:
            return int(known)
        if face.picture is not None:
            connection.execute(self._insert(Picture).values(asdict(face.picture)).on_conflict_do_nothing())
        values = asdict(face) | {
            "gallery_id": gallery_id,
            "key": key,
            "sha256": face.picture.sha256 if face.picture else None,
            "created_ms": now_ms(),
        }
        del values["picture"]
        return int(connection.execute(self._insert(Face).values(values).returning(Face.id)).scalar_one())

    def face(self, face_id: int) -> FaceRow:
        """Return a face by id; raises NotThere."""
        found = self.faces_by_id([face_id])
        if not found:
            raise NotThere(f"there is no face {face_id}; it may have been deleted")
        return found[face_id]

    def faces_by_id(self, face_ids: Iterable[int]) -> dict[int, FaceRow]:
        """Return the faces there are among these ids; ids come from a browser and may be anything."""
        wanted = sorted({int(face_id) for face_id in face_ids})
        found: dict[int, FaceRow] = {}
        with self._read() as connection:
            for start in range(0, len(wanted), CHUNK):
                query = select(Face.__table__).where(Face.id.in_(wanted[start : start + CHUNK]))
                found |= {row["id"]: _face(row) for row in connection.execute(query).mappings()}
        return found

    def faces(
        self, gallery_id: int, *, tags: dict[str, str] | None = None, with_picture: bool = False
    ) -> list[FaceRow]:
        """Return the faces of a gallery by id; `tags` keeps those that carry all of them."""
        query = select(Face.__table__).where(Face.gallery_id == gallery_id).order_by(Face.id)
        if with_picture:
            query = query.where(Face.sha256.is_not(None))
        with self._read() as connection:
            rows = [_face(row) for row in connection.execute(query).mappings()]
        asked = (tags or {}).items()
        return [row for row in rows if asked <= row.tags.items()]

    def count_faces(self, gallery_id: int) -> int:
        """Return how many faces a gallery has."""
        with self._read() as connection:
            return connection.scalar(select(func.count()).where(Face.gallery_id == gallery_id)) or 0

    def tag_face(self, face_id: int, tags: dict[str, str]) -> None:
        """Add tags to a face; a tag of the same name is replaced. Raises NotThere."""
        with self._write() as connection:
            now = connection.execute(select(Face.tags).where(Face.id == face_id)).scalar_one_or_none()
            if now is None:
                raise NotThere(f"there is no face {face_id}; it may have been deleted")
            connection.execute(update(Face).where(Face.id == face_id).values(tags=now | tags))

    def picture(self, face_id: int) -> PictureRow:
        """Return the encoded picture of a face; raises NotThere when nobody has it here."""
        query = select(Picture.__table__).join(Face, Face.sha256 == Picture.sha256).where(Face.id == face_id)
        with self._read() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise NotThere(f"face {face_id} has no picture here")
        return PictureRow(**row)

    def delete_face(self, face_id: int) -> None:
        """Remove a face with its vectors, questions and answers, and its picture unless another face uses it."""
        with self._write() as connection:
            sha256 = connection.execute(select(Face.sha256).where(Face.id == face_id)).one_or_none()
            if sha256 is None:
                raise NotThere(f"there is no face {face_id}; it may have been deleted")
            grids = select(Candidate.triplet_id).where(Candidate.face_id == face_id)
            connection.execute(delete(Triplet).where(Triplet.id.in_(grids)))  # three-face questions go with the face
            connection.execute(delete(Face).where(Face.id == face_id))
            still_used = select(Face.id).where(Face.sha256 == Picture.sha256).exists()
            connection.execute(delete(Picture).where(Picture.sha256 == sha256[0], ~still_used))
            values = {"subject": "face", "subject_id": face_id, "manner": "removed", "created_ms": now_ms()}
            connection.execute(self._insert(Deletion).values(values))

    def add_vectors(self, face_ids: Sequence[int], matrix: NDArray[np.float32], *, backend: Backend | str) -> None:
        """Keep one row of `matrix` (faces, dimension) per face; replaces what this backend said before."""
        if matrix.ndim != 2 or len(matrix) != len(face_ids) or not np.isfinite(matrix).all():
            raise WrongShape(f"expected finite vectors ({len(face_ids)}, dimension), got {matrix.shape}")
        network = _backend(backend)
        named = {"backend": network.name, "weight_hash": network.weight_hash, "dimension": matrix.shape[1]}
        rows = [
            named | {"face_id": int(face_id), "numbers": np.asarray(vector, "<f4").tobytes()}
            for face_id, vector in zip(face_ids, matrix, strict=True)
        ]
        insert = self._insert(Vector)
        insert = insert.on_conflict_do_update(
            index_elements=["face_id", "backend", "weight_hash"],
            set_={"numbers": insert.excluded.numbers, "dimension": insert.excluded.dimension},
        )
        if rows:
            with self._write() as connection:
                connection.execute(insert, rows)

    def vectors(self, gallery_id: int, *, backend: Backend | str) -> tuple[list[int], NDArray[np.float32]]:
        """Return face ids and their vectors (faces, dimension) of one backend; (0, 0) when there are none."""
        blocks = list(self.vector_blocks(gallery_id, backend=backend))
        if not blocks:
            return [], np.zeros((0, 0), np.float32)
        ids, matrices = zip(*blocks, strict=True)
        return np.concatenate(ids).tolist(), np.concatenate(matrices)

    def vector_blocks(
        self, gallery_id: int, *, backend: Backend | str, size: int = BLOCK
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield face ids, rising, and their vectors (up to `size`, dimension): a million need not be held at once."""
        network = _backend(backend)
        query = (
            select(Vector.face_id, Vector.numbers)
            .join(Face, Face.id == Vector.face_id)
            .where(Face.gallery_id == gallery_id)
            .where(Vector.backend == network.name, Vector.weight_hash == network.weight_hash)
            .order_by(Vector.face_id)
        )
        with self._read() as connection:
            for rows in connection.execution_options(yield_per=size).execute(query).partitions():
                numbers = np.frombuffer(b"".join(row.numbers for row in rows), "<f4").reshape(len(rows), -1)
                yield np.array([row.face_id for row in rows], np.int64), numbers.astype(np.float32)

    def backends(self, gallery_id: int) -> list[Backend]:
        """Return the backends that have read faces of this gallery, the one with most faces first."""
        query = (
            select(Vector.backend, Vector.weight_hash, func.count().label("faces"))
            .join(Face, Face.id == Vector.face_id)
            .where(Face.gallery_id == gallery_id)
            .group_by(Vector.backend, Vector.weight_hash)
            .order_by(func.count().desc(), func.max(Vector.id).desc())
        )
        with self._read() as connection:
            return [Backend(row.backend, row.weight_hash) for row in connection.execute(query)]


def _backend(value: Backend | str) -> Backend:
    return Backend.parse(value) if isinstance(value, str) else value


def _key_of(face: NewFace) -> str:
    if face.picture is None:
        raise WrongShape("a face without a picture needs a key that tells it from others")
    box = ",".join(f"{face.box[side]:g}" for side in ("left", "top", "right", "bottom")) if face.box else ""
    return f"{face.picture.sha256}#{box}"


def _face(row: RowMapping) -> FaceRow:
    values: dict[str, Any] = dict(row)
    return FaceRow(**values)
