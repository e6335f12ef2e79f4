"""Mien's own DFC-VAE: 128 px, 128 numbers; principal components for the coarse picture, convolutions for the rest."""

from __future__ import annotations

import itertools

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

from models.dfc_vae.latent import Latent


class Residual(nn.Module):
    """Two 3x3 convolutions added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, signal: Tensor) -> Tensor:
        return signal + self.body(signal)


def _halve(inward: int, outward: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inward, outward, 4, stride=2, padding=1), Residual(outward))


def _double(inward: int, outward: int) -> nn.Sequential:
    # Nearest neighbour, as in the paper: transposed convolutions leave a chequered pattern.
    return nn.Sequential(nn.Conv2d(inward, outward, 1), nn.Upsample(scale_factor=2), Residual(outward))


class Principal(nn.Module):
    """A fixed linear code: a quarter-size picture to whitened components, and components to a half-size picture.

    Linear codes are the best there is for few numbers and squared errors; the convolutions start from there. Without
    `models.training.dfc_vae_principal` it gives zeros and a grey picture.
    """

    def __init__(self, size: int, latent: int) -> None:
        super().__init__()
        self.half = size // 2
        small, half = 3 * (size // 4) ** 2, 3 * (size // 2) ** 2
        self.register_buffer("mean_small", torch.full((small,), 0.5))
        self.register_buffer("analysis", torch.zeros(latent, small))
        self.register_buffer("mean_half", torch.full((half,), 0.5))
        self.register_buffer("synthesis", torch.zeros(half, latent))

    def encode(self, image: Tensor) -> Tensor:
        """(B, 3, size, size) in [0, 1] -> (B, latent), each of variance 1 over the training faces."""
        small = functional.avg_pool2d(image, 4).flatten(1)  # (B, 3 * (size / 4) ** 2)
        return functional.linear(small - self.mean_small, self.analysis)

    def decode(self, code: Tensor) -> Tensor:
        """(B, latent) -> (B, 3, size / 2, size / 2)."""
        return functional.linear(code, self.synthesis, self.mean_half).view(-1, 3, self.half, self.half)


class DfcVae(ModelMixin, ConfigMixin):
    """Pixels RGB in [0, 1] in and, not clamped, out. `widths` are the channels from half the size down to 4 px."""

    @register_to_config
    def __init__(self, size: int = 128, latent: int = 128, widths: tuple[int, ...] = (32, 64, 96, 128, 160)) -> None:
        super().__init__()
        if size != 4 * 2 ** len(widths):
            raise ValueError(f"{len(widths)} widths halve {4 * 2 ** len(widths)} px down to 4 px, not {size} px")
        self.size = size
        self.latent = latent
        self.principal = Principal(size, latent)
        rising = (3, *widths)
        self.encoder = nn.Sequential(
            *(_halve(a, b) for a, b in itertools.pairwise(rising[:-1])),
            nn.Conv2d(rising[-2], rising[-1], 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.mean = nn.Linear(widths[-1] * 16, latent)
        self.log_variance = nn.Linear(widths[-1] * 16, latent)
        self.dense = nn.Linear(latent, widths[-1] * 16)
        falling = widths[::-1]
        self.decoder = nn.Sequential(*(_double(a, b) for a, b in itertools.pairwise(falling)))
        self.join = nn.Conv2d(3, widths[0], 3, padding=1)
        # Four pixels at a time from maps of half the size: convolutions at full size would take most of the time.
        self.colour = nn.Sequential(
            Residual(widths[0]), nn.BatchNorm2d(widths[0]), nn.LeakyReLU(0.2),
            nn.Conv2d(widths[0], 12, 3, padding=1), nn.PixelShuffle(2),
        )  # fmt: skip
        for layer, start in ((self.mean, 0.0), (self.log_variance, -3.0), (self.colour[3], 0.0)):
            nn.init.zeros_(layer.weight)
            nn.init.constant_(layer.bias, start)
        binomial = torch.tensor([0.25, 0.5, 0.25])
        kernel = (binomial[:, None] * binomial).expand(3, 1, 3, 3).clone()
        self.register_buffer("binomial", kernel, persistent=False)

    def encode(self, image: Tensor) -> Latent:
        """(B, 3, size, size) in [0, 1] -> a Latent."""
        # Divided, because thousands of inputs that all move a little would move the code far from its components.
        flat = self.encoder(image * 2 - 1).flatten(1) / 16  # (B, widths[-1] * 16)
        mean = self.mean(flat) + self.principal.encode(image)
        # A log variance outside these limits only ever means an overflow later in the exponential.
        return Latent(mean, self.log_variance(flat).clamp(-12, 6))  # 2 x (B, latent)

    def decode(self, code: Tensor) -> Tensor:
        """(B, latent) -> (B, 3, size, size), near [0, 1]."""
        coarse = self.principal.decode(code)  # (B, 3, size / 2, size / 2)
        start = self.dense(code).view(code.shape[0], -1, 4, 4)  # (B, widths[-1], 4, 4)
        maps = self.decoder(start)  # (B, widths[0], size / 2, size / 2)
        fine = functional.pad(self.colour(maps + self.join(coarse)), (1, 1, 1, 1), mode="replicate")
        # What alternates from pixel to pixel no ruler sees that begins with a stride: it would stay as a grid.
        fine = functional.conv2d(fine, self.binomial.to(fine.dtype), groups=3)  # (B, 3, size, size)
        return fine + functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)

    def forward(self, image: Tensor) -> Tensor:
        return self.decode(self.encode(image).mean).clamp(0, 1)  # (B, 3, size, size)
