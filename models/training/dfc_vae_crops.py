"""What the latent space learns from: crops in which the bones of every face lie in the same place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from models.dfc_vae.align import bone_matrix
from models.faces.align import cut
from models.training.data import FaceSet
from models.training.faces import expression_weights
from models.training.loop import Batch
from models.types import Image

COLOURLESS = 6.0
"""Mean difference of red and blue, in levels, below which a picture counts as black and white."""
COLOURLESS_SHARE = 0.15
"""How much less often such a picture is drawn."""


@dataclass(frozen=True)
class Wobble:
    """Standard deviations of the crop's offset (in edges), size (relative) and roll (degrees).

    Small ones: they stand for the errors of the landmarks, and whatever the crop does the code has to carry.
    """

    shift: float = 0.008
    scale: float = 0.02
    roll: float = 1.0

    def draw(self, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """(3, 3) from crop pixels to wobbled crop pixels, about the crop's middle."""
        zoom = np.exp(self.scale * rng.standard_normal())
        angle = np.deg2rad(self.roll) * rng.standard_normal()
        matrix = np.eye(3)
        matrix[:2, :2] = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        middle = np.full(2, (size - 1) / 2)
        matrix[:2, 2] = middle + self.shift * size * rng.standard_normal(2) - matrix[:2, :2] @ middle
        return matrix


def recolour(crop: Image, rng: np.random.Generator) -> Image:
    """Mild changes of saturation, exposure, contrast, tint and gamma, by tables: a face keeps looking like a photo."""
    grey = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    share = rng.uniform(0.75, 1.15)
    mixed = cv2.addWeighted(crop, share, grey, 1 - share, 0)
    levels = np.linspace(0, 1, 256)[:, None]
    levels = (levels - 0.5) * rng.uniform(0.9, 1.1) + 0.5 + rng.uniform(-0.05, 0.05)
    levels = np.clip(levels * rng.uniform(0.95, 1.05, 3), 0, 1) ** np.exp(rng.normal(0, 0.1))
    return np.asarray(cv2.LUT(mixed, (levels * 255 + 0.5).astype(np.uint8)[None]), dtype=np.uint8)


def chances(faces: FaceSet) -> NDArray[np.float64]:
    """Probability of drawing each face: by its expression, and seldom where there are no colours to learn."""
    weights = expression_weights(faces.blendshapes, faces.source)
    is_grey = np.array([_redness(picture) < COLOURLESS for picture in faces.pictures])
    weights = weights * np.where(is_grey, COLOURLESS_SHARE, 1.0)
    return weights / weights.sum()


def _redness(picture: Image) -> float:
    some = picture[::8, ::8].astype(np.int16)
    return float(np.abs(some[..., 0] - some[..., 2]).mean())


class BoneCrops(IterableDataset):
    """An endless stream of wobbled, mirrored, recoloured crops: {"pixels": (B, 3, size, size) uint8}."""

    def __init__(self, faces: FaceSet, *, size: int, batch: int, seed: int) -> None:
        super().__init__()
        self.faces, self.size, self.batch, self.seed = faces, size, batch, seed
        self.chance = np.cumsum(chances(faces))

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            yield {"pixels": as_tensor([self.draw(rng) for _ in range(self.batch)])}

    def draw(self, rng: np.random.Generator) -> Image:
        """One crop of a face drawn by its chance."""
        row = min(int(np.searchsorted(self.chance, rng.random())), len(self.faces) - 1)
        matrix = Wobble().draw(self.size, rng) @ bone_matrix(self.faces.landmarks[row], size=self.size)
        crop = cut(self.faces.pictures[row], matrix, size=self.size).pixels
        crop = np.ascontiguousarray(crop[:, ::-1]) if rng.random() < 0.5 else crop
        return recolour(crop, rng)


def exact_crops(faces: FaceSet, *, size: int) -> Tensor:
    """(N, 3, size, size) uint8: every face with its bones in place and unwobbled, for measuring."""
    matrices = [bone_matrix(points, size=size) for points in faces.landmarks]
    pairs = zip(faces.pictures, matrices, strict=True)
    return as_tensor([cut(picture, matrix, size=size).pixels for picture, matrix in pairs])


def as_tensor(crops: list[Image]) -> Tensor:
    """(N, 3, S, S) uint8, laid out the way convolutions like it."""
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
