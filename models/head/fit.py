"""Lay the open head over landmarks: pose and camera by turns with a regularised least-squares shape.

In the manner of Blanz and Vetter (1999): every coefficient has a normal prior, the expression's centred on the
blendshapes that the landmark network read. The camera has no perspective.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import BadInput
from models.head.head import Head
from models.head.parameters import TO_PICTURE, HeadParameters
from models.types import LANDMARKS, Points

Floats = NDArray[np.float64]

DEPTH_WEIGHT = 0.05
"""Of an error in depth against one in the picture: the landmarks' depth is itself a guess."""
NOISE = 0.0006
"""Metres by which landmarks may be off, all 478 together as if they were 478 / CORRELATED points."""
LOOSENESS = 0.03
"""Standard deviation of an expression coefficient about the blendshape read."""
ROUNDS = 5
SWEEPS = 12


@dataclass(frozen=True, eq=False)
class Priors:
    """How sure each thing is before the points are looked at."""

    noise: float = NOISE
    looseness: float = LOOSENESS
    depth_weight: float = DEPTH_WEIGHT


class HeadFit:
    """Fits one head model; holds products of its basis and nothing else."""

    def __init__(self, head: Head, priors: Priors | None = None) -> None:
        self.head, self.priors = head, priors or Priors()
        at = head.landmark_vertices
        self._neutral = head.neutral[at].astype(np.float64)  # (478, 3)
        basis = np.concatenate([head.identity[:, at], head.expression[:, at]]).astype(np.float64)
        self._basis = np.ascontiguousarray(basis.transpose(2, 0, 1))  # (3, K + 52, 478)
        self._gram = np.einsum("jap,kbp->jkab", self._basis, self._basis)  # (3, 3, K + 52, K + 52)
        self._identities = len(head.identity)

    def __call__(self, landmarks: Points, blendshapes: NDArray[np.float32]) -> HeadParameters:
        """Fit (478, 3) landmarks in pixels, starting from (52,) blendshapes; raises BadInput for other shapes."""
        count = self._basis.shape[1]
        if landmarks.shape != (LANDMARKS, 3) or blendshapes.shape != (count - self._identities,):
            raise BadInput(
                f"expected (478, 3) landmarks and (52,) blendshapes, got {landmarks.shape}, {blendshapes.shape}"
            )
        seen = landmarks.astype(np.float64) * TO_PICTURE
        centre = np.concatenate([np.zeros(self._identities), blendshapes.astype(np.float64)])
        found = centre.copy()
        for _ in range(ROUNDS):
            rotation, scale, shift = similarity(self._shape(found), seen)
            local = (seen - shift) @ rotation / scale - self._neutral  # (478, 3) displacements in the head's axes
            found = self._solve(local, rotation, centre, start=found)
        rotation, scale, shift = similarity(self._shape(found), seen)
        return HeadParameters(
            rotation=rotation.astype(np.float32),
            scale=scale,
            shift=np.array([shift[0], -shift[1]], np.float32),
            identity=found[: self._identities].astype(np.float32),
            expression=found[self._identities :].astype(np.float32),
        )

    def _shape(self, coefficients: Floats) -> Floats:
        return self._neutral + np.einsum("k,jkp->pj", coefficients, self._basis)

    def _solve(self, local: Floats, rotation: Floats, centre: Floats, *, start: Floats) -> Floats:
        """Minimise the points' errors and the distance from `centre`, with expressions kept in [0, 1]."""
        weight = rotation.T @ np.diag([1.0, 1.0, self.priors.depth_weight]) @ rotation
        precision = np.full(len(centre), self.priors.noise**2 * LANDMARKS / CORRELATED)
        precision[self._identities :] /= self.priors.looseness**2
        system = np.einsum("jk,jkab->ab", weight, self._gram)
        system[np.diag_indices_from(system)] += precision
        wanted = np.einsum("jap,pj->a", self._basis, local @ weight) + precision * centre
        return _within(system, wanted, start, first=self._identities)


CORRELATED = 20
"""Neighbouring landmarks err alike: about so many of them say something of their own."""


def _within(system: Floats, wanted: Floats, start: Floats, *, first: int) -> Floats:
    """Solve a positive definite system with the values from `first` on kept in [0, 1]: an active-set iteration."""
    low, high = np.full(len(wanted), -np.inf), np.full(len(wanted), np.inf)
    low[first:], high[first:] = 0.0, 1.0
    fixed = np.zeros(len(wanted), bool)
    values = start.copy()
    for _ in range(SWEEPS):
        free = ~fixed
        right = wanted[free] - system[np.ix_(free, fixed)] @ values[fixed]
        values[free] = np.linalg.solve(system[np.ix_(free, free)], right)
        outside = free & ((values < low) | (values > high))
        values = np.clip(values, low, high)
        slope = system @ values - wanted
        freed = fixed & (((values <= low) & (slope < -1e-12)) | ((values >= high) & (slope > 1e-12)))
        if not outside.any() and not freed.any():
            break
        fixed = (fixed | outside) & ~freed
    return values


def similarity(source: Floats, target: Floats) -> tuple[Floats, float, Floats]:
    """Rotation, scale and shift that lay `source` (n, 3) over `target` (n, 3) (Umeyama 1991, without reflection)."""
    source_mean, target_mean = source.mean(0), target.mean(0)
    centred, goal = source - source_mean, target - target_mean
    left, singular, right = np.linalg.svd(goal.T @ centred)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * signs) @ right
    scale = float((singular * signs).sum() / (centred**2).sum())
    return rotation, scale, target_mean - scale * rotation @ source_mean
