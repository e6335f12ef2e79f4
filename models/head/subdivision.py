"""One step of Loop's subdivision as a sparse matrix: the same numbers serve positions, displacements, colours and maps.

Loop (1987), with the crease rules of Hoppe et al. (1994, section 3) along given edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix


@dataclass(frozen=True, eq=False)
class Subdivision:
    """Weights (fine, coarse) and the fine triangles; the coarse vertices keep their numbers."""

    weights: csr_matrix
    triangles: NDArray[np.int32]
    edges: NDArray[np.int64]
    """(e, 2) the coarse edge each new vertex lies on"""


def subdivide(triangles: NDArray[np.int32], creases: NDArray[np.int32], *, vertices: int) -> Subdivision:
    """Split each triangle in four; every edge must belong to two triangles, and creases must form closed loops."""
    directed = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    edges, number = np.unique(np.sort(directed, axis=1), axis=0, return_inverse=True)
    number = number.reshape(-1)
    opposite = np.concatenate([triangles[:, 2], triangles[:, 0], triangles[:, 1]])
    count = len(edges)
    if len(directed) != 2 * count:
        raise ValueError("the coarse mesh is not closed: an edge does not belong to two triangles")
    sharp = _is_crease(edges, creases, vertices)
    middle = number.reshape(3, -1).T + vertices  # (t, 3) new vertex on each side
    a, b, c = triangles.T
    ab, bc, ca = middle.T
    fine = np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    odd = _odd_rows(edges, number, opposite, sharp, vertices)
    even = _even_rows(edges, sharp, vertices)
    rows, columns, values = (np.concatenate(pair) for pair in zip(even, odd, strict=True))
    weights = csr_matrix((values, (rows, columns)), shape=(vertices + count, vertices))
    return Subdivision(weights, fine.astype(np.int32), edges)


def _is_crease(edges: NDArray[np.int64], creases: NDArray[np.int32], vertices: int) -> NDArray[np.bool_]:
    low, high = np.sort(creases.reshape(-1, 2), axis=1).astype(np.int64).T
    return np.isin(edges[:, 0].astype(np.int64) * vertices + edges[:, 1], low * vertices + high)


def _odd_rows(
    edges: NDArray[np.int64],
    number: NDArray[np.int64],
    opposite: NDArray[np.int32],
    sharp: NDArray[np.bool_],
    vertices: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """New vertices: 3/8 of each end and 1/8 of the two corners opposite, or the middle of a crease."""
    count = len(edges)
    rows = np.concatenate([np.arange(count), np.arange(count), number])
    columns = np.concatenate([edges[:, 0], edges[:, 1], opposite])
    ends = np.where(sharp, 0.5, 0.375)
    values = np.concatenate([ends, ends, np.where(sharp[number], 0.0, 0.125)])
    return rows + vertices, columns, values


def _even_rows(
    edges: NDArray[np.int64], sharp: NDArray[np.bool_], vertices: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Old vertices: pulled towards their neighbours, or along their crease."""
    valence = np.bincount(edges.reshape(-1), minlength=vertices)
    creased = np.bincount(edges[sharp].reshape(-1), minlength=vertices) == 2
    pull = np.where(valence == 3, 3 / 16, 3 / (8 * np.maximum(valence, 1)))
    own = np.where(creased, 0.75, 1 - valence * pull)
    start, end = np.concatenate([edges, edges[:, ::-1]]).T
    along = np.concatenate([sharp, sharp])
    each = np.where(creased[start], np.where(along, 0.125, 0.0), pull[start])
    everyone = np.arange(vertices)
    return np.concatenate([everyone, start]), np.concatenate([everyone, end]), np.concatenate([own, each])
