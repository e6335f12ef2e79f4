"""Recipe of the refiner: coarse guesses of the frozen autoencoder become detailed, and whole at their seams."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import IterableDataset

from models.dfc_vae.losses import TrunkTaps, relative_layer_errors, texture_errors
from models.occlusion.autoencoder import SPREAD, FaceAutoencoder
from models.occlusion.refiner import Refiner
from models.registry import shipped
from models.training.data import FaceSet, read_faces, split
from models.training.dfc_vae import face_ruler
from models.training.dfc_vae_crops import as_tensor
from models.training.loop import Batch, Budget, fit
from models.training.mae import MEASURED, SOURCES
from models.training.occlusion_crops import MASKS, Faces, draw_masks, exact_crop
from models.training.ship import figure, ship

log = logging.getLogger(__name__)

FACE_BLOCKS = (1,)
"""Layers of the landmark network that pictures are compared in, beside its stem."""
GUESSES = 4000
"""Training crops that are guessed once and learned from many times; they take 0.7 GB."""
RIM = 5
"""Pixels on both sides of the hole's border in which gradients have to agree."""
LIMITS = (
    "What lies behind the hidden part is a guess: likely for a face, never what really was there. Soft in hair and "
    "background; large holes follow the visible half. Learned mostly from synthetic faces and portraits."
)


class HoledCrops(IterableDataset):
    """An endless stream of {"pixels": (B, 3, S, S) uint8, "mask": (B, 1, S, S) bool, "blendshapes": (B, 52)}."""

    def __init__(self, faces: FaceSet, *, batch: int, seed: int, masks: int = MASKS) -> None:
        super().__init__()
        self.faces, self.batch, self.seed = Faces(faces), batch, seed
        self.masks = draw_masks(self.faces, count=masks, seed=seed)

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)
        rng = np.random.default_rng(self.seed + 2000)
        while True:
            masks = self.masks[rng.integers(len(self.masks), size=self.batch)]
            turned = rng.random(self.batch) < 0.5
            masks[turned] = masks[turned, :, ::-1]
            drawn = [self.faces.draw(rng) for _ in range(self.batch)]
            shapes = np.stack([one.blendshapes for one in drawn])
            pixels = as_tensor([one.pixels for one in drawn])
            yield {
                "pixels": pixels,
                "mask": torch.from_numpy(masks)[:, None],
                "blendshapes": torch.from_numpy(shapes),
            }


class GuessedCrops:
    """Crops, holes and the frozen autoencoder's guesses, made once and kept: making them costs more than learning.

    Iterating gives an endless stream of random rows: pixels, mask, coarse (B, 3, S, S) and latents (B, g * g, width).
    """

    def __init__(self, autoencoder: FaceAutoencoder, source: Iterator[Batch], *, count: int) -> None:
        rows: list[Batch] = []
        while sum(len(row["pixels"]) for row in rows) < count:
            row = next(source)
            guess = guessed(autoencoder, row["pixels"].float() / 255, row["mask"].float())
            rows.append({**row, "coarse": guess[0].half(), "latents": guess[1].half()})
        self.rows = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}

    def stream(self, *, batch: int, seed: int) -> Iterator[Batch]:
        """Random rows."""
        rng, count = np.random.default_rng(seed), len(self.rows["pixels"])
        while True:
            chosen = torch.from_numpy(rng.integers(count, size=batch))
            yield {name: values[chosen] for name, values in self.rows.items()}


@torch.no_grad()
def guessed(autoencoder: FaceAutoencoder, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Coarse pictures (B, 3, S, S), the picture itself outside the hole, and latents (B, g * g, width)."""
    guess = autoencoder(image, autoencoder.hidden_patches(mask), mask)
    return torch.where(mask > 0, guess.predicted, image), guess.latents


def losses(taps: TrunkTaps) -> Callable[[nn.Module, Batch], dict[str, Tensor]]:
    """Build the loss: pixels of the hole, features and textures of the face, gradients along the rim."""

    def loss_of(refiner: nn.Module, batch: Batch) -> dict[str, Tensor]:
        image, mask = batch["pixels"].float() / 255, batch["mask"].float()
        refined = refiner(image, mask, batch["coarse"].float(), batch["latents"].float())
        refined = torch.where(mask > 0, refined, image)
        error = (refined - image) / SPREAD
        inner = 1 - functional.max_pool2d(1 - mask, 2 * RIM + 1, 1, RIM)
        rim = functional.max_pool2d(mask, 2 * RIM + 1, 1, RIM) - inner
        with torch.no_grad():
            wanted = taps(image)
        given = taps(refined.clamp(0, 1))
        area = mask.mean()
        share = area.clamp(min=0.05) * 4  # what a hole changes in the whole picture's features grows with it
        return {
            "pixels": 0.5 * error.abs().mean() / area,
            "squared": 1.0 * error.square().mean() / area,
            "features": 0.35 * relative_layer_errors(wanted, given).mean() / share,
            "textures": 0.1 * texture_errors(wanted, given).mean() / share,
            "rim": 0.3 * _slopes(error, rim) / rim.mean().clamp(min=1e-3),
        }

    return loss_of


def _slopes(error: Tensor, where: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring errors (B, 3, S, S) where a mask (B, 1, S, S) is 1."""
    across = ((error[..., 1:] - error[..., :-1]).abs() * where[..., 1:]).mean()
    return across + ((error[..., 1:, :] - error[..., :-1, :]).abs() * where[..., 1:, :]).mean()


def held_holes(held: FaceSet, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Held-out colour faces (N, 3, S, S) uint8 and a mask of a training kind for each (N, 1, S, S)."""
    clear = held.rows(held.source != "congress160")
    rows = np.unique(np.linspace(0, len(clear) - 1, MEASURED).round().astype(int))
    masks = draw_masks(Faces(clear), count=len(rows), seed=seed)
    return as_tensor([exact_crop(clear, int(row)).pixels for row in rows]), torch.from_numpy(masks)[:, None]


@torch.inference_mode()
def measure(refiner: nn.Module, held: Batch, *, taps: TrunkTaps, device: str) -> dict[str, float]:
    """Mean PSNR in dB of the hidden pixels, coarse and refined, and both feature errors."""
    rows: dict[str, list[float]] = {"coarse_psnr": [], "hole_psnr": [], "coarse_features": [], "hole_features": []}
    for start in range(0, len(held["pixels"]), 16):
        part = {name: values[start : start + 16].to(device) for name, values in held.items()}
        image, mask, coarse = part["pixels"].float() / 255, part["mask"].float(), part["coarse"].float()
        refined = torch.where(mask > 0, refiner(image, mask, coarse, part["latents"].float()), image)
        wanted = taps(image)
        for output, psnr, features in zip(
            (coarse, refined), ("coarse_psnr", "hole_psnr"), ("coarse_features", "hole_features"), strict=True
        ):
            square = ((output.clamp(0, 1) - image).square() * mask).flatten(1).sum(1)
            rows[psnr] += (-10 * (square / (3 * mask.flatten(1).sum(1))).clamp(min=1e-8).log10()).tolist()
            rows[features].append(float(relative_layer_errors(wanted, taps(output.clamp(0, 1))).mean()))
    return {name: float(np.mean(values)) for name, values in rows.items()}


def held_guesses(autoencoder: FaceAutoencoder, held: FaceSet) -> Batch:
    """Held-out colour faces with one hole each, and the frozen autoencoder's guesses."""
    crops, masks = held_holes(held)
    pairs = zip(crops.split(16), masks.split(16), strict=True)
    parts = [guessed(autoencoder, image.float() / 255, mask.float()) for image, mask in pairs]
    coarse, latents = (torch.cat(column) for column in zip(*parts, strict=True))
    return {"pixels": crops, "mask": masks, "coarse": coarse, "latents": latents}


def frozen_autoencoder() -> FaceAutoencoder:
    """The masked autoencoder that ships, in full precision; raises MissingWeights naming its recipe."""
    config, tensors, _ = shipped("mae")
    network = FaceAutoencoder(**config)
    network.load_state_dict(tensors)
    return network.eval().requires_grad_(False)


def train(
    *,
    data: Path,
    out: Path,
    minutes: float = 40.0,
    device: str = "cpu",
    resume: bool = True,
    batch: int = 8,
    from_shipped: bool = False,
    count: int = GUESSES,
    seed: int = 1,
) -> Refiner:
    """Train for `minutes` on the people of `data` that are not held out; `out` receives `model/` and the curve."""
    torch.manual_seed(seed)
    training, held = split(read_faces(data))
    refiner = Refiner()
    if from_shipped:
        refiner.load_state_dict(shipped("refiner")[1])
    autoencoder = frozen_autoencoder()
    taps = TrunkTaps(face_ruler().trunk, blocks=FACE_BLOCKS).to(device, memory_format=torch.channels_last)
    source = iter(HoledCrops(training, batch=8, seed=seed, masks=min(MASKS, count)))
    guesses = GuessedCrops(autoencoder, source, count=count)
    unseen = held_guesses(autoencoder, held)
    log.info("%d faces to train on, %d held out, %d guesses made", len(training), len(held), count)
    return fit(
        refiner,
        guesses.stream(batch=batch, seed=seed),
        losses(taps),
        budget=Budget(minutes=minutes, learning_rate=1.5e-3, weight_decay=0.01, average=0.99),
        folder=out,
        device=device,
        resume=resume,
        measure=lambda net: measure(net, unseen, taps=taps, device=device),
        publish=lambda net: net.save_pretrained(out / "model"),
    )


def run(
    *, data: Path, out: Path, device: str, resume: bool, minutes: float = 40.0, from_shipped: bool = False
) -> dict[str, float]:
    """Train, measure the half-precision weights on held-out people, and ship them with their card."""
    train(data=data, out=out, minutes=minutes, device=device, resume=resume, from_shipped=from_shipped)
    refiner = Refiner.from_pretrained(out / "model").half().float().eval()
    unseen = held_guesses(frozen_autoencoder(), split(read_faces(data))[1])
    taps = TrunkTaps(face_ruler().trunk, blocks=FACE_BLOCKS)
    measured = measure(refiner, unseen, taps=taps, device="cpu")
    ship_refiner(refiner, measured, len(unseen["pixels"]))
    return measured


def ship_refiner(refiner: Refiner, measured: dict[str, float], count: int) -> None:
    """Write the weight and its card with figures measured on `count` held-out faces."""
    told = f"{count} pictures of people never trained on, masks of training kinds"
    ship(
        refiner,
        "refiner",
        title="Refiner of completed faces",
        what="Puts detail into the coarse guess behind a hidden part, from the visible part and its mirror image.",
        training_data=SOURCES,
        recipe="mien train refiner --data DATA",
        figures={name: figure(value, told, "mien train refiner --data DATA") for name, value in measured.items()},
        limits=LIMITS,
    )
