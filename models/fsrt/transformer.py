"""The transformer blocks that FSRT's encoder and decoder share: pre-norm attention and a GELU network.

The residual stream and the norms stay in float32; each `Linear` works in the precision of its own weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD_CHANNELS = 64
BLOCK = 512


class Linear(nn.Linear):
    """A linear layer that takes its input in any precision and computes in that of its weights."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        return F.linear(input.to(self.weight.dtype), self.weight, self.bias)


class PreNorm(nn.Module):
    """Layer norm, then a block; both names are part of the official keys."""

    def __init__(self, width: int, block: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fn = block

    def forward(self, tokens: Tensor, *memory: Tensor) -> Tensor:
        """Map (B, T, width) to (B, T, width)."""
        return self.fn(self.norm(tokens), *memory)


class FeedForward(nn.Module):
    """Two linear layers with an exact (erf) GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        # The third entry was a dropout of probability 0 and gives the last layer its official number.
        self.net = nn.Sequential(Linear(width, hidden), nn.GELU(), nn.Identity(), Linear(hidden, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (..., width) to (..., width)."""
        return self.net(tokens)


def split_heads(tokens: Tensor) -> Tensor:
    """(B, T, heads * 64) to (B, heads, T, 64), head outermost in the channels."""
    return tokens.unflatten(-1, (-1, HEAD_CHANNELS)).transpose(1, 2)


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Softmax attention over heads, (B, heads, T, 64) to (B, T, heads * 64), fused where that is the fastest."""
    if queries.dtype == torch.bfloat16 and queries.device.type == "cpu":
        mixed = _attend_in_blocks(queries, keys, values)
    else:
        mixed = F.scaled_dot_product_attention(queries, keys, values)
    return mixed.transpose(1, 2).flatten(2)


def _attend_in_blocks(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The same written out for as many queries as fit in the cache.

    PyTorch's fused kernel for the CPU is as slow in bfloat16 as in float32; plain products take two thirds of its time.
    """
    keys = keys.transpose(2, 3)
    blocks = (queries * HEAD_CHANNELS**-0.5).split(BLOCK, dim=2)
    return torch.cat([(block @ keys).softmax(dim=-1) @ values for block in blocks], dim=2)


class SelfAttention(nn.Module):
    """Attention of tokens among themselves."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        inner = heads * HEAD_CHANNELS
        self.to_qkv = Linear(width, 3 * inner, bias=False)
        self.to_out = nn.Sequential(Linear(inner, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, T, width) to (B, T, width)."""
        queries, keys, values = (split_heads(part) for part in self.to_qkv(tokens).chunk(3, dim=-1))
        return self.to_out(attend(queries, keys, values))


class CrossAttention(nn.Module):
    """Attention of queries to a memory whose keys and values are computed apart, once per memory."""

    def __init__(self, width: int, heads: int, *, memory_width: int) -> None:
        super().__init__()
        inner = heads * HEAD_CHANNELS
        self.to_q = Linear(width, inner, bias=False)
        self.to_kv = Linear(memory_width, 2 * inner, bias=False)
        self.to_out = nn.Sequential(Linear(inner, width))

    def remember(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, heads, T, 64) of a memory (B, T, memory_width)."""
        keys, values = self.to_kv(memory).chunk(2, dim=-1)
        return split_heads(keys).contiguous(), split_heads(values).contiguous()

    def forward(self, tokens: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Map (B, P, width) to (B, P, width)."""
        return self.to_out(attend(split_heads(self.to_q(tokens)), keys, values))


class Transformer(nn.Module):
    """Layers of attention and feed-forward with residuals and no norm at the end."""

    def __init__(self, width: int, attentions: Sequence[nn.Module], *, hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList((PreNorm(width, attention), PreNorm(width, FeedForward(width, hidden))))
            for attention in attentions
        )

    def forward(self, tokens: Tensor, memory: Sequence[tuple[Tensor, ...]] | None = None) -> Tensor:
        """Map (B, T, width) to (B, T, width); `memory` holds the keys and values of each cross-attention layer."""
        for index, (attention, feed_forward) in enumerate(self.layers):
            tokens = tokens + attention(tokens, *(memory[index] if memory is not None else ()))
            tokens = tokens + feed_forward(tokens)
        return tokens
