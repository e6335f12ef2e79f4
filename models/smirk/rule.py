"""Numbers from a rule: weights and inputs that any implementation can make again from a seed word.

A key is hashed, the hash starts a SplitMix64 sequence, and each value becomes a number in [0, 1). Nothing is stored, so
two implementations can be compared with any seed without exchanging weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]

GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX_FIRST = np.uint64(0xBF58476D1CE4E5B9)
MIX_SECOND = np.uint64(0x94D049BB133111EB)
LINEAR_GAIN, CONVOLUTION_GAIN = 0.1, 0.8
IMAGE_SIZE, BLOCK_COUNT = 224, 14


def unit(seed: str, key: str, shape: Sequence[int]) -> Array:
    """Return numbers in [0, 1) for a seed word and a key, in C order of `shape`."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    start = np.uint64(int.from_bytes(digest[:8], "little"))
    count = int(np.prod(shape, dtype=np.int64))
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
        state = start + np.arange(1, count + 1, dtype=np.uint64) * GOLDEN_GAMMA
        state = (state ^ (state >> np.uint64(30))) * MIX_FIRST
        state = (state ^ (state >> np.uint64(27))) * MIX_SECOND
    state ^= state >> np.uint64(31)
    return ((state >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(tuple(shape))


def signed(seed: str, key: str, shape: Sequence[int]) -> Array:
    """Return numbers in [-1, 1) for a seed word and a key."""
    return 2.0 * unit(seed, key, shape) - 1.0


def weight(seed: str, key: str, shape: Sequence[int]) -> Array:
    """Return the value of one state-dict tensor; the kind is read off the end of its full checkpoint key."""
    if key.endswith("num_batches_tracked"):
        return np.zeros(tuple(shape))
    if key.endswith("running_var"):
        return 0.5 + unit(seed, key, shape)
    if key.endswith(("running_mean", "bias")):
        return 0.2 * signed(seed, key, shape)
    if len(shape) == 1:
        return 0.75 + 0.5 * unit(seed, key, shape)
    gain = LINEAR_GAIN if len(shape) == 2 else CONVOLUTION_GAIN
    return gain * np.sqrt(6.0 / np.prod(shape[1:], dtype=np.int64)) * signed(seed, key, shape)


def state_dict(seed: str, template: Mapping[str, torch.Tensor], *, prefix: str) -> dict[str, torch.Tensor]:
    """Fill a state dict like `template` by the rule; values are rounded to float32, counters stay integers."""
    filled = {}
    for key, tensor in template.items():
        values = torch.from_numpy(weight(seed, prefix + key, tuple(tensor.shape)))
        filled[key] = values.to(torch.float32 if tensor.is_floating_point() else tensor.dtype)
    return filled


def image(seed: str, name: str, channels: int) -> Array:
    """Return a (channels, 224, 224) picture in [0, 1): coarse blocks with fine noise over them."""
    coarse = unit(seed, f"input/{name}/low", (channels, BLOCK_COUNT, BLOCK_COUNT))
    fine = unit(seed, f"input/{name}/high", (channels, IMAGE_SIZE, IMAGE_SIZE))
    repeat = IMAGE_SIZE // BLOCK_COUNT
    return 0.75 * coarse.repeat(repeat, axis=1).repeat(repeat, axis=2) + 0.25 * fine


def encoder_batch(seed: str) -> NDArray[np.float32]:
    """Return four (3, 224, 224) inputs of different brightness, the last one constant."""
    batch = np.stack([image(seed, f"encoder/{index}", 3) for index in range(4)])
    batch[1] **= 2
    batch[2] *= 0.2
    batch[3] = 0.1
    return batch.astype(np.float32)


def generator_batch(seed: str) -> NDArray[np.float32]:
    """Return two (6, 224, 224) inputs."""
    return np.stack([image(seed, f"generator/{index}", 6) for index in range(2)]).astype(np.float32)
