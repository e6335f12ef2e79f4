"""SMIRK's official checkpoint: checked, brought into the weights folder, and loaded strictly.

`SMIRK_em1.pt` is a flat table of tensors under two prefixes, one for the encoder and one for the generator.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save_file
from torch import nn

from models.checkpoints import check_numbers, fitted, read_checkpoint
from models.errors import BadWeights
from models.smirk.encoder import SmirkEncoder
from models.smirk.face_arrays import FaceArrays
from models.smirk.generator import SmirkGenerator
from models.smirk.reader import SmirkReader

ENCODER, GENERATOR = "smirk_encoder", "smirk_generator"
ENCODER_PREFIX, GENERATOR_PREFIX = f"{ENCODER}.", f"{GENERATOR}."
CHECKPOINT_FILE, FLAME_FILE = "smirk_em1.safetensors", "flame2020.npz"

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
    both = nn.ModuleDict({ENCODER: SmirkEncoder(), GENERATOR: SmirkGenerator()})
    state = fitted(both, tensors, what="SMIRK's checkpoint")
    check_numbers(state, what="SMIRK's checkpoint")
    both.load_state_dict(state, strict=True)
    both.eval()
    return cast("SmirkEncoder", both[ENCODER]), cast("SmirkGenerator", both[GENERATOR])


def load_reader(checkpoint: Path, flame: Path, *, device: torch.device | str = "cpu") -> SmirkReader:
    """Return the reader for an installed checkpoint and an installed head; raises MissingWeights or BadWeights."""
    arrays = FaceArrays.load(flame)
    encoder, generator = build_networks(read_tensors(checkpoint))
    return SmirkReader(encoder, arrays, generator=generator, device=device)
