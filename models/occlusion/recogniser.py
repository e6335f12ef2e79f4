"""The expression of a completed face: what the convolutions see, joined with latents of the visible patches.

After Latent-OFER's step 3. Which latents count is decided by class activation: where, over many faces, the expression
network's emotions come from. The result is a correction of the network's own vector, so that it stays comparable.
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from models.deepfever import ExpressionNet, features_of, vector_of


class LatentExpression(ModelMixin, ConfigMixin):
    """Latents (B, g * g, width), what is hidden (B, g * g), and the expression network's hidden layer and vector."""

    @register_to_config
    def __init__(
        self,
        tokens: int = 144,
        width: int = 192,
        narrow: int = 8,
        features: int = 384,
        size: int = 64,
        hidden: int = 96,
        chosen: int = 72,
    ) -> None:
        super().__init__()
        self.register_buffer("relevant", torch.arange(chosen))
        """(chosen,) numbers of the patches whose latents count."""
        self.register_buffer("mean", torch.zeros(tokens, width))
        self.register_buffer("deviation", torch.ones(tokens, width))
        self.squeeze = nn.Linear(width, narrow)
        self.told = nn.Linear(chosen * narrow, hidden)
        self.covered = nn.Linear(chosen, hidden, bias=False)
        self.convolved = nn.Linear(features + size, hidden)
        self.doubt = nn.Dropout(0.3)
        self.mixed = nn.Linear(hidden, hidden)
        self.change = nn.Linear(hidden, size)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)

    def forward(self, latents: Tensor, hidden: Tensor, features: Tensor, vector: Tensor) -> Tensor:
        """Return the corrected vector (B, size) of unit length."""
        white = ((latents.float() - self.mean) / self.deviation)[:, self.relevant].clamp(-6, 6)
        told = self.told(self.doubt(self.squeeze(white).flatten(1))) + self.covered(hidden[:, self.relevant].float())
        mixed = functional.gelu(told + self.convolved(self.doubt(torch.cat([features, vector], 1))))
        mixed = mixed + functional.gelu(self.mixed(mixed))
        return functional.normalize(vector + self.change(mixed), dim=1)


@torch.enable_grad()
def activation(network: ExpressionNet, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Grad-CAM (Selvaraju et al. 2017) of the strongest emotion over the trunk's maps (B, C, h, w).

    Returns the activation (B, h, w) with largest value 1, the hidden layer (B, F) and the vector (B, 64).
    """
    maps = maps.detach().clone().requires_grad_()
    features = features_of(network, maps)
    vector = vector_of(network, features)
    scores = network.emotions((vector * vector.shape[1] ** 0.5).to(network.compact.weight.dtype))
    (slope,) = torch.autograd.grad(scores.max(1).values.sum(), maps)
    cam = (slope.mean((2, 3), keepdim=True) * maps).sum(1).relu()  # (B, h, w)
    cam = cam / cam.flatten(1).amax(1).clamp(min=1e-9)[:, None, None]
    return cam.detach(), features.detach(), vector.detach()
