"""Which triangle each pixel sees, in plain torch: exact, without blur, differentiable in the vertices.

Instead of testing every pixel against every triangle, the pixels under each triangle's bounding box are listed, so the
work grows with the covered area. Works on any device and keeps memory bounded by going through the list in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

SMALLEST_AREA = 1e-8
PIECE_PAIRS = 4_000_000
NOTHING = -1


@dataclass(frozen=True, eq=False)
class Fragments:
    """What each pixel sees."""

    triangles: torch.Tensor
    """(B, S, S) int64 index of the nearest triangle, -1 where there is none"""
    weights: torch.Tensor
    """(B, S, S, 3) barycentric weights of its corners; zeros where there is none"""

    @property
    def covered(self) -> torch.Tensor:
        """(B, S, S) True where a triangle is seen."""
        return self.triangles != NOTHING


def pixel_centres(size: int, like: torch.Tensor) -> torch.Tensor:
    """Screen coordinates of the pixel centres of one axis: (size,) from just above -1 to just below 1."""
    mirrored = torch.arange(size - 1, -1, -1, device=like.device)
    return 1.0 - (2 * mirrored + 1).to(like.dtype) / size


def edge(point: torch.Tensor, start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Twice the signed area of (point, start, end): (..., 2) each -> (...)."""
    return (point[..., 0] - start[..., 0]) * (end[..., 1] - start[..., 1]) - (point[..., 1] - start[..., 1]) * (
        end[..., 0] - start[..., 0]
    )


def barycentric(points: torch.Tensor, corners: torch.Tensor) -> torch.Tensor:
    """Weights of the three corners at each point: (..., 2), (..., 3, 2 or 3) -> (..., 3)."""
    first, second, third = corners[..., :2].unbind(-2)
    area = edge(third, first, second) + SMALLEST_AREA
    weights = (edge(points, second, third), edge(points, third, first), edge(points, first, second))
    return torch.stack(weights, dim=-1) / area[..., None]


def rasterise(vertices: torch.Tensor, triangles: torch.Tensor, *, size: int) -> Fragments:
    """Find the nearest triangle of each pixel of a size x size picture.

    vertices (B, V, 3) in screen space: x right, y down, the picture spans [-1, 1], smaller z is nearer. A pixel belongs
    to a triangle when its centre lies strictly inside, whichever way the triangle faces; of equally near triangles the
    first wins. The choice of triangle has no gradient, the weights have.
    """
    corners = vertices[:, triangles]  # (B, F, 3, 3)
    batch, count = corners.shape[:2]
    with torch.no_grad():
        seen = _nearest(corners.detach().flatten(0, 1), size=size, batch=batch)  # (B S S,) index into B F
    covered = (seen >= 0).nonzero()[:, 0]
    centres = pixel_centres(size, vertices)
    points = torch.stack((centres[covered % size], centres[covered // size % size]), dim=-1)
    found = barycentric(points, corners.flatten(0, 1)[seen[covered]])
    weights = vertices.new_zeros(batch * size * size, 3).index_put((covered,), found)
    local = torch.where(seen >= 0, seen % max(count, 1), NOTHING)
    return Fragments(local.view(batch, size, size), weights.view(batch, size, size, 3))


def _nearest(corners: torch.Tensor, *, size: int, batch: int) -> torch.Tensor:
    """Index of the nearest of (B F, 3, 3) corners for each of B S S pixels, -1 for none."""
    pixels = batch * size * size
    depth_buffer = corners.new_full((pixels,), torch.inf)
    unseen = corners.shape[0]
    seen = torch.full((pixels,), unseen, dtype=torch.int64, device=corners.device)
    first_pixel = torch.arange(batch, device=corners.device).repeat_interleave(max(unseen // max(batch, 1), 1))
    boxes = _boxes(corners, size=size)
    for index in _pieces(boxes, corners):
        pixel, face, depth = _inside(corners, boxes, index, size=size)
        pixel = pixel + first_pixel[face] * (size * size)
        before = depth_buffer[pixel]
        depth_buffer.scatter_reduce_(0, pixel, depth, "amin")
        nearest = depth_buffer[pixel]
        seen[pixel[nearest < before]] = unseen
        wins = depth == nearest
        seen.scatter_reduce_(0, pixel[wins], face[wins], "amin")
    return torch.where(seen == unseen, NOTHING, seen)


def _boxes(corners: torch.Tensor, *, size: int) -> torch.Tensor:
    """First column, first row, width and height in pixels of each triangle: (F, 4) int64; empty ones have width 0."""
    position = (corners[..., :2] + 1.0) * (size / 2) - 0.5  # (F, 3, 2) in pixels
    slack = 1e-3  # the exact test is `edge`; rounding here must not lose a pixel
    low = (position.amin(1) - slack).ceil().clamp(0, size)
    high = (position.amax(1) + slack).floor().clamp(-1, size - 1)
    extent = (high - low + 1).clamp(min=0)
    first, second, third = corners[..., :2].unbind(1)
    usable = (edge(third, first, second).abs() >= SMALLEST_AREA) & corners.isfinite().all(-1).all(-1)
    extent = torch.where(usable[:, None], extent, 0.0)
    return torch.cat((low.nan_to_num(), extent.nan_to_num()), dim=1).long()


def _pieces(boxes: torch.Tensor, corners: torch.Tensor) -> list[torch.Tensor]:
    """Split the triangles that cover any pixel into runs whose boxes hold a bounded number of pixels."""
    area = boxes[:, 2] * boxes[:, 3]
    index = area.nonzero()[:, 0]
    total = area[index].cumsum(0)
    if not len(index) or int(total[-1]) <= PIECE_PAIRS:
        return [index] if len(index) else []
    run = total.div(PIECE_PAIRS, rounding_mode="floor")
    return list(index.split(run.unique_consecutive(return_counts=True)[1].tolist()))


def _inside(
    corners: torch.Tensor, boxes: torch.Tensor, index: torch.Tensor, *, size: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """List (pixel, triangle, depth) for every pixel centre strictly inside one of the triangles `index`."""
    box = boxes[index]
    counts = box[:, 2] * box[:, 3]
    local = torch.arange(len(index), device=index.device).repeat_interleave(counts)
    offset = torch.arange(len(local), device=index.device) - (counts.cumsum(0) - counts)[local]
    column_first, row_first, width, _ = box[local].unbind(1)
    down = offset.div(width, rounding_mode="floor")
    column, row = column_first + offset - down * width, row_first + down
    centres = pixel_centres(size, corners)
    points = torch.stack((centres[column], centres[row]), dim=-1)
    face = index[local]
    weights = barycentric(points, corners[face])
    inside = (weights > 0).all(-1).nonzero()[:, 0]
    face = face[inside]
    depth = (weights[inside] * corners[face, :, 2]).sum(-1)
    return (row * size + column)[inside], face, depth
