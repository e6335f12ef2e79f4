"""What a hidden part most likely looks like if faces were Gaussian: the conditional mean under principal components.

It costs a small system of equations, and is what the masked autoencoder starts from.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class LinearPrior(nn.Module):
    """Mean and principal directions of small aligned faces, each direction as long as its standard deviation."""

    def __init__(self, *, size: int = 36, components: int = 128) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("mean", torch.zeros(3 * size * size))
        self.register_buffer("basis", torch.zeros(components, 3 * size * size))
        self.register_buffer("variance", torch.ones(()))
        """Of a pixel about what the directions say."""

    @property
    def picture(self) -> Tensor:
        """(1, 3, size, size) the mean face."""
        return self.mean.view(1, 3, self.size, self.size)

    @torch.autocast("cpu", enabled=False)
    def forward(self, images: Tensor, hidden: Tensor) -> Tensor:
        """Guess whole pictures (B, 3, size, size) from (B, 3, H, W) in [0, 1] and what is hidden (B, g, g) bool."""
        small = functional.interpolate(images.float(), size=(self.size, self.size), mode="area").flatten(1)
        seen = functional.interpolate((~hidden)[:, None].float(), size=(self.size, self.size), mode="nearest")
        seen = seen.expand(-1, 3, -1, -1).flatten(1)  # (B, 3 * size * size)
        basis, mean, variance = self.basis.float(), self.mean.float(), self.variance.float()
        given = basis * seen[:, None]  # (B, K, 3 * size * size)
        precision = given @ basis.T / variance + torch.eye(len(basis), device=images.device)  # (B, K, K)
        wanted = (given @ (small - mean)[..., None]) / variance  # (B, K, 1)
        code = torch.cholesky_solve(wanted, torch.linalg.cholesky(precision))[..., 0]  # (B, K)
        return (mean + code @ basis).unflatten(1, (3, self.size, self.size))


@torch.no_grad()
def lay_prior(prior: LinearPrior, crops: Tensor, *, looseness: float = 16.0) -> None:
    """Fill a prior from training crops (N, 3, S, S) uint8.

    What the directions leave over is not independent from pixel to pixel; `looseness` widens it for that.
    """
    parts = [
        functional.interpolate(part.float() / 255, size=(prior.size, prior.size), mode="area").flatten(1)
        for part in crops.split(512)
    ]
    small = torch.cat(parts)
    prior.mean.copy_(small.mean(0))
    centred = small - prior.mean
    count = len(prior.basis)
    _, lengths, directions = torch.svd_lowrank(centred, q=count + 16, niter=3)
    lengths, directions = lengths[:count], directions[:, :count]
    prior.basis.copy_((directions * lengths).T / len(small) ** 0.5)
    left = centred - centred @ directions @ directions.T
    prior.variance.copy_(left.square().mean() * looseness)
