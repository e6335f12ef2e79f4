"""Start a project, keep its queue filled, and serve a person at the Compare tab."""

from __future__ import annotations

import base64
import io
import random as chance
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from db.errors import AlreadyThere, NotThere, WrongShape
from db.store import Store
from db.types import AnnotatorRow, FaceRow, NewAnswer, NewProject, NewTriplet, PictureRow, ProjectRow, Question
from studio.services import ensemble
from studio.services.samplers import (
    Pool,
    as_heads,
    grids,
    make_pool,
    nearest_triplets,
    obvious_grids,
    obvious_triplets,
    random_triplets,
)
from studio.services.tuned import expression_networks

AHEAD = 3
"""Questions a browser holds: the one shown and those already painted behind it."""
LOW_WATER, BATCH = 200, 600
EVALUATION_TRIPLETS = 400
SHOWN_SIZE = 512
PICTURES_KEPT = 1024
LEAST_KEPT_OUT = 9
AT_ONCE = {"random": 1.0}
"""What somebody who waits is given: drawn in a moment."""
LOOK_AHEAD = 0.05
"""How often an answer looks whether the queue runs low, so that nobody is left with questions of other kinds alone."""
COUNT_AHEAD = 1 / 1000
"""How often an answer has those before it added up, so that the Team tab finds little left to count."""
GRID_WORTH = 12
"""Comparisons that one question with nine faces stands for."""
QUESTIONS = {
    "odd_one_out": NewProject.question,
    "head_two": "Which of the two is more like the framed face in expression?",
    "grid": "Which two are most like the framed face in expression?",
}
GOLD_WORDS = {
    "odd_one_out": "Two of the faces share an expression; this one stands apart.",
    "head_two": "This face shares its expression with the first one; the other does not.",
    "grid": "This face shares its expression with the first one; most of the others do not.",
}
CROP_MARGIN = 1.5
"""How much wider than the face box a face is shown."""


@dataclass(frozen=True)
class Seat:
    """A person at a project."""

    person: AnnotatorRow
    project: ProjectRow


def start_project(store: Store, project: NewProject, *, seed: int = 0) -> ProjectRow:
    """Add a project, keep some faces for evaluation, and queue its first questions.

    Raises WrongShape when the gallery has too few faces with vectors of the project's backend.
    """
    pool = _pool(store, project.gallery_id, project.backend)
    if len(pool.ids) < 12:
        raise WrongShape(
            f"comparing needs at least 12 faces with vectors of {project.backend}; there are {len(pool.ids)}"
        )
    rng = np.random.default_rng(seed)
    if project.question == NewProject.question:
        project = replace(project, question=QUESTIONS[project.mode])
    kept_out = _held_out(store, pool, project, rng)
    made = store.add_project(project, evaluation_faces=kept_out)
    asked = random_triplets(pool.only(kept_out), EVALUATION_TRIPLETS, rng=rng)
    # In every mode models are judged by odd-one-out questions: figures of projects can be compared.
    wanted = made.evaluation_overlap
    store.add_triplets(made.id, [replace(one, purpose="evaluation", wanted=wanted) for one in asked])
    _add_gold(store, made, pool.only(set(pool.ids.tolist()) - kept_out), rng)
    refill(store, made, seed=seed + 1)
    return made


def first_project(store: Store) -> ProjectRow | None:
    """Return the first open project, started now on the gallery that has most vectors; None without such a gallery."""
    opened = [project for project in store.projects() if project.state == "open"]
    if opened:
        return opened[0]
    candidates = [(expression_networks(store, gallery.id), gallery) for gallery in store.galleries()]
    ready = [(backends[0], gallery) for backends, gallery in candidates if backends]
    if not ready or store.projects():
        return None
    backend, gallery = max(ready, key=lambda item: store.count_faces(item[1].id))
    try:
        return start_project(store, NewProject("First comparisons", gallery.id, str(backend)))
    except AlreadyThere:  # another process was quicker
        return store.project("First comparisons")
    except WrongShape:
        return None


def refill(store: Store, project: ProjectRow, *, seed: int | None = None) -> int:
    """Queue more training questions when few are waiting; return how many were added."""
    if store.count_waiting(project.id, at_most=LOW_WATER) >= LOW_WATER:
        return 0
    rng = np.random.default_rng(seed)
    training = training_pool(store, project)
    total = sum(project.sampler_mix.values()) or 1.0
    added = 0
    for name, share in project.sampler_mix.items():
        triplets = draw(store, project, training, name, round(BATCH * share / total), rng=rng)
        added += store.add_triplets(project.id, [replace(one, wanted=project.overlap) for one in triplets])
    return added


def draw(
    store: Store, project: ProjectRow, pool: Pool, sampler: str, count: int, *, rng: np.random.Generator
) -> list[NewTriplet]:
    """Return questions as a project asks them, drawn by a sampler; `active` is random until there are answers."""
    if project.mode == "grid":
        return grids(pool, max(count // GRID_WORTH, 1), rng=rng)
    triplets = None
    if sampler == "nearest":
        triplets = nearest_triplets(pool, count, rng=rng)
    elif sampler == "active":
        triplets = ensemble.active_questions(store, project, pool, count, rng=rng)
    if triplets is None:
        triplets = random_triplets(pool, count, rng=rng)
    return as_heads(triplets) if project.mode == "head_two" else triplets


def training_pool(store: Store, project: ProjectRow) -> Pool:
    """Return the faces that training questions may show."""
    pool = _pool(store, project.gallery_id, project.backend)
    return pool.only(set(pool.ids.tolist()) - store.evaluation_faces(project.id))


def serve(store: Store, seat: Seat, *, have: set[int], count: int = AHEAD) -> dict[str, Any]:
    """Return the questions this person holds, in order, with pictures for those their browser does not have."""
    questions = store.take_questions(seat.project.id, seat.person.id, count=count)
    if len(questions) < count and refill(store, replace(seat.project, sampler_mix=AT_ONCE)):
        questions = store.take_questions(seat.project.id, seat.person.id, count=count)
    elif chance.random() < LOOK_AHEAD:
        ensemble.in_background(seat.project.id, partial(refill, store, seat.project))
    new = [question for question in questions if question.assignment_id not in have]
    faces = store.faces_by_id(face for question in new for face in question.faces)
    return {"questions": [_payload(store, question, faces if question in new else None) for question in questions]}


def answer(store: Store, seat: Seat, said: dict[str, Any]) -> dict[str, Any]:
    """Keep what the browser sent and return what to tell the person; values from a browser are checked one by one."""
    outcome = store.add_answer(seat.person.id, _read_answer(said))
    if chance.random() < COUNT_AHEAD:
        ensemble.in_background(("count", seat.project.id), partial(count_up, store, seat.project))
    told: dict[str, Any] = {"answer": outcome.answer_id, "stored": outcome.stored}
    if outcome.purpose == "qualification" and outcome.gold_face_id is not None:
        told["feedback"] = {
            "right": outcome.gold_face_id in (said.get("face"), said.get("second")),
            "odd": outcome.gold_face_id,
            "words": outcome.explanation or "",
        }
    return told


def count_up(store: Store, project: ProjectRow) -> int:
    """Add up a project's answers as far as they can be kept, and return the newest counted."""
    counted, before = store.count_answers_on(project.id).to_answer_id, -1
    while counted > before:
        counted, before = store.count_answers_on(project.id).to_answer_id, counted
    return counted


def undo(store: Store, seat: Seat, *, client_key: str) -> bool:
    """Take back the person's last answer; its question is the first that `serve` returns next."""
    return store.undo_answer(seat.project.id, seat.person.id, client_key=client_key[:120]) is not None


def example(store: Store, project: ProjectRow) -> dict[str, Any] | None:
    """Return one clear triplet with its answer, for the instructions."""
    found = store.example_triplet(project.id)
    if found is None:
        return None
    faces, odd = found
    rows = store.faces_by_id(faces)
    return {"faces": [_face(store, face_id, rows) for face_id in faces], "odd": odd}


def face_picture(store: Store, face: FaceRow) -> str:
    """Return a face as a data address, cut out around its box, at most 512 px; raises NotThere.

    Kept in memory for the next person; somebody who has no questions is never given one.
    """
    box = tuple(face.box[side] for side in ("left", "top", "right", "bottom")) if face.box else None
    known = (face.sha256, box)
    if known not in _pictures:
        picture = store.picture(face.id)
        content = picture.content if picture.content is not None else _file(picture)
        while len(_pictures) >= PICTURES_KEPT:
            _pictures.pop(next(iter(_pictures)), None)
        _pictures[known] = _cut_out(content, box)
    return _pictures[known]


def _file(picture: PictureRow) -> bytes:
    path = Path(picture.path or "")
    if not path.is_file():
        raise NotThere(f"the picture {path.name!r} is no longer where it was")
    return path.read_bytes()


_pictures: dict[tuple[str | None, tuple[float, ...] | None], str] = {}


def _cut_out(content: bytes, box: tuple[float, ...] | None) -> str:
    with Pillow.open(io.BytesIO(content)) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    if box is not None:
        left, top, right, bottom = box
        half = min(max(right - left, bottom - top) * CROP_MARGIN, *picture.size) / 2
        x = min(max((left + right) / 2, half), picture.width - half)
        y = min(max((top + bottom) / 2, half), picture.height - half)
        picture = picture.crop((round(x - half), round(y - half), round(x + half), round(y + half)))
    picture.thumbnail((SHOWN_SIZE, SHOWN_SIZE), Pillow.Resampling.LANCZOS)
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode()


def _read_answer(said: dict[str, Any]) -> NewAnswer:
    try:
        face, second = said.get("face"), said.get("second")
        response = said.get("response_ms")
        return NewAnswer(
            assignment_id=int(said["assignment"]),
            choice=str(said["choice"]),
            client_key=str(said["key"])[:120],
            face_id=int(face) if face is not None else None,
            second_face_id=int(second) if second is not None else None,
            reason=str(said["reason"])[:400] if said.get("reason") else None,
            response_ms=max(0, min(int(response), 3_600_000)) if response is not None else None,
            client={name: str(said[name])[:200] for name in ("device", "version") if name in said} or None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WrongShape(f"this answer cannot be read: {error}") from error


def _payload(store: Store, question: Question, faces: dict[int, FaceRow] | None) -> dict[str, Any]:
    """Return a question; its pictures only where `faces` are given, since the browser keeps those it has."""
    base = {
        "assignment": question.assignment_id,
        "mode": question.mode,
        "practice": question.purpose == "qualification",
    }
    if faces is None:
        return base
    return base | {"faces": [_face(store, face_id, faces) for face_id in question.faces_shown]}


def _face(store: Store, face_id: int, faces: dict[int, FaceRow]) -> dict[str, Any]:
    try:
        return {"id": face_id, "src": face_picture(store, faces[face_id])}
    except (KeyError, NotThere, OSError):
        return {"id": face_id, "src": None}


def _pool(store: Store, gallery_id: int, backend: str) -> Pool:
    ids, vectors = store.vectors(gallery_id, backend=backend)
    return make_pool(store.faces(gallery_id, with_picture=True), ids, vectors)


def _held_out(store: Store, pool: Pool, project: NewProject, rng: np.random.Generator) -> set[int]:
    """Choose evaluation faces, about the asked share of all; identities stay together."""
    rows = store.faces_by_id(pool.ids.tolist())
    people: dict[str, list[int]] = {}
    for face_id, face in rows.items():
        people.setdefault(_person(face), []).append(face_id)
    names = sorted(people)
    rng.shuffle(names)
    enough = max(project.evaluation_share * len(rows), min(LEAST_KEPT_OUT, len(rows) / 2))
    chosen: set[int] = set()
    for name in names:
        if len(chosen) >= enough:
            break
        chosen.update(people[name])
    return chosen


def _person(face: FaceRow) -> str:
    return f"person {face.identity}" if face.identity else f"face {face.id}"


def _add_gold(store: Store, project: ProjectRow, pool: Pool, rng: np.random.Generator) -> None:
    count = project.qualification * 4 + 40
    if project.mode == "grid":
        clear = obvious_grids(pool, count, rng=rng)
    else:
        clear = obvious_triplets(pool, count, rng=rng)
    if project.mode == "head_two":
        clear = as_heads(clear)
    words = GOLD_WORDS[project.mode]
    for place, triplet in enumerate(clear):
        purpose = "qualification" if place % 3 == 0 and place < project.qualification * 3 else "gold"
        store.add_triplets(project.id, [replace(triplet, purpose=purpose, explanation=words)])
