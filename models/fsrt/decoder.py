"""The pixel decoder: the colour of each pixel, asked of the source's latent (paper, section 3.3).

Pixels never look at each other, so they may be asked for in any number and order. Three things are arranged to be
computed once: keys and values per source, the part of the first layer that belongs to a driving frame per frame.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from models.fsrt.encoder import LATENT_CHANNELS
from models.fsrt.expression_encoder import EXPRESSION_CHANNELS
from models.fsrt.posenc import KEYPOINT_CHANNELS, PIXEL_CHANNELS, encode_keypoints, encode_pixels
from models.fsrt.transformer import CrossAttention, Linear, Transformer

QUERY_CHANNELS = KEYPOINT_CHANNELS + PIXEL_CHANNELS + EXPRESSION_CHANNELS
PIXEL_END = KEYPOINT_CHANNELS + PIXEL_CHANNELS
LAYERS = 2

Memory = tuple[tuple[Tensor, Tensor], ...]
"""Keys and values (B, heads, T, 64) of each layer: what a decoder keeps of a source."""


class AllocationTransformer(nn.Module):
    """Gather what the latent knows about each pixel."""

    def __init__(self, heads: int, hidden: int) -> None:
        super().__init__()
        self.input_mlp = nn.Sequential(
            nn.Linear(QUERY_CHANNELS, 720), nn.ReLU(inplace=True), Linear(720, QUERY_CHANNELS)
        )
        attentions = [CrossAttention(QUERY_CHANNELS, heads, memory_width=LATENT_CHANNELS) for _ in range(LAYERS)]
        self.transformer = Transformer(QUERY_CHANNELS, attentions, hidden=hidden)

    def remember(self, latent: Tensor) -> Memory:
        """Keys and values of a latent (B, T, 768) for every layer."""
        return tuple(attention.fn.remember(latent) for attention, _ in self.transformer.layers)

    def condition(self, keypoints: Tensor, expressions: Tensor) -> Tensor:
        """The part of the first layer that is the same for all pixels of a frame, (B, 720), with its bias."""
        first = self.input_mlp[0]
        return F.linear(encode_keypoints(keypoints), first.weight[:, :KEYPOINT_CHANNELS], first.bias) + F.linear(
            expressions, first.weight[:, PIXEL_END:]
        )

    def queries(self, condition: Tensor, pixels: Tensor) -> Tensor:
        """Map (B, 720) and pixel centres (P, 2) to queries (B, P, 480)."""
        first, activation, second = self.input_mlp
        places = F.linear(encode_pixels(pixels), first.weight[:, KEYPOINT_CHANNELS:PIXEL_END])  # (P, 720)
        return second(activation(places + condition[:, None])).float()

    def forward(self, memory: Memory, condition: Tensor, pixels: Tensor) -> Tensor:
        """Map (B, 720) and pixel centres (P, 2) to what is known of each pixel, (B, P, 480)."""
        return self.transformer(self.queries(condition, pixels), memory)


class PixelDecoder(ModelMixin, ConfigMixin):
    """Colour pixels of a face in the pose and expression of a driving frame."""

    @register_to_config
    def __init__(
        self, heads: int = 12, hidden: int = 1536, render_widths: tuple[int, ...] = (1536, 1536, 1536, 1536)
    ) -> None:
        super().__init__()
        self.allocation_transformer = AllocationTransformer(heads, hidden)
        widths = (QUERY_CHANNELS, *render_widths)
        layers: list[nn.Module] = []
        for width_in, width_out in pairwise(widths):
            layers += [Linear(width_in, width_out), nn.ReLU(inplace=True)]
        self.render_mlp = nn.Sequential(*layers, Linear(widths[-1], 3))

    @classmethod
    def small(cls) -> PixelDecoder:
        """The smaller variant of the authors' configuration, 6.0 million numbers instead of 15.3."""
        return cls(heads=6, hidden=768, render_widths=(1536, 768))

    def remember(self, latent: Tensor) -> Memory:
        """Prepare a latent (B, T, 768) once for all pixels and frames."""
        return self.allocation_transformer.remember(latent)

    def forward(self, memory: Memory, keypoints: Tensor, expressions: Tensor, pixels: Tensor) -> Tensor:
        """Map keypoints (B, 10, 2), expressions (B, 256) and pixel centres (P, 2) to RGB (B, P, 3), about 0..1."""
        condition = self.allocation_transformer.condition(keypoints, expressions)
        return self.render_mlp(self.allocation_transformer(memory, condition, pixels)).float()

    def half_layers(self) -> list[nn.Linear]:
        """The layers that may work in half precision: all but the first, which sees positions, and the colours."""
        kept = {self.allocation_transformer.input_mlp[0], self.render_mlp[-1]}
        return [layer for layer in self.modules() if isinstance(layer, nn.Linear) and layer not in kept]


def decode_in_chunks(
    decoder: PixelDecoder,
    memory: Memory,
    *,
    keypoints: Tensor,
    expressions: Tensor,
    pixels: Tensor,
    chunk: int,
    on_progress: Callable[[float], None] | None = None,
) -> Tensor:
    """Colour pixels (P, 2) a chunk at a time, to RGB (B, P, 3); the same numbers whatever the chunk.

    `on_progress` gets the share done after each chunk and may raise to stop the work.
    """
    parts = []
    for start in range(0, len(pixels), chunk):
        parts.append(decoder(memory, keypoints, expressions, pixels[start : start + chunk]))
        if on_progress is not None:
            on_progress(min(1.0, (start + chunk) / len(pixels)))
    return torch.cat(parts, dim=1)
