"""Gaussian faces in the mean face's shape: what a hidden part looks like once pixels are carried along with the points.

In the plain prior a smile is a change of pixels; here pixels are first carried to where an average face has them, as in
active appearance models (Cootes, Edwards and Taylor, ECCV 1998, section 2), and the guess is carried back. That needs
the face's points, which are read off a first, plain guess.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from torch import Tensor
from torch.nn import functional

from models.occlusion.prior import LinearPrior, carried
from models.types import LANDMARKS

FIELD = 60
"""Edge of the grid on which it is known where pixels come from; between its points it is drawn straight."""
RIM = 8
"""Points along each edge of the crop that stay where they are."""
SMOOTHING = 5e-4
"""Of the spline, in the crop's units: points that lie close need not be met exactly."""
INVERSIONS = 12


class ShapedPrior(ModelMixin, ConfigMixin):
    """Mean shape and the prior of faces that have it; `share` says how far its guess goes before the plain one."""

    @register_to_config
    def __init__(self, size: int = 60, components: int = 320) -> None:
        super().__init__()
        self.prior = LinearPrior(size=size, components=components)
        self.register_buffer("shape", torch.zeros(LANDMARKS, 2))
        """In crop units: -1 and 1 are the edges."""
        self.register_buffer("share", torch.ones(()))

    @torch.no_grad()
    @torch.autocast("cpu", enabled=False)
    def forward(self, images: Tensor, mask: Tensor, points: Tensor) -> Tensor:
        """Guess pictures (B, 3, S, S) in [0, 1] behind masks (B, 1, S, S) of 0 and 1, from points (B, 478, 2).

        Points are in crop units. Only what is behind the mask is a guess; elsewhere the answer is near the picture.
        """
        images, mask = images.float(), mask.float()
        there = self.places(points.float(), edge=images.shape[-1])
        shaped, covered = carry(images, there), carry(mask, there, beyond="zeros")
        guess = self.prior(shaped, (covered > 0.01).float())
        return carried(images, carry(guess, inverse(there)), 1 - mask)

    def places(self, points: Tensor, *, edge: int) -> Tensor:
        """Where in the crop each pixel of the shaped picture lies: (B, edge, edge, 2) crop units, x and y."""
        moved = functional.pad(points - self.shape, (0, 0, 0, 4 * RIM - 4))  # the rim stays
        spline = torch.from_numpy(spline_of(self.shape.cpu().numpy().astype(np.float64).tobytes())).to(points)
        field = (spline @ moved).transpose(1, 2).unflatten(2, (FIELD, FIELD))
        field = functional.interpolate(field, size=(edge, edge), mode="bilinear")
        return field.permute(0, 2, 3, 1) + middles(edge).to(points)

    def shaped(self, images: Tensor, points: Tensor) -> Tensor:
        """Carry pictures (B, 3, S, S) to the mean shape."""
        return carry(images, self.places(points, edge=images.shape[-1]))


@lru_cache(maxsize=4)
def spline_of(shape: bytes) -> NDArray[np.float32]:
    """(FIELD * FIELD, 478 + rim): how far pixels go for each point's move, by a thin-plate spline around a shape."""
    points = np.concatenate([np.frombuffer(shape).reshape(-1, 2), rim()])
    spline = RBFInterpolator(points, np.eye(len(points)), smoothing=SMOOTHING, degree=1)
    return np.asarray(spline(middles(FIELD).reshape(-1, 2).double().numpy()), np.float32)


def rim() -> NDArray[np.float64]:
    """(4 * RIM - 4, 2) points along the crop's edges."""
    line = np.linspace(-1, 1, RIM)
    across = [(x, y) for y in (-1.0, 1.0) for x in line]
    return np.array(across + [(x, y) for x in (-1.0, 1.0) for y in line[1:-1]])


def middles(edge: int) -> Tensor:
    """(edge, edge, 2) the middles of pixels in crop units, x and y."""
    line = (torch.arange(edge) + 0.5) * 2 / edge - 1
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)


def carry(images: Tensor, places: Tensor, *, beyond: str = "border") -> Tensor:
    """Fetch each pixel of (B, C, S, S) from its place (B, S, S, 2)."""
    return functional.grid_sample(images, places, mode="bilinear", padding_mode=beyond, align_corners=False)


def inverse(places: Tensor) -> Tensor:
    """The way back: where `places` (B, S, S, 2) go to each pixel, found by going against the move again and again."""
    still = middles(places.shape[1]).to(places)
    moves = (places - still).permute(0, 3, 1, 2)
    back = still.expand_as(places)
    for _ in range(INVERSIONS):
        back = still - carry(moves, back).permute(0, 2, 3, 1)
    return back
