"""Weights and inputs made by a rule, so that two implementations can be compared without any trained file.

A value depends on nothing but a model's id, a seed word and the name of the tensor: the first eight bytes of a SHA-256
seed a PCG64 stream, whose top 53 bits are numbers in [0, 1).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Net = TypeVar("Net", bound=nn.Module)
EMBEDDINGS = frozenset({"cls_token", "mask_token", "pos_embed", "decoder_pos_embed"})
CHUNK = 1 << 22
"""Values drawn at a time: 32 MiB of raw words, whatever the size of the tensor."""


def stream(tag: str, count: int, *, chunk: int = CHUNK) -> Iterator[NDArray[np.float64]]:
    """Yield `count` numbers in [0, 1) for a tag, in pieces of at most `chunk`."""
    digest = hashlib.sha256(tag.encode("utf-8")).digest()
    generator = np.random.PCG64(int.from_bytes(digest[:8], "little"))
    for start in range(0, count, chunk):
        raw = generator.random_raw(min(chunk, count - start))
        yield (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53


def uniform(tag: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return numbers in [0, 1) of the given shape for a tag, in C order."""
    count = math.prod(shape)
    return np.concatenate([*stream(tag, count)] or [np.empty(0)]).reshape(shape)


def scale_and_offset(key: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Return (scale, offset) that turn u in [0, 1) into a tensor's values: scale * u + offset, by the tensor's name."""
    last = key.rsplit(".", 1)[-1]
    if last == "running_var":
        return 1.0, 0.5
    if last == "running_mean":
        spread = 0.1
    elif last in EMBEDDINGS:
        spread = 0.5
    elif len(shape) >= 2:
        spread = math.sqrt(3.0 / math.prod(shape[1:]))
    elif last == "weight":
        return 0.4, 0.8
    else:
        spread = 0.1
    return 2.0 * spread, -spread


def weight(model_id: str, seed: str, key: str, shape: tuple[int, ...], *, chunk: int = CHUNK) -> Tensor:
    """Return the rule's float32 tensor for one state-dict key (int64 zeros for `num_batches_tracked`)."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    values = torch.empty(math.prod(shape), dtype=torch.float32)
    view, done = values.numpy(), 0
    scale, offset = scale_and_offset(key, shape)
    for piece in stream(f"{model_id}|{seed}|{key}", values.numel(), chunk=chunk):
        view[done : done + piece.size] = scale * piece + offset
        done += piece.size
    return values.reshape(shape)


def build(make: Callable[[], Net], model_id: str, seed: str) -> Net:
    """Return the network that `make` builds, in eval mode, with every parameter and buffer made by the rule."""
    with torch.device("meta"):  # the rule's tensors then become the parameters: nothing is in memory twice
        net = make()
    state = {key: weight(model_id, seed, key, tuple(tensor.shape)) for key, tensor in net.state_dict().items()}
    net.load_state_dict(state, assign=True)
    return net.eval()


def blocks(model_id: str, seed: str, name: str, *, size: int, block: int, channels: int = 3) -> Tensor:
    """Return a float32 picture (1, channels, size, size) in [0, 1): random colours in squares of `block` pixels."""
    grid = uniform(f"{model_id}|{seed}|input:{name}", (1, channels, size // block, size // block))
    return torch.from_numpy(np.kron(grid, np.ones((block, block))).astype(np.float32))


def vector(
    model_id: str, seed: str, name: str, shape: tuple[int, ...], *, low: float = -1.0, high: float = 1.0
) -> Tensor:
    """Return a float32 tensor with values in [low, high)."""
    values = uniform(f"{model_id}|{seed}|input:{name}", shape)
    return torch.from_numpy((low + (high - low) * values).astype(np.float32))
