"""Recipe of the landmark network: points, blendshapes and face-or-not from one crop, taught by MediaPipe's answers."""

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

from models.cards import Figure
from models.evaluation import evaluate_faces
from models.faces.detect import haar
from models.faces.finder import FaceFinder
from models.faces.names import IRIS_LEFT, IRIS_RIGHT, MIRRORED_BLENDSHAPES, MIRRORED_LANDMARKS
from models.faces.network import FaceNet
from models.faces.pose import mean_shape
from models.registry import shipped
from models.training.augment import Placement, cut, move, photograph, place
from models.training.data import FaceSet, read_faces, split
from models.training.loop import Batch, Budget, fit
from models.training.negatives import mistaken, mistakes, not_a_face, things
from models.training.ship import CLIPS, CONGRESS, LONDON, MEDIAPIPE, NO_FACES, SFHQ, WARPED, WEBMORPH, figure, ship
from models.types import Image

log = logging.getLogger(__name__)

SIZE = 128
LOOSE = Placement(scale=(1.1, 2.0), shift=0.09, roll=15.0)
"""What a detector's box gives."""
TIGHT = Placement(scale=(1.25, 1.6), shift=0.025, roll=4.0, wide_share=0.0)
"""What the second look gives, after the first one has found and turned the face."""
TIGHT_SHARE = 0.7
NEGATIVE_SHARE = 0.15
MISTAKEN_SHARE = 0.65
"""Share of the pictures without a face that are something the detector once took for one."""
LIMITS = (
    "Learned from another network's answers, not from people's, and mostly from synthetic faces and portraits. "
    "Faces turned over 35 degrees, strongly lit from one side or under masks are read less well; tongue, nose wrinkles "
    "and puffed cheeks are not seen, because the teacher does not see them."
)


def expression_weights(blendshapes: NDArray[np.float32], source: NDArray[np.str_]) -> NDArray[np.float64]:
    """Probability of drawing each face: (distance of its expression from the median) ** 1.5, some sources damped.

    The congress portraits hardly vary in expression, so the same rule draws them less, and a factor less again.
    """
    middle = np.median(blendshapes, axis=0)
    distance = np.linalg.norm((blendshapes - middle) / (blendshapes.std(0) + 0.05), axis=1)
    weight = (distance / distance.mean()) ** 1.5 + 0.25
    damped = {"congress160": 0.4, "warped": 0.4}
    weight = weight * np.array([damped.get(str(name), 1.0) for name in source])
    return weight / weight.sum()


class FaceCrops(IterableDataset):
    """An endless stream of augmented crops with their labels."""

    def __init__(self, faces: FaceSet, *, seed: int, batch: int, mistakes: NDArray[np.uint8] | None = None) -> None:
        super().__init__()
        self.faces, self.seed, self.batch = faces, seed, batch
        self.mistakes = mistakes if mistakes is not None and len(mistakes) else None
        self.chance = np.cumsum(expression_weights(faces.blendshapes, faces.source))

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            yield stack([self.draw(rng) for _ in range(self.batch)])

    def draw(self, rng: np.random.Generator) -> dict[str, NDArray]:
        """One crop: most show a face, some do not."""
        row = min(int(np.searchsorted(self.chance, rng.random())), len(self.faces) - 1)
        picture, landmarks = self.faces.pictures[row], self.faces.landmarks[row]
        blendshapes = self.faces.blendshapes[row]
        if rng.random() < NEGATIVE_SHARE:
            if self.mistakes is not None and rng.random() < MISTAKEN_SHARE:
                crop = mistaken(self.mistakes, SIZE, rng)
            else:
                crop = not_a_face(picture, landmarks, SIZE, rng)
            return _sample(photograph(crop, rng), np.zeros_like(landmarks), blendshapes, 0.0)
        matrix = place(landmarks, SIZE, TIGHT if rng.random() < TIGHT_SHARE else LOOSE, rng)
        points = move(matrix, landmarks, SIZE)
        crop = cut(picture, matrix, SIZE, rng)
        if rng.random() < 0.5:
            crop, points, blendshapes = mirrored(crop, points, blendshapes)
        return _sample(photograph(crop, rng), points, blendshapes, 1.0)


def _sample(crop: Image, points: NDArray, blendshapes: NDArray, is_face: float) -> dict[str, NDArray]:
    return {
        "pixels": crop,
        "landmarks": points.astype(np.float32),
        "blendshapes": blendshapes.astype(np.float32),
        "is_face": np.float32(is_face),
    }


def mirrored(crop: Image, points: NDArray, blendshapes: NDArray) -> tuple[Image, NDArray, NDArray]:
    """Mirror a crop with its points (478, 3) in crop units and blendshapes (52,)."""
    # a pixel centre mirrored about (size - 1) / 2 is exact: `move` puts the zero there
    turned = points[MIRRORED_LANDMARKS] * np.array([-1, 1, 1], np.float32)
    return np.ascontiguousarray(crop[:, ::-1]), turned, blendshapes[MIRRORED_BLENDSHAPES]


def stack(samples: list[dict[str, NDArray]]) -> Batch:
    """Make one batch of samples with the same names; pixels become (B, 3, S, S), channels last in memory."""
    batch = {name: torch.from_numpy(np.stack([s[name] for s in samples])) for name in samples[0]}
    batch["pixels"] = batch["pixels"].permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    return batch


def landmark_weights() -> Tensor:
    """(478,) weights, mean 1: eyes, brows and mouth, which carry expression, count more than the oval."""
    weight = torch.ones(478)
    weight[468:] = 2.0
    eyes = [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246]
    lips = [61, 146, 91, 181, 84, 17, 78, 95, 88, 178, 87, 14, 40, 39, 37, 0, 185, 191, 80, 81, 82, 13]
    brows = [46, 53, 52, 65, 55, 70, 63, 105, 66, 107]
    for point in eyes + lips + brows:
        weight[point] = 2.5
        weight[int(MIRRORED_LANDMARKS[point])] = 2.5
    return weight / weight.mean()


def losses(deviation: Tensor, weight: Tensor) -> object:
    """Build the loss: points over the iris distance, blendshapes over their spread, face-or-not."""

    def loss_of(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        reading = network(batch["pixels"].float() / 255)
        is_face = batch["is_face"]
        count = is_face.sum().clamp(min=1)
        truth = batch["landmarks"]
        iris = (truth[:, IRIS_RIGHT] - truth[:, IRIS_LEFT]).norm(dim=-1).clamp(min=0.1)  # (B,)
        error = (reading.landmarks.float() - truth) / iris[:, None, None]  # (B, 478, 3)
        flat = F.smooth_l1_loss(error[..., :2], torch.zeros_like(error[..., :2]), beta=0.02, reduction="none").sum(-1)
        deep = F.smooth_l1_loss(error[..., 2], torch.zeros_like(error[..., 2]), beta=0.05, reduction="none")
        points = ((flat + 0.3 * deep) * weight).mean(1)  # (B,)
        shapes = (reading.blendshapes.float().sigmoid() - batch["blendshapes"]) / deviation
        shapes = F.smooth_l1_loss(shapes, torch.zeros_like(shapes), beta=0.5, reduction="none").mean(1)  # (B,)
        return {
            "points": 10 * (points * is_face).sum() / count,
            "shapes": 1.0 * (shapes * is_face).sum() / count,
            "score": 0.5 * F.binary_cross_entropy_with_logits(reading.score.float(), is_face),
        }

    return loss_of


@torch.inference_mode()
def measure_crops(network: nn.Module, faces: FaceSet, *, device: str = "cpu") -> dict[str, float]:
    """Errors on clean crops of `faces`: nme (points over iris distance), median and p90, and blendshape correlation."""
    rng = np.random.default_rng(0)
    exact = Placement(scale=(1.5, 1.5), shift=0.0, roll=0.0, wide_share=0.0)
    points, truth, shapes = [], [], []
    for start in range(0, len(faces), 64):
        rows = range(start, min(start + 64, len(faces)))
        matrices = [place(faces.landmarks[r], SIZE, exact, rng) for r in rows]
        crops = [
            cv2.warpAffine(faces.pictures[r], m, (SIZE, SIZE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
            for r, m in zip(rows, matrices, strict=True)
        ]
        pixels = torch.from_numpy(np.stack(crops)).to(device).permute(0, 3, 1, 2).float() / 255
        reading = network(pixels.contiguous(memory_format=torch.channels_last))
        points.append(reading.landmarks.float().cpu().numpy())
        shapes.append(reading.blendshapes.float().sigmoid().cpu().numpy())
        truth.append(np.stack([move(m, faces.landmarks[r], SIZE) for r, m in zip(rows, matrices, strict=True)]))
    point, true, shape = np.concatenate(points), np.concatenate(truth), np.concatenate(shapes)
    iris = np.linalg.norm(true[:, IRIS_RIGHT, :2] - true[:, IRIS_LEFT, :2], axis=1)
    nme = np.linalg.norm(point[..., :2] - true[..., :2], axis=2).mean(1) / iris
    varied = faces.blendshapes.std(0) > 0.03
    correlation = [np.corrcoef(shape[:, i], faces.blendshapes[:, i])[0, 1] for i in np.flatnonzero(varied)]
    return {
        "nme_median": float(np.median(nme)),
        "nme_p90": float(np.percentile(nme, 90)),
        "blendshape_corr": float(np.mean(correlation)),
    }


def taken_for_faces(data: Path, faces: FaceSet, out: Path) -> NDArray[np.uint8]:
    """What the detector takes for a face, in the pictures of `faces` and in scenes made of `data`/nofaces if there."""
    found = [mistakes(faces, out / "mistakes.npz")]
    if (data / "nofaces").is_dir():
        found.append(things(data / "nofaces", out / "things.npz"))
    return np.concatenate(found)


def train(
    *,
    data: Path,
    out: Path,
    minutes: float = 45.0,
    device: str = "cpu",
    resume: bool = True,
    batch: int = 64,
    workers: int = 1,
    from_shipped: bool = False,
) -> FaceNet:
    """Train for `minutes` on the people of `data` that are not held out; checkpoints and curves go to `out`."""
    training, held = split(read_faces(data))
    clear = held.rows(held.source != "congress160")
    log.info("%d faces to train on, %d held out", len(training), len(held))
    network = FaceNet(size=SIZE)
    with torch.no_grad():
        # the mean face, so that the first steps are not spent on finding the frame
        exact = Placement(scale=(1.5, 1.5), shift=0.0, roll=0.0, wide_share=0.0)
        rng = np.random.default_rng(0)
        some = training.landmarks[rng.choice(len(training), 500)]
        mean = np.mean([move(place(points, SIZE, exact, rng), points, SIZE) for points in some], 0)
        network.mean_shape.copy_(torch.from_numpy(mean_shape(some)))
        network.landmarks.bias.copy_(torch.from_numpy(mean).flatten())
        middle = torch.from_numpy(training.blendshapes.mean(0)).clamp(0.01, 0.99)
        network.blendshapes[-1].bias.copy_(middle.logit())
    if from_shipped:
        network.load_state_dict(shipped("faces")[1])
    deviation = torch.from_numpy(training.blendshapes.std(0)).clamp(min=0.04).to(device)
    weight = landmark_weights().to(device)
    crops = FaceCrops(training, seed=1, batch=batch, mistakes=taken_for_faces(data, training, out))
    stream = DataLoader(crops, batch_size=None, num_workers=workers, prefetch_factor=4)

    def publish(averaged: nn.Module) -> None:
        averaged.save_pretrained(out / "model")

    return fit(
        network,
        iter(stream),
        losses(deviation, weight),
        budget=Budget(minutes=minutes, learning_rate=2e-3, average=0.998),
        folder=out,
        device=device,
        resume=resume,
        measure=lambda averaged: measure_crops(averaged, clear, device=device),
        publish=publish,
    )


def run(
    *, data: Path, out: Path, device: str, resume: bool, minutes: float = 90.0, from_shipped: bool = False
) -> dict[str, float]:
    """Train, measure the half-precision weights on held-out people, and ship them with their card."""
    network = train(data=data, out=out, minutes=minutes, device=device, resume=resume, from_shipped=from_shipped)
    return ship_faces(network, data)


def ship_faces(network: FaceNet, data: Path) -> dict[str, float]:
    """Round to half precision, measure on the held-out people of `data`, and write the weight with its card."""
    rounded = FaceNet(**{key: network.config[key] for key in ("size", "widths", "depths", "squeezed", "hidden_size")})
    rounded.load_state_dict(network.half().float().cpu().state_dict())
    finder = FaceFinder(rounded, haar(), device=torch.device("cpu"), dtype=torch.float32)
    command = "mien evaluate faces --faces DATA --people held-out"
    figures: dict[str, Figure] = {}
    for part, words in (
        ("faces256", "140 people of SFHQ-T2I, London and look-only photos"),
        ("congress160", "portraits"),
    ):
        if (data / part / "labels.npz").is_file():
            measured = evaluate_faces(data / part, people="held-out", finder=finder)
            for name in ("found", "nme_median", "nme_p90", "blendshape_corr"):
                told = f"{measured['faces']} pictures of people never trained on ({words})"
                figures[f"{part} {name}"] = figure(float(measured[name]), told, command.replace("DATA", f"DATA/{part}"))
    ship(
        rounded,
        "faces",
        title="Landmarks, blendshapes and face-or-not",
        what="Finds 478 landmarks and 52 blendshapes in a face crop and says whether it is a face at all.",
        training_data=(SFHQ, LONDON, WEBMORPH, CONGRESS, CLIPS, WARPED, NO_FACES, MEDIAPIPE),
        recipe="mien train faces --data DATA",
        figures=figures,
        limits=LIMITS,
    )
    return {name: value.value for name, value in figures.items()}
