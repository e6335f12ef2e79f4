"""Which triangle lies in front at each pixel; torch loads when the first picture is drawn, not with the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from models.smirk.rasteriser import Fragments


def rastered(points: NDArray[np.float32], triangles: NDArray[np.int32], *, size: int) -> Fragments:
    """Rasterise one mesh: points (V, 3) in screen space, triangles (F, 3); see models.smirk.rasteriser."""
    import torch  # noqa: PLC0415 - the page opens without it

    from models.smirk.rasteriser import rasterise  # noqa: PLC0415

    return rasterise(torch.from_numpy(points)[None], torch.from_numpy(triangles).long(), size=size)


def towards_viewer(points: NDArray[np.float32], triangles: NDArray[np.int32]) -> NDArray[np.int32]:
    """(f, 3) the triangles whose outside faces the viewer: the others lie behind them and need not be drawn.

    points (V, 3) with x right and y down; triangles (F, 3) counter-clockwise from outside.
    """
    first, second, third = (points[triangles[:, corner], :2] for corner in range(3))
    one, other = second - first, third - first
    return triangles[one[:, 0] * other[:, 1] < one[:, 1] * other[:, 0]]
