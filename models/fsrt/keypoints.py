"""The keypoint detector: an hourglass that marks ten points of a face, learned without labels.

It is the detector of the First Order Motion Model (Siarohin et al., NeurIPS 2019), so that model's checkpoints fit too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from models.fsrt.posenc import KEYPOINTS

FEATURE_CHANNELS = 35
"""Channels of the map that the hourglass hands on: 32 and the small picture itself."""
SHRINK = 4
WIDTHS = (64, 128, 256, 512, 1024)
TEMPERATURE = 0.1


@dataclass(frozen=True, eq=False)
class DetectedKeypoints:
    """What the detector reads off a batch of pictures."""

    points: Tensor
    """(B, 10, 2) x and y, -1..1 from border to border of the heat map."""
    features: Tensor
    """(B, 35, 64, 64)"""
    heatmaps: Tensor
    """(B, 10, 58, 58), each summing to 1."""


class AntiAliasedShrink(nn.Module):
    """Blur with a fixed Gaussian (sigma 1.5, 13 taps, zeros beyond the border) and keep every fourth pixel."""

    def __init__(self) -> None:
        super().__init__()
        sigma = (SHRINK - 1) / 2
        reach = round(4 * sigma)
        profile = torch.exp(-torch.arange(-reach, reach + 1, dtype=torch.float32).square() / (2 * sigma**2))
        kernel = torch.outer(profile, profile)
        self.reach = reach
        self.register_buffer("weight", (kernel / kernel.sum()).expand(3, 1, -1, -1).clone())

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, 256, 256) to (B, 3, 64, 64)."""
        return F.conv2d(images, self.weight, stride=SHRINK, padding=self.reach, groups=3)


class ConvBlock(nn.Module):
    """3x3 convolution, batch norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, in, h, w) to (B, out, h, w)."""
        return F.relu(self.norm(self.conv(maps)))


class HourglassEncoder(nn.Module):
    """Five blocks, each followed by a halving."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, *WIDTHS)
        self.down_blocks = nn.ModuleList(ConvBlock(widths[i], widths[i + 1]) for i in range(5))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the input and the five maps, from (B, 3, 64, 64) to (B, 1024, 2, 2)."""
        maps = [images]
        for block in self.down_blocks:
            maps.append(F.avg_pool2d(block(maps[-1]), kernel_size=2))
        return maps


class HourglassDecoder(nn.Module):
    """Five doublings, each joined with the map of the same size on the way down."""

    def __init__(self) -> None:
        super().__init__()
        sizes = ((1024, 512), (1024, 256), (512, 128), (256, 64), (128, 32))
        self.up_blocks = nn.ModuleList(ConvBlock(*size) for size in sizes)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Map the encoder's list to (B, 35, 64, 64)."""
        result = maps[-1]
        for block, skip in zip(self.up_blocks, maps[-2::-1], strict=True):
            result = torch.cat((block(F.interpolate(result, scale_factor=2.0, mode="nearest")), skip), dim=1)
        return result


class Hourglass(nn.Module):
    """Down to 2x2 and back up, with skips."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = HourglassEncoder()
        self.decoder = HourglassDecoder()

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, 64, 64) to (B, 35, 64, 64)."""
        return self.decoder(self.encoder(images))


def expected_positions(heatmaps: Tensor) -> Tensor:
    """Mean x and y (B, K, 2) of heat maps (B, K, h, w), on a grid from -1 to 1 whose ends are the outer cells."""
    rows, columns = heatmaps.shape[-2:]
    x = torch.linspace(-1, 1, columns, device=heatmaps.device, dtype=heatmaps.dtype)
    y = torch.linspace(-1, 1, rows, device=heatmaps.device, dtype=heatmaps.dtype)
    return torch.stack((heatmaps.sum(dim=2) @ x, heatmaps.sum(dim=3) @ y), dim=-1)


class KeypointDetector(ModelMixin, ConfigMixin):
    """Find ten keypoints in square RGB pictures of 256 pixels."""

    @register_to_config
    def __init__(self) -> None:
        super().__init__()
        self.predictor = Hourglass()
        self.kp = nn.Conv2d(FEATURE_CHANNELS, KEYPOINTS, kernel_size=7)
        self.down = AntiAliasedShrink()

    def forward(self, images: Tensor) -> DetectedKeypoints:
        """Read pictures (B, 3, 256, 256) in [0, 1]."""
        features = self.predictor(self.down(images))  # (B, 35, 64, 64)
        logits = self.kp(features) / TEMPERATURE  # (B, 10, 58, 58)
        heatmaps = logits.flatten(2).softmax(dim=-1).view_as(logits)
        return DetectedKeypoints(expected_positions(heatmaps), features, heatmaps)
