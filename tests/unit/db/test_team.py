"""Answers added up in SQL against the statistics over the answers themselves, whatever happened in between."""

from __future__ import annotations

import random

import numpy as np
import pytest

from db import agreement, tally
from db.errors import NotThere, WrongShape
from db.store import Store
from db.types import NewAdjudication, NewAnswer, NewTriplet, Question
from tests.unit.db.world import World, make_world


def choices(chance: random.Random, question: Question) -> tuple[int, int | None]:
    """Return what somebody may choose who likes the faces that were made first."""
    offered = sorted(question.faces if question.mode == "odd_one_out" else question.faces[1:])
    one = chance.choice(offered[: max(len(offered) // 2, 2)])
    other = chance.choice([face for face in offered if face != one])
    return one, other if question.mode == "grid" else None


def some_history(world: World, *, answers: int, seed: int) -> None:
    """Let people answer, change their minds and leave, in an order drawn from the seed."""
    chance = random.Random(seed)
    known = [person.id for person in world.store.annotators()]
    people = known or [world.person(f"person {n}", role="visitor" if n == 0 else "annotator") for n in range(5)]
    for number in range(answers):
        person = chance.choice(people)
        questions = world.take(person)
        if chance.random() < 0.1 or not questions:
            world.store.undo_answer(world.project.id, person, client_key=f"{seed} undo {number}")
            continue
        choice = chance.choices(["face", "cannot_tell", "bad_picture"], [9, 2, 1])[0]
        face, second = choices(chance, questions[0]) if choice == "face" else (None, None)
        speed = chance.choice([None, 420, 900, 2600, 7300])
        said = NewAnswer(
            questions[0].assignment_id, choice, f"{seed} {number}", face_id=face, second_face_id=second,
            response_ms=speed,
        )  # fmt: skip
        world.store.add_answer(person, said)


def assert_same(store: Store, project_id: int, found: tally.Tally) -> None:
    """Compare the counts with the answers read one by one."""
    ballots = store.read_ballots(project_id)
    expected = {person.annotator: person for person in agreement.people(ballots)}
    people = {person.annotator: person for person in tally.people_of(found)}
    assert set(people) >= set(expected)
    for name, person in expected.items():
        for figure in ("answers", "gold", "consistency", "hasty", "position_p", "cannot_tell", "agreement"):
            assert getattr(people[name], figure) == pytest.approx(getattr(person, figure)), (name, figure)
        if person.median_ms is not None:
            mine = np.sort(
                ballots.response_ms[(ballots.annotator == name) & ballots.firsts & (ballots.response_ms >= 0)]
            )
            low, high = mine[(len(mine) - 1) // 2], mine[len(mine) // 2]  # one value where their number is odd
            assert low - tally.COARSE_MS <= (people[name].median_ms or 0) <= high + tally.COARSE_MS
    _, votes = agreement.votes_by_question(ballots.where(ballots.mode == 0))
    told = tally.agreement_of(found)
    framed, worth = agreement.framed_votes(ballots)
    assert told.framed_alpha == pytest.approx(agreement.krippendorff_alpha(framed, times=worth))
    assert told.framed_strong == pytest.approx(agreement.strong_share(framed, times=worth))
    assert told.alpha == pytest.approx(agreement.krippendorff_alpha(votes))
    assert told.strong == pytest.approx(agreement.strong_share(votes))
    ceiling = agreement.leave_one_out_ceiling(ballots)
    assert (told.ceiling, told.median_person, told.people) == pytest.approx(
        (ceiling["mean"], ceiling["median"], ceiling["people"]) if ceiling else (None, None, 0)
    )
    hardest = agreement.hardest(ballots, count=10_000)
    assert [(hard.triplet_id, hard.votes) for hard in found.hardest] == hardest
    assert sum(count for _, count in tally.hours_of(found)) == tally.answers_of(found)


def test_counting_in_parts_gives_what_the_answers_say(store: Store) -> None:
    world = make_world(store, triplets=30, wanted=4, gold_share=0.2, repeat_share=0.3)
    world.ask_gold(5)
    project = world.project.id
    assert store.tally(project)[0].counts == {("wanted", "train"): 120}
    for seed in range(4):
        some_history(world, answers=60, seed=seed)
        while store.count_answers_on(project, most=17).to_answer_id < (store.last_answer_id(project) if seed else 1):
            if store.engine.dialect.name == "postgresql":  # what is younger than a minute is added up, not kept
                break
        found, behind = store.tally(project)
        assert behind == 0
        assert_same(store, project, found)
    again = tally.Tally.from_json(found.to_answer_id, found.to_json())
    assert (again.counts, again.hardest) == (found.counts, found.hardest)


def test_framed_faces_are_counted_in_parts_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.team.SETTLED_MS", -60_000)
    world = make_world(store, faces=14, triplets=6, wanted=4, repeat_share=0.2)
    nine = [world.faces[start : start + 9] for start in range(5)]
    grids = [NewTriplet((a, b, c), mode="grid", more_faces=tuple(more), wanted=4) for a, b, c, *more in nine]
    gold = [NewTriplet((a, b, c), mode="grid", more_faces=tuple(more), wanted=None, purpose="gold", gold_face_id=b)
            for a, b, c, *more in (world.faces[5:],)]  # fmt: skip
    heads = [NewTriplet((world.faces[n], world.faces[n + 3], world.faces[n + 5]), mode="head_two", wanted=4)
             for n in range(5)]  # fmt: skip
    store.add_triplets(world.project.id, [*grids, *gold, *heads])
    store.update_project(world.project.id, gold_share=0.3)
    for seed in (1, 2):
        some_history(world, answers=90, seed=seed)
        kept = store.count_answers_on(world.project.id, most=60)
        assert_same(store, world.project.id, store.tally(world.project.id)[0])
        while kept.to_answer_id < store.last_answer_id(world.project.id):
            kept = store.count_answers_on(world.project.id, most=60)
        assert_same(store, world.project.id, kept)
    ballots = store.read_ballots(world.project.id)
    assert set(np.unique(ballots.mode)) == {0, 1, 2} and {len(hard.votes) for hard in kept.hardest} == {3, 9}
    assert sum(person.answers for person in agreement.people(ballots)) == ballots.firsts.sum() < len(ballots)
    assert tally.agreement_of(kept).framed_alpha is not None


def test_what_was_kept_is_settled_and_counted_on_from(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.team.SETTLED_MS", -60_000)
    world = make_world(store, triplets=40, wanted=3)
    some_history(world, answers=50, seed=1)
    half = store.count_answers_on(world.project.id, most=20)
    assert 0 < half.to_answer_id < store.last_answer_id(world.project.id)
    _, behind = store.tally(world.project.id, most=5)
    assert behind > 5
    some_history(world, answers=50, seed=2)  # takes back answers that were counted
    assert_same(store, world.project.id, store.tally(world.project.id)[0])
    while half.to_answer_id < store.last_answer_id(world.project.id):
        half = store.count_answers_on(world.project.id, most=30)
    assert_same(store, world.project.id, half)


def test_excluding_and_deleting_count_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.team.SETTLED_MS", -60_000)
    world = make_world(store, triplets=20, wanted=4)
    some_history(world, answers=80, seed=3)
    project, person = world.project.id, store.annotators()[2].id
    before = store.count_answers_on(project)
    store.set_annotator(person, state="excluded")
    after = store.count_answers_on(project)
    assert_same(store, project, after)
    mine = {one.annotator: one for one in tally.people_of(after)}[person]
    assert mine.answers == {one.annotator: one for one in tally.people_of(before)}[person].answers
    assert mine.agreement is None
    store.set_annotator(person, state="active")
    store.delete_annotator(person, manner="removed")
    assert_same(store, project, store.count_answers_on(project))
    store.delete_face(world.faces[0])
    assert_same(store, project, store.tally(project)[0])


def test_speeds_fall_into_the_same_steps_in_sql_and_python(store: Store) -> None:
    world = make_world(store, triplets=30)
    person = world.person("Ada")
    speeds = [0, 49, 50, 599, 600, 4999, 5000, 5499, 5500, 59_999, 60_000, 3_600_000]
    for place, speed in enumerate(speeds):
        question = world.take(person)[0]
        world.store.add_answer(person, NewAnswer(question.assignment_id, "cannot_tell", f"{place}", response_ms=speed))
    found = {int(bucket): count for (_, bucket), count in store.tally(world.project.id)[0].of("speed")}
    expected = np.unique([tally.bucket_of(speed) for speed in speeds], return_counts=True)
    assert found == dict(zip(*(values.tolist() for values in expected), strict=True))


def test_wanted_answers_and_votes_that_are_shared(store: Store) -> None:
    world = make_world(store, triplets=6, wanted=2)
    world.ask_gold(2)
    ada, bob = world.person("Ada"), world.person("Bob")
    for person in (ada, bob):
        for question in world.take(person, 3):
            world.say(person, question)
    assert tally.progress_of(store.count_answers_on(world.project.id)) in ({}, {"train": (6, 12)})  # {}: all is young
    store.add_triplets(world.project.id, [NewTriplet((world.faces[2], world.faces[3], world.faces[4]), wanted=5)])
    assert tally.progress_of(store.tally(world.project.id)[0]) == {"train": (6, 17)}
    votes = store.shared_votes(world.project.id)
    assert len(votes) == 6 and {person for _, person, _ in votes} == {ada, bob}
    assert len(store.shared_votes(world.project.id, most=4)) == 4


def test_what_admins_decide_is_only_added_to(store: Store) -> None:
    world = make_world(store)
    admin = world.person("Eve", role="admin")
    question = world.take(admin)[0]
    face = question.faces[1]
    project = world.project.id
    first = store.add_adjudication(project, admin, NewAdjudication(question.triplet_id, "face", face, "a clear smile"))
    second = store.add_adjudication(project, admin, NewAdjudication(question.triplet_id, "cannot_tell"))
    assert [(row.id, row.choice, row.face_id, row.note) for row in store.adjudications(project)] == [
        (first, "face", face, "a clear smile"), (second, "cannot_tell", None, None),
    ]  # fmt: skip
    with pytest.raises(WrongShape):
        store.add_adjudication(project, admin, NewAdjudication(question.triplet_id, "face", 99_999))
    with pytest.raises(NotThere):
        store.add_adjudication(project, admin, NewAdjudication(99_999, "cannot_tell"))
    store.delete_annotator(admin, manner="removed")
    assert [row.annotator_id for row in store.adjudications(project)] == [None, None]
    assert store.decided(project)[question.triplet_id].choice == "cannot_tell"
    assert store.decided(project, up_to=first)[question.triplet_id].face_id == face
    three = store.triplets_by_id([question.triplet_id])[question.triplet_id]
    assert three.faces == question.faces and three.purpose == "train"


def test_a_project_can_be_changed_but_not_what_its_answers_mean(store: Store) -> None:
    world = make_world(store)
    changed = store.update_project(world.project.id, question="Which smiles most?", gold_share=0.1, state="paused")
    assert (changed.question, changed.gold_share, changed.state) == ("Which smiles most?", 0.1, "paused")
    with pytest.raises(WrongShape):
        store.update_project(world.project.id, backend="other@1")
    with pytest.raises(NotThere):
        store.update_project(99, state="open")
