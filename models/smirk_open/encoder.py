"""From one crop to the open head's parameters.

After SMIRK's encoder (Retsinas et al., CVPR 2024, section 3.1): pose with camera, identity and expression are read off
a crop, and the head they shape is compared with the photo. Here the three share one trunk, which begins as the landmark
network's; docs/decisions/one_trunk_for_smirk_open.md says why.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional as F

from models.faces.network import FaceNet

USUAL_SCALE = 6.2
"""Half crop edges for a metre, in a crop of 1.4 times the face."""


@dataclass(frozen=True)
class OpenReading:
    """What the encoder says of a batch of crops, in crop units: -1 and 1 are the edges."""

    rotation: Tensor
    """(B, 3, 3) from the head's axes to the viewer's, see models.head.parameters"""
    scale: Tensor
    """(B,) crop units for a metre"""
    shift: Tensor
    """(B, 2) x right, y down"""
    identity: Tensor
    """(B, K) standard deviations"""
    expression: Tensor
    """(B, 52) in (0, 1); lids, jaw and gaze are among them"""
    landmarks: Tensor
    """(B, 478, 3) points read beside the head: what the expression is read from, and a help in training"""


class OpenEncoder(ModelMixin, ConfigMixin):
    """The landmark network's layers, and two linear heads for the head's pose and identity."""

    @register_to_config
    def __init__(
        self,
        size: int = 128,
        widths: tuple[int, ...] = (32, 64, 128, 192),
        depths: tuple[int, ...] = (2, 2, 2),
        squeezed: int = 32,
        hidden_size: int = 256,
        identities: int = 40,
    ) -> None:
        super().__init__()
        self.face = FaceNet(size, tuple(widths), tuple(depths), squeezed, hidden_size)
        self.pose = nn.Linear(hidden_size, 9)
        self.identity = nn.Linear(hidden_size, identities)
        with torch.no_grad():  # training starts from the mean head, frontal, filling the crop
            for layer in (self.pose, self.identity):
                layer.weight.mul_(0.1)
                layer.bias.zero_()
            self.pose.bias[[0, 4]] = 1.0

    def forward(self, pixels: Tensor) -> OpenReading:
        """Read (B, 3, size, size) pixels in [0, 1]."""
        seen = self.face(pixels)
        with torch.autocast(pixels.device.type, enabled=False):  # bfloat16 would round points to a quarter of a pixel
            features = seen.features.to(self.pose.weight.dtype)
            pose = self.pose(features)  # (B, 9): two columns of the rotation, scale, shift
            return OpenReading(
                rotation=rotation_of(pose[:, :3], pose[:, 3:6]),  # (B, 3, 3)
                scale=USUAL_SCALE * torch.exp(pose[:, 6].clamp(-2, 2)),  # (B,)
                shift=pose[:, 7:],  # (B, 2)
                identity=self.identity(features),  # (B, K)
                expression=seen.blendshapes.sigmoid(),  # (B, 52)
                landmarks=seen.landmarks,  # (B, 478, 3)
            )


def rotation_of(first: Tensor, second: Tensor) -> Tensor:
    """Two vectors (B, 3) to a rotation (B, 3, 3) whose first columns they nearly are (Zhou et al., CVPR 2019)."""
    one = F.normalize(first, dim=1)
    two = F.normalize(second - (one * second).sum(1, keepdim=True) * one, dim=1)
    return torch.stack([one, two, torch.linalg.cross(one, two)], 2)


def project(reading: OpenReading, points: Tensor) -> Tensor:
    """Lay points (B, n, 3) of the head, in metres, onto the crop: (B, n, 2) crop units."""
    turned = points @ reading.rotation.transpose(1, 2)  # (B, n, 3)
    return reading.scale[:, None, None] * turned[..., :2] * points.new_tensor([1.0, -1.0]) + reading.shift[:, None]
