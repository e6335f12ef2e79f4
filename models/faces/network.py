"""FaceNet: one square crop to 478 landmarks, 52 blendshapes and whether it is a face at all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from models.trunk import Trunk
from models.types import BLENDSHAPES, LANDMARKS

EYE_OUTER_RIGHT, EYE_OUTER_LEFT = 33, 263


@dataclass(frozen=True)
class FaceReading:
    """What the network says of a batch of crops."""

    landmarks: Tensor
    """(B, 478, 3) in crop units: -1 and 1 are the edges; z in the same scale."""
    blendshapes: Tensor
    """(B, 52) before the sigmoid."""
    score: Tensor
    """(B,) before the sigmoid."""
    features: Tensor
    """(B, hidden) what the heads see."""


class FaceNet(ModelMixin, ConfigMixin):
    """Residual trunk, then a hidden layer that still knows positions, then linear heads."""

    @register_to_config
    def __init__(
        self,
        size: int = 128,
        widths: tuple[int, ...] = (32, 64, 128, 192),
        depths: tuple[int, ...] = (2, 2, 2),
        squeezed: int = 32,
        hidden_size: int = 256,
    ) -> None:
        super().__init__()
        self.trunk = Trunk(tuple(widths), tuple(depths))
        cells = (size // 16) ** 2
        self.squeeze = nn.Sequential(
            nn.Conv2d(self.trunk.width, squeezed, 1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(inplace=True)
        )
        self.hidden = nn.Sequential(
            nn.Linear(cells * squeezed + self.trunk.width, hidden_size),
            nn.BatchNorm1d(hidden_size),
            nn.PReLU(hidden_size),
        )
        self.landmarks = nn.Linear(hidden_size, LANDMARKS * 3)
        # the teacher's blendshapes are a function of its landmarks alone, so ours see the landmarks too
        self.blendshapes = nn.Sequential(
            nn.Linear(hidden_size + 2 * LANDMARKS, 96), nn.LayerNorm(96), nn.GELU(), nn.Linear(96, BLENDSHAPES)
        )
        self.score = nn.Linear(hidden_size, 1)
        self.register_buffer("mean_shape", torch.zeros(LANDMARKS, 3))

    def forward(self, pixels: Tensor) -> FaceReading:
        """Read (B, 3, size, size) pixels in [0, 1]."""
        maps = self.trunk(pixels)  # (B, width, size/16, size/16)
        places = self.squeeze(maps).flatten(1)  # (B, cells * squeezed)
        features = self.hidden(torch.cat([places, maps.mean((2, 3))], 1))  # (B, hidden_size)
        with torch.autocast(pixels.device.type, enabled=False):  # bfloat16 would round points to a quarter of a pixel
            features = features.to(self.landmarks.weight.dtype)
            landmarks = self.landmarks(features).unflatten(1, (LANDMARKS, 3))  # (B, 478, 3)
            shape = in_eye_frame(landmarks[..., :2]).flatten(1)  # (B, 956)
            return FaceReading(
                landmarks=landmarks,
                blendshapes=self.blendshapes(torch.cat([features, shape], 1)),  # (B, 52)
                score=self.score(features)[:, 0],  # (B,)
                features=features,
            )


def in_eye_frame(points: Tensor) -> Tensor:
    """Points (B, 478, 2), moved, turned and scaled so that the eyes' outer corners lie at (-1, 0) and (1, 0)."""
    right, left = points[:, EYE_OUTER_RIGHT], points[:, EYE_OUTER_LEFT]
    across = (left - right) / 2  # (B, 2)
    length = across.pow(2).sum(1, keepdim=True).clamp(min=1e-4)
    centred = points - ((left + right) / 2)[:, None]
    x = (centred * across[:, None]).sum(2) / length
    y = (centred[..., 1] * across[:, :1] - centred[..., 0] * across[:, 1:]) / length
    return torch.stack([x, y], 2)
