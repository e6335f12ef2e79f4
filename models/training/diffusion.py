"""Recipe of the diffusion: what the autoencoder's guess leaves open behind a hole, drawn from noise."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.faces.names import MIRRORED_BLENDSHAPES
from models.occlusion.autoencoder import FaceAutoencoder
from models.occlusion.diffusion import SCALE, TRAINING_STEPS, FaceDiffusion, fill, schedule
from models.training.data import read_faces, split
from models.training.loop import Batch, Budget, fit
from models.training.mae import SOURCES
from models.training.occlusion_crops import MASKS
from models.training.refiner import HoledCrops, frozen_autoencoder, guessed, held_guesses
from models.training.ship import figure, ship

log = logging.getLogger(__name__)

CROPS = 8000
"""Training crops with a hole and a guess that are learned from again and again."""
TOLD_SHARE = 0.5
"""Of the faces whose expression is told, so that it can be asked for and left open."""
MEASURED_STEPS, MEASURED_SAMPLES = 10, 2
MEASURED = 24
LIMITS = (
    "64 px, trained for about an hour on one core: samples differ in shade and shape and stay soft. Each is a guess, "
    "none is what was there. Not fit for making new faces."
)


@dataclass(frozen=True, eq=False)
class SmallCrops:
    """Crops, guesses and holes at the network's size: guessing costs more than learning, so it is done once."""

    pixels: NDArray[np.uint8]
    """(N, 3, s, s)"""
    guess: NDArray[np.uint8]
    """(N, 3, s, s)"""
    mask: NDArray[np.bool_]
    """(N, 1, s, s)"""
    blendshapes: NDArray[np.float32]
    """(N, 52)"""

    def stream(self, *, batch: int, seed: int) -> Iterator[Batch]:
        """Random rows, half of them mirrored, without end."""
        rng = np.random.default_rng(seed)
        while True:
            rows = rng.integers(len(self.pixels), size=batch)
            turned = rng.random(batch) < 0.5
            drawn = {"pixels": self.pixels[rows], "guess": self.guess[rows], "mask": self.mask[rows]}
            for values in drawn.values():
                values[turned] = values[turned, ..., ::-1]
            shapes = self.blendshapes[rows]
            shapes[turned] = shapes[turned][:, MIRRORED_BLENDSHAPES]
            yield {name: torch.from_numpy(values) for name, values in (drawn | {"blendshapes": shapes}).items()}


def gather(out: Path, autoencoder: FaceAutoencoder, source: Iterator[Batch], *, count: int, size: int) -> SmallCrops:
    """Guess `count` crops, or read them from an earlier start's file in `out`."""
    kept = out / "crops.npz"
    if not kept.is_file():
        out.mkdir(parents=True, exist_ok=True)
        rows: dict[str, list[NDArray]] = {"pixels": [], "guess": [], "mask": [], "blendshapes": []}
        while sum(map(len, rows["pixels"])) < count:
            row = next(source)
            coarse = guessed(autoencoder, row["pixels"].float() / 255, row["mask"].float())[0]
            image, guess, hole = small({**row, "coarse": coarse}, size=size)
            for name, values in (("pixels", image * 255 + 0.5), ("guess", guess * 255 + 0.5)):
                rows[name].append(values.to(torch.uint8).numpy())
            rows["mask"].append(hole.bool().numpy())
            rows["blendshapes"].append(row["blendshapes"].numpy())
        np.savez(kept, **{name: np.concatenate(values) for name, values in rows.items()})
        log.info("guessed %d crops", count)
    with np.load(kept) as stored:
        return SmallCrops(**{name: stored[name] for name in ("pixels", "guess", "mask", "blendshapes")})


def small(batch: Batch, *, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Small picture, guess and mask of a batch with guesses at full size."""
    edge = (size, size)
    image, guess = batch["pixels"].float() / 255, batch["coarse"].float().clamp(0, 1)
    pictures = [functional.interpolate(part, edge, mode="area") for part in (image, guess)]
    hole = (functional.interpolate(batch["mask"].float(), edge, mode="area") > 0).float()
    return pictures[0], pictures[1], hole


def losses(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Squared error of the velocity (Salimans and Ho 2022, appendix D) behind the hole.

    Around the hole the difference is nothing and gets the same noise, as when filling.
    """
    told, hole = batch["guess"].float() / 255, batch["mask"].float()
    clean = (batch["pixels"].float() / 255 - told) / SCALE * hole
    noise = torch.randn_like(clean)
    moments = torch.randint(0, TRAINING_STEPS, (len(clean),), device=clean.device)
    plan = schedule(network)
    noisy = plan.add_noise(clean, noise, moments)
    shapes = batch["blendshapes"].clone()
    shapes[torch.rand(len(shapes), device=shapes.device) > TOLD_SHARE] = torch.nan
    said = network(noisy, moments, torch.cat([told * 2 - 1, hole], 1), shapes).float()
    error = (said - plan.get_velocity(clean, noise, moments)).square()
    return {"velocity": (error * hole).mean() / hole.mean(), "around": 0.1 * error.mean()}


@torch.inference_mode()
def measure(network: nn.Module, held: Batch, *, device: str) -> dict[str, float]:
    """At the network's size: PSNR of the guess and of one sample in dB, and how far two samples are apart (0 to 1)."""
    rows: dict[str, list[float]] = {"guess_psnr": [], "sample_psnr": [], "spread": []}
    for number in range(min(MEASURED, len(held["pixels"]))):
        one = {name: values[number : number + 1].to(device) for name, values in held.items()}
        image, told, hole = small(one, size=int(network.config["size"]))
        made = fill(network, told, hole, steps=MEASURED_STEPS, samples=MEASURED_SAMPLES, seed=number)
        area = hole.sum() * 3
        for name, output in (("guess_psnr", told), ("sample_psnr", made[:1])):
            square = ((output - image).square() * hole).sum() / area
            rows[name].append(float(-10 * square.clamp(min=1e-8).log10()))
        rows["spread"].append(float(((made[0] - made[1]).abs() * hole[0]).sum() / area))
    return {name: sum(values) / len(values) for name, values in rows.items()}


def train(
    *,
    data: Path,
    out: Path,
    minutes: float = 60.0,
    device: str = "cpu",
    resume: bool = True,
    batch: int = 16,
    count: int = CROPS,
    seed: int = 1,
) -> FaceDiffusion:
    """Train for `minutes` on the people of `data` that are not held out; `out` receives `model/` and the curve."""
    torch.manual_seed(seed)
    training, held = split(read_faces(data))
    autoencoder, network = frozen_autoencoder(), FaceDiffusion()
    source = iter(HoledCrops(training, batch=8, seed=seed, masks=min(MASKS, count)))
    crops = gather(out, autoencoder, source, count=count, size=int(network.config["size"]))
    unseen = held_guesses(autoencoder, held)
    return fit(
        network,
        crops.stream(batch=batch, seed=seed),
        losses,
        budget=Budget(minutes=minutes, learning_rate=1e-3, weight_decay=0.01, average=0.995),
        folder=out,
        device=device,
        resume=resume,
        measure=lambda net: measure(net, unseen, device=device),
        publish=lambda net: net.save_pretrained(out / "model"),
    )


def run(*, data: Path, out: Path, device: str, resume: bool, minutes: float = 60.0) -> dict[str, float]:
    """Train, measure the half-precision weights on held-out people, and ship them with their card."""
    train(data=data, out=out, minutes=minutes, device=device, resume=resume)
    network = FaceDiffusion.from_pretrained(out / "model").half().float().eval()
    unseen = held_guesses(frozen_autoencoder(), split(read_faces(data))[1])
    measured = measure(network, unseen, device="cpu")
    told = f"{MEASURED} pictures of people never trained on, masks of training kinds, at a third of the size"
    ship(
        network,
        "diffusion",
        title="Diffusion behind a hole",
        what="Draws several different guesses of what a hidden part looks like.",
        training_data=SOURCES,
        recipe="mien train diffusion --data DATA",
        figures={name: figure(value, told, "mien train diffusion --data DATA") for name, value in measured.items()},
        limits=LIMITS,
    )
    return measured
