"""Recipe of the patch detector: Deep SVDD on the autoencoder's latents, told of drawn occluders of the training kinds.

One-class Deep SVDD (Ruff et al., ICML 2018) draws uncovered patches to a fixed centre. Deep SAD (Ruff et al., ICLR
2020) adds that patches known to be hidden lie far from it: behind drawn occluders, and behind shapes of any colour or
of another picture. Both are trained and measured; the second ships. Kinds kept out of training stay out of both.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from torch import Tensor, nn

from models.latent_ofer.occluders import HELD_OUT_KINDS, SEEN, TRAINING_KINDS, occlude, patch_share
from models.occlusion.detector import PatchFeatures, PatchSvdd, smoothed
from models.training.data import FaceSet, read_faces, split
from models.training.dfc_vae import face_ruler
from models.training.dfc_vae_crops import as_tensor
from models.training.loop import Batch, Budget, fit
from models.training.mae import SOURCES
from models.training.occlusion_crops import Faces, draw_shape, exact_crop
from models.training.refiner import frozen_autoencoder
from models.training.ship import figure, ship
from models.types import Image

log = logging.getLogger(__name__)

HIDDEN = 0.5
"""Share of a patch from which it counts as hidden."""
CLEAN = 0.02
"""Share up to which a patch is taken for uncovered where means and the radius are laid."""
BARELY = 0.2
"""Share up to which a detector told of occluders learns that a patch is not hidden; it is not asked about more."""
QUANTILE = 0.95
"""Of the distances of uncovered patches on held-out faces of the calibration third: the radius."""
ROUNDS = (("one_class", False, 0.1), ("told", True, 0.9))
"""Name, whether told of occluders, and share of the minutes: without being told, the distances soon collapse."""
CROPS = 12000
"""Training crops; balanced accuracy on unseen people was 0.889 with 1,500 and 0.910 with 6,000."""
SVM_PATCHES = 3000
PART = 256
"""Crops that are worked on at once where not all are needed or fit into memory."""
WIDTH, CONVOLUTIONS = 96, 3
"""Of the detector that ships; three convolutions let each patch be judged by the 7 x 7 patches around it."""
LIMITS = (
    "Told of drawn occluders: sunglasses, masks, hair, text, bars, shadows, blur and random shapes. Two in five of the "
    "patches it finds on occluded and clean faces are not hidden by half: neighbours, hats, dark backgrounds. "
    "Beards, strong side light and faces turned over 35 degrees may count as hidden; thin or skin-coloured things "
    "may be missed. 12 x 12 patches: what is smaller than a tenth of the face is not seen."
)


@dataclass(frozen=True, eq=False)
class Patches:
    """Features of every patch of some crops, and how much of each is hidden."""

    features: Tensor
    """(N, g * g, F) in half precision: thousands of crops are kept in memory"""
    shares: NDArray[np.float32]
    """(N, g * g) in [0, 1]"""
    kinds: tuple[str, ...]
    """(N,) what hides it, empty for nothing."""


def read_patches(reader: PatchFeatures, crops: list[tuple[NDArray[np.uint8], NDArray[np.bool_], str]]) -> Patches:
    """Read crops (S, S, 3) with masks (S, S) and the names of what hides them."""
    size, grid = int(reader.autoencoder.config["image_size"]), reader.autoencoder.grid
    parts = []
    with torch.inference_mode():
        for start in range(0, len(crops), 8):
            pixels = as_tensor([pixels for pixels, _, _ in crops[start : start + 8]])
            parts.append(reader(pixels.float() / 255).half())
    shares = np.stack([patch_share(mask, size=size, patch=size // grid) for _, mask, _ in crops])
    return Patches(torch.cat(parts), shares, tuple(kind for _, _, kind in crops))


def draw_training(faces: FaceSet, *, count: int, seed: int) -> list[tuple[NDArray[np.uint8], NDArray[np.bool_], str]]:
    """Training crops: a third uncovered, a third behind drawn occluders of the training kinds, a third patched."""
    rng, drawn = np.random.default_rng([seed, 3]), Faces(faces)
    rows = []
    for number in range(count):
        one = drawn.draw(rng)
        if number % 3 == 0:
            rows.append((one.pixels, np.zeros(one.pixels.shape[:2], bool), ""))
        elif number % 3 == 1:
            hidden = occlude(one.pixels, one.landmarks, chance=rng, kinds=TRAINING_KINDS)
            rows.append((hidden.image, hidden.mask, hidden.kind))
        else:
            rows.append((*patched(one.pixels, drawn.draw(rng).pixels, draw_shape(drawn.size, rng), rng), "patch"))
    return rows


def patched(
    pixels: Image, other: Image, shape: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Image, NDArray[np.bool_]]:
    """Lay a shape (S, S) of some colour or of another picture over a crop: more variety than the drawn kinds have.

    Colours are any, or the crop's own made lighter or darker; they change smoothly, some with stripes or grain.
    """
    size = len(pixels)
    if rng.random() < 0.35:
        turned = np.rot90(other, int(rng.integers(1, 4)))
        edge = int(rng.uniform(0.3, 1.0) * size)
        top, left = rng.integers(0, size - edge + 1, 2)
        fill = cv2.resize(np.ascontiguousarray(turned[top : top + edge, left : left + edge]), (size, size))
        fill = fill.astype(np.float32)
    else:
        own = rng.random() < 0.4
        place = rng.integers(size // 4, 3 * size // 4, 2)
        colour = pixels[place[0], place[1]] * rng.uniform(0.6, 1.3) if own else rng.uniform(0, 255, 3)
        slopes = rng.normal(0, 25, (2, 1))
        rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
        shade = slopes[0] * rows + slopes[1] * columns
        if rng.random() < 0.3:
            angle, width = rng.uniform(0, np.pi), rng.uniform(4, 20)
            shade = shade + rng.uniform(10, 60) * np.sin(
                (np.cos(angle) * rows + np.sin(angle) * columns) * size / width * 6
            )
        fill = colour + shade[..., None] + rng.normal(0, rng.uniform(0, 12), (size, size, 1))
    soft = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), rng.uniform(0.4, 1.5))[..., None]
    mixed = np.where(soft > SEEN, pixels * (1 - soft) + fill * soft, pixels)
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8), soft[..., 0] > SEEN


def draw_held(
    faces: FaceSet, *, kinds: tuple[str, ...], seed: int, each: int = 1
) -> list[tuple[NDArray[np.uint8], NDArray[np.bool_], str]]:
    """Every held-out face uncovered, and behind `each` occluders of the given kinds, in turn."""
    rng = np.random.default_rng([seed, 4])
    rows = []
    for row in range(len(faces)):
        one = exact_crop(faces, row)
        rows.append((one.pixels, np.zeros(one.pixels.shape[:2], bool), ""))
        for turn in range(each):
            kind = kinds[(row * each + turn) % len(kinds)]
            hidden = occlude(one.pixels, one.landmarks, chance=rng, kinds=(kind,))
            rows.append((hidden.image, hidden.mask, kind))
    return rows


def whitened(patches: Patches, network: PatchSvdd) -> None:
    """Lay each position's mean and deviation from its uncovered patches."""
    clean = torch.from_numpy(patches.shares <= CLEAN)[..., None]
    total, squares = (torch.zeros_like(network.mean, dtype=torch.float64) for _ in range(2))
    for features, is_clean in zip(patches.features.split(PART), clean.split(PART), strict=True):
        known = features.double() * is_clean
        total += known.sum(0)
        squares += known.square().sum(0)
    count = clean.sum(0).clamp(min=1)
    mean = total / count
    spread = (squares / count - mean.square()).clamp(min=0).sqrt()
    network.mean.copy_(mean)
    network.deviation.copy_(spread.clamp(min=0.05 * float(spread.mean())))


@torch.no_grad()
def lay_centre(network: PatchSvdd, patches: Patches) -> None:
    """The mean of a first pass over some uncovered patches, no number nearer to zero than 0.1."""
    clean = torch.from_numpy(patches.shares[:PART] <= CLEAN)
    centre = network.embed(patches.features[:PART])[clean].mean(0)
    network.centre.copy_(torch.where(centre.abs() < 0.1, torch.where(centre < 0, -0.1, 0.1), centre))


def losses(told: bool) -> Callable[[nn.Module, Batch], dict[str, Tensor]]:
    """Build the loss: squared distance of uncovered patches, or that of Ruff et al. (2020, arXiv 2006.00339).

    There the distance h is a pseudo-Huber one, uncovered patches pay h and hidden ones -log(1 - exp(-h)).
    """

    def loss_of(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        square = network(batch["features"]).float().square()
        limit = BARELY if told else CLEAN
        clean, hidden = ((batch["shares"] <= limit).float(), (batch["shares"] >= HIDDEN).float())
        if not told:
            return {"near": (square * clean).sum() / clean.sum().clamp(min=1)}
        near = (square + 1).sqrt() - 1
        far = -torch.log1p(-torch.exp(-near.clamp(min=1e-4)))
        # hidden patches are fewer, and a balanced figure is wanted
        return {
            "near": (near * clean).sum() / clean.sum().clamp(min=1),
            "far": (far * hidden).sum() / hidden.sum().clamp(min=1),
        }

    return loss_of


def stream(patches: Patches, *, batch: int, seed: int) -> Iterator[Batch]:
    """Random pictures, an endless stream."""
    rng, shares = np.random.default_rng(seed), torch.from_numpy(patches.shares)
    while True:
        rows = torch.from_numpy(rng.integers(len(shares), size=batch))
        yield {"features": patches.features[rows], "shares": shares[rows]}


@torch.inference_mode()
def distances(network: PatchSvdd, patches: Patches) -> NDArray[np.float32]:
    """(N, g * g), smoothed as they are in use."""
    return torch.cat([smoothed(network(part)) for part in patches.features.split(64)]).numpy()


def scores(found: NDArray[np.bool_], shares: NDArray[np.float32]) -> dict[str, float]:
    """Balanced accuracy, precision and recall of patches found to be hidden; every patch counts."""
    hidden = shares >= HIDDEN
    recall = float(found[hidden].mean()) if hidden.any() else float("nan")
    kept = float((~found)[~hidden].mean())
    precision = float(hidden[found].mean()) if found.any() else float("nan")
    return {"balanced_accuracy": (recall + kept) / 2, "precision": precision, "recall": recall}


def train(
    patches: Patches,
    *,
    told: bool,
    out: Path,
    minutes: float,
    resume: bool = True,
    seed: int = 1,
) -> PatchSvdd:
    """Train one detector on patches in memory; the radius is still to be laid."""
    torch.manual_seed(seed)
    features, tokens = patches.features.shape[2], patches.features.shape[1]
    # convolutions soon find a way to say the same of everything when nothing else is to be told from it
    shape = {"hidden": WIDTH, "neighbours": False, "convolutions": CONVOLUTIONS} if told else {}
    network = PatchSvdd(features=features, tokens=tokens, **shape)
    whitened(patches, network)
    lay_centre(network, patches)
    budget = Budget(minutes=minutes, learning_rate=1e-3, weight_decay=1e-3, average=0.98)
    return fit(network, stream(patches, batch=24, seed=seed), losses(told), budget=budget, folder=out, resume=resume)


def lay_radius(network: PatchSvdd, clean: Patches) -> None:
    """Put the radius at a quantile of uncovered patches."""
    network.radius.fill_(float(np.quantile(distances(network, clean)[clean.shares <= CLEAN], QUANTILE)))


def one_class_svm(network: PatchSvdd, training: Patches, clean: Patches, held: Patches) -> dict[str, float]:
    """The same latents by a one-class SVM (its own radius by the same quantile)."""

    def rows(patches: Patches, most: int | None = None) -> NDArray[np.float32]:
        return network.whiten(patches.features[:most]).flatten(0, 1).numpy()

    good = rows(training, PART)[training.shares[:PART].reshape(-1) <= CLEAN]
    rng = np.random.default_rng(0)
    chosen = good[rng.choice(len(good), min(SVM_PATCHES, len(good)), replace=False)]
    model = make_pipeline(PCA(64, whiten=False, random_state=0), StandardScaler(), OneClassSVM(nu=0.1, gamma="scale"))
    model.fit(chosen)
    limit = np.quantile(model.decision_function(rows(clean)[clean.shares.reshape(-1) <= CLEAN]), 1 - QUANTILE)
    found = model.decision_function(rows(held)) < limit
    return scores(found.reshape(held.shares.shape), held.shares)


def halves(held: FaceSet) -> tuple[FaceSet, FaceSet]:
    """Held-out colour faces: every third calibrates the radius, the others measure."""
    clear = held.rows(held.source != "congress160")
    third = np.arange(len(clear)) % 3 == 0
    return clear.rows(third), clear.rows(~third)


def run(
    *, data: Path, out: Path, device: str, resume: bool, minutes: float = 16.0, count: int = CROPS
) -> dict[str, float]:
    """Train with and without being told of occluders, measure both on unseen kinds, ship the told one."""
    training, held = split(read_faces(data))
    reader = PatchFeatures(frozen_autoencoder(), face_ruler()).eval()
    patches = read_patches(reader, draw_training(training, count=count, seed=1))
    calibrating, measuring = halves(held)
    clean = read_patches(reader, [row for row in draw_held(calibrating, kinds=HELD_OUT_KINDS, seed=1, each=0)])
    unseen = read_patches(reader, draw_held(measuring, kinds=HELD_OUT_KINDS, seed=1, each=2))
    figures: dict[str, float] = {}
    networks = {}
    for name, told, part in ROUNDS:
        network = train(patches, told=told, out=out / name, minutes=minutes * part, resume=resume)
        lay_radius(network, clean)
        found = distances(network, unseen) > float(network.radius)
        figures |= {f"{name}_{key}": value for key, value in scores(found, unseen.shares).items()}
        networks[name] = network
        log.info("%s: %s", name, figures)
    svm = one_class_svm(networks["told"], patches, clean, unseen)
    figures |= {f"svm_{key}": value for key, value in svm.items()}
    ship_svdd(networks["told"], figures, len(measuring))
    return figures


def ship_svdd(network: PatchSvdd, figures: dict[str, float], count: int) -> None:
    """Write the weight and its card with figures measured on `count` held-out faces."""
    told = (
        f"patches of {count} held-out faces, uncovered and behind kinds never trained on ({', '.join(HELD_OUT_KINDS)})"
    )
    ship(
        network,
        "svdd",
        title="Detector of hidden patches",
        what="Says of each of 144 patches of a face crop how far it is from what an uncovered face shows there. Deep "
        "SVDD that was also told of drawn occluders of eight kinds and of shapes in any colour (Deep SAD); the "
        "one-class figures are beside it.",
        training_data=SOURCES,
        recipe="mien train svdd --data DATA",
        figures={name: figure(value, told, "mien train svdd --data DATA") for name, value in figures.items()},
        limits=LIMITS,
    )
