"""Things drawn by code over a face, placed by its landmarks: for training, and where the truth has to be known.

Everything is decided by a numpy Generator: the same state gives the same picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import BadInput
from models.latent_ofer import drawings
from models.latent_ofer.brushes import OVAL, Layer, Scene, outline
from models.types import LANDMARKS, Image, Points, check_image

SEEN = 0.1
"""Share of a foreign colour above which a pixel counts as hidden."""
LEAST, MOST = 0.03, 0.75
"""Share of the face that is hidden at least and at most; other drawings are made again."""
TRIES = 12


@dataclass(frozen=True)
class Kind:
    """One kind of occluder."""

    name: str
    title: str
    draw: Callable[[Scene], Layer]
    held_out: bool = False
    """Never to be trained on: kept for measuring how well unseen things are handled."""


@dataclass(frozen=True, eq=False)
class Occluded:
    """A picture with something drawn over its face."""

    image: Image
    """(H, W, 3)"""
    mask: NDArray[np.bool_]
    """(H, W) True where the picture is hidden; everywhere else it is untouched."""
    kind: str
    share: float
    """How much of the face's outline is hidden, 0..1."""


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("sunglasses", "Sunglasses", drawings.sunglasses),
        Kind("medical_mask", "Medical mask", drawings.medical_mask),
        Kind("scarf", "Scarf", drawings.scarf, held_out=True),
        Kind("hand", "Hand", drawings.hand, held_out=True),
        Kind("hair", "Hair", drawings.hair),
        Kind("cup", "Cup", drawings.cup, held_out=True),
        Kind("microphone", "Microphone", drawings.microphone, held_out=True),
        Kind("text", "Text", drawings.text),
        Kind("bars", "Bars", drawings.bars),
        Kind("shadow", "Shadow", drawings.shadow),
        Kind("blur", "Blur", drawings.blur),
        Kind("shapes", "Random shapes", drawings.shapes),
    )
}
TRAINING_KINDS = tuple(name for name, kind in KINDS.items() if not kind.held_out)
HELD_OUT_KINDS = tuple(name for name, kind in KINDS.items() if kind.held_out)


def occlude(
    image: Image, landmarks: Points, *, chance: np.random.Generator, kinds: Sequence[str] = TRAINING_KINDS
) -> Occluded:
    """Draw one of the kinds over a face with landmarks (478, 2 or 3) in the picture's pixels.

    Raises BadInput for a kind that does not exist and for a face that nothing can be drawn on, outside the picture.
    """
    check_image(image)
    unknown = [name for name in kinds if name not in KINDS]
    if unknown or not kinds:
        raise BadInput(f"no occluder is called {', '.join(unknown) or 'nothing'}; there are {', '.join(KINDS)}")
    if landmarks.ndim != 2 or landmarks.shape[0] != LANDMARKS:
        raise BadInput(f"an occluder is placed by {LANDMARKS} landmarks, got an array {landmarks.shape}")
    name = kinds[int(chance.integers(len(kinds)))]
    scene = Scene(image.astype(np.float32) / 255, landmarks[:, :2].astype(np.float32), chance)
    oval = outline(scene, scene.points[OVAL]) > 0.5
    if not oval.any():
        raise BadInput("the face lies outside the picture")
    for _ in range(TRIES):
        layer = KINDS[name].draw(scene)
        mask = layer.cover > SEEN
        share = float(mask[oval].mean())
        if LEAST <= share <= MOST:
            break
    return Occluded(_blend(image, layer, mask), mask, name, share)


def _blend(image: Image, layer: Layer, mask: NDArray[np.bool_]) -> Image:
    """Put a layer over a picture; what is not in the mask stays bit for bit."""
    cover = layer.cover[..., None]
    mixed = image.astype(np.float32) * (1 - cover) + layer.colour * 255 * cover
    return np.where(mask[..., None], np.clip(np.round(mixed), 0, 255).astype(np.uint8), image)


def patch_share(mask: NDArray[np.bool_], *, size: int = 224, patch: int = 16) -> NDArray[np.float32]:
    """Return how much of each patch is hidden, (size / patch) squared values in raster order, 0..1."""
    pixels = cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    cells = pixels.reshape(size // patch, patch, size // patch, patch)
    return cells.mean(axis=(1, 3)).reshape(-1)
