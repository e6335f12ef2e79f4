"""The residual trunk that Mien's own small networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016, section 3); may halve the size."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H/stride, W/stride)."""
        inside = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(inside)) + self.shortcut(x))


class Trunk(nn.Module):
    """Pixels in [0, 1] to a map of features at a sixteenth of the size."""

    def __init__(self, widths: tuple[int, ...], depths: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1, 3, 1, 1), 0.5), persistent=False)
        self.register_buffer("deviation", torch.full((1, 3, 1, 1), 0.25), persistent=False)
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
        )
        blocks: list[nn.Module] = []
        for before, width, depth in zip(widths[:-1], widths[1:], depths, strict=True):
            blocks.append(Residual(before, width, stride=2))
            blocks.extend(Residual(width, width) for _ in range(depth - 1))
        self.blocks = nn.Sequential(*blocks)
        self.width = widths[-1]

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) in [0, 1] -> (B, width, S/16, S/16)."""
        x = (pixels - self.mean) / self.deviation
        return self.blocks(self.stem(x))
