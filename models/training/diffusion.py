"""Recipe of the diffusion: what the autoencoder's guess leaves open behind a hole, drawn from noise."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from models.occlusion.autoencoder import FaceAutoencoder
from models.occlusion.diffusion import SCALE, TRAINING_STEPS, FaceDiffusion, fill, schedule
from models.training.data import read_faces, split
from models.training.loop import Batch, Budget, fit
from models.training.mae import SOURCES
from models.training.occlusion_crops import MASKS
from models.training.refiner import HoledCrops, frozen_autoencoder, held_holes
from models.training.ship import figure, ship

log = logging.getLogger(__name__)

TOLD_SHARE = 0.5
"""Of the faces whose expression is told, so that it can be asked for and left open."""
MEASURED_STEPS, MEASURED_SAMPLES = 10, 2
MEASURED = 32
LIMITS = (
    "Trained for minutes at 60 px: samples differ in shade and shape and stay soft. Each is a guess, none is what was "
    "there. Not fit for making new faces."
)


def small_guess(autoencoder: FaceAutoencoder, image: Tensor, mask: Tensor, *, size: int) -> tuple[Tensor, ...]:
    """Half-size picture, guess and mask from full-size ones."""
    with torch.no_grad():
        guess = autoencoder(image, autoencoder.hidden_patches(mask), mask)
    coarse = torch.where(mask > 0, guess.predicted, image).clamp(0, 1)
    edge = (size, size)
    small, told = (functional.interpolate(part, edge, mode="area") for part in (image, coarse))
    return small, told, (functional.interpolate(mask, edge, mode="area") > 0).float()


def losses(autoencoder: FaceAutoencoder, size: int) -> Callable[[nn.Module, Batch], dict[str, Tensor]]:
    """Build the loss: squared error of the velocity (Salimans and Ho 2022, appendix D) behind the hole."""

    def loss_of(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        image, mask = batch["pixels"].float() / 255, batch["mask"].float()
        small, told, hole = small_guess(autoencoder, image, mask, size=size)
        clean = (small - told) / SCALE
        noise = torch.randn_like(clean)
        moments = torch.randint(0, TRAINING_STEPS, (len(clean),), device=clean.device)
        plan = schedule(network)
        noisy = plan.add_noise(clean, noise, moments)
        shapes = batch["blendshapes"].clone()
        shapes[torch.rand(len(shapes), device=shapes.device) > TOLD_SHARE] = torch.nan
        said = network(noisy, moments, torch.cat([told * 2 - 1, hole], 1), shapes).float()
        error = (said - plan.get_velocity(clean, noise, moments)).square()
        return {"velocity": (error * hole).mean() / hole.mean(), "around": 0.1 * error.mean()}

    return loss_of


@torch.inference_mode()
def measure(
    network: nn.Module, autoencoder: FaceAutoencoder, crops: Tensor, masks: Tensor, *, device: str
) -> dict[str, float]:
    """At the network's size: PSNR of the guess and of one sample in dB, and how far two samples are apart (0 to 1)."""
    rows: dict[str, list[float]] = {"guess_psnr": [], "sample_psnr": [], "spread": []}
    for number in range(min(MEASURED, len(crops))):
        image = crops[number : number + 1].to(device).float() / 255
        mask = masks[number : number + 1].to(device).float()
        small, told, hole = small_guess(autoencoder, image, mask, size=int(network.config["size"]))
        made = fill(network, told, hole, steps=MEASURED_STEPS, samples=MEASURED_SAMPLES, seed=number)
        area = hole.sum() * 3
        for name, output in (("guess_psnr", told), ("sample_psnr", made[:1])):
            square = ((output - small).square() * hole).sum() / area
            rows[name].append(float(-10 * square.clamp(min=1e-8).log10()))
        rows["spread"].append(float(((made[0] - made[1]).abs() * hole[0]).sum() / area))
    return {name: sum(values) / len(values) for name, values in rows.items()}


def train(
    *,
    data: Path,
    out: Path,
    minutes: float = 40.0,
    device: str = "cpu",
    resume: bool = True,
    batch: int = 8,
    masks: int = MASKS,
    seed: int = 1,
) -> FaceDiffusion:
    """Train for `minutes` on the people of `data` that are not held out; `out` receives `model/` and the curve."""
    torch.manual_seed(seed)
    training, held = split(read_faces(data))
    autoencoder, network = frozen_autoencoder().to(device), FaceDiffusion()
    crops, holes = held_holes(held)
    return fit(
        network,
        iter(DataLoader(HoledCrops(training, batch=batch, seed=seed, masks=masks), batch_size=None)),
        losses(autoencoder, int(network.config["size"])),
        budget=Budget(minutes=minutes, learning_rate=1e-3, weight_decay=0.01, average=0.99),
        folder=out,
        device=device,
        resume=resume,
        measure=lambda net: measure(net, autoencoder, crops, holes, device=device),
        publish=lambda net: net.save_pretrained(out / "model"),
    )


def run(*, data: Path, out: Path, device: str, resume: bool, minutes: float = 40.0) -> dict[str, float]:
    """Train, measure the half-precision weights on held-out people, and ship them with their card."""
    train(data=data, out=out, minutes=minutes, device=device, resume=resume)
    network = FaceDiffusion.from_pretrained(out / "model").half().float().eval()
    _, held = split(read_faces(data))
    crops, holes = held_holes(held)
    measured = measure(network, frozen_autoencoder(), crops, holes, device="cpu")
    told = f"{MEASURED} pictures of people never trained on, masks of training kinds, at half size"
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
