"""Read the 52 coefficients off landmarks alone: a second opinion beside what a network reads off the pixels.

The teacher computes its coefficients from its own landmarks, so a regression on points that are turned to the front
says much of what it would have said.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from scipy.spatial.transform import Rotation

from models import cards
from models.errors import BadInput, BadWeights, MissingWeights
from models.head.fit import similarity
from models.types import LANDMARKS, Points

NAME = "head_actions"


@dataclass(frozen=True, eq=False)
class PointActions:
    """An affine map from a face's frontal points and its turn to coefficients."""

    mean: NDArray[np.float32]
    """(478, 3) the frontal mean, y down, z away, unit root-mean-square radius"""
    stable: NDArray[np.int64]
    """(s,) landmarks that expression hardly moves, by which a face is laid over the mean"""
    points: NDArray[np.float32]
    """(478 * 3, 52) per unit of displacement from the mean"""
    turn: NDArray[np.float32]
    """(3, 52) per degree of pitch, yaw and roll"""
    rest: NDArray[np.float32]
    """(52,) of the mean itself"""

    def __call__(self, landmarks: Points) -> NDArray[np.float32]:
        """(478, 3) landmarks in pixels -> (52,) in [0, 1]; raises BadInput for another shape."""
        if landmarks.shape != (LANDMARKS, 3):
            raise BadInput(f"expected (478, 3) landmarks, got {landmarks.shape}")
        seen, mean = landmarks.astype(np.float64), self.mean.astype(np.float64)
        rotation, scale, shift = similarity(seen[self.stable], mean[self.stable])
        offset = scale * seen @ rotation.T + shift - mean
        turned = np.degrees(Rotation.from_matrix(rotation.T).as_rotvec())
        return np.clip(offset.ravel() @ self.points + turned @ self.turn + self.rest, 0, 1).astype(np.float32)


@cache
def load_actions(folder: Path = cards.PRETRAINED) -> PointActions:
    """Read the regression that ships; raises MissingWeights or BadWeights."""
    card_file = folder / f"{NAME}.json"
    if not card_file.is_file():
        raise MissingWeights(f"{NAME} is not installed; `mien train {NAME} --data DATA` makes it")
    path = cards.check_weight(cards.read_card(card_file), folder)
    try:
        with safe_open(path, framework="numpy") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}
        stable = tensors.pop("stable").astype(np.int64)
        return PointActions(stable=stable, **{name: value.astype(np.float32) for name, value in tensors.items()})
    except (SafetensorError, KeyError, TypeError) as error:
        raise BadWeights(f"{path.name} does not hold this regression: {error}") from error
