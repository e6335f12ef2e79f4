"""Recipe of the recogniser: latents of what is visible mend the expression read off a completed face.

The truth is what the expression network itself reads off the same face uncovered: what it teaches is to see through an
occluder, not another opinion on emotions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models import registry
from models.deepfever import ExpressionNet
from models.latent_ofer.occluders import HELD_OUT_KINDS, TRAINING_KINDS, occlude
from models.occlusion.reader import OcclusionReader
from models.occlusion.recogniser import LatentExpression
from models.occlusion.results import FaceCrop
from models.training.data import FaceSet, read_faces, split
from models.training.loop import Batch, Budget, fit
from models.training.mae import SOURCES
from models.training.occlusion_crops import Aligned, Faces, exact_crop, patches_hidden
from models.training.ship import figure, ship
from models.types import Crop

log = logging.getLogger(__name__)

READINGS = 2400
"""Faces read to learn from: covered, completed and uncovered, 0.3 seconds each."""
FRESH = 100
"""Readings of training people that only the scale of the corrections is fitted on."""
MOST_HIDDEN = 0.8
"""Share of touched patches above which an occluder is drawn anew: too little would be left to complete it from."""
LIMITS = (
    "Follows what Mien's expression network reads off the uncovered face; that network was taught by others, and no "
    "person rated these expressions. Drawn occluders only: what a hidden mouth does, the eyes alone cannot tell."
)


@dataclass(frozen=True, eq=False)
class Readings:
    """Row i belongs to one occluded and completed face."""

    latents: Tensor
    """(N, g * g, width)"""
    hidden: Tensor
    """(N, g * g) bool"""
    features: Tensor
    """(N, F) of the completed face."""
    vector: Tensor
    """(N, 64) of the completed face."""
    occluded: Tensor
    """(N, 64) of the face as it came."""
    truth: Tensor
    """(N, 64) of the uncovered face."""
    attention: Tensor
    """(N, g * g) class activation on the uncovered face."""


def read_one(reader: OcclusionReader, one: Aligned, rng: np.random.Generator, kinds: tuple[str, ...]) -> list[Tensor]:
    """Cover one aligned crop, complete it, and read everything, in the order of `Readings`."""
    covered = occlude(one.pixels, one.landmarks, chance=rng, kinds=kinds)
    while patches_hidden(covered.mask[None], grid=reader.grid).mean() > MOST_HIDDEN:
        covered = occlude(one.pixels, one.landmarks, chance=rng, kinds=kinds)
    points = np.concatenate([one.landmarks, np.zeros((len(one.landmarks), 1), np.float32)], 1)
    crop = FaceCrop(Crop(covered.image, np.eye(3)), points)
    filled = reader.reconstruct(crop, covered.mask).blended
    clean, before, after = (reader.look(pixels) for pixels in (one.pixels, covered.image, filled))
    latents, hidden = reader.latents(filled, covered.mask)
    attention = torch.from_numpy(clean.attention).flatten()[None]
    return [latents, hidden, after.features, after.vector, before.vector, clean.vector, attention]


def joined(rows: list[list[Tensor]]) -> Readings:
    """Stack rows of `read_one`."""
    return Readings(*(torch.cat(column).clone() for column in zip(*rows, strict=True)))


def draw(reader: OcclusionReader, faces: FaceSet, *, count: int, seed: int) -> Readings:
    """Training faces behind occluders of the training kinds."""
    rng, drawn = np.random.default_rng([seed, 9]), Faces(faces)
    return joined([read_one(reader, drawn.draw(rng), rng, TRAINING_KINDS) for _ in range(count)])


def draw_held(reader: OcclusionReader, held: FaceSet, *, seed: int) -> Readings:
    """Held-out colour faces, each behind one of the kinds never trained on."""
    rng, clear = np.random.default_rng([seed, 10]), held.rows(held.source != "congress160")
    return joined([read_one(reader, exact_crop(clear, row), rng, HELD_OUT_KINDS) for row in range(len(clear))])


def kept(file: Path, draw_now: Callable[[], Readings], *, resume: bool) -> Readings:
    """Read what an earlier run of the same networks drew, or draw it and keep it."""
    if resume and file.is_file():
        return Readings(**torch.load(file, weights_only=True))
    readings = draw_now()
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(vars(readings), file)
    return readings


def lay_choice(network: LatentExpression, readings: Readings) -> None:
    """Choose the patches that class activation points to most, and lay the latents' mean and deviation."""
    strongest = readings.attention.mean(0).argsort(descending=True)[: len(network.relevant)]
    network.relevant.copy_(strongest.sort().values)
    network.mean.copy_(readings.latents.mean(0))
    network.deviation.copy_(readings.latents.std(0).clamp(min=1e-3))


def emotions_of(expression: ExpressionNet, vector: Tensor) -> Tensor:
    """(B, 8) logarithms of probabilities from (B, 64) vectors."""
    return expression.emotions((vector * vector.shape[1] ** 0.5).float()).float().log_softmax(1)


class Reading(nn.Module):
    """The recogniser that learns, beside the frozen head that turns vectors into emotions."""

    def __init__(self, network: LatentExpression, expression: ExpressionNet) -> None:
        super().__init__()
        self.network = network
        self.expression = expression.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Reading:
        """Only the recogniser has a training mode."""
        self.network.train(mode)
        return self

    def forward(self, batch: Batch) -> Tensor:
        """The corrected vectors (B, 64)."""
        return self.network(batch["latents"], batch["hidden"], batch["features"], batch["vector"])


def losses(reading: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Squared distance of the vectors, divergence of the emotions from the uncovered face's."""
    vector = reading(batch).float()
    said, truth = (emotions_of(reading.expression, part) for part in (vector, batch["truth"]))
    return {
        "vector": (vector - batch["truth"]).square().sum(1).mean(),
        "emotions": 0.2 * functional.kl_div(said, truth, log_target=True, reduction="batchmean"),
    }


def stream(readings: Readings, *, batch: int, seed: int) -> Iterator[Batch]:
    """Random rows, an endless stream."""
    rng, count = np.random.default_rng(seed), len(readings.vector)
    while True:
        rows = torch.from_numpy(rng.integers(count, size=batch))
        yield {name: getattr(readings, name)[rows] for name in ("latents", "hidden", "features", "vector", "truth")}


@torch.inference_mode()
def measure(reading: nn.Module, held: Readings) -> dict[str, float]:
    """Distance to the uncovered face's vector and agreement of the strongest emotion: occluded, completed, joined."""
    rows = {name: getattr(held, name) for name in ("latents", "hidden", "features", "vector")}
    figures: dict[str, float] = {}
    truth = emotions_of(reading.expression, held.truth).argmax(1)
    for name, vector in (
        ("occluded", held.occluded), ("completed", held.vector), ("joined", reading(rows).float())
    ):  # fmt: skip
        figures[f"{name}_distance"] = float((vector - held.truth).norm(dim=1).mean())
        figures[f"{name}_agreement"] = float(
            (emotions_of(reading.expression, vector).argmax(1) == truth).float().mean()
        )
    return figures


@torch.no_grad()
def calibrate(network: LatentExpression, fresh: Readings) -> float:
    """Scale the corrections so that squared errors on readings never learned from are least; returns the scale."""
    said = network(fresh.latents, fresh.hidden, fresh.features, fresh.vector)
    change, wanted = said - fresh.vector, fresh.truth - fresh.vector
    scale = max(float((change * wanted).sum() / change.square().sum().clamp(min=1e-9)), 0.0)
    network.change.weight.mul_(scale)
    network.change.bias.mul_(scale)
    return scale


def train(
    reader: OcclusionReader, readings: Readings, held: Readings, *, out: Path, minutes: float, resume: bool
) -> LatentExpression:
    """Train on readings in memory."""
    torch.manual_seed(1)
    width, features = readings.latents.shape[2], readings.features.shape[1]
    network = LatentExpression(tokens=readings.latents.shape[1], width=width, features=features)
    lay_choice(network, readings)
    averaged = fit(
        Reading(network, reader.networks.expression),
        stream(readings, batch=64, seed=1),
        losses,
        budget=Budget(minutes=minutes, learning_rate=5e-4, weight_decay=0.1, average=0.98, checkpoint_minutes=0.25),
        folder=out,
        resume=resume,
        measure=lambda net: measure(net, held),
    )
    return averaged.network


def run(
    *, data: Path, out: Path, device: str, resume: bool, minutes: float = 4.0, count: int = READINGS
) -> dict[str, float]:
    """Read training faces through the chain that ships, train, measure on unseen kinds and people, ship.

    The readings are made once and take most of the time; `minutes` is for the training after them.
    """
    reader: OcclusionReader = registry.load("occlusion")
    training, held = split(read_faces(data))
    readings = kept(out / "readings.pt", lambda: draw(reader, training, count=count, seed=1), resume=resume)
    log.info("%d readings", len(readings.vector))
    unseen = draw_held(reader, held, seed=1)
    network = train(reader, readings, unseen, out=out, minutes=minutes, resume=resume).eval()
    log.info("corrections are scaled by %.3f", calibrate(network, draw(reader, training, count=FRESH, seed=2)))
    network = network.half().float()
    figures = measure(Reading(network, reader.networks.expression), unseen)
    ship_ofer(network, figures, len(unseen.vector))
    return figures


def ship_ofer(network: LatentExpression, figures: dict[str, float], count: int) -> None:
    """Write the weight and its card with figures measured on `count` held-out faces."""
    told = f"{count} pictures of people never trained on, behind kinds never trained on ({', '.join(HELD_OUT_KINDS)})"
    ship(
        network,
        "ofer",
        title="Expression of completed faces",
        what="Mends the expression vector of a completed face with latents of its visible patches.",
        training_data=SOURCES,
        recipe="mien train ofer --data DATA",
        figures={name: figure(value, told, "mien train ofer --data DATA") for name, value in figures.items()},
        limits=LIMITS,
    )
