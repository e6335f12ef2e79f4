"""A face painted from its geometry: what SMIRK's analysis by neural synthesis compares a photo with, in training only.

Retsinas et al., CVPR 2024, section 3.2: the read head is rendered, all of the photo's face but a few pixels is taken
away, and a small network paints it back from both. What the geometry gets wrong the painting gets wrong too, and the
gradient says so. Everything here is differentiable in the head's parameters but for the choice of the triangle that
each pixel sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.head.head import Head
from models.head.repaint import INNER
from models.smirk.masking import widen_hole
from models.smirk.rasteriser import NOTHING, Fragments, rasterise
from models.smirk.shading import vertex_normals
from models.smirk_open.encoder import FROM_SCREEN, OpenReading, PointsOfHead, on_screen
from models.smirk_open.generator import OpenGenerator

CHANNELS = 7
"""What is left of the photo 3, where that is 1, normals 3."""
HOLE_MARGIN = 4
"""Pixels by which the face is widened before it is taken away."""


@dataclass(frozen=True, eq=False)
class Rendered:
    """Heads as each pixel sees them."""

    fragments: Fragments
    normals: Tensor
    """(B, 3, S, S) in the viewer's axes, zeros beside the face"""

    @property
    def hole(self) -> Tensor:
        """(B, 1, S, S) 1 where the face lies, a little widened."""
        return 1 - widen_hole(1 - self.fragments.covered.float()[:, None], margin=HOLE_MARGIN)


@dataclass(frozen=True, eq=False)
class Samples:
    """Pixels of the photo's skin that are kept, tied to the mesh so that they move with it."""

    triangles: Tensor
    """(B, n) int64, NOTHING for places beside the face"""
    weights: Tensor
    """(B, n, 3) barycentric"""
    colours: Tensor
    """(B, 3, n)"""


class FaceMesh(nn.Module):
    """The face of the open head with lids, lips and what lies behind them, as a linear map into a crop."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        faces = head.part_faces("face", *INNER)
        used, local = np.unique(faces, return_inverse=True)
        self.points = PointsOfHead(head, used)
        self.register_buffer("triangles", torch.from_numpy(local.reshape(-1, 3)).long())

    def forward(self, reading: OpenReading, expression: Tensor) -> Tensor:
        """Lay the faces with `expression` (B, 52) onto their crops: (B, v, 3) screen space, see models.smirk."""
        return on_screen(reading, self.points(reading.identity, expression))

    def render(self, screen: Tensor, *, size: int) -> Rendered:
        """Rasterise (B, v, 3) at size x size."""
        fragments = rasterise(screen, self.triangles, size=size)
        normals = vertex_normals(screen * screen.new_tensor(FROM_SCREEN), self.triangles)
        corners = self.triangles[fragments.triangles.clamp(min=0)]  # (B, S, S, 3)
        at = torch.arange(len(screen), device=screen.device)[:, None, None, None]
        mixed = (normals[at, corners] * fragments.weights[..., None]).sum(3)  # (B, S, S, 3)
        return Rendered(fragments, mixed.permute(0, 3, 1, 2))

    def places(self, screen: Tensor, samples: Samples, *, size: int) -> Tensor:
        """(B, n) int64 number of the pixel at which each sample lies now, -1 outside the picture."""
        corners = self.triangles[samples.triangles.clamp(min=0)]  # (B, n, 3)
        at = torch.arange(len(screen), device=screen.device)[:, None, None]
        points = (screen[at, corners] * samples.weights[..., None]).sum(2)  # (B, n, 3)
        column, row = ((points[..., :2] + 1) * (size / 2)).floor().long().unbind(2)
        inside = (column >= 0) & (column < size) & (row >= 0) & (row < size) & (samples.triangles != NOTHING)
        return torch.where(inside, row * size + column, -1)


def sampled(picture: Tensor, rendered: Rendered, *, count: int) -> Samples:
    """Keep `count` random pixels of each picture (B, 3, S, S); those beside the face are not used."""
    batch, size = len(picture), picture.shape[-1]
    chosen = torch.randint(size * size, (batch, count), device=picture.device)
    triangles = rendered.fragments.triangles.flatten(1).gather(1, chosen)
    weights = rendered.fragments.weights.flatten(1, 2).detach()
    weights = weights.gather(1, chosen[..., None].expand(-1, -1, 3))
    colours = picture.flatten(2).gather(2, chosen[:, None].expand(-1, 3, -1))
    return Samples(triangles, weights, colours)


def conditions(picture: Tensor, rendered: Rendered, samples: Samples, places: Tensor, hole: Tensor) -> Tensor:
    """(B, 7, S, S) what the painter sees: the photo outside the hole (B, 1, S, S), samples at their places, normals."""
    batch, size = len(picture), picture.shape[-1]
    kept = picture * (1 - hole)
    known = 1 - hole
    row, column = (places >= 0).nonzero(as_tuple=True)
    pixel = places[row, column]
    kept = kept.flatten(2).index_put((row[:, None], torch.arange(3, device=row.device)[None], pixel[:, None]),
                                     samples.colours[row, :, column]).view_as(kept)  # fmt: skip
    known = known.flatten(2).index_put((row, torch.zeros_like(row), pixel), known.new_ones(len(row))).view_as(known)
    return torch.cat([kept, known.view(batch, 1, size, size), rendered.normals * 0.5 + 0.5], 1)


def painter() -> OpenGenerator:
    """The network that paints faces back, untrained; it works at any size that 16 divides."""
    return OpenGenerator(channels=CHANNELS, widths=(24, 48, 80, 112))


def paint(network: OpenGenerator, given: Tensor) -> Tensor:
    """(B, 7, S, S) -> (B, 3, S, S) about 0..1: what is left of the photo, and what the network adds."""
    return given[:, :3] + network(given.contiguous(memory_format=torch.channels_last))


def shrunk(pixels: Tensor, *, size: int) -> Tensor:
    """(B, 3, S, S) -> (B, 3, size, size), same edges."""
    return functional.interpolate(pixels, size=(size, size), mode="area")
