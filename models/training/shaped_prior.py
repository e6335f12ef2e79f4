"""Recipe of the shaped prior: mean shape, principal directions of faces in that shape, and how far to follow it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from models import registry
from models.faces.align import units
from models.latent_ofer.occluders import TRAINING_KINDS, occlude
from models.occlusion.prior import lay_prior
from models.occlusion.reader import OcclusionReader
from models.occlusion.shaped import ShapedPrior
from models.training.data import FaceSet, read_faces, split
from models.training.dfc_vae_crops import as_tensor
from models.training.mae import SOURCES
from models.training.occlusion_crops import Aligned, Faces, exact_crop, mirrored_points
from models.training.ship import figure, ship

log = logging.getLogger(__name__)

CROPS = 9000
SHAPES = 1500
"""Crops that the mean shape is taken from, each also mirrored."""
LOOSENESS = 40.0
"""What the directions leave over is alike in neighbouring pixels: see `lay_prior`."""
MOST_HIDDEN = 0.7
"""Share of a crop above which a cover is not counted."""
COVERED = 240
"""Training faces behind occluders of training kinds, on which the share is fitted."""
LIMITS = (
    "A guess of what most likely lies behind the hidden part, soft, and never what really was there. It follows points "
    "that are read off a first guess: where those are wrong, the guess is carried to the wrong place."
)


def lay(network: ShapedPrior, faces: Faces, *, count: int = CROPS, shapes: int = SHAPES, seed: int = 1) -> None:
    """Fill an empty network from training crops: closed form, a minute."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([seed, 21])
    mean = np.mean([faces.draw(rng).landmarks for _ in range(shapes)], 0)
    mean = (mean + mirrored_points(mean, faces.size)) / 2
    network.shape.copy_(torch.from_numpy(units(mean, faces.size)).half())
    carried = []
    for start in range(0, count, 64):
        drawn = [faces.draw(rng) for _ in range(min(64, count - start))]
        crops = as_tensor([one.pixels for one in drawn]).float() / 255
        points = torch.from_numpy(np.stack([units(one.landmarks, faces.size) for one in drawn]))
        carried.append((network.shaped(crops, points) * 255 + 0.5).to(torch.uint8))
    lay_prior(network.prior, torch.cat(carried), looseness=LOOSENESS)


Trial = tuple[Tensor, Tensor, Tensor, Tensor]


def trials(reader: OcclusionReader, faces: Iterable[Aligned], rng: np.random.Generator) -> Iterator[Trial]:
    """Cover each face: its plain and shaped guess, the truth (1, 3, S, S) and the hole (1, 1, S, S) bool."""
    for one in faces:
        covered = occlude(one.pixels, one.landmarks, chance=rng, kinds=TRAINING_KINDS)
        if 0 < covered.mask.mean() < MOST_HIDDEN:
            truth = as_tensor([one.pixels]).float() / 255
            yield *reader.guesses(covered.image, covered.mask), truth, torch.from_numpy(covered.mask)[None, None]


def fitted_share(reader: OcclusionReader, faces: Faces, *, count: int = COVERED, seed: int = 1) -> float:
    """How far to go from the plain guess to the shaped one so that squared errors behind the holes are least."""
    above = below = 0.0
    rng = np.random.default_rng([seed, 22])
    for plain, shaped, truth, hole in trials(reader, (faces.draw(rng) for _ in range(count)), rng):
        above += float(((truth - plain) * (shaped - plain) * hole).sum())
        below += float(((shaped - plain).square() * hole).sum())
    return float(np.clip(above / max(below, 1e-9), 0, 1))


def measure(reader: OcclusionReader, held: FaceSet, *, seed: int = 0) -> dict[str, float]:
    """Mean PSNR in dB behind drawn occluders of training kinds on held-out colour faces: plain, shaped, and both."""
    share = float(reader.networks.shaped.share)
    rows: dict[str, list[float]] = {"plain_psnr": [], "shaped_psnr": [], "hole_psnr": []}
    rng, clear = np.random.default_rng([seed, 23]), held.rows(held.source != "congress160")
    for plain, shaped, truth, hole in trials(reader, (exact_crop(clear, row) for row in range(len(clear))), rng):
        for name, guess in zip(rows, (plain, shaped, torch.lerp(plain, shaped, share)), strict=True):
            square = ((guess.clamp(0, 1) - truth).square() * hole).sum() / (3 * hole.sum())
            rows[name].append(float(-10 * square.clamp(min=1e-8).log10()))
    return {name: float(np.mean(values)) for name, values in rows.items()}


def run(
    *, data: Path, out: Path, device: str, resume: bool, minutes: float = 0.0, count: int = CROPS
) -> dict[str, float]:
    """Lay the prior, fit the share, measure on held-out people, ship; in closed form, so that `minutes` say nothing."""
    training, held = split(read_faces(data))
    faces = Faces(training)
    network = ShapedPrior()
    lay(network, faces, count=count)
    network = network.half().float()
    shipped: OcclusionReader = registry.load("occlusion")
    networks = replace(shipped.networks, shaped=network.to(shipped.device))
    reader = OcclusionReader(networks, backend=shipped.backend, device=shipped.device)
    network.share.fill_(fitted_share(reader, faces)).copy_(network.share.half())
    log.info("the guess goes %.2f of the way from the plain one to the shaped one", float(network.share))
    figures = measure(reader, held)
    ship_shaped(network, figures, len(held.rows(held.source != "congress160")))
    return figures


def ship_shaped(network: ShapedPrior, figures: dict[str, float], count: int) -> None:
    """Write the weight and its card with figures measured on `count` held-out faces."""
    told = f"{count} pictures of people never trained on, behind drawn occluders of training kinds"
    ship(
        network,
        "shaped_prior",
        title="Gaussian faces in the mean face's shape",
        what="Guesses what is behind a hole after pixels were carried to the mean face's shape, and carries it back.",
        training_data=SOURCES,
        recipe="mien train shaped_prior --data DATA",
        figures={name: figure(value, told, "mien train shaped_prior --data DATA") for name, value in figures.items()},
        limits=LIMITS,
    )
