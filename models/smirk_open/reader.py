"""The encoder behind one door: a photo and a face in it to `HeadParameters` in pixels of the photo."""

from __future__ import annotations

import numpy as np
import torch

from models.device import place
from models.faces.align import crop
from models.head.head import Head
from models.head.parameters import HeadParameters, mirrored
from models.smirk_open.encoder import OpenEncoder, OpenReading
from models.types import Face, Image, check_image

SCALE = 1.4
"""Crop edge over the levelled landmark box; what training shows most."""


class OpenReader:
    """Holds the network and the head; nothing in it changes after it is made."""

    def __init__(
        self, network: OpenEncoder, head: Head, *, backend: str, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.network = place(network, device=device, dtype=dtype)
        self.head, self.backend = head, backend
        self.device, self.dtype = device, dtype
        self.size = int(network.config["size"])

    def read(self, image: Image, face: Face) -> HeadParameters:
        """Read one face both ways round and average, so that a mirrored photo mirrors its reading."""
        check_image(image)
        cut = crop(face, image, size=self.size, scale=SCALE)
        plain, twin = self.read_crops(np.stack([cut.pixels, cut.pixels[:, ::-1]]))
        found = averaged(plain, mirrored(twin, self.head, width=self.size))
        return found.moved(cut.image_from_crop)

    @torch.inference_mode()
    def read_crops(self, squares: np.ndarray) -> list[HeadParameters]:
        """Read (B, size, size, 3) uint8 crops as they are, in crop pixels."""
        pixels = torch.from_numpy(np.ascontiguousarray(squares)).to(self.device)
        pixels = pixels.permute(0, 3, 1, 2).to(self.dtype) / 255  # (B, 3, size, size)
        reading = self.network(pixels.contiguous(memory_format=torch.channels_last))
        return [self._parameters(reading, row) for row in range(len(squares))]

    def _parameters(self, reading: OpenReading, row: int) -> HeadParameters:
        def array(tensor: torch.Tensor) -> np.ndarray:
            return tensor[row].float().cpu().numpy()

        return HeadParameters(
            rotation=array(reading.rotation),
            scale=float(reading.scale[row]) * self.size / 2,
            shift=array(reading.shift) * (self.size / 2) + (self.size - 1) / 2,
            identity=array(reading.identity),
            expression=array(reading.expression),
        )


def averaged(one: HeadParameters, other: HeadParameters) -> HeadParameters:
    """The parameters halfway between two readings of the same face."""
    left, _, right = np.linalg.svd(one.rotation + other.rotation)
    return HeadParameters(
        rotation=(left @ right).astype(np.float32),
        scale=(one.scale + other.scale) / 2,
        shift=(one.shift + other.shift) / 2,
        identity=(one.identity + other.identity) / 2,
        expression=(one.expression + other.expression) / 2,
    )
