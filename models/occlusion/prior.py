"""What a hidden part most likely looks like if faces were Gaussian: the conditional mean under principal components.

It costs a small system of equations, and is what the masked autoencoder starts from. What the components leave over is
alike in neighbouring pixels: it is carried from the hole's rim inwards.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WHOLE = 0.99
"""Share of a small pixel that has to be seen for it to count."""


class LinearPrior(nn.Module):
    """Mean and principal directions of small aligned faces, each direction as long as its standard deviation."""

    def __init__(self, *, size: int = 60, components: int = 256) -> None:
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

    @torch.no_grad()
    @torch.autocast("cpu", enabled=False)
    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        """Guess whole pictures (B, 3, S, S) from ones in [0, 1] and what is hidden of them, (B, 1, S, S) of 0 and 1."""
        images, mask = images.float(), mask.float()
        edge = (self.size, self.size)
        small = functional.interpolate(images, size=edge, mode="area").flatten(1)
        seen = functional.interpolate(1 - mask, size=edge, mode="area") > WHOLE
        basis, mean = self.basis.float(), self.mean.float()
        seen = seen.flatten(1)
        off = small - mean
        if (seen == seen[:1]).all():
            codes = self._codes(off, seen[0])
        else:  # each hides something else
            codes = torch.cat([self._codes(one[None], visible) for one, visible in zip(off, seen, strict=True)])
        guess = (mean + codes @ basis).unflatten(1, (3, *edge))
        guess = functional.interpolate(guess, size=images.shape[-2:], mode="bicubic")
        return carried(images, guess, 1 - mask)

    def _codes(self, off: Tensor, visible: Tensor) -> Tensor:
        """(B, K) coordinates of pictures less the mean (B, 3 * s * s) that show the same pixels (s * s,)."""
        places = visible.repeat(3).nonzero()[:, 0]
        given = self.basis.float()[:, places]  # (K, n)
        precision = given @ given.T / self.variance.float() + torch.eye(len(given), device=off.device)
        wanted = given @ off[:, places].T / self.variance.float()  # (K, B)
        return torch.cholesky_solve(wanted, torch.linalg.cholesky(precision)).T


def carried(images: Tensor, guess: Tensor, seen: Tensor) -> Tensor:
    """Add to a guess what it is off by where the picture is seen, from far first, then from near."""
    for reach, doubt in ((6.0, 0.1), (1.5, 0.01)):
        off = blurred((images - guess) * seen, reach) / (blurred(seen, reach) + doubt)
        guess = guess + off
    return guess


def blurred(images: Tensor, deviation: float) -> Tensor:
    """Convolve (B, C, H, W) with a Gaussian of so many pixels."""
    reach = int(3 * deviation)
    line = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-line.square() / (2 * deviation**2))
    kernel = kernel / kernel.sum()
    channels = images.shape[1]
    across = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    images = functional.conv2d(images, across, padding=(0, reach), groups=channels)
    return functional.conv2d(images, across.transpose(2, 3), padding=(reach, 0), groups=channels)


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
