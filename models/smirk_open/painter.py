"""A photo with another expression, by the small generator: numpy pixels in, numpy pixels out."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from models.device import place
from models.faces.align import square
from models.head.head import Head
from models.head.parameters import HeadParameters
from models.head.repaint import Carried, carry
from models.smirk_open.generator import OpenGenerator, conditions_of
from models.types import Image

SIZE = 224
ROOM = 1.4
"""Edge of the painted square over the longer edge of the landmarks' box."""
FEATHER = 0.06
"""Width of the border in which the painted square fades, in edges."""


class ExpressionPainter:
    """Holds a network and a head; nothing in it changes after it is made."""

    def __init__(
        self, network: OpenGenerator, head: Head, *, backend: str, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.network = place(network, device=device, dtype=dtype)
        self.head, self.backend, self.device, self.dtype = head, backend, device, dtype

    def __call__(self, image: Image, before: HeadParameters, after: HeadParameters) -> Image:
        """Return the square photo (S, S, 3) with the expression of `after`; both heads stand in its pixels."""
        carried = carry(self.head, before, after, image)
        matrix = square_of(self.head, before)
        small = shrunk(carried, matrix)
        return joined(carried, self.change(small), small, matrix)

    def carried(self, image: Image, before: HeadParameters, after: HeadParameters) -> Image:
        """The same without the network: the photo's own pixels alone."""
        return carry(self.head, before, after, image).image

    def change(self, carried: Carried) -> NDArray[np.float32]:
        """(SIZE, SIZE, 3) what the network adds to a carried crop, in grey levels."""
        with torch.inference_mode():
            given = tensors(carried, device=self.device, dtype=self.dtype)
            found = self.network(given.contiguous(memory_format=torch.channels_last))[0]
        return np.asarray(found.permute(1, 2, 0).float().cpu().numpy() * 255, np.float32)


def square_of(head: Head, parameters: HeadParameters) -> NDArray[np.float64]:
    """(3, 3) from a picture's pixels to those of the upright square around a head's landmarks."""
    points = parameters.to_picture(head.landmarks(head.vertices(parameters.identity, parameters.expression)))
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    x, y = (low + high) / 2
    return square((float(x), float(y)), float((high - low).max()) * ROOM, size=SIZE)


def tensors(carried: Carried, *, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """(1, 12, S, S) of one carried picture."""

    def batch(values: NDArray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device=device, dtype=dtype)[None]

    return conditions_of(
        batch(carried.image).permute(0, 3, 1, 2) / 255,
        1 - batch(carried.plain)[:, None],
        batch(carried.normals).permute(0, 3, 1, 2),
        torch.from_numpy(carried.kind).to(device)[None],
        batch(carried.stretch)[:, None],
    )


def shrunk(carried: Carried, matrix: NDArray[np.float64]) -> Carried:
    """The part of a carried picture that lies in the square reached by `matrix`, (SIZE, SIZE)."""
    zoom = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))

    def part(values: NDArray, flags: int = cv2.INTER_LINEAR) -> NDArray:
        if zoom < 0.8 and flags != cv2.INTER_NEAREST:  # a linear look alone would skip pixels
            values = cv2.GaussianBlur(values, (0, 0), 0.4 / zoom)
        return cv2.warpAffine(values, matrix[:2], (SIZE, SIZE), flags=flags, borderMode=cv2.BORDER_REPLICATE)

    return Carried(
        image=part(carried.image),
        plain=part(carried.plain),
        kind=part(carried.kind, cv2.INTER_NEAREST),
        normals=part(carried.normals),
        stretch=part(carried.stretch),
    )


def joined(carried: Carried, change: NDArray[np.float32], small: Carried, matrix: NDArray[np.float64]) -> Image:
    """Add a crop's change (SIZE, SIZE, 3), grey levels, to the carried picture; its own detail stays where it has any.

    Where the photo showed nothing, the crop is laid over the plain parts, whose hard edges it does not know.
    """
    height, width = carried.image.shape[:2]
    ramp = np.clip(np.minimum(np.arange(SIZE), np.arange(SIZE)[::-1]) / (FEATHER * SIZE), 0, 1).astype(np.float32)
    within = np.minimum.outer(ramp, ramp)[..., None]
    laid = np.concatenate([change * within, small.image + change, within], 2).astype(np.float32)
    back = cv2.warpAffine(laid, np.linalg.inv(matrix)[:2], (width, height), flags=cv2.INTER_LINEAR)
    share = carried.plain[..., None] * back[..., 6:]
    result = (carried.image + back[..., :3]) * (1 - share) + back[..., 3:6] * share
    return np.clip(result + 0.5, 0, 255).astype(np.uint8)
