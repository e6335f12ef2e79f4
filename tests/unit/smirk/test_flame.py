"""The head obeys its definition: rest pose, rotations, contour rows, landmarks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from models.errors import BadWeights, MissingWeights
from models.smirk import rule_face
from models.smirk.encoder import Coefficients
from models.smirk.face_arrays import FaceArrays
from models.smirk.flame import FlameLayer, contour_rows, rotations, without_expression

angles = st.floats(-3.0, 3.0)


@pytest.fixture(scope="module")
def arrays():
    return rule_face.face_arrays("unit")


@pytest.fixture(scope="module")
def layer(arrays):
    return FlameLayer(arrays, dtype=torch.float64)


def neutral(count=1):
    sizes = {"pose": 3, "camera": 3, "shape": 300, "expression": 50, "eyelids": 2, "jaw": 3}
    return Coefficients(**{name: torch.zeros(count, size, dtype=torch.float64) for name, size in sizes.items()})


@given(angles, angles, angles)
def test_rotations_agree_with_scipy(x, y, z):
    ours = rotations(torch.tensor([[x, y, z]], dtype=torch.float64))[0].numpy()
    assert np.allclose(ours, Rotation.from_rotvec([x, y, z]).as_matrix(), atol=1e-7)


def test_zero_coefficients_give_the_template(layer, arrays):
    vertices = layer(neutral()).vertices[0].numpy()
    assert np.abs(vertices - arrays.template).max() < 1e-6


def test_head_rotation_turns_about_the_root_joint(layer):
    turned = replace(neutral(), pose=torch.tensor([[0.3, -0.8, 0.2]], dtype=torch.float64))
    rest, posed = layer(neutral()), layer(turned)
    matrix = rotations(turned.pose)[0]
    root = rest.joints[0, 0]
    assert torch.allclose(posed.joints[0, 0], root, atol=1e-9)
    wanted = (rest.vertices[0] - root) @ matrix.T + root
    assert torch.allclose(posed.vertices[0], wanted, atol=1e-6)


def test_lids_move_after_skinning_and_do_not_turn(layer, arrays):
    pose = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64)
    closed = replace(neutral(), pose=pose, eyelids=torch.tensor([[1.0, 0.5]], dtype=torch.float64))
    moved = layer(closed).vertices - layer(replace(neutral(), pose=pose)).vertices
    assert np.allclose(moved[0].numpy(), arrays.eyelids[0] + 0.5 * arrays.eyelids[1], atol=1e-12)


def test_missing_coefficients_count_as_zero(layer):
    full = rule_face.coefficients("unit")
    shape, expression = full.shape.clone(), full.expression.clone()
    shape[:, 100:], expression[:, 20:] = 0, 0
    short = replace(full, shape=full.shape[:, :100], expression=full.expression[:, :20])
    padded = replace(full, shape=shape, expression=expression)
    assert torch.allclose(layer(short).vertices, layer(padded).vertices, atol=1e-12)


def test_resting_face_keeps_identity_and_lids(layer):
    full = rule_face.coefficients("unit")
    rest = without_expression(full)
    assert rest.expression.abs().max() == 0 and rest.jaw.abs().max() == 0
    assert torch.equal(rest.eyelids, full.eyelids) and torch.equal(rest.shape, full.shape)


@given(st.floats(-89, 89))
def test_contour_row_follows_the_yaw(yaw):
    matrix = torch.from_numpy(Rotation.from_euler("y", yaw, degrees=True).as_matrix())[None]
    row = contour_rows(matrix, torch.eye(3, dtype=torch.float64)[None]).item()
    degrees = round(min(yaw, 39))
    wanted = degrees if degrees >= 0 else (39 - degrees if degrees >= -39 else 78)
    assert abs(row - wanted) <= (abs(yaw % 1 - 0.5) < 1e-6)


def test_landmarks_lie_on_their_triangles(layer, arrays):
    vertices = layer(rule_face.coefficients("unit")).vertices
    points = layer.points_on(vertices, name="mediapipe")
    marks = arrays.landmarks["mediapipe"]
    corners = vertices[2].numpy()[arrays.triangles[marks.triangles[7]]]
    assert np.allclose(points[2, 7].numpy(), marks.weights[7] @ corners)
    rows = torch.tensor([0, 10, 39, 40, 60, 78])
    assert torch.equal(
        layer.contour_and_inner_points(vertices, rows=rows)[:, 17:], layer.points_on(vertices, name="static")
    )


def test_gradients_reach_every_coefficient(layer):
    given_ = rule_face.coefficients("unit", dtype=torch.float64)
    leaves = {name: value[1:4].clone().requires_grad_() for name, value in vars(given_).items()}
    layer(Coefficients(**leaves)).vertices.square().sum().backward()
    assert all(leaves[name].grad.abs().max() > 0 for name in leaves if name != "camera")


def test_arrays_survive_their_file(arrays, tmp_path):
    arrays.save(tmp_path / "head.npz")
    again = FaceArrays.load(tmp_path / "head.npz")
    assert again.extras == arrays.extras == ("eyelids", "landmarks")
    assert np.allclose(again.shape_basis, arrays.shape_basis) and again.template.dtype == np.float32
    assert np.array_equal(again.landmarks["dynamic"].triangles, arrays.landmarks["dynamic"].triangles)


def test_wrong_head_files_are_refused(tmp_path):
    with pytest.raises(MissingWeights, match="mien weights add flame"):
        FaceArrays.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "other.npz", template=np.zeros(3))
    for name in ("text.npz", "other.npz"):
        with pytest.raises(BadWeights):
            FaceArrays.load(tmp_path / name)
