"""Grey shading of a face under five lights, as SMIRK's generator was trained to read it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from models.smirk.camera import project
from models.smirk.rasteriser import rasterise

ALBEDO = 180.0 / 255.0
LIGHT_INTENSITY = 1.7
LIGHTS = ((-1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (-1.0, -1.0, 1.0), (1.0, -1.0, 1.0), (0.0, 0.0, 1.0))
DEPTH_OFFSET = 10.0  # nearness was decided in float32 at this depth; near ties depend on the rounding there
NORMAL_EPSILON = 1e-6


@dataclass(frozen=True, eq=False)
class Surface:
    """The part of a mesh that is drawn."""

    vertices: torch.Tensor
    """(n,) which vertices of the whole mesh"""
    triangles: torch.Tensor
    """(F, 3) into `vertices`"""

    @classmethod
    def of(cls, triangles: torch.Tensor, *, vertices: torch.Tensor) -> Surface:
        """Keep the triangles whose corners all belong to `vertices`, in their order."""
        place = triangles.new_full((int(torch.maximum(triangles.max(), vertices.max())) + 1,), -1)
        place[vertices] = torch.arange(len(vertices), device=triangles.device)
        renumbered = place[triangles]
        return cls(vertices, renumbered[(renumbered >= 0).all(1)])


def vertex_normals(vertices: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
    """Unit normals, each triangle counting by its area: (B, V, 3), (F, 3) -> (B, V, 3)."""
    first, second, third = vertices[:, triangles].unbind(2)
    facing = torch.linalg.cross(second - first, third - first)  # (B, F, 3)
    total = torch.zeros_like(vertices)
    for corner in triangles.unbind(1):
        total = total.index_add(1, corner, facing)
    return F.normalize(total, dim=-1, eps=NORMAL_EPSILON)


def shade(normals: torch.Tensor) -> torch.Tensor:
    """Mean of five directional lights on a grey surface: (..., 3) -> (...) in [0, 0.8)."""
    lights = F.normalize(normals.new_tensor(LIGHTS), dim=-1)
    return ALBEDO * ((normals @ lights.T).clamp(0.0, 1.0) * LIGHT_INTENSITY).mean(-1)


def render(vertices: torch.Tensor, surface: Surface, *, camera: torch.Tensor, size: int = 224) -> torch.Tensor:
    """Draw shaded faces: (B, V, 3) in face space, (B, 3) cameras -> (B, 1, size, size) grey, 0 where nothing is."""
    drawn = vertices[:, surface.vertices]
    screen = project(drawn, camera)
    deep = torch.cat((screen[..., :2], screen[..., 2:] + DEPTH_OFFSET), dim=-1)
    fragments = rasterise(deep, surface.triangles, size=size)
    normals = vertex_normals(drawn, surface.triangles)
    item, row, column = fragments.covered.nonzero(as_tuple=True)
    corners = surface.triangles[fragments.triangles[item, row, column]]  # (P, 3)
    seen = (normals[item[:, None], corners] * fragments.weights[item, row, column][..., None]).sum(1)
    picture = vertices.new_zeros(vertices.shape[0], size, size)
    return picture.index_put((item, row, column), shade(seen))[:, None]
