"""Official checkpoints that users bring: read without running code, checked name by name, kept as safetensors.

`mae_visualize_vit_base.pth` and `..._large.pth` (also `_ganloss`), the refiner's generator, DAN as the refiner was
trained with, and the classifier, whose 1.84 GB of latent layers are folded into 41 MB on the way in.
"""

from __future__ import annotations

import argparse
import os
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.errors import BadWeights, MissingWeights
from models.latent_ofer import mae
from models.latent_ofer.classifier import LatentClassifier, fold
from models.latent_ofer.dan import Dan
from models.latent_ofer.hybrid import HybridRefiner
from models.latent_ofer.mae import MaskedAutoencoder
from models.latent_ofer.quick import quicken

MAE_BASE_FILE, MAE_LARGE_FILE = "mae_visualize_vit_base.safetensors", "mae_visualize_vit_large.safetensors"
REFINER_FILE, DAN_FILE = "latent_ofer_refiner.safetensors", "latent_ofer_dan.safetensors"
CLASSIFIER_FILE = "latent_ofer_classifier.safetensors"
TABLES = ("model", "model_state_dict", "state_dict")
"""Where training programs put the tensors inside a checkpoint."""
NAMED = 3
"""Faults that a message names; the rest is counted."""

UNREADABLE = (
    pickle.UnpicklingError,
    SafetensorError,
    zipfile.BadZipFile,
    OSError,
    struct.error,
    RuntimeError,
    EOFError,
    AssertionError,
    AttributeError,
    LookupError,
    OverflowError,
    TypeError,
    ValueError,
)
"""What the readers raise for files that are damaged or something else."""

State = dict[str, Tensor]
Net = TypeVar("Net", bound=nn.Module)


def read_state(path: Path) -> State:
    """Return a checkpoint's table of tensors, mapped from the file rather than read where the format allows it.

    Raises MissingWeights where there is no file, BadWeights where it cannot be read or holds no such table.
    """
    if not path.is_file():
        raise MissingWeights(f"{path} is not there; bring it with `mien weights add`")
    # Checkpoints of training programs also hold their options and their best figure; neither runs any code.
    harmless = [argparse.Namespace, np._core.multiarray.scalar, np.dtype, np.dtypes.Float64DType]
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            with torch.serialization.safe_globals(harmless):
                mapped = zipfile.is_zipfile(path)
                content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except UNREADABLE as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise BadWeights(f"{path.name} cannot be read as a checkpoint: {reason}") from error
    return _table(content, path.name)


def _table(content: Any, name: str) -> State:
    """Find the tensors in a checkpoint; names lose the `module.` that training on several GPUs puts before them."""
    for key in TABLES:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        raise BadWeights(f"{name} holds no table of named tensors")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def fitted(net: nn.Module, state: Mapping[str, Any], *, what: str) -> State:
    """Return the tensors in the network's order and types; raises BadWeights where a name or shape is not its own."""
    expected = net.state_dict()
    faults = [f"missing {key}" for key in expected if key not in state]
    faults += [f"unknown {key}" for key in state if key not in expected]
    fitting: State = {}
    for key, own in expected.items():
        value = state.get(key)
        if value is None:
            continue
        if not isinstance(value, Tensor):
            faults.append(f"{key} is a {type(value).__name__}")
        elif value.shape != own.shape:
            faults.append(f"{key} has shape {tuple(value.shape)}, expected {tuple(own.shape)}")
        else:
            fitting[key] = value.to(own.dtype).contiguous()
    if faults:
        more = f" and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        raise BadWeights(f"{what}: {'; '.join(faults[:NAMED])}{more}")
    return fitting


def loaded(net: Net, state: State, *, what: str) -> Net:
    """Give checked tensors to a network made without memory and return it ready for reading."""
    net.load_state_dict(fitted(net, state, what=what), assign=True)
    return net.eval().requires_grad_(False)


def keep(state: State, target: Path) -> str:
    """Write a checked table as safetensors, all or nothing, and return how much it is in words."""
    for key, value in state.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise BadWeights(f"{key} holds values that are not numbers")
    partial = target.with_name(target.name + ".part")
    try:
        save_file({key: value.contiguous().clone() for key, value in state.items()}, partial)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    count = sum(value.numel() for value in state.values() if value.is_floating_point())
    return f"{len(state)} tensors with {count / 1e6:.1f} million numbers"


def empty_mae(width: int) -> MaskedAutoencoder:
    """Return the masked autoencoder of that width, base (768) or large (1024), without memory."""
    sizes = {mae.BASE["width"]: mae.BASE, mae.LARGE["width"]: mae.LARGE}
    if width not in sizes:
        raise BadWeights(
            f"a masked autoencoder {width} wide; the ones that can be used are {' and '.join(map(str, sizes))}"
        )
    with torch.device("meta"):
        return MaskedAutoencoder(**sizes[width])


def _mae_state(state: State, width: int | None = None) -> tuple[MaskedAutoencoder, State]:
    """Return the network, empty, that a table belongs to, and the table checked."""
    table = state.get("cls_token")
    if not isinstance(table, Tensor) or table.ndim != 3:
        raise BadWeights("no masked autoencoder: there is no cls_token (1, 1, width)")
    if "mask_token" not in state:
        raise BadWeights("this masked autoencoder has no decoder; bring the file whose name starts with mae_visualize")
    if width is not None and table.shape[2] != width:
        raise BadWeights(f"this masked autoencoder is {table.shape[2]} wide, expected {width}")
    net = empty_mae(table.shape[2])
    return net, fitted(net, state, what="masked autoencoder")


def install_mae_base(source: Path, target: Path) -> str:
    """Check and keep `mae_visualize_vit_base.pth`."""
    return f"The masked autoencoder (base) is in place: {keep(_mae_state(read_state(source), 768)[1], target)}."


def install_mae_large(source: Path, target: Path) -> str:
    """Check and keep `mae_visualize_vit_large.pth` or `mae_visualize_vit_large_ganloss.pth`."""
    return f"The masked autoencoder (large) is in place: {keep(_mae_state(read_state(source), 1024)[1], target)}."


def install_refiner(source: Path, target: Path) -> str:
    """Check and keep the refiner's generator."""
    with torch.device("meta"):
        net = HybridRefiner()
    return f"The refiner is in place: {keep(fitted(net, read_state(source), what='refiner'), target)}."


def install_dan(source: Path, target: Path) -> str:
    """Check and keep DAN as the refiner was trained with."""
    with torch.device("meta"):
        net = Dan()
    return f"DAN is in place: {keep(fitted(net, read_state(source), what='DAN'), target)}."


def install_classifier(source: Path, target: Path) -> str:
    """Check the classifier, fold its latent layers and keep the result; big matrices are read a few rows at a time."""
    state = read_state(source)
    if "latent.weight" not in state:
        state = fold(fitted(_layered(state), state, what="classifier"))
    with torch.device("meta"):
        net = LatentClassifier(latent_branch="folded")
    words = keep(fitted(net, state, what="classifier"), target)
    return f"The classifier is in place, its latent layers folded into one: {words}."


def _layered(state: State) -> LatentClassifier:
    """Return the classifier, empty, with latent layers as wide as a checkpoint's."""
    layers = [state.get(key) for key in ("hh_layer.weight", "hh_layer2.weight")]
    if not all(isinstance(layer, Tensor) and layer.ndim == 2 for layer in layers):
        raise BadWeights("classifier: missing hh_layer.weight or hh_layer2.weight, the latent layers")
    with torch.device("meta"):
        return LatentClassifier(latent_branch="layers", latent_widths=tuple(len(layer) for layer in layers))


def load_mae(path: Path) -> MaskedAutoencoder:
    """Load a masked autoencoder, base or large, from a kept or an official file."""
    net, state = _mae_state(read_state(path))
    return loaded(net, state, what="masked autoencoder")


def load_refiner(path: Path, *, assembly: str = "official", rewritten: bool = True) -> HybridRefiner:
    """Load the refiner; `rewritten` for speed on a CPU, otherwise with the official layers one by one."""
    with torch.device("meta"):
        net = HybridRefiner(assembly=assembly)
    net = loaded(net, read_state(path), what="refiner")
    return quicken(net) if rewritten else net


def load_dan(path: Path) -> Dan:
    """Load DAN from a kept or an official file."""
    with torch.device("meta"):
        net = Dan()
    return loaded(net, read_state(path), what="DAN")


def load_classifier(path: Path) -> LatentClassifier:
    """Load the classifier with its folded latent branch; raises BadWeights for a file that was not folded yet."""
    state = read_state(path)
    if "hh_layer.weight" in state:
        raise BadWeights(f"{path.name} still has its 1.84 GB of latent layers; `mien weights add` folds them")
    with torch.device("meta"):
        net = LatentClassifier(latent_branch="folded")
    return loaded(net, state, what="classifier")
