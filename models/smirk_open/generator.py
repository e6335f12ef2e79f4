"""The small generator: what a photo lacks after its pixels went along with an edited head.

After the generator of SMIRK (Retsinas et al., CVPR 2024, section 3.2), which paints a face from rendered geometry and a
few of the photo's pixels. Here the photo's pixels are carried by the head first, as many as it showed, and the network
adds what is missing: teeth, the inside of a mouth, opened eyes, folds. It begins as nothing at all.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from models.trunk import Residual

CHANNELS = 12
"""Carried photo 3, how much of it is the photo's 1, normals 3, skin, mouth, teeth and eyes 4, stretch 1."""


class OpenGenerator(ModelMixin, ConfigMixin):
    """A U-Net on squares of 2 x 2 pixels; works at any size that 16 divides."""

    @register_to_config
    def __init__(self, channels: int = CHANNELS, widths: tuple[int, ...] = (32, 64, 112, 160)) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * channels, widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
            Residual(widths[0], widths[0]),
        )
        steps = list(pairwise(widths))
        self.down = nn.ModuleList(Residual(wide, wider, stride=2) for wide, wider in steps)
        self.squeeze = nn.ModuleList(nn.Conv2d(wide + wider, wide, 1) for wide, wider in reversed(steps))
        self.up = nn.ModuleList(Residual(wide, wide) for wide, _ in reversed(steps))
        self.change = nn.Conv2d(widths[0], 12, 3, padding=1)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)

    def forward(self, conditions: Tensor) -> Tensor:
        """(B, 12, S, S), see `conditions_of` -> (B, 3, S, S) what to add to the carried photo, in [-1, 1]."""
        signal = self.stem(conditions * 2 - 1)  # (B, 32, S / 2, S / 2)
        kept = []
        for step in self.down:
            kept.append(signal)
            signal = step(signal)  # (B, wider, S / 4 ... S / 16, ...)
        for squeeze, step in zip(self.squeeze, self.up, strict=True):
            beside = kept.pop()
            signal = F.interpolate(signal, size=beside.shape[-2:], mode="nearest")
            signal = step(squeeze(torch.cat([signal, beside], 1)))
        return torch.tanh(F.pixel_shuffle(self.change(signal), 2))  # (B, 3, S, S)


def conditions_of(picture: Tensor, known: Tensor, normals: Tensor, kind: Tensor, stretch: Tensor) -> Tensor:
    """Join what the network sees: (B, 12, S, S), all in [0, 1].

    picture (B, 3, S, S) in [0, 1]; known (B, 1, S, S) share of the photo's own pixels; normals (B, 3, S, S) in [-1, 1];
    kind (B, S, S) as in models.head.repaint.Carried; stretch (B, 1, S, S) in [-3, 3].
    """
    parts = F.one_hot(kind.long(), 5)[..., 1:].permute(0, 3, 1, 2).to(picture)  # (B, 4, S, S)
    return torch.cat([picture * known, known, normals * 0.5 + 0.5, parts, stretch / 6 + 0.5], 1)
