"""Self-assembly: the refiner's layer that writes every hidden cell as a mixture of what can be seen.

Two ways: "official" repeats the released layer number by number, "paper" follows the text of section 3.2, in which the
mirror cell has a share of the result. In the released layer the mirror only takes weight away.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

Floats = NDArray[np.float64]
WAYS = ("official", "paper")
TINY = 1e-8


def shrink_mask(mask: Tensor, *, halvings: int = 3) -> Tensor:
    """Shrink a pixel mask (B, 1, H, W), 1 in the hole, to feature cells: (B, H / 8, W / 8) bool.

    Each halving averages 4x4 windows; a cell counts as hole above 5/16.
    """
    mask = mask.float()
    for _ in range(halvings):
        mask = F.avg_pool2d(mask, 4, stride=2, padding=1)
    return mask[:, 0] > 5 / 16


class SelfAssembly(nn.Module):
    """Replace the hidden cells of the first half of the channels; the second half only steers (official way)."""

    def __init__(self, way: str = "official") -> None:
        super().__init__()
        if way not in WAYS:
            raise ValueError(f"self-assembly is one of {', '.join(WAYS)}, not {way!r}")
        self.way = way

    def forward(self, features: Tensor, hole: Tensor) -> Tensor:
        """(B, 2C, H, W) and bool (B, H, W) -> (B, C, H, W)."""
        content, guide = features.chunk(2, dim=1)
        rows = []
        for one, steer, cells in zip(content, guide, hole, strict=True):
            if not cells.any() or cells.all():
                rows.append(one)  # nothing to fill, or nothing to fill it from
            elif self.way == "official":
                rows.append(assemble_official(one, steer, cells))
            else:
                rows.append(assemble_paper(one, cells))
        return torch.stack(rows)


def assemble_official(content: Tensor, guide: Tensor, hole: Tensor) -> Tensor:
    """Fill the hole of `content` (C, H, W) as the released layer does, quirks included.

    The share of the mirror term is measured with `guide` at the column numbered like the hole's ordinal, not at the
    hole, and what it weighs enters only the running patch, never the result: the weights sum to less than one. The
    running patch is only ever needed as its product with later holes.
    """
    columns, unit = _columns(content)
    holes, known = _split(hole)
    similarity, nearest = (unit[known] @ columns[holes].T).max(dim=0)  # (holes,)
    source = columns[known[nearest]]  # (holes, C)
    around = F.avg_pool2d(content[None], 3, 1, 1, count_include_pad=False)[0].flatten(1).T[holes]
    mirror = (unit @ guide.flatten(1)[:, : len(holes)]).amax(dim=0)  # (holes,)
    likeness = [_numbers(unit[holes] @ patches.T) for patches in (source, around)]  # (holes, holes) each
    weights = official_weights(*likeness, similarity=_numbers(similarity), mirror=_numbers(mirror))
    filled = torch.from_numpy(weights).to(source) @ source  # (holes, C)
    return _put(columns, holes, filled, content.shape)


def official_weights(to_source: Floats, to_around: Floats, *, similarity: Floats, mirror: Floats) -> Floats:
    """Return how much of each hidden cell's source is in each hidden cell's result: (holes, holes), rows in order.

    `to_source` and `to_around` are every hidden cell's products with every source and surrounding patch; the weights
    carry no gradient.
    """
    count = len(similarity)
    weights = np.zeros((count, count))
    weights[0, 0] = 1
    to_running = 0.5 * (to_source[:, 0] + to_around[:, 0])  # every hidden cell's product with the running patch
    for n in range(1, count):
        total = to_running[n] + similarity[n] + mirror[n]
        keep, take, lose = to_running[n] / total, similarity[n] / total, mirror[n] / total
        to_running = keep * to_running + take * to_source[:, n] + lose * to_around[:, n]
        weights[n] = keep * weights[n - 1]
        weights[n, n] += take
    return weights


def assemble_paper(content: Tensor, hole: Tensor) -> Tensor:
    """Fill the hole of `content` (C, H, W) from the nearest visible cell, the cell filled before, and the mirror cell.

    The three are weighed by their cosine with the cell's own content, negative ones by nothing, and the weights sum to
    one. The mirror cell is the one at the same height on the other side of the middle; hidden itself, it has no share.
    """
    columns, unit = _columns(content)
    holes, known = _split(hole)
    similarity, nearest = (unit[known] @ unit[holes].T).max(dim=0)  # (holes,)
    source = columns[known[nearest]]
    opposite = torch.arange(hole.numel(), device=hole.device).reshape(hole.shape).flip(1).flatten()[holes]
    symmetry = (unit[holes] * unit[opposite]).sum(dim=1) * ~hole.flatten()[opposite]  # (holes,)
    similarity, symmetry = similarity.clamp_min(0), symmetry.clamp_min(0)
    running, filled = source[0], []
    for n, cell in enumerate(holes):
        adjacent = F.cosine_similarity(columns[cell], running, dim=0).clamp_min(0) if n else similarity.new_zeros(())
        total = adjacent + similarity[n] + symmetry[n] + TINY
        own = adjacent * running + similarity[n] * source[n] + symmetry[n] * columns[opposite[n]]
        running = torch.where(total > 2 * TINY, own / total, source[n])
        filled.append(running)
    return _put(columns, holes, torch.stack(filled), content.shape)


def _columns(content: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cells in raster order as rows (H * W, C), and the same with unit length."""
    columns = content.flatten(1).T.contiguous()
    return columns, columns / (columns.norm(dim=1, keepdim=True) + TINY)


def _numbers(values: Tensor) -> Floats:
    """Return a tensor's values without their gradient, in float64 for the long recursion."""
    return values.detach().double().cpu().numpy()


def _split(hole: Tensor) -> tuple[Tensor, Tensor]:
    """Return the indices of hidden and of visible cells, in raster order."""
    flat = hole.flatten()
    return flat.nonzero()[:, 0], (~flat).nonzero()[:, 0]


def _put(columns: Tensor, holes: Tensor, filled: Tensor, shape: torch.Size) -> Tensor:
    """Return the cells as (C, H, W) with the hidden ones replaced."""
    return columns.index_copy(0, holes, filled).T.reshape(shape)
