"""What every variational encoder here returns, and the Kullback-Leibler term of its training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Latent:
    """A diagonal normal distribution over the latent space; both tensors are (batch, latent)."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw (batch, latent) by the reparameterisation trick; give a generator to repeat the draw."""
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def divergence(self) -> Tensor:
        """Kullback-Leibler divergence from the unit normal, one value per face: (batch,), in nats."""
        terms = 1 + self.log_variance - self.mean.square() - self.log_variance.exp()
        return -0.5 * terms.sum(dim=1)
