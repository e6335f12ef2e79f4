"""Recipe of the masked autoencoder of faces: hide compact parts and random patches, predict them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from models.occlusion.autoencoder import SPREAD, FaceAutoencoder
from models.occlusion.prior import lay_prior
from models.registry import shipped
from models.training.data import FaceSet, read_faces, split
from models.training.dfc_vae_crops import as_tensor
from models.training.loop import Batch, Budget, fit
from models.training.occlusion_crops import (
    MASKS,
    Faces,
    MaskedCrops,
    draw_masks,
    exact_crop,
    patches_hidden,
    some_crops,
)
from models.training.ship import CLIPS, CONGRESS, LONDON, SFHQ, WARPED, WEBMORPH, figure, ship

log = logging.getLogger(__name__)

SOURCES = (SFHQ, LONDON, WEBMORPH, CONGRESS, CLIPS, WARPED)
PRIOR_CROPS = 6000
CALIBRATION = 400
"""Training crops that the decoder's scale is fitted on."""
MEASURED = 160
"""Held-out faces that the curve is measured on."""
LIMITS = (
    "A coarse guess of what most likely lies behind the hidden patches: soft, and never what really was there. Learned "
    "mostly from synthetic faces and portraits. Faces turned over 35 degrees are completed less well."
)


def losses(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Squared and absolute error of the hidden pixels, over the faces' variance and deviation."""
    image = batch["pixels"].float() / 255
    guess = network(image, batch["hidden"])
    covered = network.pixel_mask(batch["hidden"]).float()
    error = (guess.predicted - image) / SPREAD * covered
    share = covered.mean() * error.shape[1] / 3
    return {"squared": error.square().mean() / share, "absolute": 0.4 * error.abs().mean() / share}


def held_crops(held: FaceSet, *, grid: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Held-out colour faces (N, 3, S, S) uint8 and one compact mask for each (N, g * g)."""
    clear = held.rows(held.source != "congress160")
    rows = np.unique(np.linspace(0, len(clear) - 1, MEASURED).round().astype(int))
    masks = draw_masks(Faces(clear), count=len(rows), seed=seed)
    crops = as_tensor([exact_crop(clear, int(row)).pixels for row in rows])
    return crops, torch.from_numpy(patches_hidden(masks, grid=grid))


@torch.inference_mode()
def measure(network: nn.Module, crops: Tensor, hidden: Tensor, *, device: str = "cpu") -> dict[str, float]:
    """Mean PSNR in dB of the hidden patches: the network's and the linear prior's alone."""
    rows: list[tuple[float, float]] = []
    for start in range(0, len(crops), 16):
        image = crops[start : start + 16].to(device).float() / 255
        mask = hidden[start : start + 16].to(device)
        guess = network(image, mask)
        covered = network.pixel_mask(mask).float()
        for output in (guess.predicted, guess.prior):
            square = ((output.clamp(0, 1) - image).square() * covered).flatten(1).sum(1)
            rows.append(tuple((-10 * (square / (3 * covered.flatten(1).sum(1))).clamp(min=1e-8).log10()).tolist()))
    ours, prior = [sum(rows[start::2], ()) for start in (0, 1)]
    return {"hole_psnr": float(np.mean(ours)), "prior_psnr": float(np.mean(prior))}


@torch.no_grad()
def calibrate(network: FaceAutoencoder, crops: Tensor, masks: Tensor) -> float:
    """Scale what the decoder adds to the prior so that squared errors behind pixel masks are least; returns the scale.

    Training hides whole patches, in use the prior sees up to the hole's rim: what is left to add is less. `crops`
    (N, 3, S, S) uint8 of training people, `masks` (N, 1, S, S) bool.
    """
    above = below = 0.0
    for image, mask in zip(crops.split(16), masks.split(16), strict=True):
        image, mask = image.float() / 255, mask.float()
        guess = network(image, network.hidden_patches(mask), mask)
        change = guess.predicted - guess.prior
        above += float(((image - guess.prior) * change * mask).sum())
        below += float((change.square() * mask).sum())
    scale = above / max(below, 1e-9)
    network.decoder_pred.weight.mul_(scale)
    network.decoder_pred.bias.mul_(scale)
    return scale


def train(
    *,
    data: Path,
    out: Path,
    minutes: float = 40.0,
    device: str = "cpu",
    resume: bool = True,
    batch: int = 10,
    from_shipped: bool = False,
    prior_crops: int = PRIOR_CROPS,
    masks: int = MASKS,
    seed: int = 1,
) -> FaceAutoencoder:
    """Train for `minutes` on the people of `data` that are not held out; `out` receives `model/` and the curve."""
    torch.manual_seed(seed)
    training, held = split(read_faces(data))
    network = FaceAutoencoder()
    if from_shipped:
        network.load_state_dict(shipped("mae")[1])
    elif not (resume and (out / "last.pt").is_file()):
        lay_prior(network.prior, some_crops(training, count=prior_crops, seed=seed))
    log.info("%d faces to train on, %d held out", len(training), len(held))
    crops, hidden = held_crops(held, grid=network.grid)
    stream = MaskedCrops(training, grid=network.grid, batch=batch, seed=seed, masks=masks)
    return fit(
        network,
        iter(DataLoader(stream, batch_size=None)),
        losses,
        budget=Budget(minutes=minutes, learning_rate=1e-3, weight_decay=0.05, warm_up=0.03, average=0.99),
        folder=out,
        device=device,
        resume=resume,
        measure=lambda averaged: measure(averaged, crops, hidden, device=device),
        publish=lambda averaged: averaged.save_pretrained(out / "model"),
    )


def run(
    *, data: Path, out: Path, device: str, resume: bool, minutes: float = 40.0, from_shipped: bool = False
) -> dict[str, float]:
    """Train, measure the half-precision weights on held-out people, and ship them with their card."""
    train(data=data, out=out, minutes=minutes, device=device, resume=resume, from_shipped=from_shipped)
    network = FaceAutoencoder.from_pretrained(out / "model").eval()
    training, held = split(read_faces(data))
    some = some_crops(training, count=CALIBRATION, seed=2)
    drawn = torch.from_numpy(draw_masks(Faces(training), count=CALIBRATION, seed=2))[:, None]
    log.info("what the decoder adds is scaled by %.3f", calibrate(network, some, drawn))
    network = network.half().float()
    crops, hidden = held_crops(held, grid=network.grid)
    measured = measure(network, crops, hidden)
    ship_network(network, measured, len(crops))
    return measured


def ship_network(network: FaceAutoencoder, measured: dict[str, float], count: int) -> None:
    """Write the weight and its card with figures measured on `count` held-out faces."""
    told = f"{count} pictures of people never trained on, masks of training kinds"
    ship(
        network,
        "mae",
        title="Masked autoencoder of faces",
        what="Predicts the hidden patches of an aligned 120 px face crop from the visible ones.",
        training_data=SOURCES,
        recipe="mien train mae --data DATA",
        figures={name: figure(value, told, "mien train mae --data DATA") for name, value in measured.items()},
        limits=LIMITS,
    )
