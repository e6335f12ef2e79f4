"""The masked autoencoder of He et al. (CVPR 2022), which fills hidden patches of a face coarsely.

State-dict keys are those of the public `mae_visualize_vit_*` checkpoints, so these load as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from models.latent_ofer.pixels import denormalise, normalise

BASE = {"width": 768, "depth": 12, "heads": 12}
LARGE = {"width": 1024, "depth": 24, "heads": 16}
TINY = {"width": 96, "depth": 3, "heads": 3, "decoder_width": 64, "decoder_depth": 2, "decoder_heads": 4}


class PatchEmbed(nn.Module):
    """Cut a picture into square patches and map each to a vector."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, stride=patch)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images).flatten(2).transpose(1, 2)  # (B, patches, width)


class Attention(nn.Module):
    """Multi-head self-attention with one joint projection for queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, seen: Tensor | None = None) -> Tensor:
        """`seen` (B, n) is True for the tokens that may be attended to."""
        batch, count, width = tokens.shape
        qkv = self.qkv(tokens).reshape(batch, count, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, n, width / heads)
        allowed = None if seen is None else seen[:, None, None, :]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        return self.proj(mixed.transpose(1, 2).reshape(batch, count, width))  # (B, n, width)


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(tokens)))


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, tokens: Tensor, seen: Tensor | None = None) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens), seen)
        return tokens + self.mlp(self.norm2(tokens))


@dataclass(frozen=True, eq=False)
class Filled:
    """What the autoencoder makes of a batch of pictures with hidden patches."""

    patches: Tensor
    """(B, patches, patch * patch * 3) predicted pixels of every patch, in the units of the input."""
    latents: Tensor
    """(B, 1 + patches, decoder width) decoder tokens after the last norm, class token first."""
    image: Tensor
    """(B, 3, H, W) in the units of the input: prediction where hidden, the input elsewhere."""


class MaskedAutoencoder(ModelMixin, ConfigMixin):
    """Vision transformer that sees some patches of a picture and predicts the pixels of the others.

    Pictures are (B, 3, H, W), normalised with ImageNet's mean and standard deviation; hidden is (B, patches) bool in
    raster order, True where a patch must not be seen. Rows may hide different numbers of patches.
    """

    @register_to_config
    def __init__(
        self,
        image_size: int = 224,
        patch: int = 16,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        decoder_width: int = 512,
        decoder_depth: int = 8,
        decoder_heads: int = 16,
    ) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(grid_positions(width, image_size // patch), requires_grad=False)
        self.patch_embed = PatchEmbed(patch, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.decoder_embed = nn.Linear(width, decoder_width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder_width))
        decoder_positions = grid_positions(decoder_width, image_size // patch)
        self.decoder_pos_embed = nn.Parameter(decoder_positions, requires_grad=False)
        self.decoder_blocks = nn.ModuleList(Block(decoder_width, decoder_heads) for _ in range(decoder_depth))
        self.decoder_norm = nn.LayerNorm(decoder_width, eps=1e-6)
        self.decoder_pred = nn.Linear(decoder_width, patch * patch * 3)
        nn.init.normal_(self.cls_token, std=0.02)
        nn.init.normal_(self.mask_token, std=0.02)

    @property
    def grid(self) -> int:
        """Patches along one edge."""
        return self.config.image_size // self.config.patch

    def encode(self, images: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Return (B, 1 + patches, width) tokens, class token first; hidden patches are neither read nor meaningful."""
        tokens = self.patch_embed(images) + self.pos_embed[:, 1:]  # (B, patches, width)
        cls = (self.cls_token + self.pos_embed[:, :1]).expand(len(tokens), -1, -1)
        tokens = torch.cat([cls, tokens], dim=1)  # (B, 1 + patches, width)
        if hidden is None or not hidden.any():
            return self._encode_tokens(tokens, None)
        seen = F.pad(~hidden, (1, 0), value=True)  # (B, 1 + patches)
        counts = seen.sum(dim=1)
        if (counts != counts[0]).any():
            return self._encode_tokens(tokens, seen)
        kept = seen.nonzero()[:, 1].reshape(len(tokens), -1, 1).expand(-1, -1, tokens.shape[2])
        encoded = self._encode_tokens(tokens.gather(1, kept), None)  # (B, 1 + visible, width)
        return torch.zeros_like(tokens).scatter(1, kept, encoded)

    def _encode_tokens(self, tokens: Tensor, seen: Tensor | None) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens, seen)
        return self.norm(tokens)

    def decode(self, tokens: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Map encoder tokens to (B, 1 + patches, decoder width) with the mask token in place of hidden patches."""
        tokens = self.decoder_embed(tokens)  # (B, 1 + patches, decoder width)
        if hidden is not None:
            tokens = torch.where(F.pad(hidden, (1, 0))[..., None], self.mask_token, tokens)
        tokens = tokens + self.decoder_pos_embed
        for block in self.decoder_blocks:
            tokens = block(tokens)
        return self.decoder_norm(tokens)

    def forward(self, images: Tensor, hidden: Tensor) -> Filled:
        """Fill the hidden patches; the rest of the picture is passed through."""
        latents = self.decode(self.encode(images, hidden), hidden)
        patches = self.decoder_pred(latents[:, 1:])  # (B, patches, patch * patch * 3)
        mask = self.pixel_mask(hidden).to(images.dtype)
        return Filled(patches, latents, images * (1 - mask) + self.unpatch(patches) * mask)

    def patchify(self, images: Tensor) -> Tensor:
        """Cut (B, 3, H, W) into (B, patches, patch * patch * 3), pixels in the order row, column, channel."""
        grid, patch = self.grid, self.config.patch
        cells = images.reshape(-1, 3, grid, patch, grid, patch)
        return cells.permute(0, 2, 4, 3, 5, 1).reshape(len(images), grid * grid, -1)

    def unpatch(self, patches: Tensor) -> Tensor:
        """Join (B, patches, patch * patch * 3) into (B, 3, H, W): the inverse of `patchify`."""
        grid, patch = self.grid, self.config.patch
        cells = patches.reshape(-1, grid, grid, patch, patch, 3)
        return cells.permute(0, 5, 1, 3, 2, 4).reshape(-1, 3, grid * patch, grid * patch)

    def pixel_mask(self, hidden: Tensor) -> Tensor:
        """Enlarge (B, patches) to a bool mask (B, 1, H, W)."""
        mask = hidden.reshape(-1, 1, self.grid, self.grid)
        return mask.repeat_interleave(self.config.patch, 2).repeat_interleave(self.config.patch, 3)

    def hidden_patches(self, mask: Tensor, *, share: float = 0.0) -> Tensor:
        """Turn a pixel mask (B, 1, H, W), 1 where hidden, into (B, patches): True when over `share` of it is hidden."""
        return F.avg_pool2d(mask.float(), self.config.patch).flatten(1) > share

    @torch.inference_mode()
    def reconstruct(self, pixels: Tensor, hidden: Tensor) -> Filled:
        """Like `forward`, for pictures (B, 3, H, W) in [0, 1]; the results have the same units and are not clipped."""
        filled = self(normalise(pixels), hidden)
        image = denormalise(self.unpatch(filled.patches))
        return Filled(self.patchify(image), filled.latents, torch.where(self.pixel_mask(hidden), image, pixels))


def grid_positions(width: int, grid: int) -> Tensor:
    """Return He et al.'s fixed sine and cosine positions (1, 1 + grid * grid, width): zeros for the class token."""
    frequencies = 10000.0 ** (-torch.arange(width // 4, dtype=torch.float64) / (width / 4))
    angles = torch.arange(grid, dtype=torch.float64)[:, None] * frequencies  # (grid, width / 4)
    line = torch.cat([angles.sin(), angles.cos()], dim=1)  # (grid, width / 2)
    across = line[None].expand(grid, -1, -1)
    down = line[:, None].expand(-1, grid, -1)
    table = torch.cat([across, down], dim=2).reshape(grid * grid, width)
    return F.pad(table, (0, 0, 1, 0)).float()[None]
