"""The patch detector: latents of uncovered patches are drawn to one centre; what lies far from it hides the face.

Deep SVDD (Ruff et al., ICML 2018) on latents of the masked autoencoder's encoder, as Latent-OFER's step 1 describes:
no biases, a fixed centre away from zero. Here each position has its own mean and deviation, and each patch is told how
badly the rest of the face predicts it.
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from models.occlusion.autoencoder import SPREAD, FaceAutoencoder, cells

LAYERS = (1, 3, 4)
"""Blocks of the encoder whose tokens are looked at."""
ERRORS = 8
"""Numbers that say how badly a patch is predicted: by the prior and by the autoencoder, each colour and its spread."""


def foldings(grid: int) -> Tensor:
    """(4, grid * grid) bool: complementary masks of 3 x 3 blocks; every patch is hidden in exactly one."""
    rows, columns = torch.arange(grid)[:, None] // 3, torch.arange(grid)[None] // 3
    kind = (rows % 2) * 2 + columns % 2
    return torch.stack([(kind == number).flatten() for number in range(4)])


def patch_features(autoencoder: FaceAutoencoder, images: Tensor) -> Tensor:
    """(B, 3, S, S) in [0, 1] -> (B, g * g, F): latents of all patches, and how badly the others predict each."""
    layers = autoencoder.encode_layers(images)
    latents = torch.cat([layers[number] for number in LAYERS], 2)  # (B, g * g, 3 * width)
    grid = autoencoder.grid
    errors = torch.zeros(*latents.shape[:2], ERRORS, device=images.device)
    for fold in foldings(grid).to(images.device):
        guess = autoencoder(images, fold.expand(len(images), -1))
        told = [_errors(images - predicted, grid) for predicted in (guess.prior, guess.predicted)]
        errors = torch.where(fold[None, :, None], torch.cat(told, 2), errors)
    return torch.cat([latents.float(), errors], 2)


def _errors(off: Tensor, grid: int) -> Tensor:
    """(B, 3, S, S) differences to (B, g * g, 4): the mean of each colour, and the root of all their squares."""
    parts = cells(off / SPREAD, grid).unflatten(2, (3, -1))  # (B, g * g, 3, p * p)
    return torch.cat([parts.mean(3), parts.square().mean((2, 3))[..., None].add(1e-6).sqrt()], 2)


class PatchSvdd(ModelMixin, ConfigMixin):
    """Features (B, g * g, F) to distances (B, g * g) from the centre of uncovered patches."""

    @register_to_config
    def __init__(
        self, features: int = 3 * 192 + ERRORS, tokens: int = 144, hidden: int = 192, size: int = 64,
        neighbours: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.neighbours = neighbours
        self.register_buffer("mean", torch.zeros(tokens, features))
        self.register_buffer("deviation", torch.ones(tokens, features))
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("radius", torch.ones(()))
        self.first = nn.Linear(features * (2 if neighbours else 1), hidden, bias=False)
        self.second = nn.Linear(hidden, hidden, bias=False)
        self.last = nn.Linear(hidden, size, bias=False)

    def whiten(self, features: Tensor) -> Tensor:
        """Bring each position's features to mean 0 and deviation 1; far-off values are held at 8."""
        return ((features.float() - self.mean) / self.deviation).clamp(-8, 8)

    def embed(self, features: Tensor) -> Tensor:
        """(B, g * g, F) -> (B, g * g, size)."""
        white = self.whiten(features)
        if self.neighbours:
            white = torch.cat([white, around(white)], 2)
        x = functional.leaky_relu(self.first(white), 0.1)
        x = functional.leaky_relu(self.second(x), 0.1)
        return self.last(x)

    def forward(self, features: Tensor) -> Tensor:
        """(B, g * g, F) -> (B, g * g) distances."""
        return (self.embed(features) - self.centre).square().mean(2).add(1e-8).sqrt()


def around(tokens: Tensor) -> Tensor:
    """Mean of each token's 3 x 3 neighbourhood, (B, g * g, F): things that hide a face are larger than a patch."""
    grid = round(tokens.shape[1] ** 0.5)
    map_ = tokens.transpose(1, 2).unflatten(2, (grid, grid))
    return functional.avg_pool2d(map_, 3, 1, 1, count_include_pad=False).flatten(2).transpose(1, 2)
