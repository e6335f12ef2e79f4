"""Official checkpoints that users bring: read safely, checked name by name, kept as safetensors.

`kp_detector.pt` (or a vox checkpoint of the First Order Motion Model), `vox256.pt` and `vox256_2Source.pt`.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.errors import BadWeights, MissingWeights
from models.fsrt.decoder import PixelDecoder
from models.fsrt.encoder import SetLatentEncoder
from models.fsrt.expression_encoder import ExpressionEncoder
from models.fsrt.keypoints import KeypointDetector

KEYPOINTS_FILE = "fsrt_kp_detector.safetensors"
ONE_SOURCE_FILE = "fsrt_vox256.safetensors"
TWO_SOURCES_FILE = "fsrt_vox256_2source.safetensors"
PARTS = ("encoder", "decoder", "expression_encoder")

UNREADABLE = (
    pickle.UnpicklingError,
    SafetensorError,
    zipfile.BadZipFile,
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

State = dict[str, Tensor]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a PyTorch or safetensors file without running any code in it.

    Raises MissingWeights where there is no file and BadWeights where it cannot be read.
    """
    if not path.is_file():
        raise MissingWeights(f"{path} is not there; bring it with `mien weights add`")
    # Training checkpoints keep their best loss as a numpy number, which the safe reader has to be told about.
    numbers = [np._core.multiarray.scalar, np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType]
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        with torch.serialization.safe_globals(numbers):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise BadWeights(f"{path.name} cannot be read as a checkpoint: {reason}") from error
    if not isinstance(content, dict):
        raise BadWeights(f"{path.name} holds a {type(content).__name__}, not named tensors")
    return content


def strict_state(network: nn.Module, given: Any, *, what: str) -> State:
    """Return float32 tensors under exactly the network's names and shapes, in its order, or raise BadWeights."""
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
        elif value.is_floating_point() and not value.isfinite().all():
            faults.append(f"{key} holds values that are not numbers")
        else:
            state[key] = value.to(own.dtype).contiguous()
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise BadWeights(f"{what}: {'; '.join(faults[:3])}{more}")
    return state


def filled(network: nn.Module, state: State) -> Any:
    """Load a checked state into a network made without memory, ready for reading."""
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def empty_decoder(state: Mapping[str, Any]) -> PixelDecoder:
    """The decoder, normal or small, that a state belongs to."""
    with torch.device("meta"):
        return PixelDecoder() if "render_mlp.8.weight" in state else PixelDecoder.small()


def keypoint_state(content: Mapping[str, Any]) -> State:
    """Find the detector in `kp_detector.pt` or in a vox checkpoint of the First Order Motion Model."""
    given = content.get("kp_detector", content)
    if isinstance(given, Mapping):
        # That model also learned how the surroundings of each point deform; FSRT has no use for it.
        given = {key: value for key, value in given.items() if not str(key).startswith("jacobian.")}
    with torch.device("meta"):
        network = KeypointDetector()
    return strict_state(network, given, what="keypoint detector")


def network_states(content: Mapping[str, Any]) -> dict[str, State]:
    """Find encoder, decoder and expression encoder in `vox256.pt` or `vox256_2Source.pt`; what else is in is left."""
    missing = [part for part in PARTS if not isinstance(content.get(part), Mapping)]
    if missing:
        raise BadWeights(f"no {' and no '.join(missing)} in this checkpoint; FSRT's vox256.pt holds {', '.join(PARTS)}")
    with torch.device("meta"):
        encoder, expression_encoder = SetLatentEncoder(), ExpressionEncoder()
    networks = {
        "encoder": encoder,
        "decoder": empty_decoder(content["decoder"]),
        "expression_encoder": expression_encoder,
    }
    return {part: strict_state(networks[part], content[part], what=part) for part in PARTS}


def load_keypoint_detector(path: Path) -> KeypointDetector:
    """Load a detector from a file of any accepted kind."""
    with torch.device("meta"):
        network = KeypointDetector()
    return filled(network, keypoint_state(read_checkpoint(path)))


def load_networks(path: Path) -> tuple[ExpressionEncoder, SetLatentEncoder, PixelDecoder]:
    """Load expression encoder, encoder and decoder from an official checkpoint or from our safetensors."""
    states = network_states(_grouped(read_checkpoint(path)))
    with torch.device("meta"):
        encoder, expression_encoder = SetLatentEncoder(), ExpressionEncoder()
    return (
        filled(expression_encoder, states["expression_encoder"]),
        filled(encoder, states["encoder"]),
        filled(empty_decoder(states["decoder"]), states["decoder"]),
    )


def _grouped(content: Mapping[str, Any]) -> dict[str, Any]:
    """Put "encoder.x" of a flat safetensors file under "encoder"; a PyTorch checkpoint is grouped as it is."""
    groups: dict[str, Any] = {}
    for name, value in content.items():
        part, dot, key = str(name).partition(".")
        if dot and part in PARTS:
            groups.setdefault(part, {})[key] = value
        else:
            groups[name] = value
    return groups


def install_keypoint_detector(source: Path, target: Path) -> str:
    """Check a detector brought by a user and keep it as safetensors."""
    state = keypoint_state(read_checkpoint(source))
    save_file(state, target)
    return f"The keypoint detector is in place: {len(state)} tensors, all names and shapes right."


def install_networks(source: Path, target: Path) -> str:
    """Check FSRT's three networks brought by a user and keep them as one safetensors file."""
    states = network_states(_grouped(read_checkpoint(source)))
    save_file({f"{part}.{key}": value for part, state in states.items() for key, value in state.items()}, target)
    size = "normal" if "render_mlp.8.weight" in states["decoder"] else "small"
    count = sum(map(len, states.values()))
    return f"FSRT's networks are in place ({size} decoder): {count} tensors, all names and shapes right."
