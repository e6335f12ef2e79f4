"""Official checkpoints that users bring: read without running any code in them, compared name by name."""

from __future__ import annotations

import argparse
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.errors import BadWeights, MissingWeights

State = dict[str, Tensor]

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
"""What PyTorch's readers raise for files that are damaged or something else."""

HARMLESS = [
    argparse.Namespace,
    np._core.multiarray.scalar,
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
]
"""What training programs keep beside the tensors, their options and their best figure; none of it runs any code."""


def read_checkpoint(path: Path, *, weight: str = "NAME") -> dict[str, Any]:
    """Read a PyTorch or safetensors file, mapped from the disk where its format allows it.

    `weight` is what `mien weights add` calls the file.
    Raises MissingWeights where there is no file and BadWeights where it cannot be read or holds no table.
    """
    if not path.is_file():
        raise MissingWeights(f"{path} is not there; bring it with `mien weights add {weight} PATH`")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        with torch.serialization.safe_globals(HARMLESS):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except UNREADABLE as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise BadWeights(f"{path.name} cannot be read as a checkpoint: {reason}") from error
    if not isinstance(content, Mapping):
        raise BadWeights(f"{path.name} holds a {type(content).__name__}, not named tensors")
    return dict(content)


def fitted(network: nn.Module, given: Any, *, what: str) -> State:
    """Return exactly the network's names and shapes, in its order and types; raises BadWeights naming what differs."""
    if not isinstance(given, Mapping):
        raise BadWeights(f"{what}: expected named tensors, got {type(given).__name__}")
    expected = network.state_dict()
    faults = [f"missing {key}" for key in expected if key not in given]
    faults += [f"unknown {key}" for key in given if key not in expected]
    state: State = {}
    for key, own in expected.items():
        value = given.get(key)
        if not isinstance(value, Tensor):
            faults += [] if value is None else [f"{key} is a {type(value).__name__}"]
        elif value.shape != own.shape:
            faults.append(f"{key} has shape {tuple(value.shape)}, expected {tuple(own.shape)}")
        else:
            state[key] = value.to(own.dtype).contiguous()
    if faults:
        more = f" and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        raise BadWeights(f"{what}: {'; '.join(faults[:NAMED])}{more}")
    return state


def check_numbers(state: Mapping[str, Tensor], *, what: str) -> None:
    """Raise BadWeights naming the first tensor that holds values that are not numbers."""
    for key, value in state.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise BadWeights(f"{what}: {key} holds values that are not numbers")
