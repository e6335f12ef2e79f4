"""Tables of comparing: people, projects, questions, leases, answers and what was learned from them; no logic."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from db.schema import Base, Identifier, Json


class Consent(Base):
    """One wording that people have agreed to."""

    __tablename__ = "consent"
    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    version: Mapped[str] = mapped_column(String(40), unique=True)
    wording: Mapped[str] = mapped_column(Text)
    created_ms: Mapped[int] = mapped_column(BigInteger)


class Annotator(Base):
    """A person who answers, or one whose answers were imported."""

    __tablename__ = "annotator"
    __table_args__ = (
        CheckConstraint("role IN ('visitor', 'annotator', 'admin', 'imported')", name="role_known"),
        CheckConstraint("state IN ('active', 'paused', 'excluded', 'removed')", name="state_known"),
    )
    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    role: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))
    passphrase_hash: Mapped[str | None] = mapped_column(String(200))
    hub_user: Mapped[str | None] = mapped_column(String(120), unique=True)
    consent_id: Mapped[int | None] = mapped_column(ForeignKey("consent.id"))
    consented_ms: Mapped[int | None] = mapped_column(BigInteger)
    created_ms: Mapped[int] = mapped_column(BigInteger)


class Access(Base):
    """An invitation link or an open session; only the token's hash is kept."""

    __tablename__ = "access"
    __table_args__ = (CheckConstraint("kind IN ('invitation', 'session')", name="kind_known"),)
    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    annotator_id: Mapped[int] = mapped_column(ForeignKey("annotator.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_ms: Mapped[int] = mapped_column(BigInteger)
    expires_ms: Mapped[int | None] = mapped_column(BigInteger)


class Project(Base):
    """What is compared, how often, and how questions are chosen."""

    __tablename__ = "project"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'paused', 'closed')", name="state_known"),
        CheckConstraint("mode IN ('odd_one_out', 'head_two', 'grid')", name="mode_known"),
        CheckConstraint("on_delete IN ('removed', 'anonymised')", name="on_delete_known"),
        CheckConstraint("overlap > 0 AND evaluation_overlap > 0", name="overlap_positive"),
        CheckConstraint("gold_share >= 0 AND repeat_share >= 0 AND gold_share + repeat_share < 1", name="shares"),
    )
    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    gallery_id: Mapped[int] = mapped_column(ForeignKey("gallery.id"))
    backend: Mapped[str] = mapped_column(String(160))
    """`name@hash` of the vectors that samplers and fine-tuning start from."""
    mode: Mapped[str] = mapped_column(String(20))
    question: Mapped[str] = mapped_column(Text)
    instructions: Mapped[str] = mapped_column(Text)
    overlap: Mapped[int]
    evaluation_overlap: Mapped[int]
    evaluation_share: Mapped[float]
    gold_share: Mapped[float]
    repeat_share: Mapped[float]
    qualification: Mapped[int]
    """How many questions with feedback a newcomer answers first."""
    sampler_mix: Mapped[Json]
    lease_ms: Mapped[int] = mapped_column(BigInteger)
    on_delete: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))
    created_ms: Mapped[int] = mapped_column(BigInteger)


class EvaluationFace(Base):
    """A face kept out of training: the only ones that evaluation questions show."""

    __tablename__ = "evaluation_face"
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    face_id: Mapped[int] = mapped_column(ForeignKey("face.id", ondelete="CASCADE"), primary_key=True)


class ModelRun(Base):
    """One fine-tuning: what it saw, what came out, and whether it is in use."""

    __tablename__ = "model_run"
    __table_args__ = (
        CheckConstraint("state IN ('running', 'candidate', 'promoted', 'retired', 'failed')", name="state_known"),
    )
    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), index=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("model_run.id", ondelete="SET NULL"))
    backend: Mapped[str] = mapped_column(String(160))
    cutoff_answer_id: Mapped[int] = mapped_column(BigInteger)
    hyperparameters: Mapped[Json]
    metrics: Mapped[Json]
    weights: Mapped[bytes | None]
    state: Mapped[str] = mapped_column(String(20))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    promoted_ms: Mapped[int | None] = mapped_column(BigInteger)


class Triplet(Base):
    """Three faces to compare, in mode grid nine; `taken` counts the leases and answers that use up `wanted`."""

    __tablename__ = "triplet"
    __table_args__ = (
        UniqueConstraint("project_id", "key"),
        CheckConstraint("kind IN ('one_class', 'two_class', 'three_class', 'unknown')", name="kind_known"),
        CheckConstraint("purpose IN ('train', 'evaluation', 'gold', 'qualification')", name="purpose_known"),
        CheckConstraint("mode IN ('odd_one_out', 'head_two', 'grid')", name="mode_known"),
        CheckConstraint("taken >= 0 AND (wanted IS NULL OR taken <= wanted)", name="overlap_kept"),
        Index("ix_triplet_open", "project_id", "purpose", "rank", sqlite_where=text("taken < wanted"),
              postgresql_where=text("taken < wanted")),
        Index("ix_triplet_purpose", "project_id", "purpose", "rank"),
        Index("ix_triplet_wanted", "project_id", "purpose", "wanted", "taken"),
    )  # fmt: skip
    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(120))
    mode: Mapped[str] = mapped_column(String(20))
    face_1_id: Mapped[int] = mapped_column(ForeignKey("face.id", ondelete="CASCADE"), index=True)
    """In the modes head_two and grid this is the head that others are compared with."""
    face_2_id: Mapped[int] = mapped_column(ForeignKey("face.id", ondelete="CASCADE"), index=True)
    face_3_id: Mapped[int] = mapped_column(ForeignKey("face.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    purpose: Mapped[str] = mapped_column(String(20))
    sampler: Mapped[str] = mapped_column(String(40))
    score: Mapped[float | None]
    model_run_id: Mapped[int | None] = mapped_column(ForeignKey("model_run.id", ondelete="SET NULL"), index=True)
    model_version: Mapped[str | None] = mapped_column(String(200))
    """What the sampler knew when it chose: vectors, model in use, newest answer."""
    gold_face_id: Mapped[int | None] = mapped_column(ForeignKey("face.id", ondelete="CASCADE"))
    """The face that has to be chosen: the odd one out, or one that is surely like the head."""
    explanation: Mapped[str | None] = mapped_column(Text)
    wanted: Mapped[int | None]
    """How many people shall answer; empty for gold and qualification, which everybody may."""
    taken: Mapped[int]
    rank: Mapped[int] = mapped_column(BigInteger)
    """Random place in the queue."""
    created_ms: Mapped[int] = mapped_column(BigInteger)


class Candidate(Base):
    """A further face of a question in mode grid: the fourth to the ninth."""

    __tablename__ = "candidate"
    triplet_id: Mapped[int] = mapped_column(ForeignKey("triplet.id", ondelete="CASCADE"), primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)
    face_id: Mapped[int] = mapped_column(ForeignKey("face.id", ondelete="CASCADE"), index=True)


class Assignment(Base):
    """That one person is shown one question: leased, answered, or lost to somebody else."""

    __tablename__ = "assignment"
    __table_args__ = (
        UniqueConstraint("triplet_id", "annotator_id", "pass_number"),
        CheckConstraint("state IN ('leased', 'answered', 'lost')", name="state_known"),
        CheckConstraint("purpose IN ('work', 'gold', 'repeat', 'qualification', 'import')", name="purpose_known"),
        Index("ix_assignment_person", "annotator_id", "project_id", "state"),
        Index("ix_assignment_turn", "annotator_id", "project_id", "purpose", "id"),
        Index("ix_assignment_leases", "project_id", "expires_ms", sqlite_where=text("state = 'leased'"),
              postgresql_where=text("state = 'leased'")),
    )  # fmt: skip
    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"))
    triplet_id: Mapped[int] = mapped_column(ForeignKey("triplet.id", ondelete="CASCADE"))
    annotator_id: Mapped[int] = mapped_column(ForeignKey("annotator.id", ondelete="CASCADE"))
    pass_number: Mapped[int]
    """0 the first time; 1 for a designed repeat."""
    purpose: Mapped[str] = mapped_column(String(20))
    counted: Mapped[bool]
    """Whether it uses up one of the answers its question wants; visitors, gold and repeats do not."""
    display_order: Mapped[str] = mapped_column(String(9))
    """Which face stood where, from left to right and down: `312` means face 3 left."""
    state: Mapped[str] = mapped_column(String(20))
    rank: Mapped[int] = mapped_column(BigInteger)
    leased_ms: Mapped[int] = mapped_column(BigInteger)
    expires_ms: Mapped[int] = mapped_column(BigInteger)


class Answer(Base):
    """What a person said; only ever added. A change of mind is a new revision that supersedes the last."""

    __tablename__ = "answer"
    __table_args__ = (
        UniqueConstraint("assignment_id", "revision"),
        CheckConstraint("choice IN ('face', 'cannot_tell', 'bad_picture', 'undo')", name="choice_known"),
        CheckConstraint("(choice = 'face') = (face_id IS NOT NULL)", name="face_when_chosen"),
        Index("ix_answer_project", "project_id", "id"),
        Index("ix_answer_person", "annotator_id", "project_id", "id"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    """Never used twice, so that an id can name everything said until then."""
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"))
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignment.id", ondelete="CASCADE"))
    triplet_id: Mapped[int] = mapped_column(ForeignKey("triplet.id", ondelete="CASCADE"), index=True)
    annotator_id: Mapped[int] = mapped_column(ForeignKey("annotator.id", ondelete="CASCADE"))
    revision: Mapped[int]
    choice: Mapped[str] = mapped_column(String(20))
    face_id: Mapped[int | None] = mapped_column(ForeignKey("face.id", ondelete="CASCADE"))
    """The odd one out; in the modes head_two and grid the face most like the head."""
    second_face_id: Mapped[int | None] = mapped_column(ForeignKey("face.id", ondelete="CASCADE"))
    """In mode grid the other of the two most like the head."""
    reason: Mapped[str | None] = mapped_column(String(400))
    response_ms: Mapped[int | None]
    """From all pictures painted to the key, measured in the browser."""
    client: Mapped[Json | None]
    client_key: Mapped[str] = mapped_column(String(120), unique=True)
    superseded_by_id: Mapped[int | None] = mapped_column(ForeignKey("answer.id", ondelete="SET NULL"), index=True)
    created_ms: Mapped[int] = mapped_column(BigInteger)
