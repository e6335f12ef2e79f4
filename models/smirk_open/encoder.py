"""From one crop to the open head's parameters.

After SMIRK's encoder (Retsinas et al., CVPR 2024, section 3.1): pose with camera, identity and expression are read off
a crop, and the head they shape is compared with the photo. Here the three share one trunk, which begins as the landmark
network's; docs/decisions/one_trunk_for_smirk_open.md says why.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.faces.network import FaceNet
from models.head.head import Head

USUAL_SCALE = 6.2
"""Half crop edges for a metre, in a crop of 1.4 times the face."""
FROM_SCREEN = (1.0, -1.0, -1.0)
"""From x right, y down, z away to the viewer's axes, and back."""


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


class PointsOfHead(nn.Module):
    """Some of the head's vertices as a linear map of identity and expression."""

    def __init__(self, head: Head, vertices: NDArray[np.integer]) -> None:
        super().__init__()
        basis = np.concatenate([head.identity[:, vertices], head.expression[:, vertices]])
        self.register_buffer("neutral", torch.from_numpy(head.neutral[vertices]))
        self.register_buffer("basis", torch.from_numpy(basis).flatten(1))

    def forward(self, identity: Tensor, expression: Tensor) -> Tensor:
        """(B, K), (B, 52) -> (B, n, 3) metres."""
        shaped = torch.cat([identity, expression], 1) @ self.basis
        return self.neutral + shaped.unflatten(1, (-1, 3))


def on_screen(reading: OpenReading, points: Tensor) -> Tensor:
    """Lay points (B, n, 3) of the head, in metres, into the crop: (B, n, 3) crop units, x right, y down, z away."""
    turned = points @ reading.rotation.transpose(1, 2) * points.new_tensor(FROM_SCREEN)
    screen = reading.scale[:, None, None] * turned
    return torch.cat([screen[..., :2] + reading.shift[:, None], screen[..., 2:]], 2)


def project(reading: OpenReading, points: Tensor) -> Tensor:
    """Lay points (B, n, 3) of the head, in metres, onto the crop: (B, n, 2) crop units."""
    return on_screen(reading, points)[..., :2]
