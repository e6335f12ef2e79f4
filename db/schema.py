"""Tables and constraints of galleries: no logic. Times are milliseconds since 1970 in UTC."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

Identifier = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only in a column declared INTEGER."""
Json = dict[str, Any]


class Base(DeclarativeBase):
    """What all tables share: names for every constraint, so that migrations can address them."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {Json: JSON(none_as_null=True), bytes: LargeBinary}


class Gallery(Base):
    """A collection of faces with one origin, credit and licence."""

    __tablename__ = "gallery"
    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    credit: Mapped[str] = mapped_column(Text)
    licence: Mapped[str] = mapped_column(String(120))
    source: Mapped[str] = mapped_column(Text)
    created_ms: Mapped[int] = mapped_column(BigInteger)


class Picture(Base):
    """The bytes of one picture, or the path of a file that stays where its owner keeps it; shared by its faces."""

    __tablename__ = "picture"
    __table_args__ = (CheckConstraint("(content IS NULL) <> (path IS NULL)", name="content_or_path"),)
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    media_type: Mapped[str] = mapped_column(String(40))
    width: Mapped[int]
    height: Mapped[int]
    content: Mapped[bytes | None]
    path: Mapped[str | None] = mapped_column(Text)


class Face(Base):
    """One face of a picture: where it is, where it comes from, who it is where that is known."""

    __tablename__ = "face"
    __table_args__ = (UniqueConstraint("gallery_id", "key"),)
    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    gallery_id: Mapped[int] = mapped_column(ForeignKey("gallery.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(600))
    """Tells the face from all others of its gallery: the picture's hash and box, or an imported address and box."""
    sha256: Mapped[str | None] = mapped_column(ForeignKey("picture.sha256"), index=True)
    """Empty when an imported list names a picture that its owner does not have."""
    box: Mapped[Json | None]
    provenance: Mapped[Json]
    tags: Mapped[Json]
    identity: Mapped[str | None] = mapped_column(String(200))
    consent: Mapped[str | None] = mapped_column(String(200))
    created_ms: Mapped[int] = mapped_column(BigInteger)


class Vector(Base):
    """What one network reads off one face: little-endian float32 numbers."""

    __tablename__ = "vector"
    __table_args__ = (
        UniqueConstraint("face_id", "backend", "weight_hash"),
        CheckConstraint("dimension > 0", name="dimension_positive"),
    )
    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    face_id: Mapped[int] = mapped_column(ForeignKey("face.id", ondelete="CASCADE"))
    backend: Mapped[str] = mapped_column(String(80))
    weight_hash: Mapped[str] = mapped_column(String(64))
    dimension: Mapped[int]
    numbers: Mapped[bytes]


class Deletion(Base):
    """That something was deleted, when and how; never what it was."""

    __tablename__ = "deletion"
    __table_args__ = (
        CheckConstraint("subject IN ('face', 'annotator')", name="subject_known"),
        CheckConstraint("manner IN ('removed', 'anonymised')", name="manner_known"),
    )
    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    subject: Mapped[str] = mapped_column(String(20))
    subject_id: Mapped[int] = mapped_column(BigInteger)
    manner: Mapped[str] = mapped_column(String(20))
    created_ms: Mapped[int] = mapped_column(BigInteger)
