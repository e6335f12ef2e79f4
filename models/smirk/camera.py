"""Orthographic camera of SMIRK: face space in metres to screen space.

Face space: x to the image's right, y up, z towards the camera. Screen space: x right, y down, z away from the camera,
the picture spans [-1, 1] both ways.
"""

from __future__ import annotations

import torch


def project(points: torch.Tensor, camera: torch.Tensor) -> torch.Tensor:
    """Project (B, N, 3) face-space points with (B, 3) cameras (scale, x, y): (B, N, 3) in screen space.

    The scale multiplies the translation too; depth is scaled alike, so that shading and occlusion keep their shape.
    """
    scale = camera[:, None, :1]  # (B, 1, 1)
    shifted = torch.cat((points[..., :2] + camera[:, None, 1:], points[..., 2:]), dim=-1)
    return scale * shifted * points.new_tensor((1.0, -1.0, -1.0))


def screen_to_pixels(points: torch.Tensor, size: int) -> torch.Tensor:
    """Screen x and y to crop pixels with whole numbers at pixel centres: (..., 2 or more) -> (..., 2)."""
    return (points[..., :2] + 1.0) * (size / 2) - 0.5
