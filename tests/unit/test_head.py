"""The open head: named actions do what they say, left mirrors right, and the surface is closed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import cKDTree

from models.cards import PRETRAINED, check_weight, read_card
from models.errors import BadInput, BadWeights, MissingWeights
from models.faces.names import BLENDSHAPE_NAMES, MIRRORED_BLENDSHAPES, MIRRORED_LANDMARKS
from models.head import Head, load_head
from models.head.subdivision import subdivide

NOBODY = np.zeros(1, np.float32)
UPPER_LID = {"Left": 386, "Right": 159}
LOWER_LID = {"Left": 374, "Right": 145}
SKIN = ("face", "skull", "neck", "mouth_cavity", "eye_pocket_left", "eye_pocket_right")


@pytest.fixture(scope="module")
def head() -> Head:
    return load_head()


def points(head: Head, **actions: float) -> np.ndarray:
    return head.landmarks(head.vertices(NOBODY, head.coefficients(actions))) * 1000  # millimetres


def lid_gap(landmarks: np.ndarray, side: str) -> float:
    return float(landmarks[UPPER_LID[side], 1] - landmarks[LOWER_LID[side], 1])


def test_the_file_is_the_one_its_card_speaks_of_and_small() -> None:
    card = read_card(PRETRAINED / "head.json")
    assert check_weight(card).stat().st_size < 3_000_000
    assert card.recipe == "mien train head"


def test_it_has_the_promised_size_parts_and_arrays(head: Head) -> None:
    assert 5000 <= len(head.neutral) <= 8000
    assert head.expression.shape == (52, len(head.neutral), 3)
    assert {"ear_left", "eye_right", "teeth_upper", "teeth_lower", *SKIN} <= set(head.part_names)
    for array in (head.neutral, head.identity, head.expression):
        assert np.isfinite(array).all()
    assert head.uvs.min() >= 0 and head.uvs.max() <= 1
    assert head.faces.max() < len(head.neutral)


def test_the_skin_and_every_simple_part_are_watertight(head: Head) -> None:
    parts = [SKIN, *((name,) for name in head.part_names if name not in SKIN)]
    for names in parts:
        mesh = trimesh.Trimesh(head.neutral, head.part_faces(*names), process=False)
        assert mesh.is_watertight, names
        assert mesh.is_winding_consistent, names
        assert mesh.volume > 0, names


def test_it_is_as_large_as_a_head(head: Head) -> None:
    size = np.ptp(head.neutral, axis=0)
    assert 0.14 < size[0] < 0.20 and 0.16 < size[2] < 0.25
    eyes = head.landmarks(head.neutral)[[468, 473]]
    assert np.linalg.norm(eyes[0] - eyes[1]) == pytest.approx(0.063, abs=0.004)


def test_left_names_mirror_right_names(head: Head) -> None:
    shapes = head.expression[:, head.landmark_vertices[:468]].astype(np.float64)
    mirrored = shapes[MIRRORED_BLENDSHAPES][:, MIRRORED_LANDMARKS[:468]] * [-1, 1, 1]
    assert np.abs(shapes - mirrored).max() < 1e-4  # a tenth of a millimetre: what half precision leaves


def test_the_neutral_surface_is_its_own_mirror_image(head: Head) -> None:
    distance, _ = cKDTree(head.neutral).query(head.neutral * np.array([-1, 1, 1], np.float32))
    # the skull's quads are split along one diagonal, which shifts their middles to a side
    assert np.percentile(distance, 85) < 5e-4
    assert distance.max() < 0.01


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_a_blink_closes_its_own_lid_and_leaves_the_other(head: Head, side: str) -> None:
    other = "Right" if side == "Left" else "Left"
    rest, closed = points(head), points(head, **{f"eyeBlink{side}": 1.0})
    assert lid_gap(rest, side) > 8
    assert abs(lid_gap(closed, side)) < 0.6
    assert lid_gap(closed, other) == pytest.approx(lid_gap(rest, other), abs=0.3)


def skin_in_front(vertices: np.ndarray, faces: np.ndarray, place: np.ndarray) -> list[float]:
    """z of the surface where a line along z through `place` meets it."""
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    (bx, by), (cx, cy), (px, py) = (b - a)[:, :2].T, (c - a)[:, :2].T, (place - a)[:, :2].T
    area = bx * cy - by * cx
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = (px * cy - py * cx) / area, (bx * py - by * px) / area
    inside = (u >= 0) & (v >= 0) & (u + v <= 1)
    return [float(z) for z in (a + u[:, None] * (b - a) + v[:, None] * (c - a))[inside, 2]]


def test_the_lids_cover_the_eyeballs_when_closed(head: Head) -> None:
    vertices = head.vertices(NOBODY, head.coefficients({"eyeBlinkLeft": 1, "eyeBlinkRight": 1}))
    for iris in (468, 473):
        pole = vertices[head.landmark_vertices[iris]]
        covering = skin_in_front(vertices, head.part_faces("face"), pole)
        assert covering and max(covering) > pole[2]
        assert not skin_in_front(head.neutral, head.part_faces("face"), pole), "the open eye shows its pupil"


def test_jaw_and_lips(head: Head) -> None:
    rest, opened = points(head), points(head, jawOpen=1.0)
    closed_over = points(head, jawOpen=1.0, mouthClose=1.0)
    assert abs(rest[13, 1] - rest[14, 1]) < 0.5
    assert opened[13, 1] - opened[14, 1] > 20
    assert abs(closed_over[13, 1] - closed_over[14, 1]) < 1.5
    assert closed_over[152, 1] < rest[152, 1] - 15, "the jaw stays down while the lips are closed"


def test_lower_teeth_go_with_the_jaw_and_upper_teeth_stay(head: Head) -> None:
    moved = head.expression[BLENDSHAPE_NAMES.index("jawOpen")]
    lower, upper = (head.part_of == head.part_names.index(f"teeth_{which}") for which in ("lower", "upper"))
    assert moved[lower, 1].max() < -0.01
    assert np.abs(moved[upper]).max() == 0


def test_smile_raises_its_own_corner_outwards(head: Head) -> None:
    move = points(head, mouthSmileLeft=1.0) - points(head)
    assert move[291, 1] > 4 and move[291, 0] > 2
    assert np.abs(move[61]).max() < 2


def test_gaze_turns_the_eyeball_in_place(head: Head) -> None:
    moved = points(head, eyeLookOutLeft=1.0) - points(head)
    assert moved[473, 0] > 3, "the left eye looks to the person's left"
    eye = head.part_of == head.part_names.index("eye_left")
    turned = head.vertices(NOBODY, head.coefficients({"eyeLookOutLeft": 1.0}))[eye]
    assert np.abs(np.ptp(turned, axis=0) - np.ptp(head.neutral[eye], axis=0)).max() < 1e-3


def test_identity_changes_the_face_and_keeps_it_symmetric_in_law(head: Head) -> None:
    generator = np.random.default_rng(0)
    people = generator.normal(size=(20, len(head.identity))).astype(np.float32)
    shaped = head.vertices(people, np.zeros((20, 52), np.float32))
    assert shaped.shape == (20, len(head.neutral), 3)
    spread = np.linalg.norm(shaped - head.neutral, axis=2).mean()
    assert 0.001 < spread < 0.015


def test_a_batch_equals_its_rows_and_torch_equals_numpy(head: Head) -> None:
    generator = np.random.default_rng(1)
    identity = generator.normal(size=(3, 10)).astype(np.float32)
    expression = generator.uniform(size=(3, 52)).astype(np.float32)
    together = head.vertices(identity, expression)
    alone = np.stack([head.vertices(i, e) for i, e in zip(identity, expression, strict=True)])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    tensor = torch.from_numpy(expression).requires_grad_()
    shaped = head.vertices(torch.from_numpy(identity), tensor)
    np.testing.assert_allclose(shaped.detach().numpy(), together, atol=1e-6)
    head.landmarks(shaped).square().sum().backward()
    assert tensor.grad is not None and tensor.grad.abs().sum() > 0


def test_wrong_names_lengths_and_files_are_refused(head: Head, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no action"):
        head.coefficients({"grin": 1.0})
    with pytest.raises(BadInput, match="no part"):
        head.part_faces("hat")
    with pytest.raises(BadInput, match="identity"):
        head.vertices(NOBODY, np.zeros(7, np.float32))
    with pytest.raises(MissingWeights, match="mien train head"):
        load_head(tmp_path / "absent.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no tensors here")
    with pytest.raises(BadWeights):
        load_head(broken)


def test_subdivision_keeps_a_flat_closed_surface_in_its_planes_and_refuses_an_open_one() -> None:
    box = trimesh.creation.box()
    step = subdivide(box.faces.astype(np.int32), np.zeros((0, 2), np.int32), vertices=len(box.vertices))
    np.testing.assert_allclose(np.asarray(step.weights.sum(1)).ravel(), 1.0, atol=1e-12)
    fine = trimesh.Trimesh(step.weights @ box.vertices, step.triangles, process=False)
    assert fine.is_watertight and len(fine.faces) == 4 * len(box.faces)
    sharp = np.sort(np.concatenate([box.faces[:, [0, 1]], box.faces[:, [1, 2]], box.faces[:, [2, 0]]]), 1)
    with pytest.raises(ValueError, match="not closed"):
        subdivide(box.faces[:-1].astype(np.int32), sharp.astype(np.int32), vertices=len(box.vertices))
