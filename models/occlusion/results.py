"""What the occlusion chain hands over: frozen results with their shapes and ranges."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from models.types import Crop, Image, Points

GROWTH = 2
"""Pixels by which a detected mask is widened: the soft rim of what hides a face belongs to it."""


@dataclass(frozen=True, eq=False)
class FaceCrop:
    """One face, cut so that its bones lie where they lie for every face, and the way back."""

    crop: Crop
    """The square's pixels (S, S, 3) and its matrix."""
    landmarks: Points
    """(478, 3) in pixels of the crop."""

    @property
    def pixels(self) -> Image:
        """(S, S, 3) what the networks see."""
        return self.crop.pixels

    @property
    def size(self) -> int:
        """Edge in pixels."""
        return self.crop.size


@dataclass(frozen=True, eq=False)
class Detection:
    """How far each patch of a face lies from what an uncovered face shows there."""

    distances: NDArray[np.float32]
    """(g, g) distance of each patch's latent from the centre of uncovered ones, 0 and up."""
    radius: float
    """Distance beyond which a patch counts as hidden, from a quantile of uncovered held-out faces."""
    size: int
    """Edge of the crop in pixels."""
    milliseconds: dict[str, float] = field(default_factory=dict)

    @property
    def share(self) -> NDArray[np.float32]:
        """(g, g) the distances as shares in [0, 1): one half at the radius."""
        square = np.square(self.distances)
        return np.asarray(square / (square + self.radius**2), dtype=np.float32)

    def patches(self, radius: float | None = None) -> NDArray[np.bool_]:
        """(g, g) which patches lie beyond the radius."""
        return self.distances > (self.radius if radius is None else radius)

    def mask(self, radius: float | None = None) -> NDArray[np.bool_]:
        """(S, S) which pixels are taken for hidden: the map drawn smoothly, cut at the radius, a little widened."""
        limit = max(self.radius if radius is None else radius, 1e-6)
        # far-off patches would swallow their neighbours when the map is smoothed
        map_ = np.minimum(self.distances / limit, 2.0).astype(np.float32)
        smooth = cv2.resize(map_, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        beyond = (smooth > 1).astype(np.uint8)
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * GROWTH + 1, 2 * GROWTH + 1))
        return np.asarray(cv2.dilate(beyond, disc) > 0)


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A guess of what lies behind the hidden part of a crop."""

    method: str
    coarse: Image
    """(S, S, 3) the first guess inside the hole: the autoencoder's, or the method's only one."""
    refined: Image
    """(S, S, 3) after the refiner; the same as coarse for methods without one."""
    blended: Image
    """(S, S, 3) the crop with its hidden pixels replaced and nothing else touched."""
    mask: NDArray[np.bool_]
    """(S, S) the hidden pixels."""
    samples: tuple[Image, ...]
    """Each a `blended`; several for the diffusion, one for the others."""
    milliseconds: dict[str, float]
    """By stage, in the order they ran."""


@dataclass(frozen=True, eq=False)
class Recognition:
    """What a crop shows of an expression."""

    emotions: dict[str, float]
    """Probabilities by the names of models.types.EMOTIONS; they sum to one."""
    vector: NDArray[np.float32]
    """(64,) of unit length, comparable with the expression network's of the same backend."""
    attention: NDArray[np.float32]
    """(g, g) how much each place spoke for the strongest emotion, largest 1."""
    tokens: NDArray[np.bool_]
    """(g, g) patches whose latents were joined to what the convolutions see; none without a mask."""
    backend: str
    """Of the expression network whose vector this is."""
    milliseconds: dict[str, float]

    @property
    def strongest(self) -> str:
        """Name of the most probable emotion."""
        return max(self.emotions, key=lambda name: self.emotions[name])
