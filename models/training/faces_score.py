"""Recipe of the landmark network's face-or-not alone: its last layer is solved anew, everything before it stays.

A logistic regression on what the trunk makes of faces and of what the detector takes for faces. Landmarks and
blendshapes do not change by a bit, so nothing that was measured with them has to be measured again.
"""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.faces.network import FaceNet
from models.registry import shipped
from models.training.augment import cut, photograph, place
from models.training.data import FaceSet, read_faces, split
from models.training.faces import LOOSE, SIZE, TIGHT, ship_faces, taken_for_faces
from models.training.negatives import mistaken, not_a_face

log = logging.getLogger(__name__)

FACES, OTHERS = 6000, 6000
LEAST_FACES = 0.995
"""Share of the training faces that has to stay above the finder's limit."""
STRENGTH = 0.1
"""Inverse strength of the ridge; features have unit variance."""


def face_crops(faces: FaceSet, count: int, rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Faces as the finder's three looks cut them, photographed well and badly."""
    crops = []
    for number in range(count):
        row = int(rng.integers(len(faces)))
        matrix = place(faces.landmarks[row], SIZE, LOOSE if number % 3 == 0 else TIGHT, rng)
        crops.append(photograph(cut(faces.pictures[row], matrix, SIZE, rng), rng))
    return crops


def other_crops(
    faces: FaceSet, squares: NDArray[np.uint8], count: int, rng: np.random.Generator
) -> list[NDArray[np.uint8]]:
    """What is no face: two in three were once taken for one by the cascades."""
    crops = []
    for number in range(count):
        if number % 3 and len(squares):
            crop = mistaken(squares, SIZE, rng)
        else:
            row = int(rng.integers(len(faces)))
            crop = not_a_face(faces.pictures[row], faces.landmarks[row], SIZE, rng)
        crops.append(photograph(crop, rng) if rng.random() < 0.5 else crop)
    return crops


@torch.inference_mode()
def features_of(network: FaceNet, crops: list[NDArray[np.uint8]], *, device: str) -> NDArray[np.float32]:
    """(N, hidden) what the last layer sees."""
    found = []
    for start in range(0, len(crops), 64):
        pixels = torch.from_numpy(np.stack(crops[start : start + 64])).to(device).permute(0, 3, 1, 2).float() / 255
        found.append(network(pixels.contiguous(memory_format=torch.channels_last)).features.float().cpu().numpy())
    return np.concatenate(found)


def solve(faces: NDArray[np.float32], others: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Weights (hidden,) and bias of the score, moved so that LEAST_FACES of the faces pass the finder's limit."""
    seen = np.concatenate([faces, others])
    mean, spread = seen.mean(0), seen.std(0) + 1e-4
    truth = np.concatenate([np.ones(len(faces)), np.zeros(len(others))])
    fitted = LogisticRegression(C=STRENGTH, max_iter=3000).fit((seen - mean) / spread, truth)
    weight = fitted.coef_[0] / spread
    bias = float(fitted.intercept_[0] - (weight * mean).sum())
    limit = np.log(0.9 / 0.1)
    lowest = float(np.quantile(faces @ weight + bias, 1 - LEAST_FACES))
    return weight.astype(np.float32), bias + max(limit - lowest, 0.0)


def run(*, data: Path, out: Path, device: str, resume: bool, minutes: float = 10.0, seed: int = 1) -> dict[str, float]:
    """Solve the last layer of the shipped network, measure it and ship it; `minutes` is not needed."""
    cv2.setNumThreads(1)
    network = FaceNet(size=SIZE)
    network.load_state_dict(shipped("faces")[1])
    network = network.eval().to(device)
    training, _ = split(read_faces(data, sets=("faces256", "congress160")))
    rng = np.random.default_rng(seed)
    squares = taken_for_faces(data, training, out)
    faces = features_of(network, face_crops(training, FACES, rng), device=device)
    others = features_of(network, other_crops(training, squares, OTHERS, rng), device=device)
    before = network.score.weight.detach().cpu().numpy()[0], float(network.score.bias.detach())
    weight, bias = solve(faces, others)
    for name, (w, b) in {"before": before, "after": (weight, bias)}.items():
        passed = [float(np.mean(part @ w + b > np.log(9))) for part in (faces, others)]
        log.info("%s: %.4f of the faces pass, %.4f of what is none", name, *passed)
    with torch.no_grad():
        network.score.weight.copy_(torch.from_numpy(weight)[None])
        network.score.bias.fill_(bias)
    return ship_faces(network, data)
