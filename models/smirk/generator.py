"""SMIRK's generator: a U-Net that paints the photo back from the rendered face and the sparsely masked photo.

Retsinas et al., CVPR 2024, section 3.2; residual blocks at the bottleneck after Johnson et al., 2016.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn


def double_convolution(inputs: int, outputs: int, *, name: str) -> nn.Sequential:
    """Return two 3x3 convolutions with batch normalisation and ReLU, with the names that the checkpoint uses."""
    return nn.Sequential(
        OrderedDict(
            [
                (f"{name}conv1", nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)),
                (f"{name}norm1", nn.BatchNorm2d(outputs)),
                (f"{name}relu1", nn.ReLU()),
                (f"{name}conv2", nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)),
                (f"{name}norm2", nn.BatchNorm2d(outputs)),
                (f"{name}relu2", nn.ReLU()),
            ]
        )
    )


class ResidualBlock(nn.Module):
    """Input plus two convolutions with mirrored borders; no activation after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> the same shape."""
        return features + self.conv_block(features)


class SmirkGenerator(ModelMixin, ConfigMixin):
    """Render and masked photo to photo; state-dict keys are those of `smirk_generator.` in the official checkpoint."""

    @register_to_config
    def __init__(
        self, in_channels: int = 6, out_channels: int = 3, first_channels: int = 32, residual_blocks: int = 5
    ) -> None:
        super().__init__()
        c1, c2, c3, c4, c5 = (first_channels * 2**level for level in range(5))
        self.encoder1 = double_convolution(in_channels, c1, name="enc1")
        self.pool1 = nn.MaxPool2d(2)
        self.encoder2 = double_convolution(c1, c2, name="enc2")
        self.pool2 = nn.MaxPool2d(2)
        self.encoder3 = double_convolution(c2, c3, name="enc3")
        self.pool3 = nn.MaxPool2d(2)
        self.encoder4 = double_convolution(c3, c4, name="enc4")
        self.pool4 = nn.MaxPool2d(2)
        self.bottleneck = double_convolution(c4, c5, name="bottleneck")
        self.resnet_blocks = nn.Sequential(*(ResidualBlock(c5) for _ in range(residual_blocks)))
        self.upconv4 = nn.ConvTranspose2d(c5, c4, 2, stride=2)
        self.decoder4 = double_convolution(2 * c4, c4, name="dec4")
        self.upconv3 = nn.ConvTranspose2d(c4, c3, 2, stride=2)
        self.decoder3 = double_convolution(2 * c3, c3, name="dec3")
        self.upconv2 = nn.ConvTranspose2d(c3, c2, 2, stride=2)
        self.decoder2 = double_convolution(2 * c2, c2, name="dec2")
        self.upconv1 = nn.ConvTranspose2d(c2, c1, 2, stride=2)
        self.decoder1 = double_convolution(2 * c1, c1, name="dec1")
        self.conv = nn.Conv2d(c1, out_channels, 1)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """(B, 6, 224, 224): grey render (3 channels) and masked photo, both in [0, 1] -> (B, 3, 224, 224) in (0, 1)."""
        level1 = self.encoder1(picture)  # (B, 32, 224, 224)
        level2 = self.encoder2(self.pool1(level1))  # (B, 64, 112, 112)
        level3 = self.encoder3(self.pool2(level2))  # (B, 128, 56, 56)
        level4 = self.encoder4(self.pool3(level3))  # (B, 256, 28, 28)
        features = self.bottleneck(self.pool4(level4))  # (B, 512, 14, 14)
        features = self.resnet_blocks(features)
        features = self.decoder4(torch.cat((self.upconv4(features), level4), dim=1))  # (B, 256, 28, 28)
        features = self.decoder3(torch.cat((self.upconv3(features), level3), dim=1))  # (B, 128, 56, 56)
        features = self.decoder2(torch.cat((self.upconv2(features), level2), dim=1))  # (B, 64, 112, 112)
        features = self.decoder1(torch.cat((self.upconv1(features), level1), dim=1))  # (B, 32, 224, 224)
        return torch.sigmoid(self.conv(features))  # (B, 3, 224, 224)
