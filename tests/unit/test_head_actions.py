"""Coefficients read off points: what a face does is found again, mirrored faces mirror it, and the recipe is whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from models.cards import PRETRAINED
from models.errors import BadInput, BadWeights, MissingWeights
from models.faces.names import BLENDSHAPE_NAMES, MIRRORED_BLENDSHAPES, MIRRORED_LANDMARKS
from models.head import load_head
from models.head.actions import NAME, PointActions, load_actions
from models.head.fit import HeadFit
from models.head.parameters import TO_PICTURE
from models.head.reader import FROM_POINTS, HeadReader
from models.training.head_actions import Labels, applied, fitted
from models.types import Box, Face, HeadPose, Quality

JAW, SMILE = (BLENDSHAPE_NAMES.index(name) for name in ("jawOpen", "mouthSmileLeft"))


def made_faces(count: int, *, seed: int) -> Labels:
    """Heads of many people, turned by chance, that do some things by chance."""
    head, rng = load_head(), np.random.default_rng(seed)
    coefficients = rng.uniform(0, 1, (count, 52)) * (rng.uniform(0, 1, (count, 52)) < 0.15)
    vertices = head.vertices(rng.standard_normal((count, 12)).astype(np.float32), coefficients.astype(np.float32))
    turns = Rotation.from_euler("yxz", rng.uniform(-20, 20, (count, 3)), degrees=True).as_matrix()
    seen = np.einsum("nij,npj->npi", turns, head.landmarks(vertices).astype(np.float64))
    return Labels(seen * TO_PICTURE * 1500.0 + [320.0, 240.0, 0.0], coefficients)


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return fitted(made_faces(500, seed=0))


@pytest.fixture(scope="module")
def read(tensors: dict[str, np.ndarray]) -> PointActions:
    numbers = {name: value.astype(np.float32) for name, value in tensors.items() if name != "stable"}
    return PointActions(stable=tensors["stable"].astype(np.int64), **numbers)


def test_what_unseen_heads_do_is_read_off_their_points(tensors: dict[str, np.ndarray]) -> None:
    unseen = made_faces(120, seed=1)
    told = applied(tensors, unseen.landmarks)
    for action in (JAW, SMILE):
        assert np.corrcoef(told[:, action], unseen.coefficients[:, action])[0, 1] > 0.85
    assert told.min() >= 0 and told.max() <= 1


def test_one_face_reads_as_it_does_among_many(tensors: dict[str, np.ndarray], read: PointActions) -> None:
    faces = made_faces(5, seed=2).landmarks
    together = applied(tensors, faces)
    for face, row in zip(faces, together, strict=True):
        np.testing.assert_allclose(read(face.astype(np.float32)), row, atol=2e-3)


def test_a_mirrored_face_does_the_mirrored_thing(read: PointActions) -> None:
    for face in made_faces(4, seed=3).landmarks:
        twin = face[MIRRORED_LANDMARKS] * [-1, 1, 1] + [639, 0, 0]
        np.testing.assert_allclose(
            read(twin.astype(np.float32))[MIRRORED_BLENDSHAPES], read(face.astype(np.float32)), atol=5e-3
        )


def test_points_of_another_shape_are_refused(read: PointActions) -> None:
    with pytest.raises(BadInput, match="478"):
        read(np.zeros((468, 3), np.float32))


def test_the_reader_starts_from_both(read: PointActions) -> None:
    made = made_faces(1, seed=4)
    points, nothing = made.landmarks[0].astype(np.float32), np.zeros(52, np.float32)
    box = Box(*points[:, :2].min(0).tolist(), *points[:, :2].max(0).tolist())
    face = Face(box, 1.0, points, nothing, HeadPose(0.0, 0.0, 0.0), Quality())
    head = load_head()
    found = HeadReader(head, actions=read).read(np.zeros((480, 640, 3), np.uint8), face)
    expected = HeadFit(head)(points, FROM_POINTS * read(points))
    np.testing.assert_allclose(found.expression, expected.expression, atol=1e-6)
    alone = HeadReader(head).read(np.zeros((480, 640, 3), np.uint8), face)
    assert (
        np.abs(found.expression - made.coefficients[0]).mean() < np.abs(alone.expression - made.coefficients[0]).mean()
    )


def test_missing_or_wrong_weights_name_the_recipe(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match="mien train head_actions"):
        load_actions(tmp_path)
    (tmp_path / f"{NAME}.json").write_bytes((PRETRAINED / f"{NAME}.json").read_bytes())
    (tmp_path / f"{NAME}.safetensors").write_bytes(b"something else")
    with pytest.raises(BadWeights, match="not the file"):
        load_actions(tmp_path)
