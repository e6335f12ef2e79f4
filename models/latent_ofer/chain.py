"""Latent-OFER's official parts joined: hide, fill coarsely, refine, read the expression; each step may be missing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.latent_ofer.classifier import LatentClassifier, pick_latents
from models.latent_ofer.dan import LABELS
from models.latent_ofer.hybrid import SIZE as REFINER_SIZE
from models.latent_ofer.hybrid import HybridRefiner
from models.latent_ofer.mae import MaskedAutoencoder
from models.latent_ofer.pixels import mask_tensor, normalise, to_image, to_tensor
from models.types import Image

READING_SIZE = 224
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Emotions:
    """What the official classifier reads off one picture."""

    probabilities: dict[str, float]
    """By name, in the order of the network's outputs; they sum to one."""
    attention: NDArray[np.float32]
    """(7, 7) where the heads looked, their mean, largest value 1."""


@dataclass(frozen=True, eq=False)
class Filled:
    """Every stage for one face crop."""

    hidden: NDArray[np.bool_]
    """(14, 14) patches that were not shown to the autoencoder."""
    coarse: Image
    """(H, W, 3) the crop with its hidden patches as the autoencoder fills them."""
    refined: Image | None
    """(H, W, 3) the same after the refiner, or None without one."""
    pasted: Image
    """(H, W, 3) the crop, replaced only where the mask says."""
    before: Emotions | None
    """Read off the crop as it came, or None without a classifier."""
    after: Emotions | None
    """Read off the filled crop."""
    milliseconds: dict[str, float]


class OfficialChain:
    """The authors' networks, one after the other; keeps nothing between calls."""

    def __init__(
        self,
        autoencoder: MaskedAutoencoder,
        *,
        refiner: HybridRefiner | None = None,
        classifier: LatentClassifier | None = None,
    ) -> None:
        self._autoencoder = autoencoder
        self._refiner = refiner
        self._classifier = classifier

    @torch.inference_mode()
    def fill(self, pixels: Image, mask: NDArray[np.bool_]) -> Filled:
        """Fill the masked part (H, W) of a square face crop (H, W, 3) and read it before and after.

        Raises ValueError where mask and crop differ in size or nothing is left to see.
        """
        if mask.shape != pixels.shape[:2]:
            raise ValueError(f"the mask is {mask.shape}, the crop {pixels.shape[:2]}")
        spent: dict[str, float] = {}
        small = to_tensor(pixels, size=self._autoencoder.config.image_size)
        hidden = self._hidden(mask)
        coarse = _timed(spent, "coarse", lambda: self._autoencoder.reconstruct(small, hidden))
        best, refined = coarse.image, None
        if self._refiner is not None:
            refiner = self._refiner
            best = _timed(spent, "refined", lambda: _refine(refiner, pixels, coarse.image, mask))
            refined = _resized(best, pixels)
        pasted = np.where(mask[..., None], _resized(best, pixels), pixels)
        before = after = None
        if self._classifier is not None:
            before = _timed(spent, "before", lambda: self._read(pixels, torch.zeros_like(hidden)))
            after = _timed(spent, "after", lambda: self._read(pasted, hidden))
        grid = hidden.reshape(self._autoencoder.grid, -1).numpy()
        return Filled(grid, _resized(coarse.image, pixels), refined, pasted, before, after, spent)

    def _hidden(self, mask: NDArray[np.bool_]) -> Tensor:
        """Return the patches (1, patches) that any hidden pixel touches."""
        pixels = mask_tensor(mask, size=self._autoencoder.config.image_size)
        hidden = self._autoencoder.hidden_patches(pixels)
        if hidden.all():
            raise ValueError("the mask touches every patch: nothing of the face is left to see")
        return hidden

    def _read(self, pixels: Image, hidden: Tensor) -> Emotions:
        """Read a picture with its own latents, without the patches that are hidden."""
        assert self._classifier is not None
        image = normalise(to_tensor(pixels, size=self._autoencoder.config.image_size))
        decoded = self._autoencoder.decode(self._autoencoder.encode(image, hidden), hidden)
        reading = self._classifier(normalise(to_tensor(pixels, size=READING_SIZE)), pick_latents(decoded))
        shares = reading.probabilities[0].tolist()
        attention = reading.attention[0].mean(dim=0)
        attention = attention / attention.max().clamp_min(1e-12)
        return Emotions(dict(zip(LABELS, shares, strict=True)), attention.numpy())


def _refine(refiner: HybridRefiner, pixels: Image, coarse: Tensor, mask: NDArray[np.bool_]) -> Tensor:
    """Refine a coarse picture of any size at the refiner's own."""
    image = to_tensor(pixels, size=REFINER_SIZE)
    larger = torch.nn.functional.interpolate(coarse, size=(REFINER_SIZE, REFINER_SIZE), mode="bilinear")
    return refiner.refine(image, larger.clamp(0, 1), mask_tensor(mask, size=REFINER_SIZE))


def _resized(picture: Tensor, like: Image) -> Image:
    """Return a picture (1, 3, h, w) in [0, 1] as pixels of the same size as another."""
    height, width = like.shape[:2]
    return cv2.resize(to_image(picture), (width, height), interpolation=cv2.INTER_CUBIC)


def _timed(spent: dict[str, float], name: str, work: Callable[[], Result]) -> Result:
    """Do something and note the milliseconds it took."""
    start = time.perf_counter()
    result = work()
    spent[name] = (time.perf_counter() - start) * 1000
    return result
