"""The patch detector: latents of uncovered patches are drawn to one centre; what lies far from it hides the face.

Deep SVDD (Ruff et al., ICML 2018) on latents of the masked autoencoder's encoder, as Latent-OFER's step 1 describes:
no biases, a fixed centre away from zero. Here each position has its own mean and deviation, and maps of the landmark
network and the patch's own colours stand beside the latents, which alone tell too little. What hides a face is larger
than a patch: convolutions without biases look at a patch's surroundings, and the distances are smoothed.
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from models.dfc_vae.losses import TrunkTaps
from models.faces.network import FaceNet
from models.occlusion.autoencoder import FaceAutoencoder, cells

LAYERS = (2, 4)
"""Blocks of the encoder whose tokens are looked at."""
BLOCKS = (1, 3, 5)
"""Blocks of the landmark network's trunk whose maps are looked at."""
COLOURS = 9
"""Numbers that say what colour a patch has: mean, mean less the whole crop's, deviation."""
DOUBT = 0.2
"""Share of the features left out while a detector with convolutions learns."""


class PatchFeatures(nn.Module):
    """Crops (B, 3, S, S) in [0, 1] to (B, g * g, F): latents, maps of the landmark network, colours."""

    def __init__(self, autoencoder: FaceAutoencoder, landmarks: FaceNet) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.taps = TrunkTaps(landmarks.trunk.float(), blocks=BLOCKS)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, g * g, F)."""
        grid = self.autoencoder.grid
        layers = self.autoencoder.encode_layers(images)
        parts = [layers[number] for number in LAYERS]
        parts += [
            functional.adaptive_avg_pool2d(map_, grid).flatten(2).transpose(1, 2) for map_ in self.taps(images)[1:]
        ]
        colours = cells(images, grid).unflatten(2, (3, -1))  # (B, g * g, 3, p * p)
        mean = colours.mean(3)
        parts += [mean, mean - mean.mean(1, keepdim=True), colours.std(3)]
        return torch.cat([part.float() for part in parts], 2)


class PatchSvdd(ModelMixin, ConfigMixin):
    """Features (B, g * g, F) to distances (B, g * g) from the centre of uncovered patches."""

    @register_to_config
    def __init__(
        self, features: int = 2 * 192 + 64 + 128 + 192 + COLOURS, tokens: int = 144, hidden: int = 192, size: int = 64,
        neighbours: bool = True, convolutions: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.neighbours = neighbours
        self.register_buffer("mean", torch.zeros(tokens, features))
        self.register_buffer("deviation", torch.ones(tokens, features))
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("radius", torch.ones(()))
        self.first = nn.Linear(features * (2 if neighbours else 1), hidden, bias=False)
        if convolutions:
            self.doubt = nn.Dropout(DOUBT)
            self.around = nn.ModuleList(nn.Conv2d(hidden, hidden, 3, 1, 1, bias=False) for _ in range(convolutions))
        else:
            self.second = nn.Linear(hidden, hidden, bias=False)
        self.last = nn.Linear(hidden, size, bias=False)

    def whiten(self, features: Tensor) -> Tensor:
        """Bring each position's features to mean 0 and deviation 1; far-off values are held at 8."""
        return ((features.float() - self.mean) / self.deviation).clamp(-8, 8)

    def embed(self, features: Tensor) -> Tensor:
        """(B, g * g, F) -> (B, g * g, size)."""
        white = self.whiten(features)
        if self.neighbours:
            white = torch.cat([white, neighbourhood(white)], 2)
        if not self.config["convolutions"]:
            x = functional.leaky_relu(self.first(white), 0.1)
            return self.last(functional.leaky_relu(self.second(x), 0.1))
        x = as_map(functional.leaky_relu(self.first(self.doubt(white)), 0.1))  # (B, hidden, g, g)
        for convolution in self.around:
            x = x + functional.leaky_relu(convolution(x), 0.1)
        return self.last(x.flatten(2).transpose(1, 2))

    def forward(self, features: Tensor) -> Tensor:
        """(B, g * g, F) -> (B, g * g) distances."""
        return (self.embed(features) - self.centre).square().sum(2).add(1e-8).sqrt()


def smoothed(distances: Tensor) -> Tensor:
    """Geometric mean of each distance (B, g * g) and its neighbours', weighted 1 2 1 across and down."""
    line = torch.tensor([1.0, 2.0, 1.0], device=distances.device) / 4
    map_ = functional.pad(as_map(distances.float().clamp(min=1e-6).log()[..., None]), (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(map_, (line[:, None] * line)[None, None]).flatten(1).exp()


def neighbourhood(tokens: Tensor) -> Tensor:
    """Mean of each token's 3 x 3 neighbourhood, (B, g * g, F): things that hide a face are larger than a patch."""
    return functional.avg_pool2d(as_map(tokens), 3, 1, 1, count_include_pad=False).flatten(2).transpose(1, 2)


def as_map(tokens: Tensor) -> Tensor:
    """(B, g * g, F) -> (B, F, g, g)."""
    grid = round(tokens.shape[1] ** 0.5)
    return tokens.transpose(1, 2).unflatten(2, (grid, grid))
