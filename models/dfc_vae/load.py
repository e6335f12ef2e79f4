"""Official DFC-VAE and VGG-19 files of the user, checked name by name and shape by shape, and converted to safetensors.

Each `install_...` is the check behind one entry of `models.brought`; each `load_...` opens what it wrote.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.dfc_vae.official import AntixkVae, AuthorsVae128, PaperVae64
from models.dfc_vae.torch7 import LuaObject, read_torch7
from models.dfc_vae.vgg import Vgg19, named_from_numbered
from models.errors import BadWeights, MissingWeights

AUTHORS_ENCODER = "dfc_vae_authors_encoder.safetensors"
AUTHORS_DECODER = "dfc_vae_authors_decoder.safetensors"
PAPER = "dfc_vae_paper64.safetensors"
ANTIXK = "dfc_vae_antixk.safetensors"
VGG19 = "vgg19.safetensors"


def check_state(given: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, what: str) -> dict[str, Tensor]:
    """Return the expected entries as float32; raises BadWeights naming the first that is missing, odd or too many.

    BatchNorm's batch counters may be missing: they change nothing here and Lua has none.
    """
    counters = {key for key in expected if key.endswith("num_batches_tracked")}
    missing = sorted(expected.keys() - given.keys() - counters)
    foreign = sorted(given.keys() - expected.keys())
    if missing or foreign:
        named = f"{missing[0]} is missing" if missing else f"{foreign[0]} does not belong to it"
        raise BadWeights(f"this is not {what}: {named} ({len(missing)} missing, {len(foreign)} foreign entries)")
    for key in given:
        if given[key].shape != expected[key].shape:
            shapes = f"{tuple(given[key].shape)}, expected {tuple(expected[key].shape)}"
            raise BadWeights(f"this is not {what}: {key} has the shape {shapes}")
    state = {key: given[key].to(expected[key].dtype).contiguous() for key in given}
    return state | {key: torch.zeros(expected[key].shape, dtype=torch.int64) for key in counters - given.keys()}


def read_state(source: Path) -> dict[str, Tensor]:
    """Read a safetensors file or a PyTorch checkpoint (weights only); a Lightning file gives its `state_dict`."""
    try:
        if source.suffix == ".safetensors":
            return load_file(source)
        loaded = torch.load(source, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise BadWeights(f"{source.name} cannot be read as weights: {error}") from error
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise BadWeights(f"{source.name} holds no table of named tensors")
    return {str(key): value for key, value in loaded.items()}


def _empty_state(network: type[nn.Module], **config: object) -> dict[str, Tensor]:
    with torch.device("meta"):
        return network(**config).state_dict()


def install_paper(source: Path, target: Path) -> str:
    """A 64 px network with the tensor names of the PyTorch port."""
    save_file(check_state(read_state(source), _empty_state(PaperVae64), what="the 64 px DFC-VAE"), target)
    return "the 64 px, 100-number DFC-VAE is in place"


def install_antixk(source: Path, target: Path) -> str:
    """A checkpoint of AntixK's collection, with or without its frozen VGG-19, which is left behind."""
    state = {key.removeprefix("model."): value for key, value in read_state(source).items()}
    own = {key: value for key, value in state.items() if not key.startswith("feature_network.")}
    save_file(check_state(own, _empty_state(AntixkVae), what="AntixK's DFC-VAE"), target)
    return "AntixK's 64 px, 128-number DFC-VAE is in place"


def install_vgg19(source: Path, target: Path) -> str:
    """VGG-19 without BatchNorm, with torchvision's numbers or the Caffe model's names; drops its classifier."""
    state = named_from_numbered(read_state(source))
    save_file(check_state(state, _empty_state(Vgg19), what="VGG-19 without BatchNorm"), target)
    return "VGG-19 is in place: the recipe can use the paper's own loss"


def install_authors_encoder(source: Path, target: Path) -> str:
    """The encoder the authors released for Lua Torch (.t7)."""
    expected = {key: value for key, value in _empty_state(AuthorsVae128).items() if not key.startswith("decoder.")}
    save_file(check_state(_state_from_lua(source, expected), expected, what="the authors' encoder"), target)
    return "the authors' encoder is in place; it needs their decoder too"


def install_authors_decoder(source: Path, target: Path) -> str:
    """The decoder the authors released for Lua Torch (.t7)."""
    expected = {key: value for key, value in _empty_state(AuthorsVae128).items() if key.startswith("decoder.")}
    save_file(check_state(_state_from_lua(source, expected), expected, what="the authors' decoder"), target)
    return "the authors' decoder is in place; it needs their encoder too"


def _state_from_lua(source: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    root = read_torch7(source)
    if not isinstance(root, LuaObject):
        raise BadWeights(f"{source.name} holds a {type(root).__name__}, not a network")
    leaves = list(_weighted(root))
    owners = list(dict.fromkeys(key.rsplit(".", 1)[0] for key in expected))
    if len(leaves) != len(owners):
        kinds = ", ".join(leaf.kind for leaf in leaves[:4])
        raise BadWeights(f"{source.name} has {len(leaves)} layers with weights ({kinds} ...), expected {len(owners)}")
    state: dict[str, Tensor] = {}
    for owner, leaf in zip(owners, leaves, strict=True):
        for name, array in _arrays(leaf).items():
            state[f"{owner}.{name}"] = _shaped(array, expected.get(f"{owner}.{name}"))
    return state


def _weighted(module: LuaObject) -> Iterator[LuaObject]:
    # Containers hold their layers in order; the encoder's two heads are the branches of an nn.ConcatTable, mean first.
    if module.tensor("weight") is not None:
        yield module
    for child in module.children():
        yield from _weighted(child)


def _arrays(layer: LuaObject) -> dict[str, np.ndarray]:
    names = ("weight", "bias", "running_mean", "running_var")
    arrays = {name: layer.tensor(name) for name in names}
    deviation = layer.tensor("running_std")
    if arrays["running_var"] is None and deviation is not None:
        # Before 2016 nn.BatchNormalization kept 1 / sqrt(variance + eps).
        arrays["running_var"] = deviation.astype(np.float64) ** -2 - float(layer.fields.get("eps", 1e-5))
    return {name: array for name, array in arrays.items() if array is not None}


def _shaped(array: np.ndarray, expected: Tensor | None) -> Tensor:
    value = torch.from_numpy(array.astype(np.float32))
    # Torch7 may store a convolution's weight flat: (out, in * height * width).
    flat = expected is not None and value.numel() == expected.numel() and value.ndim == 2 and expected.ndim == 4
    return value.reshape(expected.shape) if flat else value


def _open(weights: Path, filename: str, remedy: str) -> dict[str, Tensor]:
    path = weights / filename
    if not path.is_file():
        raise MissingWeights(f"{filename} is not in {weights}; add it with `mien weights add {remedy} PATH`")
    return load_file(path)


def load_authors(weights: Path) -> AuthorsVae128:
    """The authors' 128 px network from the two installed files; raises MissingWeights with the command for each."""
    network = AuthorsVae128()
    encoder = _open(weights, AUTHORS_ENCODER, "dfc-vae-authors-encoder")
    decoder = _open(weights, AUTHORS_DECODER, "dfc-vae-authors-decoder")
    network.load_state_dict(encoder | decoder, strict=True)
    return network.eval()


def load_paper(weights: Path) -> PaperVae64:
    """A 64 px network from the installed file."""
    network = PaperVae64()
    network.load_state_dict(_open(weights, PAPER, "dfc-vae-paper"), strict=True)
    return network.eval()


def load_antixk(weights: Path) -> AntixkVae:
    """AntixK's network from the installed file, without its VGG-19."""
    network = AntixkVae()
    network.load_state_dict(_open(weights, ANTIXK, "dfc-vae-antixk"), strict=True)
    return network.eval()


def load_vgg19(weights: Path) -> Vgg19:
    """The user's VGG-19."""
    network = Vgg19()
    network.load_state_dict(_open(weights, VGG19, "vgg19"), strict=True)
    return network.eval()
