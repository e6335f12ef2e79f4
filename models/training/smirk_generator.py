"""Recipe of `smirk_open_generator`: what to add to a face whose photo was carried along with an edited head.

In the manner of SMIRK's analysis by neural synthesis (Retsinas et al., CVPR 2024, sections 3.2 and 3.3), turned round:
the encoder stays, the generator learns. A true second picture of each face says what was wanted. Pixels and the face
network's features must come back, and the landmark network must read the wanted expression off the painted face.
Windows about mouth and eyes, where a carried photo lacks most, stand for whole faces: more of them for the same time.
Some windows keep only a few of the photo's pixels, so that the geometry has to be looked at.
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
from models.cards import Figure
from models.dfc_vae.losses import TrunkTaps, relative_layer_errors, texture_errors
from models.faces.network import FaceNet
from models.generator_evaluation import edits_of, measure_edits, measure_pairs
from models.smirk_open.generator import OpenGenerator, conditions_of
from models.smirk_open.painter import SIZE, ExpressionPainter
from models.training.data import read_faces, split
from models.training.fsrt import FILMS
from models.training.fsrt_pairs import gather
from models.training.loop import Batch, Budget, fit
from models.training.ship import LONDON, MEDIAPIPE, SFHQ, WARPED, WEBMORPH, figure, ship
from models.training.smirk_pairs import COUNTS, STRETCHES, PairSource, PairStore, held_out_pairs

log = logging.getLogger(__name__)

WINDOW = 96
READ_BACK = 2
"""Windows of each batch that are laid into their faces, to be read."""
SPARSE_SHARE = 0.2
"""Share of windows of which only few of the photo's pixels are kept."""
BLOCKS = (1, 3)
LIMITS = (
    "224 px. Trained for 56 minutes on a third to two thirds of a core (3,181 steps), short. It adds to the "
    "photo's own pixels a little of what they lack: teeth, the inside of a mouth, eyes that open. Against true "
    "second pictures it is better than the carried pixels alone, and the wanted expression is read off it as "
    "well. Teeth are a soft guess, a tongue is not painted, glasses and beards move as if painted on the skin, "
    "and faces turned over 35 degrees were not trained. It shows something that did not happen: ask the person "
    "first, and say so."
)
COMMAND = "mien evaluate generator --faces DATA"


class Windows(IterableDataset):
    """An endless stream of batches of windows; the first READ_BACK of each come with their whole faces."""

    def __init__(self, store: PairStore, *, batch: int, seed: int) -> None:
        super().__init__()
        self.store, self.batch, self.seed = store, batch, seed

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            drawn = [self.draw(rng, whole=place < READ_BACK) for place in range(self.batch)]
            wholes = {name: np.stack([one.pop(name) for one in drawn[:READ_BACK]]) for name in ("face", "truth")}
            arrays = {name: np.stack([one[name] for one in drawn]) for name in drawn[0]} | wholes
            yield {name: torch.from_numpy(values) for name, values in arrays.items()}

    def draw(self, rng: np.random.Generator, *, whole: bool) -> dict[str, NDArray]:
        """One window of one pair; `whole` adds the carried face and its target."""
        row, is_flipped = int(rng.integers(len(self.store))), rng.random() < 0.5
        found = {name: np.array(getattr(self.store, name)[row]) for name in _MAPS}
        centre = self.store.centres[row, rng.choice(3, p=(0.5, 0.25, 0.25))] + rng.normal(0, 10, 2)
        if not whole and rng.random() < 0.2:
            centre = rng.uniform(0, SIZE, 2)
        if is_flipped:
            found = {name: values[:, ::-1] for name, values in found.items()}
            found["normals"] = found["normals"] * np.array([-1, 1, 1], np.int8)
            centre = np.array([SIZE - 1 - centre[0], centre[1]])
        left, top = np.clip(np.round(centre - WINDOW / 2), 0, SIZE - WINDOW).astype(int)
        cut = {name: values[top : top + WINDOW, left : left + WINDOW] for name, values in found.items()}
        sample = {name: np.ascontiguousarray(values) for name, values in cut.items()}
        sample["kept"] = kept_pixels(rng, sparse=not whole and rng.random() < SPARSE_SHARE)
        sample["corner"] = np.array([top, left], np.int64)
        sample["light"] = rng.uniform(0.75, 1.2, 3).astype(np.float32)
        if whole:
            sample |= {"face": np.ascontiguousarray(found["image"]), "truth": np.ascontiguousarray(found["target"])}
        return sample


_MAPS = ("image", "plain", "kind", "normals", "stretch", "target")


def kept_pixels(rng: np.random.Generator, *, sparse: bool) -> NDArray[np.bool_]:
    """(WINDOW, WINDOW) which of the photo's pixels the network may see: all, or 3 to 50 %."""
    if not sparse:
        return np.ones((WINDOW, WINDOW), bool)
    return rng.random((WINDOW, WINDOW)) < np.exp(rng.uniform(np.log(0.03), np.log(0.5)))


def pixels(batch: Tensor, light: Tensor) -> Tensor:
    """(B, S, S, 3) grey levels -> (B, 3, S, S) in [0, 1], each relit by its (B, 3)."""
    return (batch.permute(0, 3, 1, 2).float() / 255 * light[..., None, None]).clamp(0, 1)


def painted(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """The windows as the network paints them and as they should be, both (B, 3, WINDOW, WINDOW)."""
    carried, target = (pixels(batch[name], batch["light"]) for name in ("image", "target"))
    known = 1 - batch["plain"].float()[:, None] / 255
    is_hidden = ~batch["kept"] & (batch["kind"] > 0)
    shown = (~is_hidden).float()[:, None]
    conditions = conditions_of(
        carried * shown,
        known * shown,
        batch["normals"].permute(0, 3, 1, 2).float() / 127,
        batch["kind"],
        batch["stretch"].float()[:, None] / STRETCHES,
    )
    change = network(conditions.contiguous(memory_format=torch.channels_last))
    return carried * shown + change, target


def laid_in(batch: Batch, windows: Tensor) -> tuple[Tensor, Tensor]:
    """The carried faces with their painted windows, and the true faces, both (READ_BACK, 3, SIZE, SIZE)."""
    light = batch["light"][:READ_BACK]
    faces, truth = pixels(batch["face"], light), pixels(batch["truth"], light)
    for row, (top, left) in enumerate(batch["corner"][:READ_BACK].tolist()):
        faces[row, :, top : top + WINDOW, left : left + WINDOW] = windows[row]
    return faces, truth


def losses(ruler: TrunkTaps, reader: FaceNet, spread: Tensor) -> Callable[[nn.Module, Batch], dict[str, Tensor]]:
    """Build the loss of one batch; `spread` (52,) is the standard deviation of each coefficient."""
    size = int(reader.config["size"])

    def loss_of(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        with torch.autocast(batch["image"].device.type, enabled=False):  # too small to gain by halves
            found, target = painted(network, batch)
            weight = 1 + 3 * F.avg_pool2d(batch["plain"].float()[:, None] / 255, 5, stride=1, padding=2)
            with torch.no_grad():
                wanted = ruler(target)
            given = ruler(found.clamp(0, 1))
            faces, truth = laid_in(batch, found.clamp(0, 1))
            small = [F.interpolate(one, size=(size, size), mode="area") for one in (faces, truth)]
            with torch.no_grad():
                said = reader(small[1]).blendshapes.sigmoid()
            off = (reader(small[0]).blendshapes.sigmoid() - said) / spread
            return {
                "pixels": 8 * ((found - target).abs() * weight).mean(),
                "features": relative_layer_errors(wanted, given).mean(),
                "textures": 0.3 * texture_errors(wanted, given).mean(),
                "read_back": F.smooth_l1_loss(off, torch.zeros_like(off), beta=0.5),
            }

    return loss_of


def face_network() -> FaceNet:
    """The shipped landmark network, which judges and is never trained here."""
    config, tensors, _ = registry.shipped("faces")
    network = FaceNet(**config)
    network.load_state_dict(tensors)
    return network.requires_grad_(False).eval()


def train(
    *,
    data: Path,
    out: Path,
    minutes: float = 45.0,
    device: str = "cpu",
    resume: bool = True,
    batch: int = 10,
    workers: int = 0,
) -> OpenGenerator:
    """Train for `minutes` on people who are not held out; checkpoints, curves and drawn pairs go to `out`."""
    finder, reader = registry.load("faces"), registry.load("head")
    source = PairSource(gather(data, out / "pictures", finder), reader)
    store = PairStore.kept(out / "pairs", source(COUNTS))
    held = held_out_pairs(data, finder, reader)
    judge = face_network().to(device)
    ruler = TrunkTaps(judge.trunk, blocks=BLOCKS).to(device, memory_format=torch.channels_last)
    spread = torch.from_numpy(source.pictures.blendshapes.std(0)).clamp(min=0.06).to(device)
    stream = DataLoader(Windows(store, batch=batch, seed=1), batch_size=None, num_workers=workers)
    return fit(
        OpenGenerator(),
        iter(stream),
        losses(ruler, judge, spread),
        budget=Budget(minutes=minutes, learning_rate=2e-3, average=0.995),
        folder=out,
        device=device,
        resume=resume,
        measure=lambda averaged: measure_pairs(painter_of(averaged, device=device), held),
        publish=lambda averaged: averaged.save_pretrained(out / "model"),
    )


def painter_of(network: nn.Module, *, device: str = "cpu") -> ExpressionPainter:
    """The door for people around a network in training."""
    head = registry.load("head").head
    where = torch.device(device)
    return ExpressionPainter(network, head, backend="smirk_open_generator", device=where, dtype=torch.float32)


def run(*, data: Path, out: Path, device: str, resume: bool, minutes: float = 45.0) -> dict[str, float]:
    """Train, measure the half-precision weights on people never trained on, and ship them with their card."""
    network = train(data=data, out=out, minutes=minutes, device=device, resume=resume)
    return finish(network.cpu(), data=data)


def finish(network: OpenGenerator, *, data: Path) -> dict[str, float]:
    """Round to half precision, measure and ship."""
    network.load_state_dict(network.half().float().state_dict())
    finder, reader = registry.load("faces"), registry.load("head")
    painter = painter_of(network)
    figures: dict[str, Figure] = {}
    held = held_out_pairs(data, finder, reader)
    told = f"{len(held)} pairs of one person never trained on: warps of photos, and frames of films"
    for name, value in measure_pairs(painter, held).items():
        figures[name] = figure(value, told, COMMAND)
    edits = edits_of(split(read_faces(data, sets=("faces256",)))[1], finder, reader)
    told = f"{len(edits)} edits of people never trained on, read again by Mien's own networks"
    for name, value in measure_edits(painter, edits, finder, reader).items():
        figures[name] = figure(value, told, COMMAND)
    ship(
        network,
        "smirk_open_generator",
        title="A photo with another expression",
        what="Adds teeth, open eyes and folds to a photo whose pixels went along with the edited open head, 224 px.",
        training_data=(SFHQ, LONDON, WEBMORPH, FILMS, WARPED, MEDIAPIPE),
        recipe="mien train smirk_generator --data DATA",
        figures=figures,
        limits=LIMITS,
    )
    return {name: value.value for name, value in figures.items()}
