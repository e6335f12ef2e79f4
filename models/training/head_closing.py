"""Close the face into a head: skull and neck behind it, a mouth cavity, and pockets for the eyes.

Every added vertex is told how it follows the landmarks: a row of weights for expressions, one for identities, and how
far it is fixed to the lower jaw. All lengths are in the face units of face_shapes (63 mm are about 1.2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.sparse import csr_matrix, identity
from scipy.sparse.linalg import spsolve

from models.training.face_shapes import BROW_TOP, CHIN, FACE_OVAL
from models.training.head_topology import (
    INNER_LIPS,
    LID_LEFT,
    LID_RIGHT,
    SURFACE_POINTS,
    Part,
    cap,
    oriented,
    strip,
)

LANDMARKS = 478
LOOPS = 13
RELAXED_LOOPS = 5
"""Loops behind the face's outline that are laid smoothly between face and skull."""
BACK_PROFILE = np.array(
    [  # share of the way, y (down), z (away) along the middle of crown, occiput and nape
        (0.12, -0.42, 0.26),
        (0.25, -0.74, 0.85),
        (0.40, -0.86, 1.75),
        (0.55, -0.40, 2.80),
        (0.67, 0.55, 3.38),
        (0.77, 1.65, 3.32),
        (0.86, 2.50, 2.92),
        (0.93, 3.30, 2.80),
        (1.00, 4.60, 2.95),
    ]
)
"""y counts from the top of the forehead."""
FRONT_PROFILE = np.array(
    [  # the same along the middle of the under-chin and the throat; y counts from the chin
        (0.12, 0.12, 0.22),
        (0.30, 0.20, 0.55),
        (0.50, 0.27, 0.90),
        (0.67, 0.42, 1.10),
        (0.80, 0.75, 1.16),
        (1.00, 1.45, 1.10),
    ]
)
HALF_WIDTH = np.array(
    [
        (0.0, 1.34),
        (0.2, 1.44),
        (0.4, 1.53),
        (0.55, 1.52),
        (0.67, 1.38),
        (0.77, 1.20),
        (0.86, 1.06),
        (0.93, 1.04),
        (1, 1.2),
    ]
)


@dataclass
class Closing:
    """The base mesh as it grows: positions, triangles, and how each added vertex follows the landmarks."""

    neutral: np.ndarray
    triangles: list[np.ndarray]
    parts: list[Part] = field(default_factory=list)
    follow_expression: list[np.ndarray] = field(default_factory=list)
    follow_identity: list[np.ndarray] = field(default_factory=list)
    jaw: list[np.ndarray] = field(default_factory=list)
    hem: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """The loop at which the neck is cut off"""

    def grow(
        self, name: str, positions: np.ndarray, expression: np.ndarray, identity: np.ndarray, jaw: np.ndarray
    ) -> np.ndarray:
        """Add vertices with their weights and return their indices."""
        start = len(self.neutral)
        self.neutral = np.concatenate([self.neutral, positions])
        self.follow_expression.append(expression)
        self.follow_identity.append(identity)
        self.jaw.append(jaw)
        if self.parts and self.parts[-1].name == name:
            self.parts[-1] = Part(name, self.parts[-1].start, len(self.neutral))
        else:
            self.parts.append(Part(name, start, len(self.neutral)))
        return np.arange(start, len(self.neutral))


def close_head(neutral: np.ndarray, face: np.ndarray) -> Closing:
    """Grow skull, neck, mouth cavity and eye pockets onto the (478, 3) neutral face and its triangles."""
    closing = Closing(neutral[:SURFACE_POINTS].copy(), [face], [Part("face", 0, SURFACE_POINTS)])
    affine = affine_follow(neutral)
    ladder = add_skull(closing, neutral, face, affine)
    relax(closing, ladder, loops=RELAXED_LOOPS)
    add_cavity(closing, neutral, face, affine)
    for name, rim in (("eye_pocket_right", LID_RIGHT), ("eye_pocket_left", LID_LEFT)):
        add_pocket(closing, neutral, face, rim, name)
    return closing


def affine_follow(neutral: np.ndarray) -> np.ndarray:
    """(4, 478) turns displacements of the landmarks into the affine map that fits them best."""
    homogeneous = np.concatenate([neutral, np.ones((len(neutral), 1))], 1)
    return np.linalg.pinv(homogeneous)


def affine_weights(points: np.ndarray, affine: np.ndarray, *, deepest: float = 1.6) -> np.ndarray:
    """(n, 478) weights by which points go along with the face's overall size and shape; depth is held back."""
    held = points.copy()
    held[:, 2] = np.where(held[:, 2] > deepest, deepest + 0.35 * (held[:, 2] - deepest), held[:, 2])
    return np.concatenate([held, np.ones((len(points), 1))], 1) @ affine


def add_skull(closing: Closing, neutral: np.ndarray, face: np.ndarray, affine: np.ndarray) -> list[np.ndarray]:
    """Loops that start at the face's outline and sweep over crown and nape, and under the chin, down to the neck.

    Returns the loops' vertices, the outline first.
    """
    outline = neutral[FACE_OVAL]
    starting = loop_positions(neutral, 0.0)
    rim = oriented(FACE_OVAL, face)
    order = np.array([int(np.flatnonzero(FACE_OVAL == vertex)[0]) for vertex in rim])
    shares = np.linspace(0, 1, LOOPS + 1)[1:] ** 0.92
    ladder = [rim]
    for share in shares:
        fade = (1 - share) ** 2.2
        positions = loop_positions(neutral, share) + fade * (outline - starting)
        near = max(0.0, 1 - share / 0.45) ** 2
        expression = np.zeros((len(outline), LANDMARKS))
        expression[np.arange(len(outline)), FACE_OVAL] = near
        own = np.zeros_like(expression)
        own[np.arange(len(outline)), FACE_OVAL] = fade
        overall = affine_weights(positions, affine) - fade * affine_weights(outline, affine)
        part = "skull" if share < 0.8 else "neck"
        rows = closing.grow(part, positions[order], expression[order], (own + overall)[order], np.zeros(len(order)))
        closing.triangles.append(strip(ladder[-1], rows))
        ladder.append(rows)
    closing.hem = ladder[-1]
    centre = closing.neutral[closing.hem].mean(0)[None]
    weights = affine_weights(centre, affine)
    tip = closing.grow("neck", centre, np.zeros((1, LANDMARKS)), weights, np.zeros(1))
    closing.triangles.append(cap(closing.hem, int(tip[0])))
    return ladder


def relax(closing: Closing, ladder: list[np.ndarray], *, loops: int) -> None:
    """Lay the first loops where the surface bends least between the face before and the skull behind them.

    Solves for zero bi-Laplacian with uniform weights (Botsch and Kobbelt 2004, section 3) over the face's edges and
    the loops' rails and rungs; the diagonals would pull to one side. All other vertices are held.
    """
    count = len(closing.neutral)
    face = closing.triangles[0]
    sides = [face[:, [0, 1]], face[:, [1, 2]], face[:, [2, 0]]]
    rails = [np.stack([loop, np.roll(loop, -1)], 1) for loop in ladder]
    rungs = [np.stack(pair, 1) for pair in pairwise(ladder)]
    edges = np.unique(np.sort(np.concatenate([*sides, *rails, *rungs]), 1), axis=0)
    start, end = np.concatenate([edges, edges[:, ::-1]]).T
    valence = np.maximum(np.bincount(start, minlength=count), 1)
    average = csr_matrix((1 / valence[start], (start, end)), shape=(count, count))
    bending = (average - identity(count)) @ (average - identity(count))
    free = np.concatenate(ladder[1 : loops + 1])
    held = np.setdiff1d(np.arange(count), free)
    rows = bending.tocsr()[free]
    closing.neutral[free] = spsolve(rows[:, free].tocsc(), -rows[:, held] @ closing.neutral[held])


def loop_positions(neutral: np.ndarray, share: float) -> np.ndarray:
    """(36, 3) ellipse-like loop in the plane through the back and the front profile at this share of the way."""
    angles = 2 * np.pi * np.arange(len(FACE_OVAL)) / len(FACE_OVAL)
    back = _along(BACK_PROFILE, neutral[BROW_TOP], share)
    front = _along(FRONT_PROFILE, neutral[CHIN], share)
    width = float(PchipInterpolator(*HALF_WIDTH.T)(share))
    middle, reach = (back + front) / 2, (back - front) / 2
    points = middle + np.cos(angles)[:, None] * reach
    return np.concatenate([(width * np.sin(angles))[:, None], points], 1)


def _along(profile: np.ndarray, start: np.ndarray, share: float) -> np.ndarray:
    """(2,) y and z of a profile that leaves from a landmark."""
    shares = np.concatenate([[0.0], profile[:, 0]])
    places = np.concatenate([start[None, 1:], profile[:, 1:] + [start[1], 0.0]])
    return PchipInterpolator(shares, places)(share)


def add_cavity(closing: Closing, neutral: np.ndarray, face: np.ndarray, affine: np.ndarray) -> None:
    """A bag behind the lips, room for the teeth in front; its floor goes with the jaw, its roof stays."""
    rim = oriented(INNER_LIPS, face)
    lips = neutral[rim]
    lower = np.isin(rim, INNER_LIPS[11:])
    corner = np.isin(rim, INNER_LIPS[[0, 10]])
    side = np.where(corner, 0.0, np.where(lower, 1.0, -1.0))
    centre = lips.mean(0)
    arch = 1 - (np.abs(lips[:, 0]) / np.abs(lips[:, 0]).max()) ** 2 * 0.5
    previous = rim
    # how far back, half height, share of the mouth's width, how far it is fixed to the jaw, how far to the lips
    for back, height, width, fixed, lip in (
        (0.10, 0.04, 1.00, 0.1, 0.9),
        (0.20, 0.30, 1.05, 0.6, 0.4),
        (0.40, 0.42, 1.10, 1.0, 0.0),
        (0.80, 0.42, 1.05, 1.0, 0.0),
        (1.20, 0.30, 0.80, 0.8, 0.0),
    ):
        positions = lips.copy()
        positions[:, 0] *= width
        positions[:, 1] = centre[1] + 0.05 + side * height * arch
        positions[:, 2] = np.maximum(lips[:, 2], centre[2]) + back
        expression = np.zeros((len(rim), LANDMARKS))
        expression[np.arange(len(rim)), rim] = lip
        jaw = fixed * np.where(corner, 0.4, np.where(lower, 1.0, 0.0))
        rows = closing.grow("mouth_cavity", positions, expression, affine_weights(positions, affine), jaw)
        closing.triangles.append(strip(previous, rows))
        previous = rows
    tip_position = closing.neutral[previous].mean(0)[None] + [[0, 0, 0.05]]
    zero = np.zeros((1, LANDMARKS))
    tip = closing.grow("mouth_cavity", tip_position, zero, affine_weights(tip_position, affine), np.array([0.4]))
    closing.triangles.append(cap(previous, int(tip[0])))


def add_pocket(closing: Closing, neutral: np.ndarray, face: np.ndarray, rim: np.ndarray, name: str) -> None:
    """A cup behind the lids in which the eyeball lies; its border goes with the lids, the rest with the eye."""
    rim = oriented(rim, face)
    lids = neutral[rim]
    centre = lids.mean(0)
    identity_rest = np.zeros((len(rim), LANDMARKS))
    identity_rest[:, rim] = 1 / len(rim)
    previous = rim
    for back, spread, lid in ((0.05, 1.0, 0.95), (0.22, 1.12, 0.15), (0.50, 0.9, 0.0)):
        positions = centre + (lids - centre) * spread
        positions[:, 2] = lids[:, 2] * 0.5 + centre[2] * 0.5 + back
        expression = np.zeros((len(rim), LANDMARKS))
        expression[np.arange(len(rim)), rim] = lid
        by_person = identity_rest * (1 - lid) + expression
        rows = closing.grow(name, positions, expression, by_person, np.zeros(len(rim)))
        closing.triangles.append(strip(previous, rows))
        previous = rows
    tip_position = centre[None] + np.array([0, 0, 0.56])
    tip = closing.grow(name, tip_position, np.zeros((1, LANDMARKS)), identity_rest[:1], np.zeros(1))
    closing.triangles.append(cap(previous, int(tip[0])))
