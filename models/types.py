"""The values that pass between the systems: frozen, with shapes and ranges checked once, when they are made."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""A picture: RGB, uint8, (height, width, 3)."""
Points = NDArray[np.float32]
"""Points in pixels: (n, 2) or (n, 3); x right, y down, z in the scale of x, smaller is nearer."""

LANDMARKS = 478
BLENDSHAPES = 52


def check_image(image: Image) -> Image:
    """Return the picture unchanged; raises ValueError unless it is uint8 of shape (height, width, 3)."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected RGB uint8 (height, width, 3), got {image.dtype} {image.shape}")
    return image


@dataclass(frozen=True)
class Box:
    """An upright rectangle in image pixels; may reach beyond the border."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Pixels from left to right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Pixels from top to bottom."""
        return self.bottom - self.top

    @property
    def centre(self) -> tuple[float, float]:
        """x and y of the middle, in pixels."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def overlap(self, other: Box) -> float:
        """Intersection over union with another box, 0..1."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / (self.width * self.height + other.width * other.height - shared)


@dataclass(frozen=True)
class HeadPose:
    """Degrees: yaw > 0 towards the image's right, pitch > 0 down, roll > 0 clockwise on the picture."""

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True)
class Quality:
    """What may make the readings of a face unsure."""

    too_small: bool = False
    blurred: bool = False
    turned: bool = False
    cut_by_border: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """The names of the flags that are set, in plain words."""
        words = {
            "too small": self.too_small,
            "blurred": self.blurred,
            "turned over 35 degrees": self.turned,
            "cut by the border": self.cut_by_border,
        }
        return tuple(name for name, is_set in words.items() if is_set)


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a picture, found and landmarked once, for every system."""

    box: Box
    score: float
    """How sure the landmark network is that this is a face, 0..1."""
    landmarks: Points
    """(478, 3) MediaPipe's points, in image pixels."""
    blendshapes: NDArray[np.float32]
    """(52,) in [0, 1], in the order of models.faces.names.BLENDSHAPE_NAMES."""
    pose: HeadPose
    quality: Quality = field(default_factory=Quality)

    def __post_init__(self) -> None:
        if self.landmarks.shape != (LANDMARKS, 3):
            raise ValueError(f"landmarks must be ({LANDMARKS}, 3), got {self.landmarks.shape}")
        if self.blendshapes.shape != (BLENDSHAPES,):
            raise ValueError(f"blendshapes must be ({BLENDSHAPES},), got {self.blendshapes.shape}")

    @property
    def iris_distance(self) -> float:
        """Distance of the iris centres (landmarks 468 and 473) in pixels."""
        return float(np.linalg.norm(self.landmarks[468, :2] - self.landmarks[473, :2]))


@dataclass(frozen=True, eq=False)
class Crop:
    """A square cut out of a picture, and the way back."""

    pixels: Image
    """(size, size, 3)"""
    crop_from_image: NDArray[np.float64]
    """(3, 3) maps homogeneous image pixels to crop pixels (pixel centres at whole numbers)."""

    @property
    def size(self) -> int:
        """Edge length in pixels."""
        return int(self.pixels.shape[0])

    @property
    def image_from_crop(self) -> NDArray[np.float64]:
        """(3, 3) the inverse of `crop_from_image`."""
        return np.asarray(np.linalg.inv(self.crop_from_image), dtype=np.float64)

    def to_crop(self, points: Points) -> Points:
        """Map (n, 2) or (n, 3) image points into the crop; z is scaled alike."""
        return _apply(self.crop_from_image, points)

    def to_image(self, points: Points) -> Points:
        """Map (n, 2) or (n, 3) crop points into the image; z is scaled alike."""
        return _apply(self.image_from_crop, points)


def _apply(matrix: NDArray[np.float64], points: Points) -> Points:
    moved = points.astype(np.float64).copy()
    moved[:, :2] = points[:, :2].astype(np.float64) @ matrix[:2, :2].T + matrix[:2, 2]
    if points.shape[1] == 3:
        moved[:, 2] *= np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    return moved.astype(np.float32)


EMOTIONS = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
"""AffectNet's eight classes in AffectNet's order."""

CIRCUMPLEX = {
    "neutral": (0.0, 0.0),
    "happiness": (0.8, 0.35),
    "sadness": (-0.7, -0.35),
    "surprise": (0.15, 0.75),
    "fear": (-0.6, 0.75),
    "disgust": (-0.65, 0.3),
    "anger": (-0.6, 0.65),
    "contempt": (-0.5, 0.1),
}
"""Valence and arousal of each emotion, by its usual place on Russell's circumplex (1980)."""


@dataclass(frozen=True, eq=False)
class Expression:
    """What the expression network reads off one face."""

    vector: NDArray[np.float32]
    """(64,) unit length: near vectors are alike in expression."""
    compact: NDArray[np.float32]
    """(16,) unit length, after FECNet's size."""
    emotions: NDArray[np.float32]
    """(8,) probabilities in the order of EMOTIONS."""
    valence: float
    """-1 unpleasant .. 1 pleasant."""
    arousal: float
    """-1 calm .. 1 excited."""
    backend: str
    """Name and weight hash of the network; vectors of different backends are never compared."""

    def __post_init__(self) -> None:
        if self.emotions.shape != (len(EMOTIONS),):
            raise ValueError(f"emotions must be ({len(EMOTIONS)},), got {self.emotions.shape}")
        if self.vector.ndim != 1 or abs(float(np.linalg.norm(self.vector)) - 1.0) > 1e-3:
            raise ValueError("the expression vector must have unit length")
