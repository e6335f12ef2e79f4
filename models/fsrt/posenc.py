"""Sines and cosines of coordinates, as FSRT feeds keypoints and pixels to its networks (paper, section 3.1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

GRID_SIZE = 256
"""The only picture size the networks know: off this grid the high octaves take values never seen in training."""
KEYPOINTS = 10
KEYPOINT_OCTAVES = 4
PIXEL_OCTAVES = 16
START_OCTAVE = -1
KEYPOINT_CHANNELS = KEYPOINTS * 2 * 2 * KEYPOINT_OCTAVES
PIXEL_CHANNELS = 2 * 2 * PIXEL_OCTAVES


def encode(coordinates: Tensor, *, octaves: int) -> Tensor:
    """Encode coordinates (..., d) as (..., 2 * d * octaves): all sines, then all cosines, octave running fastest.

    Always in float32: the highest octave reaches arguments near 50 000, where the precision shows in the pictures.
    """
    multipliers = [math.pi * 2.0**octave for octave in range(START_OCTAVE, START_OCTAVE + octaves)]
    scale = torch.tensor(multipliers, dtype=torch.float32, device=coordinates.device)
    angles = (coordinates.float()[..., None] * scale).flatten(-2)  # (..., d * octaves)
    return torch.cat((angles.sin(), angles.cos()), dim=-1)


def encode_keypoints(keypoints: Tensor) -> Tensor:
    """Encode keypoints (..., 10, 2), x before y, as (..., 160)."""
    return encode(keypoints.flatten(-2), octaves=KEYPOINT_OCTAVES)


def encode_pixels(pixels: Tensor) -> Tensor:
    """Encode pixel centres (..., 2) as (..., 64)."""
    return encode(pixels, octaves=PIXEL_OCTAVES)


def pixel_grid(*, stride: int = 1, offset: int = 0, device: torch.device | str = "cpu") -> Tensor:
    """Return pixel centres (n, n, 2) as (x, y) in (-1, 1): every `stride`-th of the 256 grid from `offset` on."""
    if stride < 1 or not 0 <= offset < GRID_SIZE:
        raise ValueError(f"stride must be at least 1 and offset within 0..255, got {stride} and {offset}")
    half = GRID_SIZE / 2
    centres = (torch.arange(offset, GRID_SIZE, stride, device=device, dtype=torch.float32) + 0.5 - half) / half
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack((x, y), dim=-1)
