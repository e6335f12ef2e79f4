"""Answers are only ever added; a double press, a lost connection or a change of mind loses nothing."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from db.errors import AlreadyThere, NotThere, WrongShape
from db.store import Store
from db.types import NewAnswer, NewTriplet
from tests.unit.db.world import make_world


def rows(store: Store) -> list[tuple[int, int, str, int | None]]:
    query = text("SELECT assignment_id, revision, choice, superseded_by_id FROM answer ORDER BY id")
    with store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


def test_a_double_press_is_kept_once_whatever_its_key(store: Store) -> None:
    world = make_world(store)
    ada = world.person("Ada")
    question, following = world.take(ada, count=2)
    first = NewAnswer(question.assignment_id, "face", "press 1", face_id=question.faces[0])
    second = NewAnswer(question.assignment_id, "face", "press 2", face_id=question.faces[1])
    outcomes = [store.add_answer(ada, answer) for answer in (first, first, second)]
    assert [outcome.stored for outcome in outcomes] == [True, False, False]
    assert len({outcome.answer_id for outcome in outcomes}) == 1
    assert world.take(ada)[0] == following


def test_any_number_of_steps_can_be_undone_and_nothing_is_deleted(store: Store) -> None:
    world = make_world(store)
    ada = world.person("Ada")
    answered = []
    for _ in range(3):
        answered.append(world.take(ada)[0])
        world.say(ada, answered[-1])
    back = [store.undo_answer(world.project.id, ada, client_key=f"undo {step}") for step in range(4)]
    assert back == [question.assignment_id for question in reversed(answered)] + [None]
    assert world.take(ada, count=3) == answered
    for question in answered:
        world.say(ada, question, key=f"again {question.assignment_id}")
    assert len(rows(store)) == 9
    assert [row[1] for row in rows(store) if row[0] == answered[0].assignment_id] == [0, 1, 2]
    assert sum(superseded is None for *_, superseded in rows(store)) == 3
    assert store.count_answers(world.project.id) == 3


def test_the_same_undo_sent_twice_takes_one_step(store: Store) -> None:
    world = make_world(store)
    ada = world.person("Ada")
    questions = [world.take(ada)[0]]
    world.say(ada, questions[0])
    questions.append(world.take(ada)[0])
    world.say(ada, questions[1])
    steps = {store.undo_answer(world.project.id, ada, client_key="undo") for _ in range(2)}
    assert steps == {questions[1].assignment_id}
    assert store.count_answers(world.project.id) == 1


def test_nobody_answers_for_somebody_else(store: Store) -> None:
    world = make_world(store)
    held = world.take(world.person("Ada"))[0]
    with pytest.raises(NotThere):
        world.say(world.person("Bob"), held)


@pytest.mark.parametrize(
    ("choice", "face"), [("face", None), ("face", -1), ("cannot_tell", 0), ("undo", None), ("shrug", None)]
)
def test_an_answer_the_question_does_not_have_is_refused(store: Store, choice: str, face: int | None) -> None:
    world = make_world(store)
    ada = world.person("Ada")
    question = world.take(ada)[0]
    shown = question.faces[face] if face == 0 else face
    with pytest.raises(WrongShape):
        store.add_answer(ada, NewAnswer(question.assignment_id, choice, "key", face_id=shown))
    assert rows(store) == []


def test_the_head_of_a_head_and_two_cannot_be_chosen(store: Store) -> None:
    world = make_world(store, triplets=0)
    from_faces = world.faces[:3]
    three = (from_faces[0], from_faces[1], from_faces[2])
    store.add_triplets(world.project.id, [NewTriplet(three, mode="head_two")])
    ada = world.person("Ada")
    question = world.take(ada)[0]
    assert question.faces_shown[0] == three[0]
    with pytest.raises(WrongShape):
        store.add_answer(ada, NewAnswer(question.assignment_id, "face", "key", face_id=three[0]))
    assert store.add_answer(ada, NewAnswer(question.assignment_id, "face", "key", face_id=three[2])).stored


def test_a_bad_picture_is_kept_with_its_reason(store: Store) -> None:
    world = make_world(store)
    ada = world.person("Ada")
    question = world.take(ada)[0]
    store.add_answer(ada, NewAnswer(question.assignment_id, "bad_picture", "key", reason="face 2 is cut off"))
    with store.engine.connect() as connection:
        assert connection.scalar(text("SELECT reason FROM answer")) == "face 2 is cut off"


def test_a_removed_person_takes_their_answers_along_and_gives_the_places_back(store: Store) -> None:
    world = make_world(store, triplets=3)
    ada, bob = world.person("Ada"), world.person("Bob")
    for _ in range(2):
        world.say(ada, world.take(ada)[0])
    store.delete_annotator(ada, manner="removed")
    assert rows(store) == []
    assert len(world.take(bob, count=3)) == 3
    assert "Ada" not in [person.name for person in store.annotators()]


def test_an_anonymised_person_leaves_answers_that_nobody_can_trace(store: Store) -> None:
    world = make_world(store)
    ada = world.person("Ada")
    store.add_access(ada, "secret", kind="session")
    world.say(ada, world.take(ada)[0], key="from Ada's browser")
    store.delete_annotator(ada, manner="anonymised")
    assert len(rows(store)) == 1
    assert store.who("secret") is None
    with store.engine.connect() as connection:
        assert "Ada" not in str(connection.execute(text("SELECT name, client_key FROM annotator, answer")).all())


def test_a_deleted_face_takes_its_questions_and_answers_along(store: Store) -> None:
    world = make_world(store, triplets=20)
    ada = world.person("Ada")
    while questions := world.take(ada):
        world.say(ada, questions[0])
    store.delete_face(world.faces[0])
    with store.engine.connect() as connection:
        left = connection.scalar(text("SELECT count(*) FROM triplet"))
    assert left == len(rows(store)) < 20


def test_tokens_and_consent(store: Store) -> None:
    world = make_world(store)
    ada = world.person("Ada")
    store.add_access(ada, "invitation", kind="invitation")
    store.add_access(ada, "old", kind="session", expires_ms=1)
    assert store.who("invitation") == store.annotator(ada)
    assert store.who("old") is None and store.who("made up") is None
    consent = store.add_consent("1", "I agree.")
    assert store.add_consent("1", "I agree.") == consent
    with pytest.raises(AlreadyThere):
        store.add_consent("1", "I agree to more.")
    store.give_consent(ada, consent)
    assert store.annotator(ada).consent_id == consent
    assert store.revoke_access(ada) == 2
    assert store.who("invitation") is None


def test_answer_ids_are_never_used_twice(store: Store) -> None:
    world = make_world(store)
    ada, bob = world.person("Ada"), world.person("Bob")
    before = world.say(ada, world.take(ada)[0])
    store.delete_annotator(ada, manner="removed")
    assert world.say(bob, world.take(bob)[0]) > before
