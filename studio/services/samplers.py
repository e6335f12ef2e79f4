"""Which three faces to ask about: stratified random, near neighbours, or where an ensemble of heads disagrees.

The default is random: in simulation, margin-based selection was no better (`mien simulate --samplers`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from db.types import FaceRow, NewTriplet
from models.triplets import odd_one_out_chances

Vectors = NDArray[np.float32]
KINDS = ("one_class", "two_class", "three_class")
CLUSTERS = 8
TRIES = 60
GRID_FACES, NEAR = 9, 24


@dataclass(frozen=True, eq=False)
class Pool:
    """Faces to draw from: ids, vectors (faces, dimension) and a class per face."""

    ids: NDArray[np.int64]
    vectors: Vectors
    classes: NDArray[np.int64]

    def only(self, face_ids: set[int]) -> Pool:
        """Return the pool of these faces alone."""
        keep = np.isin(self.ids, list(face_ids))
        return Pool(self.ids[keep], self.vectors[keep], self.classes[keep])


def make_pool(faces: Sequence[FaceRow], ids: Sequence[int], vectors: Vectors, *, seed: int = 0) -> Pool:
    """Pair faces with vectors; a face's class is its tag `emotion`, or a cluster of the vectors where tags are few."""
    rows = {face.id: face for face in faces}
    keep = [index for index, face_id in enumerate(ids) if face_id in rows]
    ids_kept, kept = np.array([ids[index] for index in keep], np.int64), vectors[keep]
    words = [rows[int(face_id)].tags.get("emotion") for face_id in ids_kept]
    if len(words) and sum(word is not None for word in words) > 0.9 * len(words) and len(set(words)) > 2:
        names = sorted({word or "" for word in words})
        return Pool(ids_kept, kept, np.array([names.index(word or "") for word in words], np.int64))
    count = min(CLUSTERS, max(len(kept) // 6, 1))
    from sklearn.cluster import KMeans  # noqa: PLC0415 - a second to load, only when triplets are drawn

    labels = KMeans(count, n_init=3, random_state=seed).fit_predict(kept) if len(kept) >= 3 else np.zeros(len(kept))
    return Pool(ids_kept, kept, labels.astype(np.int64))


def kind_of(classes: Sequence[int]) -> str:
    """Return one_class, two_class or three_class for the classes of three faces."""
    return KINDS[len(set(classes)) - 1]


def random_triplets(pool: Pool, count: int, *, rng: np.random.Generator) -> list[NewTriplet]:
    """Draw triplets, a third of each kind as far as the classes allow; no three faces twice."""
    groups = {int(name): np.flatnonzero(pool.classes == name) for name in np.unique(pool.classes)}
    seen: set[tuple[int, ...]] = set()
    drawn: list[NewTriplet] = []
    for number in range(count * 4):
        if len(drawn) == count:
            break
        three = _draw(groups, KINDS[number % 3], rng)
        if three is not None and tuple(sorted(three)) not in seen:
            seen.add(tuple(sorted(three)))
            drawn.append(_triplet(pool, three, sampler="random"))
    return drawn


def nearest_triplets(pool: Pool, count: int, *, rng: np.random.Generator, neighbours: int = 12) -> list[NewTriplet]:
    """Ask about a face and two of its near neighbours: fine distinctions."""
    squared = squared_distances(pool.vectors)
    near = np.argsort(squared, axis=1)[:, 1 : neighbours + 1]
    drawn = []
    for _ in range(count):
        head = int(rng.integers(len(pool.ids)))
        second, third = rng.choice(near[head], 2, replace=False)
        drawn.append(_triplet(pool, (head, int(second), int(third)), sampler="nearest"))
    return drawn


def active_triplets(
    pool: Pool,
    count: int,
    *,
    heads: Sequence[Callable[[Vectors], Vectors]],
    temperature: float,
    rng: np.random.Generator,
    cap: int = 6,
) -> list[NewTriplet]:
    """Ask where bootstrapped heads disagree: BALD, spread over faces and over disagreements.

    A head maps vectors (faces, dimension) to moved ones.

    `cap` is the number of questions one face may appear in. The score is the mutual information in nats.
    """
    candidates = random_triplets(pool, min(count * 20, 6000), rng=rng)
    index = {int(face_id): place for place, face_id in enumerate(pool.ids)}
    places = np.array([[index[face] for face in triplet.faces] for triplet in candidates])
    chances = np.stack([odd_one_out_chances(head(pool.vectors), places, temperature=temperature) for head in heads])
    mean = chances.mean(0)
    information = _entropy(mean) - _entropy(chances).mean(0)
    used: Counter[int] = Counter()
    chosen: list[NewTriplet] = []
    patterns = (chances - mean).transpose(1, 0, 2).reshape(len(candidates), -1)
    patterns /= np.linalg.norm(patterns, axis=1, keepdims=True) + 1e-9
    worth = information.copy()
    while len(chosen) < min(count, len(candidates)) and np.isfinite(worth).any():
        best = int(np.argmax(worth))
        triplet = candidates[best]
        worth_now, worth[best] = float(information[best]), -np.inf
        if any(used[face] >= cap for face in triplet.faces):
            continue
        used.update(triplet.faces)
        chosen.append(replace(triplet, sampler="active", score=worth_now))
        worth *= 1 - 0.1 * np.abs(patterns @ patterns[best])  # what this answer will tell already
    return chosen


def obvious_triplets(pool: Pool, count: int, *, rng: np.random.Generator, margin: float = 2.0) -> list[NewTriplet]:
    """Return triplets nobody should miss: two faces of one class near each other, the third of another far from both.

    Used for gold and qualification; the odd face is `gold_face_id`. `margin` is how many times farther it must be.
    """
    squared = squared_distances(pool.vectors)
    found: list[tuple[float, tuple[int, int, int]]] = []
    for first in range(len(pool.ids)):
        alike = np.flatnonzero((pool.classes == pool.classes[first]) & (np.arange(len(pool.ids)) > first))
        other = np.flatnonzero(pool.classes != pool.classes[first])
        if not len(alike) or not len(other):
            continue
        second = int(alike[np.argmin(squared[first, alike])])
        gap = np.minimum(squared[first, other], squared[second, other])
        far = other[np.argsort(gap)[-max(len(other) // 5, 1) :]]
        odd = int(rng.choice(far))
        ratio = min(squared[first, odd], squared[second, odd]) / max(float(squared[first, second]), 1e-6)
        found.append((float(ratio), (first, second, odd)))
    clear = sorted((item for item in found if item[0] >= margin**2), reverse=True)[:count]
    return [
        replace(
            _triplet(pool, three, sampler="obvious"), gold_face_id=int(pool.ids[three[2]]), score=ratio, wanted=None
        )
        for ratio, three in clear
    ]


def grids(pool: Pool, count: int, *, rng: np.random.Generator) -> list[NewTriplet]:
    """Draw questions with nine faces: a head, four of its near ones and four from anywhere, so that there is a choice.

    Raises ValueError when there are fewer than nine faces.
    """
    if len(pool.ids) < GRID_FACES:
        raise ValueError(f"nine faces are compared at once, there are {len(pool.ids)}")
    near = np.argsort(squared_distances(pool.vectors), axis=1)[:, 1 : NEAR + 1]
    drawn = []
    for _ in range(count):
        head = int(rng.integers(len(pool.ids)))
        close = rng.choice(near[head], 4, replace=False)
        others = np.setdiff1d(np.arange(len(pool.ids)), [head, *close])
        drawn.append(_grid(pool, [head, *close, *rng.choice(others, 4, replace=False)]))
    return drawn


def obvious_grids(pool: Pool, count: int, *, rng: np.random.Generator) -> list[NewTriplet]:
    """Return questions with nine faces of which one is surely among the two most like the head; used for gold."""
    squared = squared_distances(pool.vectors)
    found: list[NewTriplet] = []
    for triplet in obvious_triplets(pool, count, rng=rng):
        head, near, _ = (int(np.flatnonzero(pool.ids == face)[0]) for face in triplet.faces)
        far = np.flatnonzero(pool.classes != pool.classes[head])
        far = far[np.argsort(squared[head, far])[-max(len(far) * 2 // 3, GRID_FACES - 2) :]]
        if len(far) >= GRID_FACES - 2:
            grid = _grid(pool, [head, near, *rng.choice(far, GRID_FACES - 2, replace=False)])
            found.append(
                replace(grid, sampler="obvious", score=triplet.score, gold_face_id=triplet.faces[1], wanted=None)
            )
    return found


def as_heads(triplets: Sequence[NewTriplet]) -> list[NewTriplet]:
    """Return the questions with their first face as the head; of gold, the face that is surely like it is expected."""
    return [
        replace(one, mode="head_two", gold_face_id=one.faces[1] if one.gold_face_id is not None else None)
        for one in triplets
    ]


def squared_distances(vectors: Vectors) -> Vectors:
    """Return (n, n) squared Euclidean distances."""
    norms = (vectors**2).sum(1)
    squared: Vectors = np.maximum(norms[:, None] + norms[None] - 2 * vectors @ vectors.T, 0)
    return squared


SAMPLERS: dict[str, Callable[..., list[NewTriplet]]] = {
    "random": random_triplets,
    "nearest": nearest_triplets,
    "active": active_triplets,
}


def _draw(groups: dict[int, NDArray[np.int64]], kind: str, rng: np.random.Generator) -> tuple[int, int, int] | None:
    names = list(groups)
    for _ in range(TRIES):
        if kind == "one_class":
            chosen = [rng.choice(names)] * 3
        elif kind == "two_class":
            pair, single = rng.choice(names, 2, replace=False) if len(names) > 1 else (names[0], names[0])
            chosen = [pair, pair, single]
        else:
            chosen = list(rng.choice(names, min(3, len(names)), replace=False))
        if len(chosen) < 3:
            return None
        three = [int(rng.choice(groups[int(name)])) for name in chosen]
        if len(set(three)) == 3:
            return three[0], three[1], three[2]
    return None


def _triplet(pool: Pool, places: tuple[int, int, int], *, sampler: str) -> NewTriplet:
    first, second, third = (int(pool.ids[place]) for place in places)
    kind = kind_of([int(pool.classes[place]) for place in places])
    return NewTriplet((first, second, third), kind=kind, sampler=sampler)


def _grid(pool: Pool, places: Sequence[int]) -> NewTriplet:
    faces = [int(pool.ids[place]) for place in places]
    return NewTriplet((faces[0], faces[1], faces[2]), mode="grid", more_faces=tuple(faces[3:]))


def _entropy(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    entropy: NDArray[np.float64] = -(chances * np.log(np.maximum(chances, 1e-12))).sum(-1)
    return entropy
