"""Recipe of SMIRK's second stage for `smirk_open`: analysis by neural synthesis, and the same time without it.

Retsinas et al., CVPR 2024, sections 3.2 to 3.4. First a small painter learns, for the encoder as it ships, to paint a
face from its rendered geometry and a few of its pixels. Then both learn together: the painted face must look like the
photo, and, in the cycle, a face painted with another expression must be read as having it; the cycle teaches the
encoder and the painter by turns. A second run of the same length goes on without any of this. The better of the three
encoders by the coefficients' correlation on held-out people ships; all three stand in the card.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from models.dfc_vae.losses import TrunkTaps, relative_layer_errors
from models.head import load_head
from models.registry import shipped
from models.smirk_open.encoder import OpenEncoder, OpenReading
from models.smirk_open.generator import OpenGenerator
from models.smirk_open.synthesis import FaceMesh, conditions, paint, painter, sampled, shrunk
from models.training.data import read_faces, split
from models.training.faces import landmark_weights
from models.training.loop import Batch, Budget, fit
from models.training.smirk import LEARNING_RATE, HeadCrops, LandmarksOfHead, losses, measure_crops, slowly_normalised
from models.training.smirk_card import WITH, AblationRow, ship_encoder

log = logging.getLogger(__name__)

SIZE = 96
"""Edge at which faces are painted."""
KEPT = (0.002, 0.05)
"""Share of the pixels that the painter is left, drawn evenly in logarithms (the paper: 0.2 to 5 %)."""
PAINTER_SHARE, JOINT_SHARE = 0.25, 0.4
"""Of the minutes; what is left is the run without synthesis, as long as the joint one."""
BLOCKS = (1,)
CYCLED = 8
"""Rows of each batch whose expression is exchanged."""
PAINTER_RATE = 2e-3


class Analysis(nn.Module):
    """Encoder and painter, which learn together."""

    def __init__(self, encoder: OpenEncoder, network: OpenGenerator) -> None:
        super().__init__()
        self.encoder, self.painter = encoder, network
        self.steps = 0


def reconstruction(mesh: FaceMesh, ruler: TrunkTaps, reading: OpenReading, network: OpenGenerator, photo: Tensor
                   ) -> dict[str, Tensor]:  # fmt: skip
    """Paint photos (B, 3, SIZE, SIZE) back from what was read of them: pixels and the face network's features."""
    screen = mesh(reading, reading.expression)
    rendered = mesh.render(screen, size=SIZE)
    hole = rendered.hole
    samples = sampled(photo, rendered, count=kept_count())
    places = mesh.places(screen.detach(), samples, size=SIZE)
    found = paint(network, conditions(photo, rendered, samples, places, hole))
    with torch.no_grad():
        wanted = ruler(photo)
    return {
        "painted": 4 * ((found - photo).abs() * hole).mean() / hole.mean().clamp(min=0.05),
        "features": relative_layer_errors(wanted, ruler(found.clamp(0, 1))).mean(),
    }


def kept_count() -> int:
    """How many pixels the painter is left this time."""
    low, high = (math.log(share * SIZE * SIZE) for share in KEPT)
    return int(math.exp(low + (high - low) * float(torch.rand(()))))


def exchanged(expression: Tensor) -> Tensor:
    """Other expressions for (B, 52): another row's, more or less of one's own, a few actions, or none at all."""
    count = len(expression)
    other = expression[torch.randperm(count, device=expression.device)]
    scaled = expression * (2 * torch.rand(count, 1, device=expression.device))
    few = torch.rand_like(expression) * (torch.rand_like(expression) < 0.08)
    choice = torch.randint(4, (count, 1), device=expression.device)
    asked = torch.where(choice == 0, other, torch.where(choice == 1, scaled, torch.where(choice == 2, few, 0 * other)))
    return asked.clamp(0, 1)


def cycle(mesh: FaceMesh, network: Analysis, reading: OpenReading, photo: Tensor, deviation: Tensor) -> Tensor:
    """Paint other expressions and read them (section 3.3): the encoder learns at even steps, the painter at odd."""
    reading = OpenReading(**{name: values[:CYCLED].detach() for name, values in vars(reading).items()})
    photo, asked = photo[:CYCLED], exchanged(reading.expression)
    with torch.no_grad():
        before, after = mesh(reading, reading.expression), mesh(reading, asked)
        seen, shown = mesh.render(before, size=SIZE), mesh.render(after, size=SIZE)
        samples = sampled(photo, seen, count=kept_count())
        hole = torch.maximum(seen.hole, shown.hole)
        given = conditions(photo, shown, samples, mesh.places(after, samples, size=SIZE), hole)
    teaches_encoder = network.steps % 2 == 0
    painted = paint(network.painter, given)
    painted = painted.detach() if teaches_encoder else painted
    size = int(network.encoder.config["size"])
    large = functional.interpolate(painted.clamp(0, 1), size=(size, size), mode="bilinear")
    network.encoder.requires_grad_(teaches_encoder)
    network.encoder.eval()  # painted faces must not move what is normalised by
    said = network.encoder(large.contiguous(memory_format=torch.channels_last)).expression
    network.encoder.train()
    network.encoder.requires_grad_(True)
    off = (said - asked) / deviation
    return functional.smooth_l1_loss(off, torch.zeros_like(off), beta=0.5)


Loss = Callable[[nn.Module, Batch], dict[str, Tensor]]


def painter_losses(mesh: FaceMesh, ruler: TrunkTaps, encoder: OpenEncoder) -> Loss:
    """Build the first stage's loss: the encoder is only read from."""

    def loss_of(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        pixels = batch["pixels"].float() / 255
        with torch.no_grad():
            reading = encoder(pixels)
        return reconstruction(mesh, ruler, reading, network, shrunk(pixels, size=SIZE))

    return loss_of


def joint_losses(mesh: FaceMesh, ruler: TrunkTaps, supervised: Loss, deviation: Tensor) -> Loss:
    """Build the second stage's loss: what `mien train smirk` teaches, the painted photo, and the cycle."""

    def loss_of(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        photo = shrunk(batch["pixels"].float() / 255, size=SIZE)
        kept: list[OpenReading] = []
        found = supervised(lambda pixels: kept.append(network.encoder(pixels)) or kept[-1], batch)
        reading = OpenReading(**{name: values[: len(photo)] for name, values in vars(kept[0]).items()})
        found |= reconstruction(mesh, ruler, reading, network.painter, photo)
        found["cycle"] = 0.5 * cycle(mesh, network, reading, photo, deviation)
        network.steps += 1
        return found

    return loss_of


class Parts:
    """What all three runs share."""

    def __init__(self, data: Path, *, device: str, batch: int, workers: int) -> None:
        training, held = split(read_faces(data))
        self.training, self.device, self.batch, self.workers = training, device, batch, workers
        self.clear = held.rows(held.source != "congress160")
        head = load_head()
        self.mesh, self.points = FaceMesh(head).to(device), LandmarksOfHead(head).to(device)
        self.deviation = torch.from_numpy(training.blendshapes.std(0)).clamp(min=0.04).to(device)
        self.supervised = losses(self.points, self.deviation, landmark_weights().to(device))
        self.ruler = TrunkTaps(encoder_that_ships().face.trunk, blocks=BLOCKS)
        self.ruler.to(device, memory_format=torch.channels_last)

    def stream(self, *, seed: int) -> Iterator[Batch]:
        """Batches of augmented crops of the people to train on."""
        crops = HeadCrops(self.training, load_head(), seed=seed, batch=self.batch)
        return iter(DataLoader(crops, batch_size=None, num_workers=self.workers))

    def measure(self, encoder: nn.Module) -> dict[str, float]:
        """See models.training.smirk."""
        return measure_crops(encoder, self.points, self.clear, device=self.device)


def encoder_that_ships() -> OpenEncoder:
    """The encoder as `mien train smirk` left it; normalisation follows slowly from here."""
    config, tensors, _ = shipped("smirk_open")
    network = OpenEncoder(**config)
    network.load_state_dict(tensors)
    return slowly_normalised(network)


def train(
    *, data: Path, out: Path, minutes: float, device: str = "cpu", resume: bool = True, batch: int = 16,
    workers: int = 0,
) -> dict[str, OpenEncoder]:  # fmt: skip
    """Train painter, both together, and the encoder alone; returns the encoders by the card's names."""
    parts = Parts(data, device=device, batch=batch, workers=workers)
    frozen = encoder_that_ships().to(device).eval().requires_grad_(False)
    common = {"device": device, "resume": resume}
    network = fit(
        painter(), parts.stream(seed=1), painter_losses(parts.mesh, parts.ruler, frozen),
        budget=Budget(minutes=minutes * PAINTER_SHARE, learning_rate=PAINTER_RATE, average=0.99),
        folder=out / "painter", **common,
    )  # fmt: skip
    together = Analysis(encoder_that_ships(), network.requires_grad_(True))
    joint = fit(
        together, parts.stream(seed=2),
        joint_losses(parts.mesh, parts.ruler, parts.supervised, parts.deviation),
        budget=Budget(minutes=minutes * JOINT_SHARE, learning_rate=LEARNING_RATE, average=0.995),
        folder=out / "joint", measure=lambda averaged: parts.measure(averaged.encoder), **common,
    )  # fmt: skip
    alone = fit(
        encoder_that_ships(), parts.stream(seed=2), parts.supervised,
        budget=Budget(minutes=minutes * (1 - PAINTER_SHARE - JOINT_SHARE), learning_rate=LEARNING_RATE, average=0.995),
        folder=out / "alone", measure=parts.measure, **common,
    )  # fmt: skip
    return {"begun": encoder_that_ships(), WITH: joint.encoder, "without": alone}


def run(*, data: Path, out: Path, device: str, resume: bool, minutes: float = 75.0) -> dict[str, float]:
    """Train all three, measure them on held-out people, ship the best with the comparison in its card."""
    encoders = train(data=data, out=out, minutes=minutes, device=device, resume=resume)
    steps = {"begun": 0, WITH: steps_of(out / "joint"), "without": steps_of(out / "alone")}
    rows = [AblationRow(name, steps[name], network.cpu().eval()) for name, network in encoders.items()]
    return ship_encoder(rows, data=data, recipe="mien train smirk --data DATA; mien train smirk_synthesis --data DATA")


def steps_of(folder: Path) -> int:
    """How many steps a run made."""
    return int(json.loads((folder / "curve.jsonl").read_text().splitlines()[-1])["step"])
