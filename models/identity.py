"""Whether two pictures show one person, by an identity network that the user brings as an ONNX file; for measuring."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import BadWeights, MissingWeights
from models.head.fit import similarity
from models.types import Image

EDGE = 112
PLACES = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]])
"""Where ArcFace's alignment puts eyes, nose and mouth corners in its crop (Deng et al., CVPR 2019)."""
POINTS = (468, 473, 4, 61, 291)
"""The landmarks that lie there."""


class IdentityReader:
    """Cosine of two faces' features."""

    def __init__(self, file: Path) -> None:
        """Open an ONNX file that takes (1, 3, 112, 112); raises MissingWeights or BadWeights."""
        if not file.is_file():
            raise MissingWeights(f"{file.name} is not there; bring an identity network as ONNX")
        try:
            self._network = cv2.dnn.readNetFromONNX(str(file))
        except cv2.error as error:
            raise BadWeights(f"{file.name} is not an ONNX network that OpenCV can read") from error

    def similarity(
        self, one: Image, points: NDArray[np.float32], other: Image, other_points: NDArray[np.float32]
    ) -> float:
        """-1 to 1 for two pictures with their landmarks (478, 3) in pixels."""
        first, second = self._feature(one, points), self._feature(other, other_points)
        return float(first @ second)

    def _feature(self, image: Image, points: NDArray[np.float32]) -> NDArray[np.float32]:
        placed = points[list(POINTS), :2].astype(np.float64)
        flat = np.concatenate([placed, np.zeros((5, 1))], 1), np.concatenate([PLACES, np.zeros((5, 1))], 1)
        rotation, scale, shift = similarity(*flat)
        matrix = np.column_stack([scale * rotation[:2, :2], shift[:2]])
        crop = cv2.warpAffine(image, matrix, (EDGE, EDGE), flags=cv2.INTER_LINEAR)
        self._network.setInput(cv2.dnn.blobFromImage(crop, 1 / 127.5, (EDGE, EDGE), (127.5,) * 3))
        feature = self._network.forward().ravel()
        return feature / max(float(np.linalg.norm(feature)), 1e-9)
