"""Weights, pictures and landmarks drawn from a word by a rule, so that arithmetic can be compared without any file.

A stream of SplitMix64 numbers is started from sha256("word|tag"); everything is drawn in float64, in row-major order.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

GOLDEN = 0x9E3779B97F4A7C15
STEPS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
LAST_COLOUR = {"decoder": "render_mlp.8", "decoder_small": "render_mlp.4"}
GAINS_BY_NAME = {
    "kp_detector.kp.weight": 2.0,
    "expression_encoder.expression_mlp.0.weight": 4.0,
    "decoder.allocation_transformer.input_mlp.0.weight": 3.0,
    "decoder_small.allocation_transformer.input_mlp.0.weight": 3.0,
    **{f"{module}.{layer}.weight": 0.3 for module, layer in LAST_COLOUR.items()},
}
GAINS_BY_ENDING = {
    "to_qkv.weight": 2.0,
    "to_q.weight": 3.0,
    "to_kv.weight": 0.4,
    "to_out.0.weight": 0.6,
    "net.3.weight": 0.8,
}
USUAL_GAIN = 1.7


def uniform(word: str, tag: str, count: int) -> NDArray[np.float64]:
    """Draw `count` numbers in [0, 1) for a word and a tag."""
    start = int.from_bytes(hashlib.sha256(f"{word}|{tag}".encode()).digest()[:8], "little")
    state = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GOLDEN) + np.uint64(start)
    for shift, factor in STEPS:
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return ((state ^ (state >> np.uint64(31))) >> np.uint64(11)) / 2.0**53


def tensor(word: str, name: str, shape: Sequence[int]) -> NDArray[np.generic]:
    """Draw the tensor called "module.key" of a state dict."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, dtype=np.int64)
    drawn = (2 * uniform(word, name, math.prod(shape)) - 1).reshape(shape)
    module = name.split(".", 1)[0]
    if name.endswith("running_var"):
        drawn = 1 + 0.5 * drawn
    elif name.endswith("running_mean"):
        drawn = 0.1 * drawn
    elif ".norm." in name:
        drawn = 1 + 0.2 * drawn if name.endswith("weight") else 0.1 * drawn
    elif name.endswith("bias"):
        centre = 0.5 if name == f"{module}.{LAST_COLOUR.get(module)}.bias" else 0.0
        drawn = centre + 0.05 * drawn
    else:
        drawn = _weight(name, drawn)
    return drawn.astype(np.float32)


def _weight(name: str, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale by gain and fan-in; rows are centred so that means after a ReLU do not swamp what varies."""
    by_ending = (gain for ending, gain in GAINS_BY_ENDING.items() if name.endswith("." + ending))
    gain = GAINS_BY_NAME.get(name) or next(by_ending, USUAL_GAIN)
    rows = drawn.reshape(len(drawn), -1) * (gain * math.sqrt(3.0 / math.prod(drawn.shape[1:])))
    return (rows - rows.mean(axis=1, keepdims=True)).reshape(drawn.shape)


def fill(network: nn.Module, word: str, module: str) -> nn.Module:
    """Load rule-made weights into a network, under its official module name, and set it to evaluation."""
    state: dict[str, Tensor] = {}
    for key, value in network.state_dict().items():
        # The blur of the detector is a constant, not a weight: it stays as constructed.
        kept = (module, key) == ("kp_detector", "down.weight")
        state[key] = value if kept else torch.from_numpy(tensor(word, f"{module}.{key}", value.shape))
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def picture(word: str, name: str, *, size: int = 256) -> NDArray[np.float32]:
    """Draw an RGB picture (size, size, 3) in [0, 1]: two gratings, a blob and some noise in each channel."""
    shape_numbers = uniform(word, f"image.{name}", 24).reshape(3, 8)
    noise = uniform(word, f"image.{name}.noise", size * size * 3).reshape(size, size, 3)
    centres = (np.arange(size) + 0.5) / size
    x, y = centres[None, :], centres[:, None]
    channels = []
    for low_x, low_y, low_phase, high_x, high_y, high_phase, blob_x, blob_y in shape_numbers:
        low = np.sin(2 * np.pi * ((1 + 3 * low_x) * x + (1 + 3 * low_y) * y + low_phase))
        high = np.sin(2 * np.pi * ((5 + 9 * high_x) * x - (5 + 9 * high_y) * y + high_phase))
        away = (x - 0.2 - 0.6 * blob_x) ** 2 + (y - 0.2 - 0.6 * blob_y) ** 2
        channels.append(0.40 + 0.16 * low + 0.08 * high + 0.25 * np.exp(-away / (2 * 0.12**2)))
    return np.clip(np.stack(channels, axis=-1) + 0.08 * (noise - 0.5), 0, 1).astype(np.float32)


def picture_bytes(word: str, name: str, *, height: int, width: int) -> NDArray[np.uint8]:
    """Draw an RGB picture of any shape, cut from the corner of a square one and rounded to bytes."""
    square = picture(word, name, size=max(height, width))
    return np.rint(square[:height, :width] * 255.0).astype(np.uint8)


def landmark_sets(word: str, count: int) -> NDArray[np.float64]:
    """Draw `count` sets of 68 points in pixels (count, 68, 2): one base, scaled, moved and disturbed."""
    base = uniform(word, "landmarks.base", 136).reshape(68, 2) * 120 + 60
    sets = []
    for index in range(count):
        numbers = uniform(word, f"landmarks.{index}", 140)
        disturbed = 12 * (numbers[4:].reshape(68, 2) - 0.5)
        sets.append(base * (0.7 + 0.6 * numbers[0]) + 40 * (numbers[1:3] - 0.5) + disturbed)
    return np.stack(sets)
