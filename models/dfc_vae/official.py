"""The three published shapes of DFC-VAE, with the tensor names of the code their checkpoints come from.

They differ in size, order of layers, constants and pixel scale, so each is its own class. Pixels enter and leave as the
class says; `models.dfc_vae.pixels` converts from and to uint8 pictures.
"""

from __future__ import annotations

import itertools

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from models.dfc_vae.latent import Latent
from models.dfc_vae.vgg import Vgg19BatchNorm


class PaperEncoder(nn.Module):
    """Four convolutions 4x4 of stride 2, each followed by LeakyReLU and only then BatchNorm."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inward, outward in [(3, 32), (32, 64), (64, 128), (128, 256)]:
            layers += [nn.Conv2d(inward, outward, 4, stride=2, padding=1), nn.LeakyReLU(0.2), nn.BatchNorm2d(outward)]
        self.encoder = nn.Sequential(*layers)
        self.mean = nn.Linear(4096, latent)
        self.logvar = nn.Linear(4096, latent)

    def forward(self, image: Tensor) -> Latent:
        flat = self.encoder(image).flatten(1)  # (B, 4096)
        return Latent(self.mean(flat), self.logvar(flat))  # 2 x (B, latent)


class PaperDecoder(nn.Module):
    """A dense layer, then four times: double by nearest neighbour, convolve 3x3."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.decoder_dense = nn.Sequential(nn.Linear(latent, 4096), nn.ReLU())
        layers: list[nn.Module] = []
        for inward, outward in [(256, 128), (128, 64), (64, 32)]:
            layers += [
                nn.Upsample(scale_factor=2),
                nn.Conv2d(inward, outward, 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.BatchNorm2d(outward, eps=1e-3),
            ]
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(32, 3, 3, padding=1)]
        self.decoder_conv = nn.Sequential(*layers)

    def forward(self, code: Tensor) -> Tensor:
        start = self.decoder_dense(code).view(-1, 256, 4, 4)  # (B, 256, 4, 4)
        return self.decoder_conv(start)  # (B, 3, 64, 64)


class PaperVae64(ModelMixin, ConfigMixin):
    """The network of the paper: 64 px, 100 numbers; pixels RGB in [0, 1], the output is not clamped."""

    size = 64

    @register_to_config
    def __init__(self, latent: int = 100) -> None:
        super().__init__()
        self.encoder = PaperEncoder(latent)
        self.decoder = PaperDecoder(latent)

    def encode(self, image: Tensor) -> Latent:
        """(B, 3, 64, 64) in [0, 1] -> a Latent of 100 numbers."""
        return self.encoder(image)

    def decode(self, code: Tensor) -> Tensor:
        """(B, 100) -> (B, 3, 64, 64), about [0, 1]."""
        return self.decoder(code)

    def forward(self, image: Tensor) -> Tensor:
        return self.decode(self.encode(image).mean)  # (B, 3, 64, 64)


class AuthorsVae128(ModelMixin, ConfigMixin):
    """The network the authors released for Lua Torch: 128 px, 100 numbers.

    Pixels are BGR, 0 to 255, less the mean colour 103.939, 116.779, 123.68, on both sides. The fifth convolution of the
    encoder has no activation, and the decoder repeats the border instead of padding with zeros.
    """

    size = 128

    @register_to_config
    def __init__(self, latent: int = 100) -> None:
        super().__init__()
        encoder: list[nn.Module] = []
        for inward, outward in [(3, 32), (32, 64), (64, 128), (128, 256), (256, 256)]:
            encoder += [nn.Conv2d(inward, outward, 4, stride=2, padding=1), nn.BatchNorm2d(outward), nn.LeakyReLU(0.2)]
        self.encoder = nn.Sequential(*encoder[:-1])
        self.fc_mu = nn.Linear(4096, latent)
        self.fc_logvar = nn.Linear(4096, latent)
        decoder: list[nn.Module] = [nn.Linear(latent, 8192), nn.ReLU(), nn.Unflatten(1, (512, 4, 4))]
        for inward, outward in [(512, 256), (256, 128), (128, 64), (64, 32)]:
            decoder += [nn.Upsample(scale_factor=2), nn.ReplicationPad2d(1), nn.Conv2d(inward, outward, 3)]
            decoder += [nn.BatchNorm2d(outward, eps=1e-3), nn.LeakyReLU(0.2)]
        decoder += [nn.Upsample(scale_factor=2), nn.ReplicationPad2d(1), nn.Conv2d(32, 3, 3)]
        self.decoder = nn.Sequential(*decoder)

    def encode(self, image: Tensor) -> Latent:
        """(B, 3, 128, 128) on the scale above -> a Latent of 100 numbers."""
        flat = self.encoder(image).flatten(1)  # (B, 4096)
        return Latent(self.fc_mu(flat), self.fc_logvar(flat))

    def decode(self, code: Tensor) -> Tensor:
        """(B, 100) -> (B, 3, 128, 128) on the scale above."""
        return self.decoder(code)

    def forward(self, image: Tensor) -> Tensor:
        return self.decode(self.encode(image).mean)  # (B, 3, 128, 128)


class AntixkVae(ModelMixin, ConfigMixin):
    """The variant of the PyTorch-VAE collection (Apache-2.0): 64 px, 128 numbers; pixels RGB in [-1, 1].

    Its checkpoints carry the frozen VGG-19 of the loss. `features` is "full" (as published), "taps" (without VGG's
    classifier, which the loss never uses) or "none" (to encode and decode only).
    """

    size = 64
    widths = (32, 64, 128, 256, 512)
    taps = (14, 25, 35, 43)
    """Positions in VGG-19 with BatchNorm. The collection names 14, 24, 34 and 43; the in-place ReLU behind 24 and 34
    overwrites the tensors it kept, so what it compares is 25 and 35."""

    @register_to_config
    def __init__(self, latent: int = 128, features: str = "none") -> None:
        super().__init__()
        channels = (3, *self.widths)
        self.encoder = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1), nn.BatchNorm2d(b), nn.LeakyReLU())
                for a, b in itertools.pairwise(channels)
            )
        )
        self.fc_mu = nn.Linear(2048, latent)
        self.fc_var = nn.Linear(2048, latent)
        self.decoder_input = nn.Linear(latent, 2048)
        falling = self.widths[::-1]
        self.decoder = nn.Sequential(*(self._rise(a, b) for a, b in itertools.pairwise(falling)))
        self.final_layer = nn.Sequential(*self._rise(32, 32), nn.Conv2d(32, 3, 3, padding=1), nn.Tanh())
        if features != "none":
            self.feature_network = Vgg19BatchNorm(classifier=features == "full").requires_grad_(False)

    @staticmethod
    def _rise(inward: int, outward: int) -> nn.Sequential:
        widen = nn.ConvTranspose2d(inward, outward, 3, stride=2, padding=1, output_padding=1)
        return nn.Sequential(widen, nn.BatchNorm2d(outward), nn.LeakyReLU())

    def encode(self, image: Tensor) -> Latent:
        """(B, 3, 64, 64) in [-1, 1] -> a Latent of 128 numbers."""
        flat = self.encoder(image).flatten(1)  # (B, 2048)
        return Latent(self.fc_mu(flat), self.fc_var(flat))

    def decode(self, code: Tensor) -> Tensor:
        """(B, 128) -> (B, 3, 64, 64) in [-1, 1]."""
        start = self.decoder_input(code).view(-1, 512, 2, 2)  # (B, 512, 2, 2)
        return self.final_layer(self.decoder(start))  # (B, 3, 64, 64)

    def forward(self, image: Tensor) -> Tensor:
        return self.decode(self.encode(image).mean)  # (B, 3, 64, 64)

    def loss(self, image: Tensor, latent: Latent, output: Tensor, *, divergence_weight: float) -> dict[str, Tensor]:
        """Half of pixel and feature error plus the divergence by its weight (called M_N there)."""
        taps = list(self.taps)
        wanted, given = self.feature_network(image, taps), self.feature_network(output, taps)
        features = torch.stack([(a - b).square().mean() for a, b in zip(wanted, given, strict=True)]).sum()
        pixels = (image - output).square().mean()
        divergence = latent.divergence().mean()
        total = 0.5 * (pixels + features) + divergence_weight * divergence
        return {"total": total, "pixels": pixels, "features": features, "divergence": divergence}
