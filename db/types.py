"""What the store hands out: frozen rows, and the new faces it takes in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Backend:
    """A network by name and weight hash, written `name@hash`; vectors of different backends are never compared."""

    name: str
    weight_hash: str = ""

    @classmethod
    def parse(cls, text: str) -> Backend:
        """Read `name@hash` or a bare name."""
        name, _, weight_hash = text.partition("@")
        return cls(name, weight_hash)

    def __str__(self) -> str:
        return f"{self.name}@{self.weight_hash}" if self.weight_hash else self.name


@dataclass(frozen=True)
class GalleryRow:
    """A collection of faces and whom to thank for it."""

    id: int
    name: str
    credit: str
    licence: str
    source: str
    created_ms: int


@dataclass(frozen=True)
class NewPicture:
    """A picture to keep: its bytes, or the path of a file that stays where it is."""

    sha256: str
    media_type: str
    width: int
    height: int
    content: bytes | None = None
    path: str | None = None


@dataclass(frozen=True)
class NewFace:
    """A face to add; `picture` is None when an imported list names a picture nobody has."""

    picture: NewPicture | None
    box: dict[str, float] | None = None
    """left, top, right, bottom in pixels of the picture; None is the whole picture."""
    key: str | None = None
    """Tells it from others of its gallery; made from the picture's hash and the box when absent."""
    provenance: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    identity: str | None = None
    consent: str | None = None


@dataclass(frozen=True)
class FaceRow:
    """A face without its pixels."""

    id: int
    gallery_id: int
    key: str
    sha256: str | None
    box: dict[str, float] | None
    provenance: dict[str, Any]
    tags: dict[str, str]
    identity: str | None
    consent: str | None
    created_ms: int


@dataclass(frozen=True)
class PictureRow:
    """The pixels of a face's picture, encoded."""

    sha256: str
    media_type: str
    width: int
    height: int
    content: bytes | None
    path: str | None


@dataclass(frozen=True)
class AnnotatorRow:
    """A person who answers."""

    id: int
    name: str
    role: str
    """visitor, annotator, admin, or imported."""
    state: str
    """active, paused, excluded or removed."""
    passphrase_hash: str | None
    hub_user: str | None
    consent_id: int | None
    consented_ms: int | None
    created_ms: int

    @property
    def is_admin(self) -> bool:
        """True for an admin who is active."""
        return self.role == "admin" and self.state == "active"


@dataclass(frozen=True)
class NewProject:
    """What is compared, how often, and how questions are chosen."""

    name: str
    gallery_id: int
    backend: str
    mode: str = "odd_one_out"
    question: str = "Which face has the most different expression?"
    instructions: str = "Ignore who it is, age, light and head pose."
    overlap: int = 1
    evaluation_overlap: int = 6
    evaluation_share: float = 0.2
    gold_share: float = 0.05
    repeat_share: float = 0.05
    qualification: int = 10
    sampler_mix: dict[str, float] = field(default_factory=lambda: {"random": 1.0})
    lease_ms: int = 10 * 60 * 1000
    on_delete: str = "anonymised"


@dataclass(frozen=True)
class ProjectRow(NewProject):
    """A project of the database."""

    id: int = 0
    state: str = "open"
    created_ms: int = 0


@dataclass(frozen=True)
class NewTriplet:
    """A question to ask; `wanted` None means everybody may answer it."""

    faces: tuple[int, int, int]
    kind: str = "unknown"
    purpose: str = "train"
    sampler: str = "random"
    score: float | None = None
    model_run_id: int | None = None
    gold_face_id: int | None = None
    explanation: str | None = None
    wanted: int | None = 1
    mode: str = "odd_one_out"
    key: str | None = None
    """Made from the faces when absent: the same three are asked once."""
    more_faces: tuple[int, ...] = ()
    """In mode grid the fourth to ninth face."""
    model_version: str | None = None
    """What the sampler knew when it chose."""


@dataclass(frozen=True)
class Question:
    """One question as one person is shown it."""

    assignment_id: int
    triplet_id: int
    mode: str
    faces: tuple[int, ...]
    """Face ids in the order of the triplet, nine in mode grid; in the modes head_two and grid the first is the head."""
    display_order: str
    purpose: str
    """work, gold, repeat or qualification; the person is not told which."""

    @property
    def faces_shown(self) -> tuple[int, ...]:
        """Face ids from left to right, and down."""
        return tuple(self.faces[int(place) - 1] for place in self.display_order)


@dataclass(frozen=True)
class NewAnswer:
    """What a person says to one question."""

    assignment_id: int
    choice: str
    """face, cannot_tell or bad_picture."""
    client_key: str
    """Made by the browser for this press: the same press sent twice is kept once."""
    face_id: int | None = None
    second_face_id: int | None = None
    """The other of two, in mode grid."""
    reason: str | None = None
    response_ms: int | None = None
    client: dict[str, Any] | None = None


@dataclass(frozen=True)
class AnswerOutcome:
    """What became of an answer."""

    answer_id: int
    stored: bool
    """False when this question had its answer already, as after a double press."""
    purpose: str
    gold_face_id: int | None
    explanation: str | None


@dataclass(frozen=True)
class Progress:
    """How far a project is, and one person in it."""

    wanted: int
    """Answers that the queue asks for in all."""
    given: int
    """Of those, given and standing."""
    mine: int
    """Standing answers of this person, of every purpose."""
    qualification_left: int


@dataclass(frozen=True)
class LabelRecord:
    """One answer with everything around it, as it travels in JSONL and Parquet; faces go by their keys."""

    answer_id: int
    triplet_key: str
    mode: str
    kind: str
    purpose: str
    sampler: str
    score: float | None
    model_run_id: int | None
    wanted: int | None
    face_1: str
    face_2: str
    face_3: str
    gold_face: str | None
    explanation: str | None
    annotator: str
    annotator_role: str
    annotator_state: str
    pass_number: int
    shown_as: str
    """work, gold, repeat, qualification or import."""
    counted: bool
    display_order: str
    leased_ms: int
    revision: int
    choice: str
    odd_face: str | None
    """The chosen face: the odd one out, or in the modes head_two and grid the one most like the head."""
    reason: str | None
    response_ms: int | None
    client: str | None
    """JSON text."""
    client_key: str
    superseded_by: int | None
    """Answer id, in the numbering of the file."""
    created_ms: int
    model_version: str | None = None
    """What the sampler knew when it chose the question."""
    more_faces: str | None = None
    """JSON list of the fourth to ninth face, in mode grid."""
    second_face: str | None = None
    """In mode grid the other chosen face."""
    decided: str | None = None
    """What an admin decided about the question: face, cannot_tell or bad_picture."""
    decided_face: str | None = None
    decided_second_face: str | None = None


@dataclass(frozen=True)
class ModelRunRow:
    """One fine-tuning."""

    id: int
    project_id: int
    parent_id: int | None
    backend: str
    """`name@hash` of the vectors it started from."""
    cutoff_answer_id: int
    hyperparameters: dict[str, Any]
    metrics: dict[str, Any]
    weights: bytes | None
    state: str
    """running, candidate, promoted, retired or failed."""
    created_ms: int
    promoted_ms: int | None


@dataclass(frozen=True)
class TripletRow:
    """A question by its faces, without its place in the queue."""

    id: int
    mode: str
    kind: str
    purpose: str
    face_1_id: int
    face_2_id: int
    face_3_id: int
    gold_face_id: int | None
    wanted: int | None
    more_faces: tuple[int, ...] = ()
    """In mode grid the fourth to ninth face."""

    @property
    def faces(self) -> tuple[int, ...]:
        """Face ids in the order of the triplet, nine in mode grid."""
        return self.face_1_id, self.face_2_id, self.face_3_id, *self.more_faces


@dataclass(frozen=True)
class NewAdjudication:
    """What an admin decides about a question."""

    triplet_id: int
    choice: str
    """face, cannot_tell or bad_picture."""
    face_id: int | None = None
    note: str | None = None
    second_face_id: int | None = None
    """The other of two, in mode grid."""


@dataclass(frozen=True)
class AdjudicationRow:
    """What an admin decided, and when."""

    id: int
    triplet_id: int
    annotator_id: int | None
    choice: str
    face_id: int | None
    second_face_id: int | None
    note: str | None
    created_ms: int
