"""Official checkpoints that users bring: read safely, checked name by name, kept as safetensors.

`kp_detector.pt` (or a vox checkpoint of the First Order Motion Model), `vox256.pt` and `vox256_2Source.pt`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from models.checkpoints import State, check_numbers, fitted, read_checkpoint
from models.errors import BadWeights
from models.fsrt.decoder import PixelDecoder
from models.fsrt.encoder import SetLatentEncoder
from models.fsrt.expression_encoder import ExpressionEncoder
from models.fsrt.keypoints import KeypointDetector

KEYPOINTS_FILE = "fsrt_kp_detector.safetensors"
ONE_SOURCE_FILE = "fsrt_vox256.safetensors"
TWO_SOURCES_FILE = "fsrt_vox256_2source.safetensors"
PARTS = ("encoder", "decoder", "expression_encoder")


def _strict(network: nn.Module, given: Any, *, what: str) -> State:
    state = fitted(network, given, what=what)
    check_numbers(state, what=what)
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
    return _strict(network, given, what="keypoint detector")


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
    return {part: _strict(networks[part], content[part], what=part) for part in PARTS}


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
