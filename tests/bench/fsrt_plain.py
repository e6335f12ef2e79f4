"""FSRT's decoder written straight down, as the paper describes it: the yardstick for the arranged one.

Every pixel carries its whole query of 480 channels, keys and values are computed for every chunk of pixels, attention
weights are written out. It works on an official state dict and shares no code with the package.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]
CHUNK = 4096
HEAD_CHANNELS = 64


def positions(coordinates: Tensor, octaves: int) -> Tensor:
    """Sines, then cosines, of coordinates (P, d) at octaves from pi / 2 up, (P, 2 * d * octaves)."""
    angles = coordinates[:, :, None] * (math.pi * 2.0 ** torch.arange(-1, octaves - 1, dtype=torch.float32))
    return torch.cat((torch.sin(angles).flatten(1), torch.cos(angles).flatten(1)), dim=1)


def grid() -> Tensor:
    """Pixel centres (65536, 2) of a 256x256 picture, row by row, x before y."""
    centres = (torch.arange(256) + 0.5 - 128) / 128
    return torch.stack((centres.repeat(256), centres.repeat_interleave(256)), dim=1)


def linear(state: State, name: str, inputs: Tensor) -> Tensor:
    """A linear layer by name, with its bias where it has one."""
    return F.linear(inputs, state[f"{name}.weight"], state.get(f"{name}.bias"))


def norm(state: State, name: str, inputs: Tensor) -> Tensor:
    """A layer norm by name."""
    return F.layer_norm(inputs, inputs.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])


def heads(inputs: Tensor) -> Tensor:
    """(T, heads * 64) to (heads, T, 64)."""
    return inputs.view(len(inputs), -1, HEAD_CHANNELS).transpose(0, 1)


def attention(state: State, name: str, tokens: Tensor, latent: Tensor) -> Tensor:
    """Cross-attention from tokens (P, 480) to a latent (T, 768)."""
    queries = heads(linear(state, f"{name}.to_q", tokens))
    keys, values = (heads(part) for part in linear(state, f"{name}.to_kv", latent).chunk(2, dim=-1))
    weights = torch.softmax(queries @ keys.transpose(1, 2) * HEAD_CHANNELS**-0.5, dim=-1)  # (heads, P, T)
    return linear(state, f"{name}.to_out.0", (weights @ values).transpose(0, 1).flatten(1))


def colours(state: State, latent: Tensor, *, keypoints: Tensor, expression: Tensor, pixels: Tensor) -> Tensor:
    """Colours (P, 3) of pixel centres (P, 2), from a latent (T, 768), keypoints (10, 2) and expression (256,)."""
    count = len(pixels)
    everywhere = keypoints.flatten().expand(count, -1)  # (P, 20)
    query = torch.cat((positions(everywhere, 4), positions(pixels, 16), expression.expand(count, -1)), dim=1)
    tokens = F.relu(linear(state, "allocation_transformer.input_mlp.0", query))
    tokens = linear(state, "allocation_transformer.input_mlp.2", tokens)  # (P, 480)
    for layer in range(2):
        name = f"allocation_transformer.transformer.layers.{layer}"
        tokens = tokens + attention(state, f"{name}.0.fn", norm(state, f"{name}.0.norm", tokens), latent)
        hidden = F.gelu(linear(state, f"{name}.1.fn.net.0", norm(state, f"{name}.1.norm", tokens)))
        tokens = tokens + linear(state, f"{name}.1.fn.net.3", hidden)
    for layer in (0, 2, 4, 6):
        tokens = F.relu(linear(state, f"render_mlp.{layer}", tokens))
    return linear(state, "render_mlp.8", tokens)


def decode(state: State, latent: Tensor, *, keypoints: Tensor, expression: Tensor, pixels: Tensor) -> Tensor:
    """Colours (P, 3), a chunk of 4096 pixels at a time."""
    return torch.cat(
        [
            colours(state, latent, keypoints=keypoints, expression=expression, pixels=part)
            for part in pixels.split(CHUNK)
        ]
    )
