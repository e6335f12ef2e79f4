"""SMIRK's official checkpoint: checked, brought into the weights folder, and loaded strictly.

`SMIRK_em1.pt` is a flat table of tensors under two prefixes, one for the encoder and one for the generator.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from models.checkpoints import read_checkpoint
from models.errors import BadWeights
from models.smirk.encoder import SmirkEncoder
from models.smirk.face_arrays import FaceArrays
from models.smirk.generator import SmirkGenerator
from models.smirk.reader import SmirkReader

ENCODER_PREFIX, GENERATOR_PREFIX = "smirk_encoder.", "smirk_generator."
CHECKPOINT_FILE, FLAME_FILE = "smirk_em1.safetensors", "flame2020.npz"
NAMED = 5

Tensors = Mapping[str, torch.Tensor]


def install_smirk(source: Path, target: Path) -> str:
    """Check `SMIRK_em1.pt` (or the same tensors as safetensors) and write it as safetensors.

    Raises MissingWeights when there is no such file, BadWeights when a name, shape or value is not SMIRK's.
    """
    tensors = read_tensors(source)
    build_networks(tensors)
    partial = target.with_name(target.name + ".part")
    save_file({key: tensor.contiguous().clone() for key, tensor in tensors.items()}, partial)
    os.replace(partial, target)
    count = sum(tensor.numel() for key, tensor in tensors.items() if tensor.is_floating_point())
    return f"SMIRK is ready: {len(tensors)} tensors with {count / 1e6:.1f} million numbers."


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a flat table of tensors; only tensors can be in it, nothing in the file is run."""
    content = read_checkpoint(path, weight="smirk")
    if not all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in content.items()):
        raise BadWeights(f"{path.name} is not a flat table of named tensors")
    return content


def build_networks(tensors: Tensors) -> tuple[SmirkEncoder, SmirkGenerator]:
    """Return both networks with these weights, in float32 and set to inference.

    Raises BadWeights when a tensor is missing, unknown, of another shape, or holds values that are not numbers.
    """
    encoder, generator = SmirkEncoder(), SmirkGenerator()
    wanted = _with_prefix(encoder, ENCODER_PREFIX) | _with_prefix(generator, GENERATOR_PREFIX)
    _check(tensors, wanted)
    for network, prefix in ((encoder, ENCODER_PREFIX), (generator, GENERATOR_PREFIX)):
        own = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
        network.load_state_dict(own, strict=True)
    return encoder.eval(), generator.eval()


def _with_prefix(network: nn.Module, prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + key: tensor for key, tensor in network.state_dict().items()}


def _check(tensors: Tensors, wanted: Tensors) -> None:
    missing, unknown = [key for key in wanted if key not in tensors], [key for key in tensors if key not in wanted]
    if missing:
        raise BadWeights(f"not SMIRK's checkpoint: {len(missing)} tensors are missing, {_some(missing)}")
    if unknown:
        raise BadWeights(f"not SMIRK's checkpoint: {len(unknown)} tensors are unknown, {_some(unknown)}")
    for key, tensor in wanted.items():
        given = tensors[key]
        if given.shape != tensor.shape or given.is_floating_point() != tensor.is_floating_point():
            found = f"{tuple(given.shape)} of {given.dtype}"
            raise BadWeights(f"{key} should have the shape {tuple(tensor.shape)} of {tensor.dtype}, and has {found}")
        if given.is_floating_point() and not given.isfinite().all():
            raise BadWeights(f"{key} holds values that are not numbers")


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:NAMED]) + (", ..." if len(keys) > NAMED else "")


def load_reader(checkpoint: Path, flame: Path, *, device: torch.device | str = "cpu") -> SmirkReader:
    """Return the reader for an installed checkpoint and an installed head; raises MissingWeights or BadWeights."""
    arrays = FaceArrays.load(flame)
    encoder, generator = build_networks(read_tensors(checkpoint))
    return SmirkReader(encoder, arrays, generator=generator, device=device)
