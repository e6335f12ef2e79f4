"""Read faces off the latent space's crops, many at once: what a slider did is measured, not believed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.faces.names import BLENDSHAPE_NAMES, MIRRORED_BLENDSHAPES, MIRRORED_LANDMARKS
from models.faces.network import FaceNet
from models.faces.pose import head_pose

ROOM = 0.18
"""Border added on each side, in edges: the landmark network learned from crops that wide."""
BATCH = 32


@dataclass(frozen=True, eq=False)
class CropReadings:
    """What the landmark network reads off N crops."""

    landmarks: NDArray[np.float32]
    """(N, 478, 3) in pixels of the crop."""
    blendshapes: NDArray[np.float32]
    """(N, 52)"""
    yaw: NDArray[np.float32]
    """(N,) degrees, above 0 towards the picture's right."""

    def strength(self, weights: dict[str, float]) -> NDArray[np.float32]:
        """(N,) weighted sum of named blendshapes; the name "yaw" stands for the head's turn."""
        total = np.zeros(len(self.yaw), np.float32)
        for name, weight in weights.items():
            values = self.yaw if name == "yaw" else self.blendshapes[:, BLENDSHAPE_NAMES.index(name)]
            total += weight * values
        return total


def widened(crops: Tensor, *, size: int) -> Tensor:
    """(B, 3, S, S) crops with the room around them that the landmark network expects: (B, 3, size, size)."""
    wide = functional.pad(crops, (_border(crops.shape[-1]),) * 4, mode="replicate")
    return functional.interpolate(wide, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def _border(edge: int) -> int:
    return round(ROOM * edge)


@torch.inference_mode()
def read_crops(network: FaceNet, crops: Tensor) -> CropReadings:
    """Read (N, 3, S, S) crops in [0, 1], both ways round, and average."""
    points, shapes = [], []
    size = int(network.config["size"])
    edge = crops.shape[-1]
    zoom = (edge + 2 * _border(edge)) / size
    for part in crops.float().split(BATCH):
        small = widened(part, size=size)
        plain, mirrored = network(small), network(small.flip(-1))
        back = mirrored.landmarks[:, torch.from_numpy(MIRRORED_LANDMARKS)]
        back = back * back.new_tensor([-1.0, 1.0, 1.0])
        place = (plain.landmarks + back).float() / 2 * (size / 2) * zoom  # from the middle, in crop pixels
        place[..., :2] += (edge - 1) / 2
        points.append(place)
        both = plain.blendshapes.sigmoid() + mirrored.blendshapes.sigmoid()[:, torch.from_numpy(MIRRORED_BLENDSHAPES)]
        shapes.append(both.float() / 2)
    landmarks = torch.cat(points).numpy()
    mean = network.mean_shape.float().numpy()
    yaw = np.array([head_pose(face, mean).yaw for face in landmarks], np.float32)
    return CropReadings(landmarks, torch.cat(shapes).numpy(), yaw)
