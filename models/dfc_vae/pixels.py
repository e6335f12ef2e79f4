"""From pictures to what each network takes, and back."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.dfc_vae.losses import CAFFE_MEAN_BGR


def unit_from_pictures(pictures: NDArray[np.uint8]) -> Tensor:
    """(B, H, W, 3) RGB uint8 -> (B, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255


def pictures_from_unit(images: Tensor) -> NDArray[np.uint8]:
    """(B, 3, H, W), clamped to [0, 1] -> (B, H, W, 3) RGB uint8."""
    levels = images.detach().clamp(0, 1).mul(255).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).cpu().numpy()


def authors_from_unit(images: Tensor) -> Tensor:
    """RGB in [0, 1] -> BGR, 0 to 255, less the mean colour: the scale of `AuthorsVae128`."""
    return images.flip(1) * 255 - _mean(images)


def unit_from_authors(images: Tensor) -> Tensor:
    """The way back from the scale of `AuthorsVae128`, not clamped."""
    return ((images + _mean(images)) / 255).flip(1)


def _mean(images: Tensor) -> Tensor:
    return images.new_tensor(CAFFE_MEAN_BGR).view(1, 3, 1, 1)
