"""Official checkpoints that users bring: read without running code, checked name by name, kept as safetensors.

`mae_visualize_vit_base.pth` and `..._large.pth` (also `_ganloss`), the refiner's generator, DAN as the refiner was
trained with, and the classifier, whose 1.84 GB of latent layers are folded into 41 MB on the way in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models.checkpoints import State, check_numbers, fitted, read_checkpoint
from models.errors import BadWeights
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
Net = TypeVar("Net", bound=nn.Module)


def read_state(path: Path) -> State:
    """Return a checkpoint's table of tensors, mapped from the file rather than read where the format allows it.

    Raises MissingWeights where there is no file, BadWeights where it cannot be read or holds no such table.
    """
    return _table(read_checkpoint(path), path.name)


def _table(content: Any, name: str) -> State:
    """Find the tensors in a checkpoint; names lose the `module.` that training on several GPUs puts before them."""
    for key in TABLES:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        raise BadWeights(f"{name} holds no table of named tensors")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def loaded(net: Net, state: State, *, what: str) -> Net:
    """Give checked tensors to a network made without memory and return it ready for reading."""
    net.load_state_dict(fitted(net, state, what=what), assign=True)
    return net.eval().requires_grad_(False)


def keep(state: State, target: Path) -> str:
    """Write a checked table as safetensors, all or nothing, and return how much it is in words."""
    check_numbers(state, what=target.stem)
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
