"""Convert the FLAME files that a user brings into one npz of Mien's own layout."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from models.errors import BadWeights, MissingWeights
from models.smirk.face_arrays import (
    BASIS_EXPRESSION,
    BASIS_SHAPE,
    JOINTS,
    LANDMARK_SHAPES,
    POSE_FEATURES,
    TRIANGLES,
    VERTICES,
    FaceArrays,
    LandmarkSet,
)
from models.smirk.flame_pickle import read_pickle

MODEL_NAME = "generic_model.pkl"
ASSETS = ("l_eyelid.npy", "landmark_embedding.npy", "FLAME_masks")
PICKLE_SHAPES: dict[str, tuple[int, ...]] = {
    "f": (TRIANGLES, 3),
    "v_template": (VERTICES, 3),
    "shapedirs": (VERTICES, 3, BASIS_SHAPE + BASIS_EXPRESSION),
    "posedirs": (VERTICES, 3, POSE_FEATURES),
    "J_regressor": (JOINTS, VERTICES),
    "kintree_table": (2, JOINTS),
    "weights": (VERTICES, JOINTS),
}
REGION_WEIGHTS = {  # later regions overwrite earlier ones where they share triangles
    "neck": 0.0,
    "left_ear": 0.0,
    "right_ear": 0.0,
    "eye_region": 1.0,
    "left_eye_region": 1.0,
    "right_eye_region": 1.0,
    "forehead": 1.0,
    "cheeks": 1.0,
    "nose": 0.5,
    "lips": 0.5,
    "cleaner_lips": 1.0,
    "left_eyeball": 0.0,
    "right_eyeball": 0.0,
}


def install_flame(source: Path, target: Path) -> str:
    """Check and convert FLAME2020: `source` is its pickle, the zip it came in, or a folder with SMIRK's assets too.

    Raises BadWeights with what is wrong, MissingWeights when there is no model in the folder or zip.
    """
    with _open_model(source) as file:
        content = read_pickle(file)
    arrays = arrays_from_pickle(content, **_extras(_assets_around(source)))
    partial = target.with_name(target.name + ".part")
    arrays.save(partial)
    os.replace(partial, target)
    missing = [name for name in ("eyelids", "landmarks", "face mask", "sampling regions") if name not in arrays.extras]
    sentence = (
        f"FLAME is ready ({VERTICES} vertices, {BASIS_SHAPE} shape and {BASIS_EXPRESSION} expression directions)."
    )
    if missing:
        sentence += f" Not found beside it: {', '.join(missing)}; give the folder `assets` of SMIRK to add them."
    return sentence


@contextmanager
def _open_model(source: Path) -> Iterator[BinaryIO]:
    if not source.exists():
        raise MissingWeights(f"{source} is not there")
    if source.is_dir():
        source = _find(source, MODEL_NAME) or source / MODEL_NAME
        if not source.is_file():
            raise MissingWeights(f"there is no {MODEL_NAME} in {source.parent}")
    if not zipfile.is_zipfile(source):
        with source.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(source) as archive:  # is_zipfile has found its directory
        members = [name for name in archive.namelist() if name.rsplit("/", 1)[-1] == MODEL_NAME]
        if not members:
            raise MissingWeights(f"there is no {MODEL_NAME} in {source.name}")
        with archive.open(members[0]) as member:
            yield member  # type: ignore[misc]


def _find(folder: Path, name: str) -> Path | None:
    return next(iter(sorted(folder.rglob(name), key=lambda path: len(path.parts))), None)


def arrays_from_pickle(
    content: Any,
    *,
    eyelids: np.ndarray | None = None,
    landmarks: dict[str, LandmarkSet] | None = None,
    face_vertices: np.ndarray | None = None,
    triangle_weights: np.ndarray | None = None,
) -> FaceArrays:
    """Arrange the arrays of a read FLAME pickle; raises BadWeights naming the first that is missing or does not fit."""
    if not isinstance(content, dict):
        raise BadWeights("the file holds no FLAME model: a table of named arrays is expected")
    found = {name: _checked(content, name, shape) for name, shape in PICKLE_SHAPES.items()}
    triangles = found["f"].astype(np.int64)
    if triangles.min() < 0 or triangles.max() >= VERTICES:
        raise BadWeights("f refers to vertices that do not exist")
    basis = found["shapedirs"].astype(np.float64)
    return FaceArrays(
        triangles=triangles,
        template=found["v_template"].astype(np.float64),
        shape_basis=basis[:, :, :BASIS_SHAPE],
        expression_basis=basis[:, :, BASIS_SHAPE:],
        pose_basis=found["posedirs"].astype(np.float64),
        joint_regressor=found["J_regressor"].astype(np.float64),
        skinning=found["weights"].astype(np.float64),
        parents=_parents(found["kintree_table"]),
        eyelids=np.zeros((2, VERTICES, 3)) if eyelids is None else eyelids,
        landmarks=landmarks or {},
        face_vertices=face_vertices,
        triangle_weights=triangle_weights,
    )


def _checked(content: dict[Any, Any], name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name not in content:
        raise BadWeights(f"the FLAME model lacks {name}; it has {', '.join(sorted(map(str, content)))}")
    array = np.asarray(content[name])
    if array.dtype.kind not in "fiu" or array.shape != shape:
        raise BadWeights(f"{name} should have the shape {shape}, and has {array.shape} of {array.dtype}")
    if not np.isfinite(array).all():
        raise BadWeights(f"{name} holds values that are not numbers")
    return array


def _parents(kinematic_tree: np.ndarray) -> np.ndarray:
    parents = kinematic_tree[0].astype(np.int64)
    parents[0] = -1
    if any(not 0 <= parent < joint for joint, parent in enumerate(parents[1:], start=1)):
        raise BadWeights(f"kintree_table should list parents before children, and lists {kinematic_tree[0].tolist()}")
    return parents


def _extras(folder: Path | None) -> dict[str, Any]:
    """Read what SMIRK's assets add, each part only where its files are there."""
    found = {
        name: None if folder is None else _find(folder, filename)
        for name, filename in {
            "left": "l_eyelid.npy",
            "right": "r_eyelid.npy",
            "landmarks": "landmark_embedding.npy",
            "mediapipe": "mediapipe_landmark_embedding.npz",
            "masks": "FLAME_masks.pkl",
            "regions": "FLAME_masks_triangles.npy",
        }.items()
    }
    extras: dict[str, Any] = {}
    if found["left"] and found["right"]:
        extras["eyelids"] = np.stack([_eyelid(found["left"]), _eyelid(found["right"])])
    if found["landmarks"] and found["mediapipe"]:
        extras["landmarks"] = {**_embedding(found["landmarks"]), "mediapipe": _mediapipe(found["mediapipe"])}
    if found["masks"]:
        extras["face_vertices"] = _face_vertices(found["masks"])
    if found["regions"]:
        extras["triangle_weights"] = _region_weights(found["regions"])
    return extras


def _assets_around(source: Path) -> Path | None:
    """The folder itself, or one of the two around a file, that holds SMIRK's assets.

    Only a folder that visibly holds them is searched, not a whole download folder or disk.
    """
    candidates = [source] if source.is_dir() else list(source.resolve().parents[:2])
    return next((folder for folder in candidates if any((folder / name).exists() for name in ASSETS)), None)


def _eyelid(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadWeights(f"{path.name} is not a numpy array of numbers: {error}") from error
    if array.shape != (VERTICES, 3) or array.dtype.kind != "f":
        raise BadWeights(f"{path.name} should have the shape {(VERTICES, 3)}, and has {array.shape} of {array.dtype}")
    return array


def _embedding(path: Path) -> dict[str, LandmarkSet]:
    table = _read_object_array(path)
    return {
        name: _landmark_set(table, f"{name}_lmk_faces_idx", f"{name}_lmk_bary_coords", name=name)
        for name in ("static", "dynamic", "full")
    }


def _mediapipe(path: Path) -> LandmarkSet:
    try:
        with np.load(path, allow_pickle=False) as file:
            table = dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadWeights(f"{path.name} is not a readable npz file: {error}") from error
    return _landmark_set(table, "lmk_face_idx", "lmk_b_coords", name="mediapipe")


def _landmark_set(table: Any, index_key: str, weight_key: str, *, name: str) -> LandmarkSet:
    if not isinstance(table, dict) or index_key not in table or weight_key not in table:
        raise BadWeights(f"the landmark file lacks {index_key} or {weight_key}")
    shape = LANDMARK_SHAPES[name]
    triangles, weights = np.asarray(table[index_key]), np.asarray(table[weight_key], np.float64)
    if triangles.size != np.prod(shape) or weights.size != 3 * np.prod(shape):
        raise BadWeights(f"{index_key} should hold {shape} triangles, and has the shape {triangles.shape}")
    triangles = triangles.astype(np.int64).reshape(shape)
    if triangles.min() < 0 or triangles.max() >= TRIANGLES:
        raise BadWeights(f"{index_key} refers to triangles that do not exist")
    return LandmarkSet(triangles, weights.reshape(*shape, 3))


def _face_vertices(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        masks = read_pickle(file)
    if not isinstance(masks, dict) or "face" not in masks:
        raise BadWeights(f"{path.name} has no mask named face")
    return _indices(masks["face"], VERTICES, path.name)


def _region_weights(path: Path) -> np.ndarray:
    regions = _read_object_array(path)
    if not isinstance(regions, dict) or not set(regions) & {name for name, value in REGION_WEIGHTS.items() if value}:
        raise BadWeights(f"{path.name} names none of the regions of skin")
    weights = np.zeros(TRIANGLES)
    for name, value in REGION_WEIGHTS.items():
        if name in regions:
            weights[_indices(regions[name], TRIANGLES, path.name)] = value
    return weights


def _indices(values: Any, limit: int, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or not array.size or array.min() < 0 or array.max() >= limit:
        raise BadWeights(f"{name} holds indices outside 0..{limit - 1}")
    return np.unique(array.astype(np.int64))


def _read_object_array(path: Path) -> Any:
    """The one object of a pickled .npy file, read by the restricted reader."""
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
            read_header(file)
        except (ValueError, KeyError) as error:
            raise BadWeights(f"{path.name} is not a numpy file: {error}") from error
        return read_pickle(file)
