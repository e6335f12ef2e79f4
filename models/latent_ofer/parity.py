"""Latent-OFER's official networks against ours under rule-made weights, array by array."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.errors import BadInput
from models.latent_ofer import mae, rule
from models.latent_ofer.assembly import SelfAssembly
from models.latent_ofer.classifier import LATENT_VALUES, LatentClassifier, fold
from models.latent_ofer.dan import Dan
from models.latent_ofer.hybrid import HybridRefiner
from models.latent_ofer.mae import MaskedAutoencoder
from models.latent_ofer.pixels import normalise
from models.parity import ArrayCheck, compare

log = logging.getLogger(__name__)
SHARE = 1e-4
"""Allowed difference as a share of the array's largest value."""
REFINER_SHARE = 1e-3
"""The same for the refiner's picture, which the order of additions moves more."""
Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Part:
    """One official network: where its fixtures are, how ours is built, and how its arrays are computed."""

    stem: str
    build: Callable[[], nn.Module]
    run: Callable[[nn.Module, str], dict[str, Tensor]] | None
    shares: tuple[tuple[str, float], ...] = ()


def checks(fixtures: Path, *, seed: str, only: str | None = None) -> Iterator[ArrayCheck]:
    """Yield a check of the tensor names and one for each stored array of every part, or of the part called `only`."""
    if only is not None and only not in PARTS:
        raise BadInput(f"no part is called {only!r}; there are {', '.join(PARTS)}")
    compared = 0
    for name in [only] if only else list(PARTS):
        part = PARTS[name]
        keys, stored = fixtures / f"{part.stem}.keys.json", fixtures / f"{part.stem}.{seed}.npz"
        if keys.is_file():
            yield check_keys(name, part.build, keys)
        if part.run is None:
            continue
        if not stored.is_file():
            log.warning("%s: not compared, there is no %s", name, stored.name)
            continue
        compared += 1
        yield from check_arrays(name, part, stored, seed)
    if not compared and (only is None or PARTS[only].run is not None):
        raise BadInput(f"no fixtures for the seed {seed!r} in {fixtures}")


def check_keys(name: str, build: Callable[[], nn.Module], path: Path) -> ArrayCheck:
    """Compare names, shapes and types of all tensors; the difference is the number of tensors that are not alike."""
    official = {key: (tuple(shape), kind) for key, (shape, kind) in json.loads(path.read_text())["tensors"].items()}
    with torch.device("meta"):
        state = build().state_dict()
    ours = {key: (tuple(t.shape), str(t.dtype).removeprefix("torch.")) for key, t in state.items()}
    unlike = {key for key in official.keys() | ours.keys() if official.get(key) != ours.get(key)}
    note = f"{len(official)} tensors" if not unlike else f"for example {sorted(unlike)[0]}"
    return ArrayCheck(f"{name}/keys", float(len(unlike)), 0.0, note)


def check_arrays(name: str, part: Part, path: Path, seed: str) -> Iterator[ArrayCheck]:
    """Run our network and compare every stored array it can be compared with."""
    net = rule.build(part.build, name, seed)
    assert part.run is not None
    with torch.inference_mode():
        ours = {key: value.numpy() for key, value in part.run(net, seed).items()}
    shares = dict(part.shares)
    with np.load(path, allow_pickle=False) as stored:
        for key in stored.files:
            if key == "argmax_margin":  # says how near a tie the official run was, not what it computed
                continue
            reference = stored[key]
            tolerance = shares.get(key, SHARE) * float(np.abs(reference).max())
            yield compare(f"{name}/{key}", ours[key], reference, tolerance=tolerance)
    if "logits_folded" in ours:
        tolerance = 1e-6 * float(np.abs(ours["logits"]).max())
        yield compare(
            f"{name}/folded", ours["logits_folded"], ours["logits"], tolerance=tolerance, note="to the layers"
        )


def run_mae(name: str) -> Callable[[nn.Module, str], dict[str, Tensor]]:
    """Return the run of a masked autoencoder: the 25 patches of the stored mask hidden, and all visible."""

    def run(net: nn.Module, seed: str) -> dict[str, Tensor]:
        assert isinstance(net, MaskedAutoencoder)
        image = normalise(rule.blocks(name, seed, "image", size=224, block=8))
        hidden = torch.zeros(1, 14, 14, dtype=torch.bool)
        hidden[:, 6:11, 4:9] = True
        hidden = hidden.flatten(1)
        filled = net(image, hidden)
        return {
            "enc_cls": net.encode(image, hidden)[:, 0],
            "enc_full_tokens": net.encode(image)[:, ::7, ::4],
            "dec_norm": filled.latents[:, ::7, ::4],
            "pred": filled.patches[:, ::7, ::8],
            "image": net.unpatch(filled.patches)[:, :, ::8, ::8],
            "mask": hidden.float(),
        }

    return run


def run_dan(net: nn.Module, seed: str) -> dict[str, Tensor]:
    """Read one picture with DAN."""
    reading = net(rule.blocks("fer_dan", seed, "image", size=224, block=8) * 2 - 1)
    arrays = {"sigmoid": reading.logits.sigmoid(), "pre_sigmoid": reading.logits}
    return arrays | {"feat": reading.features[:, ::8], "heads": reading.heads}


def run_classifier(name: str) -> Callable[[nn.Module, str], dict[str, Tensor]]:
    """Return the run of the classifier: with its layers, and with the folded latent branch."""

    def run(net: nn.Module, seed: str) -> dict[str, Tensor]:
        image = rule.blocks(name, seed, "image", size=224, block=8) * 2 - 1
        latents = rule.vector(name, seed, "latent", (1, LATENT_VALUES))
        reading = net(image, latents)
        with torch.device("meta"):
            folded = LatentClassifier(latent_branch="folded")
        folded.load_state_dict(fold(net.state_dict()), assign=True)
        return {
            "logits": reading.logits,
            "feat": reading.features[:, ::8],
            "heads": reading.heads.sum(dim=1),
            "logits_folded": folded.eval()(image, latents).logits,
        }

    return run


def run_refiner(net: nn.Module, seed: str) -> dict[str, Tensor]:
    """Refine one picture, listening at the self-assembly layer."""
    real = rule.blocks("hybrid_G", seed, "image" if seed == "dev" else "image2", size=256, block=8) * 2 - 1
    coarse = rule.blocks("hybrid_G", seed, "coarse", size=256, block=16) * 2 - 1
    mask = torch.zeros(1, 1, 256, 256)
    mask[:, :, 93:171, 66:139] = 1
    heard: dict[str, Tensor] = {}

    def listen(_: nn.Module, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        features, hole = inputs
        heard["sa_in"], heard["feat_mask32"] = features[:, ::64, ::2, ::2], hole[0].to(torch.uint8)
        heard["sa_out"] = output[:, ::32, ::2, ::2]

    layer = next(module for module in net.modules() if isinstance(module, SelfAssembly))
    layer.register_forward_hook(listen)
    out = net(real, coarse, mask)
    statistics = torch.stack([out.mean(), out.std(), out.min(), out.max()])
    return heard | {"out": out[:, :, ::4, ::4], "out_stats": statistics}


PARTS: dict[str, Part] = {
    "mae_tiny": Part("mae_tiny", lambda: MaskedAutoencoder(**mae.TINY), run_mae("mae_tiny")),
    "mae_base": Part("mae_base", lambda: MaskedAutoencoder(**mae.BASE), run_mae("mae_base")),
    "mae_large": Part("mae_large", lambda: MaskedAutoencoder(**mae.LARGE), None),
    "hybrid_G": Part(
        "latent_ofer_hybrid_G", HybridRefiner, run_refiner, (("out", REFINER_SHARE), ("out_stats", REFINER_SHARE))
    ),
    "fer_dan": Part("latent_ofer_fer_dan", Dan, run_dan),
    "ours_small": Part(
        "latent_ofer_ours_small",
        lambda: LatentClassifier(latent_branch="layers", latent_widths=(64, 32)),
        run_classifier("ours_small"),
    ),
    "ours_full": Part(
        "latent_ofer_ours_full", lambda: LatentClassifier(latent_branch="layers"), run_classifier("ours_full")
    ),
}
