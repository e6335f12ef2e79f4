"""Our DFC-VAE networks against stored outputs of the published code, under weights made by a rule from a seed word."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.dfc_vae.losses import VggTaps, layer_errors
from models.dfc_vae.official import AntixkVae, AuthorsVae128, PaperVae64
from models.dfc_vae.pixels import authors_from_unit, unit_from_authors
from models.dfc_vae.vgg import VAE_123, VAE_345, Vgg19
from models.errors import BadInput
from models.parity import ArrayCheck, compare

RELATIVE_TOLERANCE = 1e-4
"""Of the stored array's largest absolute value."""
ANTIXK_DIVERGENCE_WEIGHT = 0.00025


def uniform(tag: str, shape: tuple[int, ...]) -> np.ndarray:
    """Float64 in [0, 1): the PCG64 stream seeded with the first eight bytes of the tag's SHA-256, little-endian."""
    seed = int.from_bytes(hashlib.sha256(tag.encode()).digest()[:8], "little")
    raw = np.random.PCG64(seed).random_raw(int(np.prod(shape)))
    return ((raw >> np.uint64(11)) * 2.0**-53).reshape(shape)


def rule_tensor(tag: str, shape: tuple[int, ...]) -> np.ndarray:
    """The value the rule gives to the state-dict entry that ends the tag."""
    kind = tag.rsplit(".", 1)[-1]
    if kind == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    unit = uniform(tag, shape)
    signed = 2 * unit - 1
    if kind == "running_var":
        value = 0.5 + unit
    elif kind == "running_mean":
        value = 0.1 * signed
    elif len(shape) >= 2:
        value = signed * np.sqrt(3 / np.prod(shape[1:]))
    elif kind == "weight":
        value = 1 + 0.2 * signed
    else:
        value = 0.1 * signed
    return value.astype(np.float32)


def filled(network: nn.Module, name: str, seed: str) -> nn.Module:
    """Give every tensor of the network its rule-made value and switch it to evaluation."""
    state = {
        key: torch.from_numpy(np.asarray(rule_tensor(f"{name}|{seed}|{key}", tuple(value.shape))))
        for key, value in network.state_dict().items()
    }
    network.load_state_dict(state, strict=True)
    return network.eval()


def block_image(name: str, seed: str, *, size: int, block: int) -> Tensor:
    """(1, 3, size, size) in [0, 1): squares of random colours, `block` pixels wide."""
    cells = uniform(f"{name}|{seed}|input:image", (1, 3, size // block, size // block))
    return torch.from_numpy(cells.repeat(block, 2).repeat(block, 3).astype(np.float32))


class Reference:
    """The stored arrays of one network and seed."""

    def __init__(self, fixtures: Path, name: str, seed: str) -> None:
        path = fixtures / f"{name}.{seed}.npz"
        if not path.is_file():
            raise BadInput(f"{path} does not exist: there are no stored outputs of {name} for the seed {seed!r}")
        self.name = name
        self.arrays = dict(np.load(path))

    def check(self, array: str, ours: Tensor) -> ArrayCheck:
        """Compare one array with the tolerance every array here has."""
        stored = self.arrays[array]
        tolerance = RELATIVE_TOLERANCE * float(np.abs(stored).max())
        return compare(f"{self.name}/{array}", ours.numpy(), stored, tolerance=tolerance)


def check_paper(fixtures: Path, seed: str) -> Iterator[ArrayCheck]:
    """The 64 px network of the paper, its interpolation, and both sets of VGG-19 layers of its loss."""
    reference = Reference(fixtures, "dfcvae_paper64", seed)
    network = filled(PaperVae64(), "dfcvae_paper64", seed)
    image = block_image("dfcvae_paper64", seed, size=64, block=4)
    latent = network.encode(image)
    output = network.decode(latent.mean)
    yield reference.check("mu", latent.mean)
    yield reference.check("logvar", latent.log_variance)
    yield reference.check("recon", output)
    other = torch.from_numpy(2 * uniform(f"dfcvae_paper64|{seed}|input:z2", (1, 100)) - 1).float()
    between = torch.cat([latent.mean * share + other * (1 - share) for share in (0.0, 0.5, 1.0)])
    yield reference.check("interp", network.decode(between)[:, :, ::2, ::2])
    ruler = filled(Vgg19(), "dfcvae_vgg19", seed)
    for array, layers in (("fpl_mse_123", VAE_123), ("fpl_mse_345", VAE_345)):
        taps = VggTaps(ruler, layers=layers, scale="unit")
        yield reference.check(array, layer_errors(taps(image), taps(output)))
    yield reference.check("kl", latent.divergence().sum().reshape(1))


def check_authors(fixtures: Path, seed: str) -> Iterator[ArrayCheck]:
    """The 128 px network of the authors' Lua code."""
    reference = Reference(fixtures, "dfcvae_lua128", seed)
    network = filled(AuthorsVae128(), "dfcvae_lua128", seed)
    latent = network.encode(authors_from_unit(block_image("dfcvae_lua128", seed, size=128, block=8)))
    output = network.decode(latent.mean)
    yield reference.check("mu", latent.mean)
    yield reference.check("logvar", latent.log_variance)
    yield reference.check("decoder_raw", output[:, :, ::2, ::2])
    yield reference.check("rgb", unit_from_authors(output)[:, :, ::2, ::2])


def check_antixk(fixtures: Path, seed: str) -> Iterator[ArrayCheck]:
    """AntixK's variant with its loss inside VGG-19 with BatchNorm."""
    reference = Reference(fixtures, "dfcvae_antixk", seed)
    network = filled(AntixkVae(features="taps"), "dfcvae_antixk", seed)
    image = block_image("dfcvae_antixk", seed, size=64, block=4) * 2 - 1
    latent = network.encode(image)
    output = network.decode(latent.mean)
    yield reference.check("mu", latent.mean)
    yield reference.check("logvar", latent.log_variance)
    yield reference.check("recon", output)
    features = network.feature_network(image, list(AntixkVae.taps))
    yield reference.check("feat_means", torch.stack([torch.stack([tap.mean(), tap.std()]) for tap in features]))
    yield reference.check("feat43", features[3][:, ::8])
    loss = network.loss(image, latent, output, divergence_weight=ANTIXK_DIVERGENCE_WEIGHT)
    yield reference.check("loss", torch.stack([loss["total"], loss["pixels"], loss["divergence"]]))


PARTS = {"paper64": check_paper, "lua128": check_authors, "antixk": check_antixk}


@torch.inference_mode()
def _part(name: str, fixtures: Path, seed: str) -> list[ArrayCheck]:
    return list(PARTS[name](fixtures, seed))


def checks(fixtures: Path, *, seed: str, only: str | None = None) -> Iterator[ArrayCheck]:
    """Yield one check per stored array; `only` is paper64, lua128 or antixk."""
    if only is not None and only not in PARTS:
        raise BadInput(f"no part is called {only!r}; there are {', '.join(PARTS)}")
    for name in PARTS if only is None else (only,):
        yield from _part(name, fixtures, seed)
