"""A small project for the tests of the queue and the answers."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass

from db.store import Store
from db.types import NewAnswer, NewFace, NewPicture, NewProject, NewTriplet, ProjectRow, Question


@dataclass(frozen=True)
class World:
    """A gallery of faces without content, a project, and its questions."""

    store: Store
    project: ProjectRow
    faces: list[int]

    def person(self, name: str, *, role: str = "annotator") -> int:
        return self.store.add_annotator(name, role=role).id

    def take(self, person: int, count: int = 1) -> list[Question]:
        return self.store.take_questions(self.project.id, person, count=count)

    def say(self, person: int, question: Question, key: str | None = None) -> int:
        key = key or f"{person}-{question.assignment_id}-{self.store.last_answer_id(self.project.id)}"
        return self.store.add_answer(
            person, NewAnswer(question.assignment_id, "face", key, face_id=question.faces_shown[0], response_ms=900)
        ).answer_id

    def ask_gold(self, count: int, *, purpose: str = "gold") -> None:
        triples = itertools.islice(itertools.combinations(reversed(self.faces), 3), count)
        self.store.add_triplets(
            self.project.id,
            [
                NewTriplet(faces, purpose=purpose, gold_face_id=faces[0], explanation="the first frowns", wanted=None)
                for faces in triples
            ],
        )


def make_world(store: Store, *, faces: int = 8, triplets: int = 20, wanted: int = 1, **settings: object) -> World:
    """Return a project with questions but, unless asked for, without gold, repeats and qualification."""
    gallery = store.add_gallery("people", credit="Ada", licence="CC0-1.0", source="made here")
    pictures = [f"face {number}".encode() for number in range(faces)]
    ids = store.add_faces(
        gallery.id,
        [NewFace(NewPicture(hashlib.sha256(content).hexdigest(), "image/png", 1, 1, content)) for content in pictures],
    )
    chosen = {"gold_share": 0.0, "repeat_share": 0.0, "qualification": 0} | settings
    project = store.add_project(NewProject("smiles", gallery.id, "deepfever@aa", **chosen))  # type: ignore[arg-type]
    asked = itertools.islice(itertools.combinations(ids, 3), triplets)
    store.add_triplets(project.id, [NewTriplet(three, wanted=wanted) for three in asked])
    return World(store, project, ids)
