"""The arrays of a FLAME-shaped head, and the npz file they are kept in."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import BadWeights, MissingWeights

VERTICES, TRIANGLES, JOINTS = 5023, 9976, 5
BASIS_SHAPE, BASIS_EXPRESSION, POSE_FEATURES = 300, 100, 36
LANDMARK_SHAPES = {"static": (51,), "dynamic": (79, 17), "full": (68,), "mediapipe": (105,)}
FORMAT = "mien-flame-1"

Floats = NDArray[np.float32] | NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LandmarkSet:
    """Points given by the triangle they lie on and the weights of its corners."""

    triangles: Indices
    """(...,)"""
    weights: Floats
    """(..., 3) barycentric, summing to 1"""


@dataclass(frozen=True, eq=False)
class FaceArrays:
    """Everything that the FLAME layer and the renderer need; the last four may be missing from what a user has."""

    triangles: Indices
    """(9976, 3)"""
    template: Floats
    """(5023, 3) metres"""
    shape_basis: Floats
    """(5023, 3, 300)"""
    expression_basis: Floats
    """(5023, 3, 50 or more)"""
    pose_basis: Floats
    """(5023, 3, 36)"""
    joint_regressor: Floats
    """(5, 5023)"""
    skinning: Floats
    """(5023, 5) rows sum to 1"""
    parents: Indices
    """(5,) -1 for the root"""
    eyelids: Floats
    """(2, 5023, 3) offsets that close the left and the right lid; zeros when unknown"""
    landmarks: Mapping[str, LandmarkSet] = field(default_factory=dict)
    """by the names of LANDMARK_SHAPES"""
    face_vertices: Indices | None = None
    """sorted vertices of the face without eyeballs, ears, scalp and neck"""
    triangle_weights: Floats | None = None
    """(9976,) how readily skin pixels are sampled on each triangle"""

    @property
    def extras(self) -> tuple[str, ...]:
        """The parts beyond the bare model that are here, in plain words."""
        words = {
            "eyelids": bool(np.any(self.eyelids)),
            "landmarks": set(self.landmarks) == set(LANDMARK_SHAPES),
            "face mask": self.face_vertices is not None,
            "sampling regions": self.triangle_weights is not None,
        }
        return tuple(name for name, here in words.items() if here)

    def save(self, path: Path) -> None:
        """Write one npz without pickled objects; floats are kept as float32."""
        content: dict[str, np.ndarray] = {"format": np.array(FORMAT)}
        for name in REQUIRED:
            content[name] = getattr(self, name)
        for name, landmarks in self.landmarks.items():
            content[f"landmarks_{name}_triangles"] = landmarks.triangles
            content[f"landmarks_{name}_weights"] = landmarks.weights
        for name in ("face_vertices", "triangle_weights"):
            if (array := getattr(self, name)) is not None:
                content[name] = array
        for name, array in content.items():
            if array.dtype.kind == "f":
                content[name] = array.astype(np.float32)
        with path.open("wb") as file:
            np.savez(file, **content)

    @classmethod
    def load(cls, path: Path) -> FaceArrays:
        """Read what `save` wrote; raises MissingWeights or BadWeights."""
        if not path.is_file():
            raise MissingWeights(f"{path.name} is not there; bring it with `mien weights add flame PATH`")
        try:
            with np.load(path, allow_pickle=False) as file:
                content = dict(file)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise BadWeights(f"{path} is not a readable npz file: {error}") from error
        if str(content.get("format")) != FORMAT or not set(REQUIRED) <= set(content):
            raise BadWeights(f"{path} is not a head that Mien converted; run `mien weights add flame PATH` again")
        return cls(
            **{name: content[name] for name in REQUIRED},
            landmarks={
                name: LandmarkSet(content[f"landmarks_{name}_triangles"], content[f"landmarks_{name}_weights"])
                for name in LANDMARK_SHAPES
                if f"landmarks_{name}_triangles" in content
            },
            face_vertices=content.get("face_vertices"),
            triangle_weights=content.get("triangle_weights"),
        )


REQUIRED = (
    "triangles",
    "template",
    "shape_basis",
    "expression_basis",
    "pose_basis",
    "joint_regressor",
    "skinning",
    "parents",
    "eyelids",
)
