"""What the occlusion networks learn from: aligned crops, and what may hide them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from models.faces.align import cut
from models.faces.names import MIRRORED_BLENDSHAPES, MIRRORED_LANDMARKS
from models.latent_ofer.occluders import TRAINING_KINDS, occlude
from models.occlusion.align import SIZE, face_matrix
from models.training.data import FaceSet
from models.training.dfc_vae_crops import Wobble, as_tensor, chances, recolour
from models.training.loop import Batch
from models.types import Image

GREY_SHARE = 0.12
"""Of the crops that are made grey: people bring old photographs too."""
LANDMARKS_OFF = Wobble(shift=0.012, scale=0.03, roll=2.0)
"""How the crop strays; landmarks of a hidden face are read less exactly."""
MASKS = 1500
"""Masks kept for a run: faces lie alike in their crops, so that one's mask fits another."""


@dataclass(frozen=True, eq=False)
class Aligned:
    """One crop with its landmarks in its own pixels."""

    pixels: Image
    landmarks: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    """(52,)"""


class Faces:
    """Training faces, drawn by how much their expression varies, cut a little off, mirrored and recoloured."""

    def __init__(self, faces: FaceSet, *, size: int = SIZE) -> None:
        self.faces, self.size = faces, size
        self.chance = np.cumsum(chances(faces))

    def draw(self, rng: np.random.Generator) -> Aligned:
        """One crop of one face."""
        row = min(int(np.searchsorted(self.chance, rng.random())), len(self.faces) - 1)
        points = self.faces.landmarks[row]
        matrix = LANDMARKS_OFF.draw(self.size, rng) @ face_matrix(points, size=self.size)
        shapes = self.faces.blendshapes[row]
        pixels = cut(self.faces.pictures[row], matrix, size=self.size).pixels
        moved = (points[:, :2] @ matrix[:2, :2].T + matrix[:2, 2]).astype(np.float32)
        if rng.random() < 0.5:
            pixels = np.ascontiguousarray(pixels[:, ::-1])
            moved = mirrored_points(moved, self.size)
            shapes = shapes[MIRRORED_BLENDSHAPES]
        pixels = recolour(pixels, rng)
        if rng.random() < GREY_SHARE:
            pixels = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return Aligned(pixels, moved, shapes)


def mirrored_points(points: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Landmarks (478, 2) of the mirrored crop."""
    turned = points[MIRRORED_LANDMARKS].copy()
    turned[:, 0] = size - 1 - turned[:, 0]
    return turned


def exact_crop(faces: FaceSet, row: int, *, size: int = SIZE) -> Aligned:
    """One face as it is, for measuring."""
    matrix = face_matrix(faces.landmarks[row], size=size)
    points = (faces.landmarks[row][:, :2] @ matrix[:2, :2].T + matrix[:2, 2]).astype(np.float32)
    return Aligned(cut(faces.pictures[row], matrix, size=size).pixels, points, faces.blendshapes[row])


def draw_masks(faces: Faces, *, count: int, seed: int, kinds: tuple[str, ...] = TRAINING_KINDS) -> NDArray[np.bool_]:
    """(count, S, S) masks: seven in ten of drawn occluders, the others ellipses, half faces and strokes."""
    rng = np.random.default_rng([seed, 77])
    return np.stack([draw_mask(faces, rng, kinds=kinds) for _ in range(count)])


def draw_mask(faces: Faces, rng: np.random.Generator, *, kinds: tuple[str, ...] = TRAINING_KINDS) -> NDArray[np.bool_]:
    """One mask (S, S), True where hidden."""
    if rng.random() < 0.7:
        one = faces.draw(rng)
        return occlude(one.pixels, one.landmarks, chance=rng, kinds=kinds).mask
    return draw_shape(faces.size, rng)


def draw_shape(size: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """An ellipse, half of the picture or some strokes, (size, size)."""
    mask = np.zeros((size, size), np.uint8)
    kind = rng.integers(3)
    if kind == 0:
        centre = tuple(int(v) for v in rng.uniform(0.2, 0.8, 2) * size)
        axes = tuple(int(v) for v in rng.uniform(0.08, 0.3, 2) * size)
        cv2.ellipse(mask, centre, axes, rng.uniform(0, 180), 0, 360, 1, -1)
    elif kind == 1:
        angle = rng.choice([0, 90, 180, 270]) + rng.normal(0, 15)
        line = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
        rows, columns = np.mgrid[0:size, 0:size] - (size - 1) / 2
        mask[(columns * line[0] + rows * line[1]) > rng.uniform(-0.05, 0.25) * size] = 1
    else:
        at = rng.uniform(0.2, 0.8, 2) * size
        for _ in range(int(rng.integers(2, 6))):
            to = np.clip(at + rng.normal(0, 0.25, 2) * size, 0, size - 1)
            ends = tuple(int(v) for v in at), tuple(int(v) for v in to)
            cv2.line(mask, *ends, 1, int(rng.uniform(0.05, 0.18) * size))
            at = to
    return mask > 0


def patches_hidden(masks: NDArray[np.bool_], *, grid: int) -> NDArray[np.bool_]:
    """(N, S, S) pixel masks to (N, grid * grid): True where any pixel of a patch is hidden."""
    count, size = len(masks), masks.shape[1]
    return masks.reshape(count, grid, size // grid, grid, size // grid).any((2, 4)).reshape(count, -1)


HIDDEN = {0.3: 0.35, 0.5: 0.4, 0.75: 0.25}
"""Share of the patches that a batch hides, and how often: rows that hide equally many can be shortened together."""


class MaskedCrops(IterableDataset):
    """An endless stream of {"pixels": (B, 3, S, S) uint8, "hidden": (B, g * g) bool}.

    Most rows hide something compact, filled up with random patches to the batch's number; some only random ones.
    """

    def __init__(self, faces: FaceSet, *, grid: int, batch: int, seed: int, masks: int = MASKS) -> None:
        super().__init__()
        self.faces, self.grid, self.batch, self.seed = Faces(faces), grid, batch, seed
        self.hidden = patches_hidden(draw_masks(self.faces, count=masks, seed=seed), grid=grid)
        self.sizes = self.hidden.sum(1)

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)
        rng = np.random.default_rng(self.seed + 1000)
        while True:
            share = rng.choice(list(HIDDEN), p=list(HIDDEN.values()))
            count = round(share * self.grid**2)
            rows = [self.faces.draw(rng).pixels for _ in range(self.batch)]
            hidden = np.stack([self.draw_hidden(count, rng) for _ in range(self.batch)])
            yield {"pixels": as_tensor(rows), "hidden": torch.from_numpy(hidden)}

    def draw_hidden(self, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """(g * g,) with exactly `count` hidden."""
        hidden = np.zeros(self.grid**2, bool)
        if rng.random() > 0.15:
            for _ in range(3):
                fitting = np.flatnonzero((self.sizes <= count - hidden.sum()) & (self.sizes > 0))
                if not len(fitting):
                    break
                near = fitting[np.argsort(-self.sizes[fitting])][: max(50, len(fitting) // 2)]
                more = hidden | self.hidden[rng.choice(near)]
                hidden = more if more.sum() <= count else hidden
        free = np.flatnonzero(~hidden)
        hidden[rng.choice(free, count - int(hidden.sum()), replace=False)] = True
        return hidden


def some_crops(faces: FaceSet, *, count: int, seed: int) -> Tensor:
    """(count, 3, S, S) uint8 training crops as the streams draw them."""
    rng, drawn = np.random.default_rng([seed, 5]), Faces(faces)
    return as_tensor([drawn.draw(rng).pixels for _ in range(count)])
