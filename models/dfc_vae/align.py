"""Where a face lies in the latent space's crop: bones stand still, so that only the expression moves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.types import Points

EDGE = 1.8
"""Edge of the crop over the distance of the eyes' outer corners: from the hairline to below an open jaw."""
MIDDLE = (0.0, 0.37)
"""Of the crop, from the point between the eyes, in the same unit."""
BONES = {
    33: (-0.5, 0.0), 133: (-0.19, 0.027), 362: (0.19, 0.027), 263: (0.5, 0.0), 168: (0.0, -0.024), 6: (0.0, 0.068),
    197: (0.0, 0.147), 195: (0.0, 0.217), 4: (0.0, 0.383), 98: (-0.184, 0.496), 327: (0.184, 0.496),
    127: (-0.766, 0.026), 356: (0.766, 0.026), 234: (-0.759, 0.179), 454: (0.759, 0.179), 10: (0.0, -0.555),
    151: (0.0, -0.388),
}  # fmt: skip
"""Landmarks that neither mouth nor brows move, and where they lie on the average face that looks ahead."""


def oval(size: int, *, feather: float = 0.16, low: float = 0.0) -> NDArray[np.float32]:
    """(size, size) of 1 on the face, falling to `low` in the crop's corners and, over `feather`, towards its edges."""
    across = (np.arange(size) - (size - 1) / 2) / (size / 2)
    reach = np.hypot(across[None, :] / 0.95, across[:, None])  # 1 on the oval's rim
    share = np.clip((1 - reach) / feather, 0, 1)
    return (low + (1 - low) * share * share * (3 - 2 * share)).astype(np.float32)


def bone_matrix(landmarks: Points, *, size: int) -> NDArray[np.float64]:
    """(3, 3) from image to crop pixels: the shift, turn and zoom that lays (478, 3) landmarks best on the average face.

    An open mouth or a turned head makes a box round all landmarks longer or narrower; this crop does not follow it.
    """
    given = landmarks[list(BONES), :2].astype(np.float64)
    unit = size / EDGE
    wanted = (np.array(list(BONES.values())) - MIDDLE) * unit + (size - 1) / 2
    # The least-squares similarity of the plane is one complex number (Umeyama 1991 without reflection).
    centre_given, centre_wanted = given.mean(0), wanted.mean(0)
    one, other = (given - centre_given) @ [1, 1j], (wanted - centre_wanted) @ [1, 1j]
    turn = np.vdot(one, other) / np.vdot(one, one).real
    matrix = np.eye(3)
    matrix[:2, :2] = [[turn.real, -turn.imag], [turn.imag, turn.real]]
    matrix[:2, 2] = centre_wanted - matrix[:2, :2] @ centre_given
    return matrix
