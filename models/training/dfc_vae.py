"""Recipe of the latent space: a variational autoencoder of faces whose features, not only pixels, must come back.

After Hou et al. (arXiv 1610.00291): picture and reconstruction are compared in three layers of a frozen network. The
ruler is Mien's own face network, or the user's VGG-19 with the paper's layers; `features="pixel"` trains the control
that the comparison in the card needs, with everything else the same.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from models import registry
from models.dfc_vae.latent import Latent
from models.dfc_vae.load import load_vgg19
from models.dfc_vae.losses import NamedLayerTaps, Taps, VggTaps, relative_layer_errors
from models.dfc_vae.network import DfcVae
from models.dfc_vae.official import PaperVae64
from models.dfc_vae.vgg import VAE_123, VAE_345
from models.errors import BadInput, MissingWeights
from models.faces.align import cut, upright_matrix
from models.faces.network import FaceNet
from models.training.data import FaceSet, read_faces, split
from models.training.faces import expression_weights
from models.training.loop import Batch, Budget, fit
from models.training.ship import CLIPS, CONGRESS, LONDON, SFHQ, WEBMORPH, figure, ship
from models.types import Image

log = logging.getLogger(__name__)

EDGE = 1.4
"""Edge of the crop over the longer edge of the landmark box: the whole face, some hair, little background."""
FACE_LAYERS = ("trunk.stem", "trunk.blocks.1", "trunk.blocks.3")
"""Layers of the face network at a half, a quarter and an eighth of the size: edges, parts, and how parts lie."""
LIMITS = (
    "128 px: hair, ears and background are soft, teeth and glasses often invented. It learned mostly from synthetic "
    "faces; a reconstruction resembles the person and is not them. Not for telling people apart."
)
RULERS = ("faces", "vgg-123", "vgg-345", "pixel")
PIXEL_VARIANCE = 0.06
"""Mean square deviation of face pixels from their mean: brings pixel errors to the scale of feature errors."""


@dataclass(frozen=True)
class Wobble:
    """Standard deviations of the crop's offset (in edges), size (relative), roll (degrees) and shear."""

    shift: float = 0.015
    scale: float = 0.05
    roll: float = 3.0
    shear: float = 0.03

    def draw(self, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """(3, 3) from crop pixels to wobbled crop pixels, about the crop's middle."""
        zoom = np.exp(self.scale * rng.standard_normal())
        angle = np.deg2rad(self.roll) * rng.standard_normal()
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shear = np.array([[1, self.shear * rng.standard_normal()], [0, 1]])
        matrix = np.eye(3)
        matrix[:2, :2] = zoom * shear @ turn
        middle = np.full(2, (size - 1) / 2)
        matrix[:2, 2] = middle + self.shift * size * rng.standard_normal(2) - matrix[:2, :2] @ middle
        return matrix


def recolour(crop: Image, rng: np.random.Generator) -> Image:
    """Mild changes of exposure, contrast, tint and saturation; a face keeps looking like a photograph."""
    pixels = crop.astype(np.float32) / 255
    grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    pixels = grey[..., None] + (pixels - grey[..., None]) * rng.uniform(0.6, 1.2)
    pixels = (pixels - 0.5) * rng.uniform(0.85, 1.15) + 0.5 + rng.uniform(-0.07, 0.07)
    pixels = np.clip(pixels * rng.uniform(0.93, 1.07, 3), 0, 1) ** np.exp(rng.normal(0, 0.12))
    return (pixels * 255 + 0.5).astype(np.uint8)


class UprightCrops(IterableDataset):
    """An endless stream of wobbled, mirrored, recoloured crops: {"pixels": (B, 3, size, size) uint8}."""

    def __init__(self, faces: FaceSet, *, size: int, batch: int, seed: int) -> None:
        super().__init__()
        self.faces, self.size, self.batch, self.seed = faces, size, batch, seed
        self.chance = np.cumsum(expression_weights(faces.blendshapes, faces.source))

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            yield {"pixels": _as_tensor([self.draw(rng) for _ in range(self.batch)])}

    def draw(self, rng: np.random.Generator) -> Image:
        """One crop of a face drawn by its expression."""
        row = min(int(np.searchsorted(self.chance, rng.random())), len(self.faces) - 1)
        upright = upright_matrix(self.faces.landmarks[row], size=self.size, scale=EDGE)
        matrix = Wobble().draw(self.size, rng) @ upright
        crop = cut(self.faces.pictures[row], matrix, size=self.size).pixels
        crop = crop[:, ::-1] if rng.random() < 0.5 else crop
        return recolour(crop, rng)


def exact_crops(faces: FaceSet, *, size: int) -> Tensor:
    """(N, 3, size, size) uint8: every face upright and unwobbled, for measuring."""
    matrices = [upright_matrix(points, size=size, scale=EDGE) for points in faces.landmarks]
    pairs = zip(faces.pictures, matrices, strict=True)
    return _as_tensor([cut(picture, matrix, size=size).pixels for picture, matrix in pairs])


def _as_tensor(crops: list[Image]) -> Tensor:
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def ruler_for(features: str, *, network: FaceNet | None, weights: Path | None) -> nn.Module | None:
    """The frozen layers to compare in, or None for the pixel control; raises MissingWeights naming what to add."""
    if features not in RULERS:
        raise BadInput(f"features must be one of {', '.join(RULERS)}, got {features!r}")
    if features == "pixel":
        return None
    if features == "faces":
        if network is None:
            raise MissingWeights("the face network is needed as the ruler: train it first with `mien train faces`")
        return NamedLayerTaps(network, layers=FACE_LAYERS, prepare=lambda image: image)
    if weights is None:
        raise MissingWeights("VGG-19 is needed as the ruler: add it with `mien weights add vgg19 PATH`")
    return VggTaps(load_vgg19(weights), layers=VAE_123 if features == "vgg-123" else VAE_345)


@dataclass(frozen=True)
class Weights:
    """How much each part of the loss counts; the divergence is per face, in nats, the others are relative errors."""

    features: float = 1.0
    pixels: float = 0.5
    divergence: float = 5e-4


def losses(ruler: Taps | None, weights: Weights) -> Callable[[nn.Module, Batch], dict[str, Tensor]]:
    """Build the loss of one batch: features, pixels, divergence. Without a ruler the pixels carry both weights."""

    def loss_of(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        image = batch["pixels"].float() / 255
        latent: Latent = network.encode(image)
        output = network.decode(latent.sample()).float()
        divergence = Latent(latent.mean.float(), latent.log_variance.float()).divergence().mean()
        pixels = functional.mse_loss(output, image) / PIXEL_VARIANCE
        share = weights.pixels if ruler else weights.pixels + weights.features
        parts = {"pixels": share * pixels, "divergence": weights.divergence * divergence}
        if ruler:
            with torch.no_grad():
                wanted = ruler(image)
            parts["features"] = weights.features * relative_layer_errors(wanted, ruler(output)).mean()
        return parts

    return loss_of


@torch.inference_mode()
def measure(network: nn.Module, crops: Tensor, *, ruler: Taps | None, device: str) -> dict[str, float]:
    """On (N, 3, S, S) uint8 crops: PSNR in dB, feature error where there is a ruler, and how the latent is used."""
    squares, features, means, divergences = [], [], [], []
    for start in range(0, len(crops), 64):
        image = crops[start : start + 64].to(device).float() / 255
        latent = network.encode(image)
        output = network.decode(latent.mean).clamp(0, 1).float()
        squares.append((output - image).square().flatten(1).mean(1))
        divergences.append(latent.divergence())
        means.append(latent.mean)
        if ruler:
            features.append(relative_layer_errors(ruler(image), ruler(output)).mean())
    psnr = -10 * torch.cat(squares).clamp(min=1e-10).log10()
    figures = {
        "psnr": float(psnr.mean()),
        "divergence": float(torch.cat(divergences).mean()),
        # a number of the latent that hardly moves from face to face carries nothing
        "active": float((torch.cat(means).std(0) > 0.1).sum()),
    }
    return figures | ({"feature_error": float(torch.stack(features).mean())} if features else {})


def train(
    *,
    data: Path,
    out: Path,
    minutes: float = 120.0,
    device: str = "cpu",
    resume: bool = True,
    paper: bool = False,
    features: str = "faces",
    ruler: FaceNet | None = None,
    vgg_weights: Path | None = None,
    loss_weights: Weights = Weights(),
    widths: tuple[int, ...] = (24, 48, 96, 160, 224),
    latent: int = 128,
    batch: int = 32,
    workers: int = 1,
    seed: int = 1,
) -> dict[str, float]:
    """Train for `minutes` on the people of `data` that are not held out and return the figures of those that are.

    `out` receives `model/` (config and safetensors of the averaged network), `last.pt` and `curve.jsonl`. `paper`
    trains the paper's 64 px network. `ruler` is the face network for `features="faces"`.
    """
    torch.manual_seed(seed)
    training, held = split(read_faces(data))
    clear = held.rows(held.source != "congress160")
    network: nn.Module = PaperVae64() if paper else DfcVae(size=4 * 2 ** len(widths), latent=latent, widths=widths)
    comparer = ruler_for(features, network=ruler, weights=vgg_weights)
    if comparer is not None:
        comparer.to(device, memory_format=torch.channels_last)
    log.info("%d faces to train on, %d held out, compared in %s", len(training), len(clear), features)
    crops = exact_crops(clear, size=network.size)
    stream = UprightCrops(training, size=network.size, batch=batch, seed=seed)
    loader = DataLoader(stream, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None)
    averaged = fit(
        network,
        iter(loader),
        losses(comparer, loss_weights),
        budget=Budget(minutes=minutes, learning_rate=1e-3, weight_decay=1e-4),
        folder=out,
        device=device,
        resume=resume,
        measure=lambda net: measure(net, crops, ruler=comparer, device=device),
        publish=lambda net: net.save_pretrained(out / "model"),
    )
    return measure(averaged, crops, ruler=comparer, device=device)


def batch_for(device: str) -> int:
    """Faces per step: a GPU wants more at once."""
    return 128 if device.startswith("cuda") else 32


def run(*, data: Path, out: Path, device: str, resume: bool, minutes: float = 150.0) -> dict[str, float]:
    """Train with the shipped face network as the ruler, measure the half-precision weights, and ship them."""
    ruler = copy.deepcopy(registry.load("faces").network).float()
    train(data=data, out=out, minutes=minutes, device=device, resume=resume, ruler=ruler, batch=batch_for(device))
    network = DfcVae.from_pretrained(out / "model")
    rounded = DfcVae.from_pretrained(out / "model")
    rounded.load_state_dict(network.half().float().state_dict())
    _, held = split(read_faces(data))
    crops = exact_crops(held.rows(held.source != "congress160"), size=rounded.size)
    comparer = ruler_for("faces", network=ruler.cpu(), weights=None)
    figures = measure(rounded.eval(), crops, ruler=comparer, device="cpu")
    told = f"{len(crops)} pictures of people never trained on"
    ship(
        rounded,
        "dfc_vae",
        title="Latent space of faces",
        what="Turns an upright 128 px face crop into 128 numbers and back.",
        training_data=(SFHQ, LONDON, WEBMORPH, CONGRESS, CLIPS),
        recipe="mien train dfc_vae --data DATA",
        figures={name: figure(value, told, "mien train dfc_vae --data DATA") for name, value in figures.items()},
        limits=LIMITS,
    )
    return figures
