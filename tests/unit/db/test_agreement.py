"""Statistics of answers against cases whose result is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from db import agreement
from db.ballots import Ballots


def ballots(rows: list[tuple[int, int, int]], **columns: list[int]) -> Ballots:
    """Make answers from (question, person, odd)."""
    count = len(rows)
    table = np.array(rows, np.int64).reshape(count, 3)
    zeros = np.zeros(count, np.int64)
    given = {name: np.array(values, np.int64) for name, values in columns.items()}
    base = {
        "answer": np.arange(count), "triplet": table[:, 0], "annotator": table[:, 1], "odd": table[:, 2],
        "gold": zeros, "position": zeros, "purpose": zeros, "pass_number": zeros, "kind": zeros,
        "response_ms": zeros - 1, "created_ms": zeros, "mode": zeros, "faces": np.zeros((count, 3), np.int64),
    }  # fmt: skip
    return Ballots(**(base | given))


def test_alpha_of_the_published_example() -> None:
    """Krippendorff 2011, section C: twelve units, up to four observers, five values: nominal alpha 0.743."""
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    votes = np.zeros((12, 5))
    for row in observers:
        for unit, value in enumerate(row):
            if value is not None:
                votes[unit, value - 1] += 1
    assert agreement.krippendorff_alpha(votes) == pytest.approx(0.743, abs=5e-4)


def test_alpha_is_one_for_agreement_and_near_zero_for_chance() -> None:
    same = np.zeros((30, 3))
    same[np.arange(30), np.arange(30) % 3] = 4
    assert agreement.krippendorff_alpha(same) == pytest.approx(1.0)
    chance = np.random.default_rng(0).multinomial(6, [1 / 3] * 3, size=3000).astype(float)
    assert agreement.krippendorff_alpha(chance) == pytest.approx(0.0, abs=0.02)
    assert agreement.krippendorff_alpha(np.eye(3)) is None


@given(some.lists(some.tuples(some.integers(0, 5), some.integers(0, 5), some.integers(0, 5)), min_size=1, max_size=20))
def test_alpha_does_not_care_what_the_choices_are_called(rows: list[tuple[int, int, int]]) -> None:
    votes = np.array(rows, float)
    one, other = agreement.krippendorff_alpha(votes), agreement.krippendorff_alpha(votes[:, ::-1])
    assert one == other or (one is not None and other == pytest.approx(one))
    assert one is None or one <= 1 + 1e-9


def test_strong_agreement_needs_two_thirds() -> None:
    votes = np.array([[4, 1, 1], [3, 2, 1], [2, 0, 0], [6, 0, 0]], float)
    assert agreement.strong_share(votes) == pytest.approx(2 / 3)


def test_the_ceiling_compares_with_all_others_and_splits_ties() -> None:
    said = ballots([(1, 1, 1), (1, 2, 1), (1, 3, 2), (2, 1, 3), (2, 2, 3)])
    ceiling = agreement.leave_one_out_ceiling(said)
    # question 1: persons 1 and 2 each see a tie of 1 and 2 among the others: 1/2; person 3 sees 1, 1: 0.
    assert ceiling is not None
    assert ceiling["mean"] == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert ceiling["people"] == 3
    assert agreement.leave_one_out_ceiling(ballots([(1, 1, 1)])) is None


def test_dawid_and_skene_find_who_guesses() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for question in range(200):
        truth = int(rng.integers(1, 4))
        for person, skill in enumerate((0.95, 0.9, 0.85, 0.34)):
            said = truth if rng.random() < skill else int(rng.choice([one for one in (1, 2, 3) if one != truth]))
            rows.append((question, person, said))
    reliability = agreement.dawid_skene(ballots(rows))
    for person, skill in enumerate((0.95, 0.9, 0.85, 0.34)):
        assert reliability[person] == pytest.approx(skill, abs=0.07)
    assert agreement.dawid_skene(ballots([(1, 1, 1)])) == {}


def test_a_person_is_described_by_all_they_did() -> None:
    rows = [(question, 1, 1) for question in range(20)] + [(0, 1, 2), (1, 1, 1), (30, 1, 0)]
    said = ballots(
        rows,
        gold=[1] * 10 + [0] * 13, purpose=[2] * 8 + [0] * 15, pass_number=[0] * 20 + [1, 1, 0],
        position=[1] * 20 + [2, 1, 0], response_ms=[500] * 5 + [1000] * 15 + [-1] * 3,
    )  # fmt: skip
    person = agreement.people(said)[0]
    assert (person.answers, person.gold, person.consistency) == (23, 1.0, 0.5)
    assert person.median_ms == 1000 and person.hasty == pytest.approx(0.25)
    assert person.position_p is not None and person.position_p < 1e-6
    assert person.cannot_tell == pytest.approx(1 / 23)
    assert person.agreement is None


def nine(rows: list[tuple[int, int, tuple[int, int]]], **columns: list[int]) -> Ballots:
    """Make answers to nine faces from (question, person, the two places chosen)."""
    derived: dict[str, list[int]] = {name: [] for name in ("answer", "triplet", "annotator", "odd", "position")}
    for answer, (question, person, chosen) in enumerate(rows):
        for one in chosen:
            for other in (place for place in range(2, 10) if place not in chosen):
                derived["answer"].append(answer)
                derived["triplet"].append(-(question * 100 + (min(one, other) - 1) * 10 + max(one, other) - 1))
                derived["annotator"].append(person)
                derived["odd"].append(3 if one < other else 2)
                derived["position"].append(one)
    said = ballots([(0, 0, 0)] * len(derived["answer"]), **derived, mode=[2] * len(derived["answer"]))
    return said


def test_an_answer_to_nine_faces_counts_once_and_agrees_by_its_comparisons() -> None:
    alike = nine([(1, 1, (2, 3)), (1, 2, (2, 3)), (2, 1, (5, 9)), (2, 2, (5, 9))])
    votes, worth = agreement.framed_votes(alike)
    assert agreement.krippendorff_alpha(votes, times=worth) == pytest.approx(1.0)
    assert [person.answers for person in agreement.people(alike)] == [2, 2]
    apart = nine([(1, 1, (2, 3)), (1, 2, (4, 5)), (1, 3, (2, 4))])
    assert agreement.hardest(apart) == [(1, (0, 2, 1, 2, 1, 0, 0, 0, 0))]
    votes, worth = agreement.framed_votes(apart)
    assert worth.sum() == pytest.approx(len(votes) / 12)
    rng = np.random.default_rng(0)
    guessed = [(question, person, tuple(rng.choice(np.arange(2, 10), 2, replace=False).tolist()))
               for question in range(60) for person in range(5)]  # fmt: skip
    votes, worth = agreement.framed_votes(nine(guessed))  # type: ignore[arg-type]
    assert agreement.krippendorff_alpha(votes, times=worth) == pytest.approx(0, abs=0.05)
    people = agreement.people(nine(guessed))  # type: ignore[arg-type]
    assert all(person.position_p is not None and person.position_p > 1e-3 for person in people)
    left = agreement.people(nine([(question, 1, (2, 4)) for question in range(20)]))[0]
    assert left.position_p is not None and left.position_p < 1e-6


def test_two_faces_stand_in_two_places() -> None:
    even = ballots([(n, 1, 2 + n % 2) for n in range(40)], mode=[1] * 40, position=[2 + n % 2 for n in range(40)])
    assert agreement.people(even)[0].position_p == pytest.approx(1.0)


def test_the_hardest_questions_come_first() -> None:
    rows = [(7, person, person % 3 + 1) for person in range(6)] + [(8, person, 1) for person in range(6)]
    assert agreement.hardest(ballots(rows)) == [(7, (2, 2, 2)), (8, (6, 0, 0))]
