"""Recipe of `smirk_open`: the open head's parameters from one crop.

The teacher's landmarks and blendshapes are the truth; the head's parameters that explain them are found once for each
face by least squares. Half of the loss is geometry (the shaped head, laid back onto the crop), half is semantics (each
of the 52 coefficients), and a mirrored crop must give mirrored coefficients. SMIRK's second stage is a recipe of its
own: models.training.smirk_synthesis.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from models.faces.names import IRIS_LEFT, IRIS_RIGHT, MIRRORED_BLENDSHAPES, MIRRORED_LANDMARKS
from models.head import load_head
from models.head.fit import HeadFit
from models.head.head import Head
from models.registry import shipped
from models.smirk_open.encoder import USUAL_SCALE, OpenEncoder, PointsOfHead, project
from models.training.augment import Placement, cut, move, photograph, place
from models.training.data import FaceSet, read_faces, split
from models.training.faces import expression_weights, landmark_weights, mirrored, stack
from models.training.loop import Batch, Budget, fit
from models.training.smirk_card import AblationRow, ship_encoder
from models.types import Image

log = logging.getLogger(__name__)

SIZE = 128
TIGHT = Placement(scale=(1.28, 1.55), shift=0.02, roll=4.0, wide_share=0.0)
"""What the reader cuts: levelled, 1.4 times the face."""
EXACT = Placement(scale=(1.4, 1.4), shift=0.0, roll=0.0, wide_share=0.0)
LEARNING_RATE = 3e-4
"""Low: the trunk is trained already, and 1e-3 undid in three minutes what it knew of expressions."""
TWINS = 8
"""Mirrored twins in each batch, for consistency."""


class HeadCrops(IterableDataset):
    """An endless stream of augmented crops with landmarks, blendshapes and fitted identities."""

    def __init__(self, faces: FaceSet, head: Head, *, seed: int, batch: int) -> None:
        super().__init__()
        self.faces, self.head, self.seed, self.batch = faces, head, seed, batch
        self.chance = np.cumsum(expression_weights(faces.blendshapes, faces.source))
        self.fits: dict[int, NDArray[np.float32]] = {}
        self.fit = HeadFit(head)

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            yield stack([self.draw(rng) for _ in range(self.batch)])

    def draw(self, rng: np.random.Generator) -> dict[str, NDArray]:
        """One crop of one face, half of them mirrored."""
        row = min(int(np.searchsorted(self.chance, rng.random())), len(self.faces) - 1)
        picture, landmarks = self.faces.pictures[row], self.faces.landmarks[row]
        blendshapes, identity = self.faces.blendshapes[row], self.identity(row)
        matrix = place(landmarks, SIZE, TIGHT, rng)
        points = move(matrix, landmarks, SIZE)
        crop = cut(picture, matrix, SIZE, rng)
        if rng.random() < 0.5:
            crop, points, blendshapes = mirrored(crop, points, blendshapes)
            identity = identity * self.head.identity_signs
        return _sample(photograph(crop, rng), points, blendshapes, identity)

    def identity(self, row: int) -> NDArray[np.float32]:
        """(K,) identity that explains the teacher's points of one face; found once."""
        if row not in self.fits:
            self.fits[row] = self.fit(self.faces.landmarks[row], self.faces.blendshapes[row]).identity
        return self.fits[row]


def _sample(crop: Image, points: NDArray, blendshapes: NDArray, identity: NDArray) -> dict[str, NDArray]:
    return {
        "pixels": crop,
        "landmarks": points.astype(np.float32),
        "blendshapes": blendshapes.astype(np.float32),
        "identity": identity.astype(np.float32),
    }


class LandmarksOfHead(PointsOfHead):
    """The head's 478 landmarks: (B, K), (B, 52) -> (B, 478, 3) metres."""

    def __init__(self, head: Head) -> None:
        super().__init__(head, head.landmark_vertices)


def losses(head: LandmarksOfHead, deviation: Tensor, weight: Tensor) -> object:
    """Build the loss; points count over the iris distance, coefficients over their spread."""

    def points_loss(error: Tensor) -> Tensor:
        flat = F.smooth_l1_loss(error, torch.zeros_like(error), beta=0.02, reduction="none").sum(-1)
        return (flat * weight).mean()

    def loss_of(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        pixels = batch["pixels"].float() / 255
        count = len(pixels)
        reading = network(torch.cat([pixels, pixels[:TWINS].flip(3)]))
        truth, shapes = batch["landmarks"], batch["blendshapes"]
        truth = torch.cat([truth, truth[:TWINS, MIRRORED_LANDMARKS] * truth.new_tensor([-1.0, 1.0, 1.0])])
        shapes = torch.cat([shapes, shapes[:TWINS, MIRRORED_BLENDSHAPES]])
        iris = (truth[:, IRIS_RIGHT, :2] - truth[:, IRIS_LEFT, :2]).norm(dim=-1).clamp(min=0.1)[:, None, None]
        laid = project(reading, head(reading.identity, reading.expression))
        off = (reading.expression - shapes) / deviation
        twins = reading.expression[count:] - reading.expression[:TWINS, MIRRORED_BLENDSHAPES]
        return {
            "laid": 10 * points_loss((laid - truth[..., :2]) / iris),
            "points": 5 * points_loss((reading.landmarks[..., :2] - truth[..., :2]) / iris),
            "shapes": 1.5 * F.smooth_l1_loss(off, torch.zeros_like(off), beta=0.5),
            "identity": 0.05 * F.smooth_l1_loss(reading.identity[:count], batch["identity"], beta=0.5),
            "twins": 0.2 * (twins / deviation).abs().mean(),
        }

    return loss_of


@torch.inference_mode()
def measure_crops(network: nn.Module, head: LandmarksOfHead, faces: FaceSet, *, device: str) -> dict[str, float]:
    """On clean crops, one look each: laid_median (reprojected points over iris distance) and blendshape_corr."""
    rng = np.random.default_rng(0)
    errors, shapes = [], []
    for start in range(0, len(faces), 32):
        rows = range(start, min(start + 32, len(faces)))
        matrices = [place(faces.landmarks[r], SIZE, EXACT, rng) for r in rows]
        crops = [
            cv2.warpAffine(faces.pictures[r], m, (SIZE, SIZE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
            for r, m in zip(rows, matrices, strict=True)
        ]
        pixels = torch.from_numpy(np.stack(crops)).to(device).permute(0, 3, 1, 2).float() / 255
        reading = network(pixels.contiguous(memory_format=torch.channels_last))
        laid = project(reading, head(reading.identity, reading.expression)).cpu().numpy()
        truth = np.stack([move(m, faces.landmarks[r], SIZE) for r, m in zip(rows, matrices, strict=True)])[..., :2]
        iris = np.linalg.norm(truth[:, IRIS_RIGHT] - truth[:, IRIS_LEFT], axis=1)
        errors.append(np.linalg.norm(laid - truth, axis=2).mean(1) / iris)
        shapes.append(reading.expression.float().cpu().numpy())
    shape = np.concatenate(shapes)
    varied = np.flatnonzero(faces.blendshapes.std(0) > 0.03)
    correlation = [np.corrcoef(shape[:, i], faces.blendshapes[:, i])[0, 1] for i in varied]
    return {"laid_median": float(np.median(np.concatenate(errors))), "blendshape_corr": float(np.mean(correlation))}


def warm_started(training: FaceSet, head: Head, *, faces: int = 600) -> OpenEncoder:
    """An encoder whose trunk and expression are the shipped landmark network's; pose and identity by regression."""
    config, tensors, _ = shipped("faces")
    network = OpenEncoder(**config)
    network.face.load_state_dict(tensors)
    network.eval()
    rng, fitted = np.random.default_rng(0), HeadFit(head)
    features, wanted = [], []
    for row in rng.permutation(len(training))[:faces]:
        matrix = place(training.landmarks[row], SIZE, TIGHT, rng)
        crop = cv2.warpAffine(training.pictures[row], matrix, (SIZE, SIZE), flags=cv2.INTER_AREA)
        with torch.inference_mode():
            pixels = torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255
            features.append(network.face(pixels).features[0].numpy())
        points = move(matrix, training.landmarks[row], SIZE)
        found = fitted(points, training.blendshapes[row])
        scale = np.log(found.scale / USUAL_SCALE)
        wanted.append(
            np.concatenate([found.rotation[:, 0], found.rotation[:, 1], [scale], found.shift, found.identity])
        )
    design = np.concatenate([np.stack(features), np.ones((len(features), 1))], 1)
    ridge = np.eye(design.shape[1]) * 3.0
    ridge[-1, -1] = 1e-3
    weights = np.linalg.solve(design.T @ design + ridge, design.T @ np.stack(wanted)).astype(np.float32)
    with torch.no_grad():
        for layer, columns in ((network.pose, slice(0, 9)), (network.identity, slice(9, None))):
            layer.weight.copy_(torch.from_numpy(weights[:-1, columns].T.copy()))
            layer.bias.copy_(torch.from_numpy(weights[-1, columns].copy()))
    log.info("begins with the landmark network's layers; %d faces to train on", len(training))
    return slowly_normalised(network)


def slowly_normalised(network: OpenEncoder) -> OpenEncoder:
    """Let what is normalised by follow slowly: it was learned over far larger batches."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.momentum = 0.02
    return network


def train(
    *,
    data: Path,
    out: Path,
    minutes: float = 45.0,
    device: str = "cpu",
    resume: bool = True,
    batch: int = 40,
    workers: int = 1,
) -> OpenEncoder:
    """Train for `minutes` on the people of `data` that are not held out; checkpoints and curves go to `out`."""
    training, held = split(read_faces(data))
    clear = held.rows(held.source != "congress160")
    head = load_head()
    points = LandmarksOfHead(head).to(device)
    deviation = torch.from_numpy(training.blendshapes.std(0)).clamp(min=0.04).to(device)
    stream = DataLoader(
        HeadCrops(training, head, seed=1, batch=batch), batch_size=None, num_workers=workers, prefetch_factor=4
    )
    return fit(
        warm_started(training, head),
        iter(stream),
        losses(points, deviation, landmark_weights().to(device)),
        budget=Budget(minutes=minutes, learning_rate=LEARNING_RATE, average=0.995),
        folder=out,
        device=device,
        resume=resume,
        measure=lambda averaged: measure_crops(averaged, points, clear, device=device),
        publish=lambda averaged: averaged.save_pretrained(out / "model"),
    )


def run(*, data: Path, out: Path, device: str, resume: bool, minutes: float = 45.0) -> dict[str, float]:
    """Train, measure the half-precision weights on held-out people, and ship them with their card."""
    network = train(data=data, out=out, minutes=minutes, device=device, resume=resume)
    return ship_encoder([AblationRow("begun", 0, network)], data=data, recipe="mien train smirk --data DATA")
