"""Compare expression vectors: distances, the odd one out, and how far apart is far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import BadInput
from models.types import Expression

FEWEST, MOST = 2, 9
CLOSE_CALL = 0.05
"""An odd one out that leads by less than this share of the mean distance is called a close call."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Distances between two to nine expressions."""

    distances: NDArray[np.float32]
    """(n, n) Euclidean, 0 the same .. 2 opposite."""
    odd: int | None
    """Index of the face furthest from the others; None for two faces."""
    lead: float
    """By how much its mean distance exceeds the next one's, as a share of the mean distance."""
    closest: tuple[int, int]
    """The pair that is most alike."""

    @property
    def is_close_call(self) -> bool:
        """Whether another face is nearly as odd."""
        return self.lead < CLOSE_CALL


@dataclass(frozen=True)
class Neighbour:
    """A gallery face near a vector."""

    face_id: int
    distance: float
    closer_than: float
    """Share of the gallery's faces that are further away, 0..1."""


def distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the Euclidean distance of two unit vectors, 0..2."""
    return float(np.linalg.norm(one.astype(np.float64) - other.astype(np.float64)))


def compare(expressions: Sequence[Expression]) -> Comparison:
    """Compare the expressions pairwise; raises BadInput for fewer than 2, more than 9, or mixed networks."""
    if not FEWEST <= len(expressions) <= MOST:
        raise BadInput(f"{len(expressions)} faces cannot be compared; give {FEWEST} to {MOST}.")
    if len({expression.backend for expression in expressions}) > 1:
        raise BadInput(
            "These faces were read by different networks, whose vectors cannot be compared. Read them again."
        )
    vectors = np.stack([expression.vector for expression in expressions]).astype(np.float64)  # (n, 64)
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)  # (n, n)
    upper = np.triu_indices(len(vectors), k=1)
    nearest = int(np.argmin(distances[upper]))
    closest = (int(upper[0][nearest]), int(upper[1][nearest]))
    odd, lead = _odd_one(distances)
    return Comparison(distances.astype(np.float32), odd, lead, closest)


def _odd_one(distances: NDArray[np.float64]) -> tuple[int | None, float]:
    """For three faces this is the one left over by the closest pair, as in FECNet's triplets."""
    count = len(distances)
    if count < 3:
        return None, 0.0
    mean_to_others = distances.sum(axis=1) / (count - 1)
    second, first = np.argsort(mean_to_others)[-2:]
    overall = float(mean_to_others.mean())
    lead = float(mean_to_others[first] - mean_to_others[second]) / overall if overall > 0 else 0.0
    return int(first), lead


def nearest(
    vector: NDArray[np.float32], ids: Sequence[int], matrix: NDArray[np.float32], *, most: int = 6
) -> list[Neighbour]:
    """Return the gallery faces nearest to a vector; `matrix` is (faces, 64) in the order of `ids`."""
    if not len(ids):
        return []
    distances = np.linalg.norm(matrix.astype(np.float64) - vector.astype(np.float64), axis=1)
    order = np.argsort(distances, kind="stable")
    share = [1.0 - (position + 1) / len(ids) for position in range(len(ids))]
    return [Neighbour(int(ids[row]), float(distances[row]), share[place]) for place, row in enumerate(order[:most])]


def likeness(value: float, reference: NDArray[np.float32] | None) -> str:
    """Say in words what a distance means; `reference` are sorted distances between gallery faces."""
    if reference is None or len(reference) < 30:
        return f"distance {value:.2f} (0 the same, 2 opposite)"
    share = float(np.searchsorted(reference, value)) / len(reference)
    side, part = ("more", 1 - share) if share < 0.5 else ("less", share)
    pairs = "nearly all pairs" if part > 0.99 else f"{part * 100:.0f} % of pairs"
    return f"distance {value:.2f}: {side} alike than {pairs} in the gallery"
