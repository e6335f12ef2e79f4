"""Where a face lies in the occlusion networks' crop: the same for every face, so that each patch has its meaning."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.dfc_vae.align import EDGE as BONE_EDGE
from models.dfc_vae.align import MIDDLE as BONE_MIDDLE
from models.dfc_vae.align import bone_matrix
from models.types import Points

SIZE = 120
"""Edge of the crop in pixels."""
EDGE = 2.2
"""Edge of the crop over the distance of the eyes' outer corners: room for all that the expression network looks at."""
MIDDLE = (0.0, 0.30)
"""Of the crop, from the point between the eyes, in the same unit."""


def face_matrix(landmarks: Points, *, size: int = SIZE) -> NDArray[np.float64]:
    """(3, 3) from image to crop pixels for landmarks (478, 2 or 3): bones stand still, and there is room around."""
    middle = (size - 1) / 2
    zoom = BONE_EDGE / EDGE
    shift = (np.array(BONE_MIDDLE) - MIDDLE) * size / EDGE
    wider = np.eye(3)
    wider[:2, :2] *= zoom
    wider[:2, 2] = middle * (1 - zoom) + shift
    return np.asarray(wider @ bone_matrix(landmarks, size=size), dtype=np.float64)
