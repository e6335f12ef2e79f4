"""DAN (Wen et al., 2021): a ResNet-18 with four attention heads, the expression network that Latent-OFER builds on.

State-dict keys are those of the public checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

LABELS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
"""The classes in the order of the network's outputs."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels_in != channels:
            projection = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + shortcut)


def resnet18_features() -> nn.Sequential:
    """Return ResNet-18 without pooling and classifier: (B, 3, 224, 224) -> (B, 512, 7, 7)."""
    stages = [
        nn.Sequential(BasicBlock(channels_in, channels, stride), BasicBlock(channels, channels, 1))
        for channels_in, channels, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2))
    ]
    stem = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
    return nn.Sequential(stem, nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1), *stages)


class SpatialAttention(nn.Module):
    """Where to look: one map over the features, from three convolutions of different shape."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1x1 = nn.Sequential(nn.Conv2d(512, 256, 1), nn.BatchNorm2d(256))
        self.conv_3x3 = nn.Sequential(nn.Conv2d(256, 512, 3, padding=1), nn.BatchNorm2d(512))
        self.conv_1x3 = nn.Sequential(nn.Conv2d(256, 512, (1, 3), padding=(0, 1)), nn.BatchNorm2d(512))
        self.conv_3x1 = nn.Sequential(nn.Conv2d(256, 512, (3, 1), padding=(1, 0)), nn.BatchNorm2d(512))

    def forward(self, features: Tensor) -> Tensor:
        y = self.conv1x1(features)
        y = F.relu(self.conv_3x3(y) + self.conv_1x3(y) + self.conv_3x1(y))  # (B, 512, 7, 7)
        return y.sum(dim=1, keepdim=True)  # (B, 1, 7, 7)


class ChannelAttention(nn.Module):
    """Which features to keep: a gate in [0, 1] for each channel, from the pooled features."""

    def __init__(self) -> None:
        super().__init__()
        layers = nn.Linear(512, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 512), nn.Sigmoid()
        self.attention = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        return features * self.attention(features.mean(dim=(2, 3)))[:, :, None, None]  # (B, 512, 7, 7)


class CrossAttentionHead(nn.Module):
    """Channel attention, spatial attention, pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.sa = SpatialAttention()
        self.ca = ChannelAttention()

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the head's vector (B, 512) and the map (B, 7, 7) it looked through."""
        features = self.ca(features)
        attention = self.sa(features)  # (B, 1, 7, 7)
        return (features * attention).mean(dim=(2, 3)), attention[:, 0]


def add_heads(net: nn.Module, count: int) -> None:
    """Give a network its attention heads under the official names cat_head0, cat_head1, ..."""
    for index in range(count):
        net.add_module(f"cat_head{index}", CrossAttentionHead())


def run_heads(net: nn.Module, features: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the heads' vectors (B, heads, 512) after a log-softmax over the heads, and their maps (B, heads, 7, 7)."""
    pairs = [net.get_submodule(f"cat_head{index}")(features) for index in range(count)]
    heads = torch.stack([vector for vector, _ in pairs], dim=1)  # (B, heads, 512)
    return F.log_softmax(heads, dim=1), torch.stack([attention for _, attention in pairs], dim=1)


@dataclass(frozen=True, eq=False)
class Reading:
    """What an expression network reads off a batch of faces."""

    logits: Tensor
    """(B, 7) in the order of LABELS."""
    features: Tensor
    """(B, 512, 7, 7) of the ResNet."""
    heads: Tensor
    """(B, heads, 512)"""
    attention: Tensor
    """(B, heads, 7, 7) where each head looked, not negative."""

    @property
    def probabilities(self) -> Tensor:
        """(B, 7) softmax of the logits."""
        return self.logits.softmax(dim=1)


class Dan(ModelMixin, ConfigMixin):
    """DAN with sigmoid outputs, as Latent-OFER uses it to keep a reconstruction's expression."""

    @register_to_config
    def __init__(self, classes: int = 7, heads: int = 4) -> None:
        super().__init__()
        self.features = resnet18_features()
        add_heads(self, heads)
        self.fc = nn.Linear(512, classes)
        self.bn = nn.BatchNorm1d(classes)

    def forward(self, images: Tensor) -> Reading:
        """Read (B, 3, 224, 224); the logits are before the sigmoid."""
        features = self.features(images)  # (B, 512, 7, 7)
        heads, attention = run_heads(self, features, self.config.heads)
        return Reading(self.bn(self.fc(heads.sum(dim=1))), features, heads, attention)

    def scores(self, images: Tensor) -> Tensor:
        """Return the official output: a sigmoid of each logit, (B, 7)."""
        return self(images).logits.sigmoid()
