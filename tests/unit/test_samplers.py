"""Samplers draw what they promise."""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np
import pytest

from models.triplets import odd_one_out_chances
from studio.services.samplers import (
    Pool,
    active_triplets,
    kind_of,
    nearest_triplets,
    obvious_triplets,
    random_triplets,
)


@pytest.fixture
def pool() -> Pool:
    rng = np.random.default_rng(1)
    centres = np.eye(4, 8) * 3
    classes = np.arange(60) % 4
    vectors = (centres[classes] + rng.normal(0, 0.3, (60, 8))).astype(np.float32)
    return Pool(np.arange(100, 160), vectors, classes.astype(np.int64))


def kinds(pool: Pool, triplets: list) -> Counter[str]:  # type: ignore[type-arg]
    place = {int(face_id): index for index, face_id in enumerate(pool.ids)}
    for triplet in triplets:
        assert triplet.kind == kind_of([int(pool.classes[place[face]]) for face in triplet.faces])
    return Counter(triplet.kind for triplet in triplets)


def test_random_triplets_come_in_equal_thirds_and_never_twice(pool: Pool) -> None:
    triplets = random_triplets(pool, 300, rng=np.random.default_rng(0))
    assert len({tuple(sorted(triplet.faces)) for triplet in triplets}) == 300
    assert all(len(set(triplet.faces)) == 3 for triplet in triplets)
    assert all(90 <= count <= 110 for count in kinds(pool, triplets).values())


def test_few_faces_give_as_many_triplets_as_there_are(pool: Pool) -> None:
    few = pool.only({100, 101, 102, 103})
    assert len(random_triplets(few, 50, rng=np.random.default_rng(0))) == 4


def test_neighbours_are_near(pool: Pool) -> None:
    counted = kinds(pool, nearest_triplets(pool, 100, rng=np.random.default_rng(0)))
    assert counted["one_class"] > 80


def test_what_nobody_should_miss_is_what_the_vectors_say(pool: Pool) -> None:
    clear = obvious_triplets(pool, 10, rng=np.random.default_rng(0))
    assert len(clear) == 10
    for triplet in clear:
        assert triplet.gold_face_id == triplet.faces[2] and triplet.kind == "two_class" and triplet.wanted is None


def test_chances_are_shares_and_follow_the_distances() -> None:
    vectors = np.array([[0, 0], [0.1, 0], [3, 0]], np.float32)
    chances = odd_one_out_chances(vectors, np.array([[0, 1, 2], [2, 0, 1]]), temperature=1.0)
    np.testing.assert_allclose(chances.sum(1), 1)
    assert chances.argmax(1).tolist() == [2, 0]
    np.testing.assert_allclose(chances[0], chances[1][[1, 2, 0]])


def test_active_triplets_are_where_heads_disagree_and_no_face_is_overused(pool: Pool) -> None:
    rng = np.random.default_rng(0)
    heads = [partial(np.multiply, np.exp(rng.normal(0, 0.5, 8)).astype(np.float32)) for _ in range(6)]
    chosen = active_triplets(pool, 40, heads=heads, temperature=1.0, rng=rng, cap=4)
    used = Counter(face for triplet in chosen for face in triplet.faces)
    assert max(used.values()) <= 4
    others = random_triplets(pool, 200, rng=rng)
    place = {int(face_id): index for index, face_id in enumerate(pool.ids)}

    def disagreement(triplets: list) -> float:  # type: ignore[type-arg]
        places = np.array([[place[face] for face in triplet.faces] for triplet in triplets])
        said = np.stack([odd_one_out_chances(head(pool.vectors), places, temperature=1.0) for head in heads])
        return float(said.var(0).sum(1).mean())

    assert disagreement(chosen) > 2 * disagreement(others)
    assert all(triplet.score is not None and triplet.score >= 0 for triplet in chosen)
    same = [heads[0], heads[0]]
    assert all(t.score == pytest.approx(0) for t in active_triplets(pool, 5, heads=same, temperature=1.0, rng=rng))
