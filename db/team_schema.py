"""Tables of the team's work: what an admin decided about a question, and answers counted so far; no logic."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.schema import Base, Identifier, Json


class Adjudication(Base):
    """What an admin decided about a question that people disagree on; only ever added, the newest one counts."""

    __tablename__ = "adjudication"
    __table_args__ = (
        CheckConstraint("choice IN ('face', 'cannot_tell', 'bad_picture')", name="choice_known"),
        CheckConstraint("(choice = 'face') = (face_id IS NOT NULL)", name="face_when_chosen"),
        Index("ix_adjudication_project", "project_id", "id"),
    )
    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"))
    triplet_id: Mapped[int] = mapped_column(ForeignKey("triplet.id", ondelete="CASCADE"), index=True)
    annotator_id: Mapped[int | None] = mapped_column(ForeignKey("annotator.id", ondelete="SET NULL"))
    choice: Mapped[str] = mapped_column(String(20))
    face_id: Mapped[int | None] = mapped_column(ForeignKey("face.id", ondelete="CASCADE"))
    """What should have been chosen, in the words of the question: the odd one out, or the face most like the head."""
    second_face_id: Mapped[int | None] = mapped_column(ForeignKey("face.id", ondelete="CASCADE"))
    """The other of two, in mode grid."""
    note: Mapped[str | None] = mapped_column(Text)
    created_ms: Mapped[int] = mapped_column(BigInteger)


class Counted(Base):
    """A project's answers up to one of them, added up: a million answers are not read again at every look."""

    __tablename__ = "counted"
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    to_answer_id: Mapped[int] = mapped_column(BigInteger)
    content: Mapped[Json]
    created_ms: Mapped[int] = mapped_column(BigInteger)
