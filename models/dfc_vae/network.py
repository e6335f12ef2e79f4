"""Mien's own DFC-VAE: residual, 128 px, 128 numbers."""

from __future__ import annotations

import itertools

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

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
    # Nearest neighbour and a repeated border, as in the paper: transposed convolutions leave a chequered pattern.
    widen = nn.Conv2d(inward, outward, 3, padding=1, padding_mode="replicate")
    return nn.Sequential(nn.Upsample(scale_factor=2), widen, Residual(outward))


class DfcVae(ModelMixin, ConfigMixin):
    """Pixels RGB in [0, 1] in; the decoder ends in a sigmoid. `widths` are the channels from full size down to 4 px."""

    @register_to_config
    def __init__(self, size: int = 128, latent: int = 128, widths: tuple[int, ...] = (24, 48, 96, 160, 224)) -> None:
        super().__init__()
        if size != 4 * 2 ** len(widths):
            raise ValueError(f"{len(widths)} widths halve {4 * 2 ** len(widths)} px down to 4 px, not {size} px")
        self.size = size
        rising = (3, *widths)
        self.encoder = nn.Sequential(*(_halve(a, b) for a, b in itertools.pairwise(rising)))
        self.mean = nn.Linear(widths[-1] * 16, latent)
        self.log_variance = nn.Linear(widths[-1] * 16, latent)
        self.dense = nn.Linear(latent, widths[-1] * 16)
        falling = (*widths[::-1], widths[0])
        self.decoder = nn.Sequential(*(_double(a, b) for a, b in itertools.pairwise(falling)))
        self.colour = nn.Sequential(nn.BatchNorm2d(widths[0]), nn.LeakyReLU(0.2), nn.Conv2d(widths[0], 3, 3, padding=1))

    def encode(self, image: Tensor) -> Latent:
        """(B, 3, size, size) in [0, 1] -> a Latent."""
        flat = self.encoder(image * 2 - 1).flatten(1)  # (B, widths[-1] * 16)
        # A log variance outside these limits only ever means an overflow later in the exponential.
        return Latent(self.mean(flat), self.log_variance(flat).clamp(-12, 6))  # 2 x (B, latent)

    def decode(self, code: Tensor) -> Tensor:
        """(B, latent) -> (B, 3, size, size) in [0, 1]."""
        start = self.dense(code).view(code.shape[0], -1, 4, 4)  # (B, widths[-1], 4, 4)
        return torch.sigmoid(self.colour(self.decoder(start)))  # (B, 3, size, size)

    def forward(self, image: Tensor) -> Tensor:
        return self.decode(self.encode(image).mean)  # (B, 3, size, size)
