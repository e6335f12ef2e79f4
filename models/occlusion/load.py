"""Build the occlusion chain from the weights that ship and the files a user brought."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import TypeVar

import torch
from diffusers.models.modeling_utils import ModelMixin

from models import cards, registry
from models.deepfever import ExpressionNet
from models.device import choose_device, place
from models.faces.network import FaceNet
from models.latent_ofer.chain import OfficialChain
from models.latent_ofer.official import load_classifier, load_mae, load_refiner
from models.occlusion.autoencoder import FaceAutoencoder
from models.occlusion.detector import PatchSvdd
from models.occlusion.diffusion import FaceDiffusion
from models.occlusion.hub import HubInpainting
from models.occlusion.lama import Lama
from models.occlusion.reader import Networks, OcclusionReader
from models.occlusion.recogniser import LatentExpression
from models.occlusion.refiner import Refiner
from models.occlusion.shaped import ShapedPrior
from models.weights import find_weight

Net = TypeVar("Net", bound=ModelMixin)


def load_reader() -> OcclusionReader:
    """Return the chain; raises MissingWeights without the autoencoder, whose absence nothing can make up for.

    The expression is always read by Mien's own network, whose class activation the recogniser needs.
    """
    device = choose_device(registry.places().device)
    autoencoder, backend = _ready(FaceAutoencoder, "mae", device)
    landmarks, _ = _ready(FaceNet, "faces", device)
    expression, expression_backend = _ready(ExpressionNet, "deepfever", device)
    networks = Networks(
        autoencoder=autoencoder,
        landmarks=landmarks,
        expression=expression,
        expression_backend=expression_backend,
        detector=_perhaps(PatchSvdd, "svdd", device),
        refiner=_perhaps(Refiner, "refiner", device),
        shaped=_perhaps(ShapedPrior, "shaped_prior", device),
        recogniser=_perhaps(LatentExpression, "ofer", device),
        diffusion=_perhaps(FaceDiffusion, "diffusion", device),
        official=_official(),
        lama=_lama(),
        hub=_hub(),
    )
    return OcclusionReader(networks, backend=backend, device=device)


def _ready(kind: type[Net], name: str, device: torch.device) -> tuple[Net, str]:
    config, tensors, backend = registry.shipped(name)
    network = kind(**config)
    network.load_state_dict(tensors)
    return place(network.requires_grad_(False), device=device, dtype=torch.float32), backend


def _perhaps(kind: type[Net], name: str, device: torch.device) -> Net | None:
    return _ready(kind, name, device)[0] if (cards.PRETRAINED / f"{name}.json").is_file() else None


def _lama() -> Lama | None:
    file = find_weight("lama", *registry.places().weights_folders)
    return Lama(file) if file is not None and find_spec("onnxruntime") is not None else None


def _hub() -> Callable[[], HubInpainting] | None:
    return partial(registry.load, registry.HUB_INPAINTING) if registry.places().inpaint_model else None


def _official() -> OfficialChain | None:
    """The authors' networks as far as a user brought them; the autoencoder is the one that has to be there."""
    folders = registry.places().weights_folders
    autoencoder = find_weight("mae-base", *folders) or find_weight("mae-large", *folders)
    if autoencoder is None:
        return None
    refiner, classifier = (find_weight(f"latent-ofer-{name}", *folders) for name in ("refiner", "classifier"))
    return OfficialChain(
        load_mae(autoencoder),
        refiner=load_refiner(refiner) if refiner else None,
        classifier=load_classifier(classifier) if classifier else None,
    )
