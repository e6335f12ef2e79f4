"""Recipe of the latent space: a variational autoencoder of faces whose features, not only pixels, must come back.

After Hou et al. (arXiv 1610.00291): picture and reconstruction are compared in three layers of a frozen network. The
ruler is Mien's own face network, or the user's VGG-19 with the paper's layers; `features="pixel"` trains the control
that the comparison in the card needs, with everything else the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from models import registry
from models.dfc_vae.latent import Latent
from models.dfc_vae.load import load_vgg19
from models.dfc_vae.losses import Taps, TrunkTaps, VggTaps, relative_layer_errors, texture_errors
from models.dfc_vae.network import DfcVae
from models.dfc_vae.official import PaperVae64
from models.dfc_vae.vgg import VAE_123, VAE_345
from models.errors import BadInput, MissingWeights
from models.faces.network import FaceNet
from models.training.data import read_faces, split
from models.training.dfc_vae_crops import BoneCrops, exact_crops
from models.training.dfc_vae_principal import face_share, lay_principal, some_crops
from models.training.loop import Batch, Budget, fit
from models.training.ship import CLIPS, CONGRESS, LONDON, SFHQ, WARPED, WEBMORPH, figure, ship

log = logging.getLogger(__name__)

FACE_BLOCKS = (1, 3)
"""With the stem, layers of the face network at a half, a quarter and an eighth of the size: edges, parts, and how
parts lie."""
PRINCIPAL_CROPS = 5000
"""From which the fixed linear code is made."""
LIMITS = (
    "128 px: hair, ears and background are soft, teeth and glasses often invented. It learned mostly from synthetic "
    "faces; a reconstruction resembles the person and is not them. Not for telling people apart."
)
RULERS = ("faces", "vgg-123", "vgg-345", "pixel")
PIXEL_VARIANCE = 0.06
"""Mean square deviation of face pixels from their mean: brings pixel errors to the scale of feature errors."""


def ruler_for(features: str, *, network: FaceNet | None, weights: Path | None) -> nn.Module | None:
    """The frozen layers to compare in, or None for the pixel control; raises MissingWeights naming what to add."""
    if features not in RULERS:
        raise BadInput(f"features must be one of {', '.join(RULERS)}, got {features!r}")
    if features == "pixel":
        return None
    if features == "faces":
        if network is None:
            raise MissingWeights("the face network is needed as the ruler: train it first with `mien train faces`")
        return TrunkTaps(network.trunk, blocks=FACE_BLOCKS)
    if weights is None:
        raise MissingWeights("VGG-19 is needed as the ruler: add it with `mien weights add vgg19 PATH`")
    return VggTaps(load_vgg19(weights), layers=VAE_123 if features == "vgg-123" else VAE_345)


@dataclass(frozen=True)
class Weights:
    """How much each part of the loss counts; the divergence is per face, in nats, the others are relative errors."""

    features: float = 1.0
    textures: float = 0.6
    pixels: float = 0.5
    divergence: float = 4e-4


def faded(image: Tensor, share: Tensor) -> Tensor:
    """Bring a picture near grey where it counts little, so that nothing measured on it sees much there."""
    return 0.5 + (image - 0.5) * share


def losses(ruler: Taps | None, weights: Weights) -> Callable[[nn.Module, Batch], dict[str, Tensor]]:
    """Build the loss of one batch: features, textures, pixels, divergence. Without a ruler pixels carry all weight."""

    def loss_of(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        image = batch["pixels"].float() / 255
        share = face_share(image.shape[-1]).to(image.device)
        latent: Latent = network.encode(image)
        output = faded(network.decode(latent.sample()).float(), share)
        image = faded(image, share)
        divergence = Latent(latent.mean.float(), latent.log_variance.float()).divergence().mean()
        pixels = functional.mse_loss(output, image) / PIXEL_VARIANCE
        counts = weights.pixels if ruler else weights.pixels + weights.features
        parts = {"pixels": counts * pixels, "divergence": weights.divergence * divergence}
        if ruler:
            with torch.no_grad():
                wanted = ruler(image)
            given = ruler(output)
            parts["features"] = weights.features * relative_layer_errors(wanted, given).mean()
            parts["textures"] = weights.textures * texture_errors(wanted, given).mean()
        return parts

    return loss_of


@torch.inference_mode()
def measure(network: nn.Module, crops: Tensor, *, ruler: Taps | None, device: str) -> dict[str, float]:
    """On (N, 3, S, S) uint8 crops: the face's PSNR in dB, its feature error if there is a ruler, the code's use."""
    squares, features, means, divergences = [], [], [], []
    share = face_share(crops.shape[-1]).to(device)
    for start in range(0, len(crops), 64):
        image = crops[start : start + 64].to(device).float() / 255
        latent = network.encode(image)
        output = network.decode(latent.mean).clamp(0, 1).float()
        squares.append(((output - image) * share).square().flatten(1).mean(1) / share.square().mean())
        divergences.append(latent.divergence())
        means.append(latent.mean)
        if ruler:
            features.append(relative_layer_errors(ruler(image), ruler(output)).mean())
    psnr = -10 * torch.cat(squares).clamp(min=1e-10).log10()
    figures = {
        "psnr": float(psnr.mean()),
        "divergence": float(torch.cat(divergences).mean()),
        # a number of the latent that hardly moves from face to face carries nothing
        "active": float((torch.cat(means).std(0) > 0.1).sum()),
    }
    return figures | ({"feature_error": float(torch.stack(features).mean())} if features else {})


def train(
    *,
    data: Path,
    out: Path,
    minutes: float = 120.0,
    device: str = "cpu",
    resume: bool = True,
    paper: bool = False,
    features: str = "faces",
    ruler: FaceNet | None = None,
    vgg_weights: Path | None = None,
    loss_weights: Weights = Weights(),
    widths: tuple[int, ...] = (32, 64, 96, 128, 160),
    latent: int = 128,
    batch: int = 32,
    workers: int = 0,
    principal_crops: int = PRINCIPAL_CROPS,
    seed: int = 1,
) -> dict[str, float]:
    """Train for `minutes` on the people of `data` that are not held out and return the figures of those that are.

    `out` receives `model/` (config and safetensors of the averaged network), `last.pt` and `curve.jsonl`. `paper`
    trains the paper's 64 px network. `ruler` is the face network for `features="faces"`.
    """
    torch.manual_seed(seed)
    training, held = split(read_faces(data))
    clear = held.rows(held.source != "congress160")
    network: nn.Module = PaperVae64() if paper else DfcVae(size=4 * 2 ** len(widths), latent=latent, widths=widths)
    comparer = ruler_for(features, network=ruler, weights=vgg_weights)
    if comparer is not None:
        comparer.to(device, memory_format=torch.channels_last)
    log.info("%d faces to train on, %d held out, compared in %s", len(training), len(clear), features)
    crops = exact_crops(clear, size=network.size)
    stream = BoneCrops(training, size=network.size, batch=batch, seed=seed)
    if isinstance(network, DfcVae) and not (resume and (out / "last.pt").is_file()):
        lay_principal(network, some_crops(iter(stream), count=principal_crops))
    loader = DataLoader(stream, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None)
    averaged = fit(
        network,
        iter(loader),
        losses(comparer, loss_weights),
        budget=Budget(minutes=minutes, learning_rate=1e-3, weight_decay=1e-4),
        folder=out,
        device=device,
        resume=resume,
        measure=lambda net: measure(net, crops, ruler=comparer, device=device),
        publish=lambda net: net.save_pretrained(out / "model"),
    )
    return measure(averaged, crops, ruler=comparer, device=device)


def face_ruler() -> FaceNet:
    """The landmark network that ships, in full precision."""
    config, tensors, _ = registry.shipped("faces")
    network = FaceNet(**config)
    network.load_state_dict(tensors)
    return network.eval()


def batch_for(device: str) -> int:
    """Faces per step: a GPU wants more at once; on a CPU more steps are worth more than larger ones."""
    return 128 if device.startswith("cuda") else 16


def run(*, data: Path, out: Path, device: str, resume: bool, minutes: float = 150.0) -> dict[str, float]:
    """Train with the shipped face network as the ruler, measure the half-precision weights, and ship them."""
    ruler = face_ruler()
    train(data=data, out=out, minutes=minutes, device=device, resume=resume, ruler=ruler, batch=batch_for(device))
    network = DfcVae.from_pretrained(out / "model")
    rounded = DfcVae.from_pretrained(out / "model")
    rounded.load_state_dict(network.half().float().state_dict())
    _, held = split(read_faces(data))
    crops = exact_crops(held.rows(held.source != "congress160"), size=rounded.size)
    comparer = ruler_for("faces", network=ruler, weights=None)
    figures = measure(rounded.eval(), crops, ruler=comparer, device="cpu")
    told = f"{len(crops)} pictures of people never trained on"
    ship(
        rounded,
        "dfc_vae",
        title="Latent space of faces",
        what="Turns an upright 128 px face crop into 128 numbers and back.",
        training_data=(SFHQ, LONDON, WEBMORPH, CONGRESS, CLIPS, WARPED),
        recipe="mien train dfc_vae --data DATA",
        figures={name: figure(value, told, "mien train dfc_vae --data DATA") for name, value in figures.items()},
        limits=LIMITS,
    )
    return figures
