"""SMIRK's encoder: three MobileNets read pose with camera, identity, and expression off one 224-pixel crop.

Retsinas et al., "3D Facial Expressions through Analysis-by-Neural-Synthesis", CVPR 2024, section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from models.smirk.mobilenet import MobileNetMinimal

POSE_COUNT, CAMERA_COUNT = 3, 3
EYELID_COUNT, JAW_COUNT = 2, 3
JAW_SIDEWAYS_LIMIT = 0.2
INITIAL_CAMERA_SCALE = 7.0


@dataclass(frozen=True, eq=False)
class Coefficients:
    """A batch of face parameters as tensors."""

    pose: torch.Tensor
    """(B, 3) rotation of the head as axis times angle, radians"""
    camera: torch.Tensor
    """(B, 3) scale, x, y of the orthographic camera"""
    shape: torch.Tensor
    """(B, 300) identity"""
    expression: torch.Tensor
    """(B, 50)"""
    eyelids: torch.Tensor
    """(B, 2) left, right, 0 open .. 1 closed"""
    jaw: torch.Tensor
    """(B, 3) rotation of the jaw as axis times angle, radians"""


class PoseBranch(nn.Module):
    """Rotation of the head and camera."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = MobileNetMinimal("small")
        self.pose_cam_layers = nn.Sequential(nn.Linear(self.encoder.channels, POSE_COUNT + CAMERA_COUNT))
        head = self.pose_cam_layers[0]
        with torch.no_grad():  # training starts from a frontal face that fills the crop
            head.weight.mul_(1e-3)
            head.bias.mul_(1e-3)
            head.weight[POSE_COUNT] = 0.0
            head.bias[POSE_COUNT] = INITIAL_CAMERA_SCALE

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 3, 224, 224) -> (B, 6)."""
        return self.pose_cam_layers(pooled(self.encoder(pixels)))


class ShapeBranch(nn.Module):
    """Identity coefficients."""

    def __init__(self, shape_count: int) -> None:
        super().__init__()
        self.encoder = MobileNetMinimal("large")
        self.shape_layers = nn.Sequential(nn.Linear(self.encoder.channels, shape_count))
        nn.init.zeros_(self.shape_layers[0].weight)
        nn.init.zeros_(self.shape_layers[0].bias)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 3, 224, 224) -> (B, shape_count)."""
        return self.shape_layers(pooled(self.encoder(pixels)))


class ExpressionBranch(nn.Module):
    """Expression, eyelids and jaw, before their limits."""

    def __init__(self, expression_count: int) -> None:
        super().__init__()
        self.encoder = MobileNetMinimal("large")
        outputs = expression_count + EYELID_COUNT + JAW_COUNT
        self.expression_layers = nn.Sequential(nn.Linear(self.encoder.channels, outputs))
        with torch.no_grad():
            self.expression_layers[0].weight.mul_(0.1)
            self.expression_layers[0].bias.mul_(0.1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 3, 224, 224) -> (B, expression_count + 5)."""
        return self.expression_layers(pooled(self.encoder(pixels)))


def pooled(features: torch.Tensor) -> torch.Tensor:
    """Average over the picture: (B, C, H, W) -> (B, C)."""
    return features.mean(dim=(2, 3))


def split_expression(raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Split the expression head's output into expression, eyelids in [0, 1], and a jaw that opens but never overcloses.

    raw (B, N + 5) -> (B, N), (B, 2), (B, 3).
    """
    count = raw.shape[1] - EYELID_COUNT - JAW_COUNT
    eyelids = raw[:, count : count + EYELID_COUNT].clamp(0.0, 1.0)
    opening = raw[:, -JAW_COUNT : -JAW_COUNT + 1].relu()
    sideways = raw[:, -JAW_COUNT + 1 :].clamp(-JAW_SIDEWAYS_LIMIT, JAW_SIDEWAYS_LIMIT)
    return raw[:, :count], eyelids, torch.cat((opening, sideways), dim=1)


class SmirkEncoder(ModelMixin, ConfigMixin):
    """Photo to coefficients; state-dict keys are those of `smirk_encoder.` in the official checkpoint."""

    @register_to_config
    def __init__(self, expression_count: int = 50, shape_count: int = 300) -> None:
        super().__init__()
        self.pose_encoder = PoseBranch()
        self.shape_encoder = ShapeBranch(shape_count)
        self.expression_encoder = ExpressionBranch(expression_count)

    def forward(self, pixels: torch.Tensor) -> Coefficients:
        """(B, 3, 224, 224) RGB in [0, 1], without mean or deviation taken off."""
        pose_and_camera = self.pose_encoder(pixels)  # (B, 6)
        expression, eyelids, jaw = split_expression(self.expression_encoder(pixels))
        return Coefficients(
            pose=pose_and_camera[:, :POSE_COUNT],
            camera=pose_and_camera[:, POSE_COUNT:],
            shape=self.shape_encoder(pixels),
            expression=expression,
            eyelids=eyelids,
            jaw=jaw,
        )
