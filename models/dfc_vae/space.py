"""The latent space for people: a face to its code, a code to a picture, and back into the photo."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from models import registry
from models.device import choose_device, inference, place
from models.dfc_vae.align import bone_matrix, oval
from models.dfc_vae.attributes import Directions, read_directions
from models.dfc_vae.network import DfcVae
from models.dfc_vae.pixels import pictures_from_unit, unit_from_pictures
from models.errors import BadInput
from models.faces.align import cut, paste
from models.types import Crop, Face, Image

BATCH = 16


@dataclass(frozen=True, eq=False)
class FaceCode:
    """One face of a picture in the latent space."""

    numbers: NDArray[np.float32]
    """(latent,) the mean of what the encoder says; no chance is involved."""
    crop: Crop
    """The aligned square it was read from."""
    rebuilt: Image
    """(size, size, 3) what the decoder makes of it."""


class FaceSpace:
    """Encoder, decoder and sliders; holds nothing of any visitor."""

    def __init__(self, network: DfcVae, directions: Directions, *, backend: str, device: torch.device) -> None:
        self.network = place(network, device=device, dtype=torch.float32)
        self.directions = directions
        self.backend = backend
        self.device = device
        self.size = int(network.config["size"])
        self.latent = int(network.config["latent"])

    def crop(self, image: Image, face: Face) -> Crop:
        """Cut the square in which the face's bones lie where the network expects them."""
        return cut(image, bone_matrix(face.landmarks, size=self.size), size=self.size)

    def encode(self, image: Image, faces: list[Face]) -> list[FaceCode]:
        """Return the code of every face of a picture, in the faces' order; no face gives an empty list."""
        crops = [self.crop(image, face) for face in faces]
        if not crops:
            return []
        numbers = self.encode_crops(np.stack([crop.pixels for crop in crops]))
        pictures = self.decode(numbers)
        return [FaceCode(*parts) for parts in zip(numbers, crops, pictures, strict=True)]

    def encode_crops(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, size, size, 3) RGB -> (N, latent)."""
        parts = []
        for start in range(0, len(pictures), BATCH):
            pixels = unit_from_pictures(pictures[start : start + BATCH]).to(self.device)
            with inference(self.device):
                parts.append(self.network.encode(pixels).mean.float().cpu().numpy())
        return np.concatenate(parts)

    def decode(self, codes: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(N, latent) -> (N, size, size, 3) RGB; raises BadInput for codes of another size."""
        if codes.ndim != 2 or codes.shape[1] != self.latent or not np.isfinite(codes).all():
            raise BadInput(f"a code is {self.latent} finite numbers, got an array of shape {codes.shape}")
        parts = []
        for start in range(0, len(codes), BATCH):
            numbers = torch.from_numpy(np.ascontiguousarray(codes[start : start + BATCH], np.float32)).to(self.device)
            with inference(self.device):
                parts.append(pictures_from_unit(self.network.decode(numbers).float()))
        return np.concatenate(parts)

    def with_detail(self, code: FaceCode, edited: Image) -> Image:
        """Lay what an edit changed over the aligned photo itself: wrinkles and pores stay, whatever the code lost."""
        change = cv2.GaussianBlur(edited.astype(np.float32) - code.rebuilt.astype(np.float32), (0, 0), 0.6)
        return np.asarray(np.clip(code.crop.pixels + change + 0.5, 0, 255), np.uint8)

    def into_photo(self, image: Image, code: FaceCode, edited: Image, *, keep_detail: bool) -> Image:
        """Put an edited face back into the photo at full size, its border feathered.

        With `keep_detail` only what the edit changed is added to the photo's own pixels.
        """
        share = oval(self.size)
        if not keep_detail:
            return paste(Crop(edited, code.crop.crop_from_image), image, mask=share)
        change = (edited.astype(np.float32) - code.rebuilt.astype(np.float32)) * share[..., None]
        corners = np.array([[0, 0, 1], [0, self.size, 1], [self.size, 0, 1], [self.size, self.size, 1]], np.float64)
        reach = (corners @ code.crop.image_from_crop.T)[:, :2]
        left, top = np.maximum(np.floor(reach.min(0)).astype(int), 0)
        right, bottom = np.minimum(np.ceil(reach.max(0)).astype(int) + 1, [image.shape[1], image.shape[0]])
        shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], np.float64)
        back = (shift @ code.crop.image_from_crop)[:2]
        laid = cv2.warpAffine(change, back, (int(right - left), int(bottom - top)), flags=cv2.INTER_CUBIC)
        result = image.copy()
        part = result[top:bottom, left:right]
        result[top:bottom, left:right] = np.clip(part + laid + 0.5, 0, 255).astype(np.uint8)
        return result


def load_space() -> FaceSpace:
    """Build the latent space from the weights that ship; raises MissingWeights naming the recipe."""
    config, tensors, backend = registry.shipped("dfc_vae")
    network = DfcVae(**config)
    network.load_state_dict(tensors)
    device = choose_device(registry.places().device)
    return FaceSpace(network, read_directions(backend=backend), backend=backend, device=device)
