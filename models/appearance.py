"""The starter faces that ship: pictures of people who do not exist, with everything known of them.

They are made by `mien train appearance` and stored in pretrained/appearance.safetensors.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from scipy.spatial.transform import Rotation

from models.cards import PRETRAINED
from models.errors import BadWeights, MissingWeights
from models.images import read_image
from models.types import Box, Face, HeadPose, Image, Points

WEIGHTS = PRETRAINED / "appearance.safetensors"
LANDMARKS_PER_PIXEL = 16
"""Landmarks are stored as whole sixteenths of a pixel."""
MEDIA_TYPE = "image/webp"


@dataclass(frozen=True)
class MadeFrom:
    """How one face came about."""

    seed: int
    lent: tuple[str, ...]
    """Regions whose expression comes from other people than the rest: left eye, right eye, mouth"""
    largest_share: float
    """Share of the person who takes the largest part, 0..1"""
    sources: tuple[str, ...]
    """Pictures that were mixed"""


@dataclass(frozen=True, eq=False)
class StarterFace:
    """One made face: its picture and the exact labels it was made with."""

    number: int
    encoded: bytes
    """WebP"""
    landmarks: Points
    """(478, 3) pixels of the picture"""
    coefficients: NDArray[np.float32]
    """(52,) in the order of models.faces.names.BLENDSHAPE_NAMES"""
    turn: NDArray[np.float32]
    """(3,) rotation vector in degrees: pitch, yaw, roll"""
    made_from: MadeFrom

    @property
    def name(self) -> str:
        """`starter-007`."""
        return f"starter-{self.number:03d}"

    @property
    def sha256(self) -> str:
        """Hash of the encoded picture."""
        return hashlib.sha256(self.encoded).hexdigest()

    @property
    def image(self) -> Image:
        """The decoded picture, RGB."""
        return read_image(self.encoded)

    @property
    def box(self) -> Box:
        """The upright rectangle around the landmarks."""
        low, high = self.landmarks[:, :2].min(0), self.landmarks[:, :2].max(0)
        return Box(float(low[0]), float(low[1]), float(high[0]), float(high[1]))

    def as_face(self) -> Face:
        """The face as models.faces would describe it; score 1, because it is known to be there."""
        return Face(self.box, 1.0, self.landmarks, self.coefficients, _pose(self.turn))


@cache
def starter_faces(file: Path = WEIGHTS) -> tuple[StarterFace, ...]:
    """Read all starter faces; raises MissingWeights or BadWeights."""
    if not file.is_file():
        raise MissingWeights(f"{file.name} is not installed; `mien train appearance` makes it")
    try:
        with safe_open(file, framework="numpy") as stored:
            pictures = stored.get_tensor("pictures").tobytes()
            ends = stored.get_tensor("picture_ends").tolist()
            landmarks = stored.get_tensor("landmarks").astype(np.float32) / LANDMARKS_PER_PIXEL
            coefficients = stored.get_tensor("coefficients").astype(np.float32)
            turn = stored.get_tensor("turn").astype(np.float32)
            made_from = [_made_from(one) for one in json.loads(stored.metadata()["made_from"])]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BadWeights(f"{file.name} does not hold starter faces: {error}") from error
    starts = [0, *ends[:-1]]
    return tuple(
        StarterFace(number, pictures[start:end], landmarks[number], coefficients[number], turn[number], how)
        for number, (start, end, how) in enumerate(zip(starts, ends, made_from, strict=True))
    )


def _made_from(stored: dict[str, Any]) -> MadeFrom:
    return MadeFrom(stored["seed"], tuple(stored["lent"]), stored["largest_share"], tuple(stored["sources"]))


def _pose(turn: NDArray[np.float32]) -> HeadPose:
    """Angles of the rotation vector, with the signs of models.types.HeadPose."""
    rotation = Rotation.from_rotvec(np.radians(turn.astype(np.float64))).as_matrix()
    ahead, across = -rotation[:, 2], rotation[:, 0]
    return HeadPose(
        yaw=float(np.degrees(np.arctan2(ahead[0], -ahead[2]))),
        pitch=float(np.degrees(np.arcsin(np.clip(ahead[1], -1, 1)))),
        roll=float(np.degrees(np.arctan2(across[1], across[0]))),
    )
