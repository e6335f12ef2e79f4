"""Recipe of the diffusion: what the autoencoder's guess leaves open behind a hole, drawn from noise."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.occlusion.autoencoder import FaceAutoencoder
from models.occlusion.diffusion import SCALE, TRAINING_STEPS, FaceDiffusion, Modes, fill, modes_of, schedule
from models.occlusion.prior import LinearPrior
from models.training.data import read_faces, split
from models.training.loop import Batch, Budget, fit
from models.training.mae import SOURCES
from models.training.refiner import HoledCrops, frozen_autoencoder, guessed, held_guesses
from models.training.ship import figure, ship

log = logging.getLogger(__name__)

CROPS, HOLES = 5000, 250
"""Training crops with a guess that are learned from again and again, and holes, each also mirrored, that they share."""
REST_SHARE = 0.1
"""Of the variance in directions that are no modes: as white noise it looked like dirt, so most of it is left out."""
TOLD_SHARE = 0.5
"""Of the faces whose expression is told, so that it can be asked for and left open."""
MEASURED_STEPS, MEASURED_SAMPLES = 10, 2
MEASURED = 24
LIMITS = (
    "60 px, then made larger: samples differ in shade and shape and stay soft. Most of what they show comes from "
    "Gaussian faces, a little from the network. Each is a guess, none is what was there. Not fit for making new faces."
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

    def __len__(self) -> int:
        return len(self.pixels)

    def rows(self, chosen: NDArray[np.int64]) -> Batch:
        """Some rows as tensors, with their numbers."""
        names = ("pixels", "guess", "mask", "blendshapes")
        return {name: torch.from_numpy(getattr(self, name)[chosen]) for name in names} | {
            "row": torch.from_numpy(chosen)
        }

    def stream(self, *, batch: int, seed: int) -> Iterator[Batch]:
        """Random rows without end."""
        rng = np.random.default_rng(seed)
        while True:
            yield self.rows(rng.integers(len(self), size=batch))


class ModesOfCrops:
    """The modes of each crop's hole; crops with the same hole share them."""

    def __init__(self, crops: SmallCrops, prior: LinearPrior, *, device: str) -> None:
        holes, which = np.unique(crops.mask.reshape(len(crops), -1), axis=0, return_inverse=True)
        self.which = which.reshape(-1)
        size = crops.mask.shape[-1]
        self.modes = [half(modes_of(prior, torch.from_numpy(hole).view(1, size, size)), device) for hole in holes]
        log.info("%d holes", len(holes))

    def __call__(self, rows: Tensor) -> list[Modes]:
        """Those of some crops, by their numbers."""
        return [self.modes[self.which[row]] for row in rows.tolist()]


def half(modes: Modes, device: str) -> Modes:
    """The same in half the memory."""
    return Modes(modes.directions.half().to(device), modes.variances.to(device), modes.hole.to(device))


@torch.no_grad()
def calibrate(network: FaceDiffusion, crops: SmallCrops, modes_of_rows: ModesOfCrops, *, count: int = 600) -> None:
    """Lay how widely differences vary along the modes, and beside them, from `count` training crops."""
    batch = crops.rows(np.arange(min(count, len(crops))))
    clean = (batch["pixels"].float() - batch["guess"].float()) / (255 * SCALE) * batch["mask"]
    along = promised = whole = others = numbers = 0.0
    for difference, mode in zip(clean, modes_of_rows(batch["row"]), strict=True):
        power = (mode.directions.cpu().flatten(1).float() @ difference.flatten()).square()
        along, promised = along + float(power.sum()), promised + float(mode.variances.sum())
        whole += float(difference.square().sum() - power.sum())
        others += max(3 * float(mode.hole.sum()) - len(power), 1)
        numbers += len(power)
    network.width.fill_(max(along - numbers * whole / others, 1e-3) / promised)
    network.rest.fill_(max(REST_SHARE * whole / others, 1e-3))
    log.info("modes vary %.2f times as the prior says, other directions by %.3f", network.width, network.rest)


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


def losses(modes_of_rows: ModesOfCrops) -> Callable[[nn.Module, Batch], dict[str, Tensor]]:
    """Build the loss: squared error of the velocity (Salimans and Ho 2022, appendix D) behind the hole.

    Around the hole the difference is nothing and gets the same noise, as when filling.
    """

    def loss_of(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        told, hole = batch["guess"].float() / 255, batch["mask"].float()
        clean = (batch["pixels"].float() / 255 - told) / SCALE * hole
        noise = torch.randn_like(clean)
        moments = torch.randint(0, TRAINING_STEPS, (len(clean),), device=clean.device)
        plan = schedule(network)
        noisy = plan.add_noise(clean, noise, moments)
        shapes = batch["blendshapes"].clone()
        shapes[torch.rand(len(shapes), device=shapes.device) > TOLD_SHARE] = torch.nan
        modes = modes_of_rows(batch["row"])
        said = network(noisy, moments, torch.cat([told * 2 - 1, hole], 1), modes, shapes).float()
        error = (said - plan.get_velocity(clean, noise, moments)).square()
        return {"velocity": (error * hole).mean() / hole.mean()}

    return loss_of


@torch.inference_mode()
def measure(network: nn.Module, held: Batch, prior: LinearPrior, *, device: str) -> dict[str, float]:
    """At the network's size: PSNR of the guess and of one sample in dB, and how far two samples are apart (0 to 1)."""
    rows: dict[str, list[float]] = {"guess_psnr": [], "sample_psnr": [], "spread": []}
    for number in range(min(MEASURED, len(held["pixels"]))):
        one = {name: values[number : number + 1].to(device) for name, values in held.items()}
        image, told, hole = small(one, size=int(network.config["size"]))
        modes = half(modes_of(prior, hole[0].cpu()), device)
        made = fill(network, told, hole, modes, steps=MEASURED_STEPS, samples=MEASURED_SAMPLES, seed=number)
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
    source = iter(HoledCrops(training, batch=8, seed=seed, masks=min(HOLES, count)))
    crops = gather(out, autoencoder, source, count=count, size=int(network.config["size"]))
    modes = ModesOfCrops(crops, autoencoder.prior, device=device)
    calibrate(network, crops, modes)
    unseen = held_guesses(autoencoder, held)
    return fit(
        network,
        crops.stream(batch=batch, seed=seed),
        losses(modes),
        budget=Budget(minutes=minutes, learning_rate=1e-3, weight_decay=0.01, average=0.995),
        folder=out,
        device=device,
        resume=resume,
        measure=lambda net: measure(net, unseen, autoencoder.prior, device=device),
        publish=lambda net: net.save_pretrained(out / "model"),
    )


def run(*, data: Path, out: Path, device: str, resume: bool, minutes: float = 60.0) -> dict[str, float]:
    """Train, measure the half-precision weights on held-out people, and ship them with their card."""
    train(data=data, out=out, minutes=minutes, device=device, resume=resume)
    network = FaceDiffusion.from_pretrained(out / "model").half().float().eval()
    autoencoder = frozen_autoencoder()
    unseen = held_guesses(autoencoder, split(read_faces(data))[1])
    measured = measure(network, unseen, autoencoder.prior, device="cpu")
    told = f"{MEASURED} pictures of people never trained on, masks of training kinds, at half of the size"
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
