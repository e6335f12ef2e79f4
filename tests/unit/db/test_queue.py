"""Questions are leased: nobody sees one twice by accident, and no race gives more answers than were wanted."""

from __future__ import annotations

import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from db.errors import LeaseLost, NotAllowed
from db.store import Store
from db.types import NewAnswer, NewTriplet
from tests.unit.db.world import World, make_world


def overlaps(store: Store) -> dict[int, int]:
    """Count the standing answers of each question that use up its overlap."""
    query = text(
        "SELECT triplet.id, count(answer.id) FROM triplet LEFT JOIN assignment ON assignment.triplet_id = triplet.id "
        "AND assignment.counted LEFT JOIN answer ON answer.assignment_id = assignment.id "
        "AND answer.superseded_by_id IS NULL AND answer.choice <> 'undo' WHERE wanted IS NOT NULL GROUP BY triplet.id"
    )
    with store.engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def expire(world: World, person: int) -> None:
    with world.store.engine.begin() as connection:
        connection.execute(text("UPDATE assignment SET expires_ms = 1 WHERE annotator_id = :id"), {"id": person})


def test_a_person_is_shown_every_question_once_and_then_none(store: Store) -> None:
    world = make_world(store, triplets=20)
    ada, seen = world.person("Ada"), []
    while questions := world.take(ada):
        seen.append(questions[0].triplet_id)
        world.say(ada, questions[0])
    assert len(seen) == len(set(seen)) == 20
    assert set(overlaps(store).values()) == {1}


def test_what_is_held_is_shown_again_on_another_device(store: Store) -> None:
    world = make_world(store)
    ada = world.person("Ada")
    first = world.take(ada, count=3)
    assert world.take(ada, count=3) == first
    world.say(ada, first[0])
    assert world.take(ada, count=3)[:2] == first[1:]


def test_a_question_that_is_held_is_not_shown_to_others_beyond_its_overlap(store: Store) -> None:
    world = make_world(store, triplets=1)
    ada, bob = world.person("Ada"), world.person("Bob")
    assert len(world.take(ada)) == 1
    assert world.take(bob) == []
    assert store.return_questions(world.project.id, ada) == 1
    assert len(world.take(bob)) == 1
    assert world.take(ada) == []


def test_an_expired_lease_returns_and_its_late_answer_is_refused_once_others_answered(store: Store) -> None:
    world = make_world(store, triplets=1)
    ada, bob = world.person("Ada"), world.person("Bob")
    held = world.take(ada)[0]
    expire(world, ada)
    world.say(bob, world.take(bob)[0])
    with pytest.raises(LeaseLost):
        world.say(ada, held)
    assert overlaps(store) == {held.triplet_id: 1}


def test_a_late_answer_counts_while_nobody_else_took_the_place(store: Store) -> None:
    world = make_world(store, triplets=2)
    ada, bob = world.person("Ada"), world.person("Bob")
    held = world.take(ada)[0]
    expire(world, ada)
    other = world.take(bob)[0]
    assert other.triplet_id != held.triplet_id or world.take(ada)[0].triplet_id != held.triplet_id
    if other.triplet_id != held.triplet_id:
        world.say(ada, held)
    world.say(bob, other)
    assert max(overlaps(store).values()) == 1


def test_coming_back_after_the_lease_ran_out_resumes_the_same_question(store: Store) -> None:
    world = make_world(store, triplets=5)
    ada, bob = world.person("Ada"), world.person("Bob")
    held = world.take(ada, count=2)
    expire(world, ada)
    taken = {question.triplet_id for question in world.take(bob, count=2)}
    again = [question for question in world.take(ada, count=2) if question in held]
    assert [question.triplet_id for question in held if question.triplet_id not in taken] == [
        question.triplet_id for question in again
    ]


def test_newcomers_qualify_first_and_gold_and_repeats_follow(store: Store) -> None:
    world = make_world(store, triplets=50, qualification=3, gold_share=0.3, repeat_share=0.3)
    world.ask_gold(3, purpose="qualification")
    ada, purposes = world.person("Ada"), []
    seen: list[tuple[int, str]] = []
    for _ in range(200):
        questions = world.take(ada)
        if not questions:
            break
        purposes.append(questions[0].purpose)
        seen.append((questions[0].triplet_id, questions[0].purpose))
        world.say(ada, questions[0])
    assert purposes[:3] == ["qualification"] * 3
    assert purposes.count("work") == 50
    assert "repeat" in purposes
    works = [triplet for triplet, purpose in seen if purpose == "work"]
    repeats = [triplet for triplet, purpose in seen if purpose == "repeat"]
    assert len(works) == len(set(works)) and len(repeats) == len(set(repeats)) and set(repeats) <= set(works)
    assert store.progress(world.project.id, ada).given == 50
    assert store.progress(world.project.id, ada).qualification_left == 0


def test_visitors_may_try_without_using_up_answers(store: Store) -> None:
    world = make_world(store, triplets=3)
    visitor = world.person("visitor 1", role="visitor")
    for _ in range(3):
        world.say(visitor, world.take(visitor)[0])
    assert set(overlaps(store).values()) == {0}
    assert world.take(visitor) == []
    assert len(world.take(world.person("Ada"), count=3)) == 3


@pytest.mark.parametrize("state", ["paused", "excluded"])
def test_who_was_paused_or_excluded_gets_nothing_and_says_nothing(store: Store, state: str) -> None:
    world = make_world(store)
    ada = world.person("Ada")
    held = world.take(ada)[0]
    store.set_annotator(ada, state=state)
    with pytest.raises(NotAllowed):
        world.take(ada)
    with pytest.raises(NotAllowed):
        world.say(ada, held)


def test_a_paused_project_hands_out_nothing(store: Store) -> None:
    world = make_world(store)
    store.set_project_state(world.project.id, "paused")
    with pytest.raises(NotAllowed, match="paused"):
        world.take(world.person("Ada"))


def work(world: World, person: int, *, rounds: int, seed: int) -> list[int]:
    """Answer as an impatient person: double presses, undos, walking away; return the acknowledged answers."""
    chance, acknowledged = random.Random(seed), []
    for number in range(rounds):
        questions = world.take(person, count=2)
        if not questions:
            break
        if chance.random() < 0.1:
            expire(world, person)
            continue
        key = f"{person}-{number}"
        answer = NewAnswer(questions[0].assignment_id, "face", key, face_id=questions[0].faces[0])
        try:
            outcome = world.store.add_answer(person, answer)
        except LeaseLost:
            continue
        acknowledged.append(outcome.answer_id)
        if chance.random() < 0.3:
            assert world.store.add_answer(person, answer).stored is False
        if chance.random() < 0.2:
            world.store.undo_answer(world.project.id, person, client_key=f"undo-{key}")
    return acknowledged


def test_many_impatient_people_at_once_give_exactly_the_answers_that_were_wanted(store: Store) -> None:
    world = make_world(store, faces=10, triplets=40, wanted=3)
    people = [world.person(f"person {number}") for number in range(8)]
    ready = threading.Barrier(len(people))

    def start(person: int) -> list[int]:
        ready.wait()
        return work(world, person, rounds=60, seed=person)

    with ThreadPoolExecutor(len(people)) as pool:
        acknowledged = [answer for answers in pool.map(start, people) for answer in answers]
    assert len(acknowledged) == len(set(acknowledged))
    assert max(overlaps(store).values()) <= 3
    for person in people:  # whoever is left finishes what is left
        while questions := world.take(person):
            world.say(person, questions[0], key=f"last-{person}-{questions[0].assignment_id}")
    assert set(overlaps(store).values()) == {3}
    with store.engine.connect() as connection:
        kept = {row[0] for row in connection.execute(text("SELECT id FROM answer"))}
        assert set(acknowledged) <= kept
        twice = text("SELECT count(*) FROM assignment GROUP BY triplet_id, annotator_id HAVING count(*) > 1")
        assert connection.execute(twice).all() == []
        wrong = text("SELECT count(*) FROM triplet WHERE taken <> wanted")
        assert connection.scalar(wrong) == 0


def test_the_same_questions_can_be_queued_by_several_at_once(store: Store) -> None:
    world = make_world(store, faces=24, triplets=0)
    rng = random.Random(5)
    trios = (sorted(rng.sample(world.faces, 3)) for _ in range(600))
    asked = [NewTriplet((first, second, third)) for first, second, third in trios]
    ready = threading.Barrier(6)

    def queue(seed: int) -> int:
        mine = random.Random(seed).sample(asked, len(asked))
        ready.wait()
        return store.add_triplets(world.project.id, mine)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(queue, range(6)))
    assert len(overlaps(store)) == len({one.faces for one in asked})


def test_questions_that_judge_models_are_mixed_in_by_a_share(store: Store) -> None:
    world = make_world(store, faces=24, triplets=300)
    judging = [NewTriplet(three, purpose="evaluation") for three in itertools.combinations(world.faces[-12:], 3)]
    store.add_triplets(world.project.id, judging[:200])
    assert store.count_waiting(world.project.id) == 300  # what judges is not counted: more to learn from is needed
    person = world.person("Ada")
    kinds = []
    purpose_of = text("SELECT purpose FROM triplet WHERE id = :id")
    for number in range(150):
        (question,) = world.take(person)
        with store.engine.connect() as connection:
            kinds.append(connection.scalar(purpose_of, {"id": question.triplet_id}))
        world.say(person, question, key=f"a{number}")
    assert 10 <= kinds.count("evaluation") <= 55
    while questions := world.take(person):  # when one kind is used up, the other goes on
        world.say(person, questions[0])
    assert set(overlaps(store).values()) == {1}
