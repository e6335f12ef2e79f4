"""The refiner: a small U-Net that puts detail into the autoencoder's coarse guess.

It sees the crop without its hidden part, the guess, the mask, and the same crop mirrored with what is visible there:
half a face tells much about the other half. The autoencoder's latents join at the bottom.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from models.occlusion.prior import blurred

DETAIL = 3.0
"""Deviation in pixels of the blur that parts detail from shade."""
USUAL = 1.4
"""A new refiner takes over a fifth of the mirror image's detail: sigmoid(-1.4)."""
CHANNELS = 11
"""Visible picture 3, guess 3, mask 1, mirrored visible picture 3, mirrored mask 1."""


class Step(nn.Module):
    """Two 3x3 convolutions beside a shortcut; the second begins at zero."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, 1, 1)
        self.second = nn.Conv2d(channels_out, channels_out, 3, 1, 1)
        self.shortcut = nn.Identity() if channels_in == channels_out else nn.Conv2d(channels_in, channels_out, 1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W)."""
        inside = functional.silu(self.first(functional.silu(x)))
        return self.shortcut(x) + self.second(inside)


class Refiner(ModelMixin, ConfigMixin):
    """Pictures (B, 3, S, S) in [0, 1] with S a multiple of 8; masks (B, 1, S, S) of 0 and 1, 1 where hidden."""

    @register_to_config
    def __init__(
        self, widths: tuple[int, ...] = (28, 56, 112), depth: int = 1, latent_width: int = 192, grid: int = 12
    ) -> None:
        super().__init__()
        self.grid = grid
        widths = tuple(widths)
        self.enter = nn.Conv2d(CHANNELS * 4, widths[0], 3, 1, 1)
        self.down = nn.ModuleList(_steps(width, width, depth) for width in widths[:-1])
        self.shrink = nn.ModuleList(nn.Conv2d(one, other, 3, 2, 1) for one, other in pairwise(widths))
        self.context = nn.Conv2d(latent_width, widths[-1], 1)
        self.bottom = _steps(widths[-1], widths[-1], depth + 1)
        self.widen = nn.ModuleList(nn.Conv2d(other, one, 1) for one, other in pairwise(widths))
        self.up = nn.ModuleList(_steps(2 * width, width, depth) for width in widths[:-1])
        # three colours of change, and how much of the mirror image's detail is taken over
        self.leave = nn.Conv2d(widths[0], 4 * 4, 3, 1, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, image: Tensor, mask: Tensor, guess: Tensor, latents: Tensor) -> Tensor:
        """Return the refined guess (B, 3, S, S), not clipped; `latents` (B, g * g, width) are the autoencoder's."""
        seen = (image - 0.5) * (1 - mask)
        planes = torch.cat([seen, guess - 0.5, mask, seen.flip(3), mask.flip(3)], 1)  # (B, 11, S, S)
        x = self.enter(functional.pixel_unshuffle(planes * 2, 2))  # (B, C, S / 2, S / 2)
        kept = []
        for steps, shrink in zip(self.down, self.shrink, strict=True):
            x = steps(x)
            kept.append(x)
            x = shrink(x)
        told = latents.transpose(1, 2).unflatten(2, (self.grid, self.grid))  # (B, width, g, g)
        told = functional.interpolate(self.context(told), size=x.shape[-2:], mode="bilinear")
        x = self.bottom(x + told)
        for steps, widen, before in zip(reversed(self.up), reversed(self.widen), reversed(kept), strict=True):
            x = functional.interpolate(widen(x), size=before.shape[-2:], mode="nearest")
            x = steps(torch.cat([x, before], 1))
        change = functional.pixel_shuffle(self.leave(x), 2).float()  # (B, 4, S, S)
        share = torch.sigmoid(change[:, 3:] - USUAL)
        return guess + change[:, :3] / 4 + share * mirrored_detail(image, mask)


@torch.autocast("cpu", enabled=False)
def mirrored_detail(image: Tensor, mask: Tensor) -> Tensor:
    """What is finer than DETAIL pixels in the mirror image (B, 3, S, S), nothing where that is hidden too."""
    # bfloat16 and channels last together take minutes here on some processors
    turned, seen = image.float().flip(3).contiguous(), 1 - mask.float().flip(3).contiguous()
    smooth = blurred(turned * seen, DETAIL) / (blurred(seen, DETAIL) + 1e-3)
    return (turned - smooth) * seen


def with_mirror(pictures: Tensor) -> Tensor:
    """(1, C, S, S) and its mirror image, (2, C, S, S)."""
    return torch.cat([pictures, pictures.flip(3)])


def turned_mean(pair: Tensor) -> Tensor:
    """Mean (1, C, S, S) of a picture and a mirrored one (2, C, S, S), the second turned back."""
    return (pair[:1] + pair[1:].flip(3)) / 2


def _steps(channels_in: int, channels_out: int, depth: int) -> nn.Sequential:
    return nn.Sequential(Step(channels_in, channels_out), *(Step(channels_out, channels_out) for _ in range(depth - 1)))
