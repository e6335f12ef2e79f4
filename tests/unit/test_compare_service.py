"""A project starts with what it needs, and the browser's calls check everything they are sent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db.engine import open_database
from db.errors import NotAllowed, NotThere, WrongShape
from db.store import Store
from db.types import NewProject, ProjectRow
from studio.services import access, compare, seat
from tests.drawn_faces import BACKEND, add_drawn_gallery


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    engine = open_database(f"sqlite:///{tmp_path / 'mien.sqlite'}")
    store = Store(engine)
    add_drawn_gallery(store, count=48)
    yield store
    engine.dispose()


@pytest.fixture
def project(store: Store) -> ProjectRow:
    return compare.start_project(store, NewProject("drawn", store.galleries()[0].id, BACKEND))


def rows(store: Store, query: str) -> list[tuple[Any, ...]]:
    with store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def open_as(store: Store, name: str, **settings: Any) -> dict[str, Any]:
    token = access.accept_invitation(store, access.invite(store, name))
    return seat.open_seat(store, {"token": token, **settings})


def test_evaluation_faces_never_enter_training(store: Store, project: ProjectRow) -> None:
    held_out = store.evaluation_faces(project.id)
    compare.refill(store, project)
    for purpose, wanted, *faces in rows(store, "SELECT purpose, wanted, face_1_id, face_2_id, face_3_id FROM triplet"):
        assert (purpose == "evaluation") == (set(faces) <= held_out)
        assert purpose == "evaluation" or not held_out & set(faces)
        assert wanted == {"train": 1, "evaluation": 6}.get(purpose)
    assert store.count_triplets(project.id, purpose="evaluation") > 50
    assert store.count_triplets(project.id, purpose="qualification") == 10
    assert store.count_triplets(project.id, purpose="gold") > 10


def test_people_of_a_gallery_are_held_out_whole(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'people.sqlite'}")
    store = Store(engine)
    gallery_id = add_drawn_gallery(store, count=48)
    with engine.begin() as connection:
        connection.execute(text("UPDATE face SET identity = 'person ' || (id % 12)"))
    project = compare.start_project(store, NewProject("people", gallery_id, BACKEND))
    held_out = store.evaluation_faces(project.id)
    people = {store.face(face_id).identity for face_id in held_out}
    assert len(held_out) == 4 * len(people) >= 9
    engine.dispose()


def test_too_few_faces_are_refused_in_words(store: Store) -> None:
    with pytest.raises(WrongShape, match="at least 12 faces"):
        compare.start_project(store, NewProject("none", store.galleries()[0].id, "unknown@0"))


def test_a_stranger_is_welcomed_with_an_example_and_may_try(store: Store, project: ProjectRow) -> None:
    welcome = seat.open_seat(store, {})
    assert welcome["state"] == "welcome"
    assert welcome["example"]["odd"] in [face["id"] for face in welcome["example"]["faces"]]
    seated = seat.open_seat(store, {"token": access.visit(store)})
    assert seated["person"]["role"] == "visitor"
    assert len(seated["questions"]) == compare.AHEAD
    assert all(face["src"].startswith("data:image/jpeg") for face in seated["questions"][0]["faces"])
    assert seated["questions"][0]["practice"] is True


def test_pictures_are_sent_once(store: Store, project: ProjectRow) -> None:
    seated = open_as(store, "Ada")
    have = [question["assignment"] for question in seated["questions"]]
    again = seat.take(store, {"token": seated["token"], "have": have})
    assert [question.get("faces") for question in again["questions"]] == [None] * compare.AHEAD


def test_practice_is_told_and_work_is_not(store: Store, project: ProjectRow) -> None:
    seated = open_as(store, "Ada")
    question = seated["questions"][0]
    told = seat.say(store, {
        "token": seated["token"], "assignment": question["assignment"], "choice": "face", "key": "1",
        "face": question["faces"][0]["id"], "have": [],
    })  # fmt: skip
    assert told["feedback"]["right"] == (told["feedback"]["odd"] == question["faces"][0]["id"])
    for number in range(12):
        question = told["questions"][0]
        told = seat.say(store, {
            "token": seated["token"], "assignment": question["assignment"], "choice": "face", "key": f"w{number}",
            "face": question["faces"][0]["id"], "have": [],
        })  # fmt: skip
    assert "feedback" not in told


@pytest.mark.parametrize("broken", [{}, {"assignment": "x"}, {"assignment": 1, "choice": "face", "key": "k"}])
def test_what_cannot_be_read_is_refused(store: Store, project: ProjectRow, broken: dict[str, Any]) -> None:
    seated = open_as(store, "Ada")
    with pytest.raises(WrongShape):
        compare.answer(store, compare.Seat(store.find_annotator(name="Ada"), project), broken)  # type: ignore[arg-type]
    assert seated["state"] == "seated"


def test_every_call_needs_a_session(store: Store, project: ProjectRow) -> None:
    for call in (seat.take, seat.say, seat.take_back):
        with pytest.raises(NotAllowed, match="sign in"):
            call(store, {"token": "made up"})


def test_passphrases(store: Store, project: ProjectRow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "SLOW_DOWN_SECONDS", 0)
    access.add_account(store, "Ada", "correct horse")
    assert access.who(store, access.sign_in(store, "Ada", "correct horse")).name == "Ada"
    for name, passphrase in (("Ada", "wrong horse"), ("Nobody", "correct horse")):
        with pytest.raises(NotAllowed, match="do not belong together"):
            access.sign_in(store, name, passphrase)
    with pytest.raises(WrongShape, match="8 characters"):
        access.add_account(store, "Bob", "short")
    assert "correct horse" not in str(rows(store, "SELECT * FROM annotator"))


def test_admins_are_told_from_others(store: Store) -> None:
    token = access.accept_invitation(store, access.invite(store, "Ada", admin=True))
    assert access.admin(store, token).name == "Ada"
    with pytest.raises(NotAllowed, match="admins"):
        access.admin(store, access.visit(store))


def test_a_face_is_shown_with_room_around_its_box(store: Store) -> None:
    face = store.faces(store.galleries()[0].id)[0]
    assert compare.face_picture(store, face).startswith("data:image/jpeg;base64,")
    with pytest.raises(NotThere):
        compare.face_picture(store, replace(face, id=10_000, sha256="0" * 64))


def test_answers_are_added_up_before_anybody_looks(
    store: Store, project: ProjectRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "COUNT_AHEAD", 1.0)
    seated = open_as(store, "Ada")
    question = seated["questions"][0]
    said = {"token": seated["token"], "assignment": question["assignment"], "choice": "cannot_tell", "key": "1"}
    seat.say(store, said)
    until = time.monotonic() + 60
    while not (kept := rows(store, "SELECT to_answer_id FROM counted")) and time.monotonic() < until:
        time.sleep(0.05)
    assert kept == [(store.last_answer_id(project.id),)]
    assert compare.count_up(store, project) == store.last_answer_id(project.id)


def test_the_queue_is_filled_again_before_it_runs_dry(store: Store, project: ProjectRow) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE triplet SET taken = wanted WHERE wanted IS NOT NULL"))
    before = store.count_triplets(project.id, purpose="train")
    assert compare.refill(store, project) > 200
    assert compare.refill(store, project) == 0
    assert store.count_triplets(project.id, purpose="train") > before


def test_there_is_always_more_to_learn_from(store: Store, project: ProjectRow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions that judge models still wait when those to learn from run low; new ones are drawn all the same."""
    monkeypatch.setattr(compare, "LOOK_AHEAD", 1.0)
    monkeypatch.setattr(compare.ensemble, "in_background", lambda _what, work: work())
    ada = compare.Seat(store.add_annotator("Ada"), project)
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE triplet SET taken = wanted WHERE purpose = 'train'"))
    assert store.count_waiting(project.id) == 0
    compare.serve(store, ada, have=set())
    assert store.count_waiting(project.id) >= compare.LOW_WATER
