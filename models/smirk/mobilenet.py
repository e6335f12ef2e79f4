"""MobileNetV3 "minimal" feature extractors: 3x3 kernels, plain ReLU, no squeeze-and-excite (Howard et al., 2019).

Weights of this family come from TensorFlow: strided convolutions pad like its "SAME" (for even sizes nothing at the
left and top, one pixel at the right and bottom), and batch normalisation uses an epsilon of 1e-3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

BATCH_NORM_EPSILON = 1e-3
STEM_CHANNELS = 16

Size = Literal["small", "large"]


@dataclass(frozen=True)
class Separable:
    """Depthwise 3x3, then a linear 1x1."""

    channels: int
    stride: int


@dataclass(frozen=True)
class Inverted:
    """1x1 expansion, depthwise 3x3, linear 1x1 projection (Sandler et al., 2018)."""

    expanded: int
    channels: int
    stride: int


@dataclass(frozen=True)
class Pointwise:
    """1x1 convolution with ReLU."""

    channels: int


Block = Separable | Inverted | Pointwise
LAYOUTS: dict[Size, tuple[tuple[Block, ...], ...]] = {
    "small": (
        (Separable(16, 2),),
        (Inverted(72, 24, 2), Inverted(88, 24, 1)),
        (Inverted(96, 40, 2), Inverted(240, 40, 1), Inverted(240, 40, 1)),
        (Inverted(120, 48, 1), Inverted(144, 48, 1)),
        (Inverted(288, 96, 2), Inverted(576, 96, 1), Inverted(576, 96, 1)),
        (Pointwise(576),),
    ),
    "large": (
        (Separable(16, 1),),
        (Inverted(64, 24, 2), Inverted(72, 24, 1)),
        (Inverted(72, 40, 2), Inverted(120, 40, 1), Inverted(120, 40, 1)),
        (Inverted(240, 80, 2), Inverted(200, 80, 1), Inverted(184, 80, 1), Inverted(184, 80, 1)),
        (Inverted(480, 112, 1), Inverted(672, 112, 1)),
        (Inverted(672, 160, 2), Inverted(960, 160, 1), Inverted(960, 160, 1)),
        (Pointwise(960),),
    ),
}


def same_padding(size: int, *, kernel: int = 3, stride: int = 2) -> tuple[int, int]:
    """Return the pixels to add before and after one axis so that the output has ceil(size / stride)."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SamePaddedConv(nn.Conv2d):
    """A strided 3x3 convolution with TensorFlow's "SAME" padding, which depends on the size of the input."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C', ceil(H / 2), ceil(W / 2))."""
        padding = same_padding(pixels.shape[-1]) + same_padding(pixels.shape[-2])
        return super().forward(F.pad(pixels, padding))


def conv3x3(inputs: int, outputs: int, *, stride: int, groups: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution without bias, padded as TensorFlow does."""
    if stride == 1:
        return nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups, bias=False)
    return SamePaddedConv(inputs, outputs, 3, stride=stride, groups=groups, bias=False)


def conv1x1(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 1x1 convolution without bias."""
    return nn.Conv2d(inputs, outputs, 1, bias=False)


def normalisation(channels: int) -> nn.BatchNorm2d:
    """Return batch normalisation with TensorFlow's epsilon."""
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON)


class SeparableBlock(nn.Module):
    """Depthwise 3x3 with ReLU, then a linear 1x1; adds its input where shapes allow."""

    def __init__(self, inputs: int, block: Separable) -> None:
        super().__init__()
        self.conv_dw = conv3x3(inputs, inputs, stride=block.stride, groups=inputs)
        self.bn1 = normalisation(inputs)
        self.conv_pw = conv1x1(inputs, block.channels)
        self.bn2 = normalisation(block.channels)
        self.is_residual = block.stride == 1 and inputs == block.channels

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H, W) -> (B, channels, H / stride, W / stride)."""
        result = F.relu(self.bn1(self.conv_dw(pixels)))
        result = self.bn2(self.conv_pw(result))
        return result + pixels if self.is_residual else result


class InvertedBlock(nn.Module):
    """Expand, filter depthwise, project; adds its input where shapes allow."""

    def __init__(self, inputs: int, block: Inverted) -> None:
        super().__init__()
        self.conv_pw = conv1x1(inputs, block.expanded)
        self.bn1 = normalisation(block.expanded)
        self.conv_dw = conv3x3(block.expanded, block.expanded, stride=block.stride, groups=block.expanded)
        self.bn2 = normalisation(block.expanded)
        self.conv_pwl = conv1x1(block.expanded, block.channels)
        self.bn3 = normalisation(block.channels)
        self.is_residual = block.stride == 1 and inputs == block.channels

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H, W) -> (B, channels, H / stride, W / stride)."""
        result = F.relu(self.bn1(self.conv_pw(pixels)))
        result = F.relu(self.bn2(self.conv_dw(result)))
        result = self.bn3(self.conv_pwl(result))
        return result + pixels if self.is_residual else result


class PointwiseBlock(nn.Module):
    """1x1 convolution with ReLU."""

    def __init__(self, inputs: int, block: Pointwise) -> None:
        super().__init__()
        self.conv = conv1x1(inputs, block.channels)
        self.bn1 = normalisation(block.channels)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H, W) -> (B, channels, H, W)."""
        return F.relu(self.bn1(self.conv(pixels)))


def build_block(inputs: int, block: Block) -> nn.Module:
    """Return the module of one block description."""
    match block:
        case Separable():
            return SeparableBlock(inputs, block)
        case Inverted():
            return InvertedBlock(inputs, block)
        case Pointwise():
            return PointwiseBlock(inputs, block)


class MobileNetMinimal(nn.Module):
    """Stem and blocks; the last feature map has 1/32 of the input's size."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.conv_stem = conv3x3(3, STEM_CHANNELS, stride=2)
        self.bn1 = normalisation(STEM_CHANNELS)
        stages, channels = [], STEM_CHANNELS
        for layout in LAYOUTS[size]:
            blocks = []
            for block in layout:
                blocks.append(build_block(channels, block))
                channels = block.channels
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.channels = channels

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 3, 224, 224) RGB in [0, 1] -> (B, 576 or 960, 7, 7)."""
        features = F.relu(self.bn1(self.conv_stem(pixels)))  # (B, 16, 112, 112)
        return self.blocks(features)
