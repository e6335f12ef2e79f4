"""A FLAME-shaped head and its parameters by rule, for comparing implementations; no scanned data is involved."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from models.smirk.encoder import Coefficients
from models.smirk.face_arrays import JOINTS, POSE_FEATURES, TRIANGLES, VERTICES, FaceArrays, LandmarkSet
from models.smirk.rule import signed, unit

BASIS = 400
JOINT_OFFSETS = np.array(
    [[0.0, -0.15, 0.0], [0.0, -0.05, 0.02], [0.0, 0.02, 0.03], [0.03, 0.05, 0.08], [-0.03, 0.05, 0.08]]
)
PARENTS = np.array([-1, 0, 1, 1, 1])
RULE_NAMES: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "static": ("static", (51,)),
    "dynamic": ("dynamic", (79, 17)),
    "full": ("full", (1, 68)),
    "mediapipe": ("mp", (105,)),
}


def rounded(values: np.ndarray) -> np.ndarray:
    """Round to float32 and keep float64, as the references do."""
    return values.astype(np.float32).astype(np.float64)


def triangles() -> np.ndarray:
    """(9976, 3) two bands of triangles over the vertices."""
    index = np.arange(TRIANGLES)
    band = index // VERTICES
    corners = (index % VERTICES, (index + 1 + band) % VERTICES, (index + 71 + 3 * band) % VERTICES)
    return np.stack(corners, axis=1).astype(np.int64)


def landmark_set(seed: str, name: str, shape: tuple[int, ...]) -> LandmarkSet:
    """Points on triangles by rule."""
    chosen = np.floor(unit(seed, f"flame/{name}/faces", shape) * TRIANGLES).astype(np.int64)
    weights = unit(seed, f"flame/{name}/bary", (*shape, 3)) + 1e-3
    return LandmarkSet(chosen, rounded(weights / weights.sum(-1, keepdims=True)))


def template(seed: str) -> np.ndarray:
    """(5023, 3) a cloud of points around each joint."""
    return rounded(0.1 * signed(seed, "flame/v_template", (VERTICES, 3)) + JOINT_OFFSETS[np.arange(VERTICES) % JOINTS])


def face_arrays(seed: str) -> FaceArrays:
    """The whole head by rule."""
    joint_of_vertex = np.arange(VERTICES) % JOINTS
    drawn = unit(seed, "flame/J_regressor", (JOINTS, VERTICES))
    regressor = np.where(joint_of_vertex == np.arange(JOINTS)[:, None], drawn, 0.0)
    skinning = unit(seed, "flame/weights", (VERTICES, JOINTS)) ** 2
    basis = rounded(0.002 * signed(seed, "flame/shapedirs", (VERTICES, 3, BASIS)))
    lids = [0.01 * signed(seed, f"flame/{side}_eyelid", (VERTICES, 3)) for side in ("l", "r")]
    sets = {name: landmark_set(seed, key, shape) for name, (key, shape) in RULE_NAMES.items()}
    sets["full"] = LandmarkSet(sets["full"].triangles[0], sets["full"].weights[0])
    return FaceArrays(
        triangles=triangles(),
        template=template(seed),
        shape_basis=basis[:, :, :300],
        expression_basis=basis[:, :, 300:],
        pose_basis=rounded(0.002 * signed(seed, "flame/posedirs", (VERTICES, 3, POSE_FEATURES))),
        joint_regressor=rounded(regressor / regressor.sum(1, keepdims=True)),
        skinning=rounded(skinning / skinning.sum(1, keepdims=True)),
        parents=PARENTS,
        eyelids=rounded(np.stack(lids)),
        landmarks=sets,
    )


def coefficients(seed: str, count: int = 6, *, dtype: torch.dtype = torch.float64) -> Coefficients:
    """Six rows: zeros, three random, and two turned far to either side."""

    def drawn(name: str, width: int, scale: float) -> np.ndarray:
        return scale * signed(seed, f"flame/params/{name}", (count, width))

    opening = 0.4 * unit(seed, "flame/params/jaw0", (count, 1))
    zoom = 6.0 + 2.0 * unit(seed, "flame/params/scale", (count, 1))
    arrays = {
        "shape": drawn("shape", 300, 1.0),
        "expression": drawn("exp", 50, 1.5),
        "pose": drawn("pose", 3, 0.6),
        "jaw": np.concatenate((opening, drawn("jaw12", 2, 0.2)), axis=1),
        "eyelids": unit(seed, "flame/params/eyelid", (count, 2)),
        "camera": np.concatenate((zoom, drawn("txy", 2, 0.05)), axis=1),
    }
    for array in arrays.values():
        array[0] = 0.0
    arrays["camera"][0] = (7.0, 0.0, 0.0)
    arrays["pose"][4], arrays["pose"][5] = (0.1, -1.2, 0.05), (-0.1, 1.2, 0.0)
    return Coefficients(**{name: torch.from_numpy(rounded(array)).to(dtype) for name, array in arrays.items()})


def rotations_of_neck_and_eyes(seed: str, count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """(count, 3) and (count, 6) axis-times-angle rotations, float64."""
    neck = 0.3 * signed(seed, "flame/params/neck", (count, 3))
    eyes = 0.3 * signed(seed, "flame/params/eyes", (count, 6))
    return torch.from_numpy(rounded(neck)), torch.from_numpy(rounded(eyes))
