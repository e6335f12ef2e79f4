"""The only place where pictures become tensors and back, with the constants each official network was trained on."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.types import Image, check_image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HOLE_COLOUR = (123 / 255, 104 / 255, 117 / 255)
"""What the refiner sees inside the hole, red to blue in [0, 1]."""


def to_tensor(pixels: Image, *, size: int | None = None) -> Tensor:
    """Turn RGB uint8 (H, W, 3) into float32 (1, 3, H, W) in [0, 1], squashed to a square of `size` where given."""
    check_image(pixels)
    if size is not None and pixels.shape[:2] != (size, size):
        shrinking = pixels.shape[0] > size
        pixels = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255  # a copy: uploads are read-only


def to_image(tensor: Tensor) -> Image:
    """Turn (1, 3, H, W) in [0, 1] into RGB uint8 (H, W, 3); values outside are clipped."""
    pixels = (tensor[0].detach().clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy())


def mask_tensor(mask: NDArray[np.bool_], *, size: int) -> Tensor:
    """Turn a mask (H, W), True where hidden, into float32 (1, 1, size, size) of zeros and ones."""
    if mask.ndim != 2:
        raise ValueError(f"a mask must be (height, width), got {mask.shape}")
    pixels = mask.astype(np.uint8)
    if pixels.shape != (size, size):
        pixels = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_NEAREST)
    return torch.from_numpy(pixels.astype(np.float32))[None, None]


def normalise(images: Tensor) -> Tensor:
    """Map (B, 3, H, W) in [0, 1] to ImageNet's mean and standard deviation."""
    return (images - _channels(IMAGENET_MEAN, images)) / _channels(IMAGENET_STD, images)


def denormalise(images: Tensor) -> Tensor:
    """Map (B, 3, H, W) back to [0, 1]; the inverse of `normalise`."""
    return images * _channels(IMAGENET_STD, images) + _channels(IMAGENET_MEAN, images)


def _channels(values: tuple[float, float, float], like: Tensor) -> Tensor:
    return torch.tensor(values, device=like.device, dtype=like.dtype).reshape(1, 3, 1, 1)
