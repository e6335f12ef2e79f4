"""What the generator sees of the photo: nothing of the face but a few pixels of skin.

Retsinas et al., CVPR 2024, section 3.2. The hole is the hull of the landmarks, widened, joined with the rendered face;
pixels are sampled on the mesh, so that an edited mesh can carry the same skin to a new place.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from models.smirk.shading import vertex_normals
from models.types import Points

HOLE_MARGIN = 10
SAMPLED_SHARE = 0.05
FACING_LIMIT = 0.05
COLOUR_NOISE = 0.05
HOLE_SHARE, HOLE_WIDTH = 0.01, 11


@dataclass(frozen=True, eq=False)
class SurfaceSamples:
    """Places on a mesh that keep their meaning when it moves."""

    triangles: torch.Tensor
    """(B, N) int64"""
    weights: torch.Tensor
    """(B, N, 3) barycentric"""


def hull_mask(landmarks: Points, *, size: int) -> NDArray[np.float32]:
    """Return (size, size): 0 inside the convex hull of (n, 2 or 3) crop landmarks, 1 outside."""
    points = landmarks[:, :2].astype(np.int32)
    mask = np.ones((size, size), np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(points), 0.0)
    return mask


def widen_hole(mask: torch.Tensor, *, margin: int = HOLE_MARGIN) -> torch.Tensor:
    """Let the zeros of a (B, 1, S, S) mask grow by `margin` pixels in every direction, diagonals included."""
    return 1.0 - F.max_pool2d(1.0 - mask, 2 * margin + 1, stride=1, padding=margin)


def triangle_areas(corners: torch.Tensor) -> torch.Tensor:
    """Areas on the screen: (..., 3, 2 or 3) -> (...)."""
    first, second, third = corners[..., :2].unbind(-2)
    one, other = second - first, third - first
    return 0.5 * (one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]).abs()


def visible_areas(screen: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
    """Area of each triangle on the screen, 0 where it looks away: (B, V, 3), (F, 3) -> (B, F)."""
    depth = vertex_normals(screen, triangles)[..., 2]  # (B, V), below 0 towards the camera
    facing = depth[:, triangles].mean(-1) < FACING_LIMIT
    return triangle_areas(screen[:, triangles]) * facing


def sample_surface(
    screen: torch.Tensor, triangles: torch.Tensor, region_weights: torch.Tensor, *, count: int, random: torch.Generator
) -> SurfaceSamples:
    """Draw `count` places per face, evenly over the visible skin.

    screen (B, V, 3), triangles (F, 3), region_weights (F,) how readily each triangle is chosen.
    """
    chances = visible_areas(screen, triangles) * region_weights
    chosen = torch.multinomial(chances, count, replacement=True, generator=random)  # (B, N)
    first, second = torch.rand(2, *chosen.shape, generator=random, device=screen.device, dtype=screen.dtype)
    root = first.sqrt()  # the square root spreads the points evenly over the triangle
    return SurfaceSamples(chosen, torch.stack((1 - root, root * (1 - second), root * second), dim=-1))


def sampled_pixels(
    screen: torch.Tensor, triangles: torch.Tensor, samples: SurfaceSamples, *, size: int
) -> torch.Tensor:
    """Pixels (x, y) under the samples on a mesh in screen space: (B, V, 3) -> (B, N, 2) int64 inside the picture."""
    corners = triangles[samples.triangles].flatten(1)[..., None].expand(-1, -1, 3)  # (B, 3 N, 3)
    points = (screen.gather(1, corners).unflatten(1, (-1, 3)) * samples.weights[..., None]).sum(2)
    return (0.5 * (1.0 + points[..., :2]) * size).long().clamp(0, size - 1)


def pixels_to_mask(pixels: torch.Tensor, *, size: int) -> torch.Tensor:
    """(B, N, 2) pixels (x, y) -> (B, 1, size, size), 1 at each of them."""
    mask = torch.zeros(pixels.shape[0], size * size, device=pixels.device)
    return mask.scatter_(1, pixels[..., 1] * size + pixels[..., 0], 1.0).view(-1, 1, size, size)


def carry_pixels(photo: torch.Tensor, *, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Put the colours at `source` pixels on black at `target`: (B, 3, S, S), (B, N, 2) twice -> (B, 3, S, S)."""
    size = photo.shape[-1]
    flat = photo.flatten(2)
    colours = flat.gather(2, (source[..., 1] * size + source[..., 0])[:, None].expand(-1, 3, -1))
    place = (target[..., 1] * size + target[..., 0])[:, None].expand(-1, 3, -1)
    return torch.zeros_like(flat).scatter_(2, place, colours).view_as(photo)


def random_prefix(count: int, *, random: torch.Generator) -> int:
    """How many of `count` samples to keep in training: a fifth, times or divided by up to five."""
    factor, flip = 1.0 + 4.0 * torch.rand(1, generator=random).item(), torch.rand(1, generator=random).item()
    return max(1, int(count / 5 * (factor if flip < 0.5 else 1.0 / factor)))


def roughen(skin: torch.Tensor, *, random: torch.Generator) -> torch.Tensor:
    """Vary sampled colours and punch square holes among them, so that training does not lean on any one pixel."""
    noise = 1.0 + COLOUR_NOISE * torch.randn(skin.shape, generator=random, device=skin.device, dtype=skin.dtype)
    centres = torch.rand((skin.shape[0], 1, *skin.shape[2:]), generator=random, device=skin.device) < HOLE_SHARE
    holes = F.max_pool2d(centres.to(skin.dtype), HOLE_WIDTH, stride=1, padding=HOLE_WIDTH // 2)
    return skin * noise * (1.0 - holes)


def masked_photo(
    photo: torch.Tensor, hull: torch.Tensor, rendered: torch.Tensor, *, skin: torch.Tensor
) -> torch.Tensor:
    """Blank the face out and lay the sampled skin over it.

    photo (B, 3, S, S) in [0, 1]; hull (B, 1, S, S) 0 inside the landmarks' hull; rendered (B, 1, S, S) 1 where the mesh
    is drawn; skin (B, 3, S, S) sampled colours, 0 elsewhere. Returns (B, 3, S, S).
    """
    outside = photo * widen_hole(hull) * (1.0 - rendered)
    return torch.where(skin > 0, skin, outside)
