"""The two other questions: a head with two faces, and a head with eight of which two are chosen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from db.ballots import GRID
from db.engine import open_database
from db.errors import WrongShape
from db.store import Store
from db.types import NewAnswer, NewProject, ProjectRow, Question
from models.triplets import Comparisons
from studio.services import compare, finetuning, labels
from tests.drawn_faces import BACKEND, add_drawn_gallery


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(compare, "EVALUATION_TRIPLETS", 8)
    sqlite = f"sqlite:///{tmp_path / 'mien.sqlite'}"
    engine = open_database(sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url"))
    yield Store(engine)
    engine.dispose()


def project_in(store: Store, mode: str, **settings: object) -> ProjectRow:
    gallery = add_drawn_gallery(store, count=60)
    chosen = {"gold_share": 0.0, "repeat_share": 0.0, "qualification": 0} | settings
    return compare.start_project(store, NewProject(mode, gallery, BACKEND, mode=mode, **chosen))  # type: ignore[arg-type]


def first(store: Store, project: ProjectRow, person: int, mode: str) -> Question:
    """Return a question of this mode; models are judged by odd-one-out questions in every project."""
    held = store.take_questions(project.id, person, count=40)
    return next(question for question in held if question.mode == mode)


def test_a_grid_is_answered_by_two_faces_and_stands_for_twelve_questions(store: Store) -> None:
    project = project_in(store, "grid")
    ada = store.add_annotator("Ada").id
    asked = first(store, project, ada, "grid")
    assert len(set(asked.faces)) == 9 and sorted(asked.display_order) == list("123456789")
    assert asked.faces_shown[0] == asked.faces[0]
    one, two = asked.faces[4], asked.faces[2]
    for wrong in ((one, None), (one, one), (asked.faces[0], two), (one, 10_000)):
        with pytest.raises(WrongShape):
            said = NewAnswer(asked.assignment_id, "face", "x", face_id=wrong[0], second_face_id=wrong[1])
            store.add_answer(ada, said)
    store.add_answer(ada, NewAnswer(asked.assignment_id, "face", "a", face_id=one, second_face_id=two))
    ballots = store.read_ballots(project.id)
    assert len(ballots) == 12 and ballots.firsts.sum() == 1
    assert (ballots.mode == GRID).all() and (ballots.faces[:, 0] == asked.faces[0]).all()
    nearer = ballots.faces[np.arange(12), np.where(ballots.odd == 3, 1, 2)]
    assert sorted(nearer.tolist()) == sorted([one] * 6 + [two] * 6)
    assert len(np.unique(ballots.triplet)) == 12 and (ballots.triplet < 0).all()
    store.undo_answer(project.id, ada, client_key="u")
    assert len(store.read_ballots(project.id)) == 0


def test_cannot_tell_and_a_deleted_face(store: Store) -> None:
    project = project_in(store, "grid")
    ada = store.add_annotator("Ada").id
    asked = first(store, project, ada, "grid")
    store.add_answer(ada, NewAnswer(asked.assignment_id, "cannot_tell", "a"))
    assert store.read_ballots(project.id).odd.tolist() == [0]
    store.delete_face(asked.faces[7])
    assert len(store.read_ballots(project.id)) == 0


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_grids_travel(store: Store, tmp_path: Path, suffix: str) -> None:
    project = project_in(store, "grid")
    ada = store.add_annotator("Ada").id
    asked = first(store, project, ada, "grid")
    said = NewAnswer(asked.assignment_id, "face", "a", face_id=asked.faces[8], second_face_id=asked.faces[1])
    store.add_answer(ada, said)
    path = tmp_path / f"grids{suffix}"
    assert labels.export_records(store, "grid", path) == 1
    other = Store(open_database(f"sqlite:///{tmp_path / 'other.sqlite'}"))
    labels.import_records(other, path, project="grid")
    again = tmp_path / f"again{suffix}"
    labels.export_records(other, "grid", again)
    assert list(other.read_labels(1)) == list(store.read_labels(project.id))
    assert len(other.read_ballots(1)) == 12
    other.engine.dispose()


def test_gold_of_other_modes_expects_the_face_that_is_like_the_head(store: Store) -> None:
    for mode, chosen in (("head_two", 1), ("grid", 1)):
        project = project_in(store, mode, qualification=3)
        person = store.add_annotator(mode).id
        question = store.take_questions(project.id, person, count=1)[0]
        assert (question.mode, question.purpose) == (mode, "qualification")
        second = question.faces[5] if mode == "grid" else None
        said = {"assignment": question.assignment_id, "choice": "face", "face": question.faces[chosen], "key": mode}
        told = compare.answer(
            store, compare.Seat(store.annotator(person), project), said | ({"second": second} if second else {})
        )
        assert told["feedback"]["right"] is True
        ballots = store.read_ballots(project.id)
        known = ballots.where(ballots.gold > 0)
        assert len(known) and (known.odd == known.gold).all()


def test_heads_are_never_the_odd_one_for_the_fitting(store: Store) -> None:
    project = project_in(store, "head_two")
    ada = store.add_annotator("Ada").id
    for number in range(12):
        question = first(store, project, ada, "head_two")
        store.add_answer(ada, NewAnswer(question.assignment_id, "face", str(number), face_id=question.faces[1]))
    lesson = finetuning.collect(store, project)
    assert lesson.training.heads is not None and lesson.training.heads.all()
    assert (lesson.training.shares[:, 0] == 0).all()
    torch_finetune = pytest.importorskip("models.finetune")
    vectors = lesson.vectors
    squared = torch_finetune.pair_distances(
        *(torch_finetune.torch.from_numpy(one) for one in (vectors, lesson.training.places)),
        torch_finetune._heads(lesson.training),
    )
    assert (squared.argmin(1) != 0).all()
    part = lesson.training.where(np.arange(3))
    assert isinstance(part, Comparisons) and part.heads is not None and len(part.heads) == 3


def test_no_question_mixes_kept_out_faces_with_others(store: Store) -> None:
    project = project_in(store, "odd_one_out")
    kept_out = store.evaluation_faces(project.id)
    assert len(kept_out) >= compare.LEAST_KEPT_OUT
    ada = store.add_annotator("Ada").id
    for _ in range(30):
        held = store.take_questions(project.id, ada, count=5)
        for question in held:
            assert len(set(question.faces) & kept_out) in (0, 3)
            store.add_answer(ada, NewAnswer(question.assignment_id, "cannot_tell", str(question.assignment_id)))
