"""ICT-FaceKit brought by a user: checked, converted, laid over our head, and moved by the same 52 coefficients."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models import registry
from models.brought import BROUGHT
from models.errors import BadInput, BadWeights
from models.faces.names import BLENDSHAPE_NAMES
from models.head import load_head
from models.head.head import Head
from models.head.ict import ICT_68, KEPT, POINTS_68, VERTICES, as_ict, load_ict, palette, shapes_of
from models.head.parameters import HeadParameters
from models.types import Box, Face, HeadPose
from models.weights import add
from studio.services.mesh import MeshFace, texture_of
from studio.services.mesh_exports import write
from studio.services.mesh_orders import Order, carry_out
from studio.services.mesh_scene import scene

ALL_SHAPES = sorted({shape for name in BLENDSHAPE_NAMES for shape in shapes_of(name)})


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """As ICT-FaceKit is laid out, with our mean face's points where it has its 68, a hundred times larger."""
    ours, rng = load_head(), np.random.default_rng(0)
    neutral = rng.normal(0, 6, (VERTICES, 3)).astype(np.float32)
    neutral[list(ICT_68)] = ours.landmarks(ours.neutral)[list(POINTS_68)] * 100 + [1, 2, 3]
    moves = np.zeros((len(ALL_SHAPES), VERTICES, 3), np.int16)
    for row in range(len(ALL_SHAPES)):
        moves[row, row * 20 : row * 20 + 20] = 1000
    identity = np.zeros((100, VERTICES, 3), np.int16)
    identity[:, list(ICT_68)] = rng.integers(-300, 300, (100, len(ICT_68), 3))
    quads = rng.integers(0, VERTICES, (500, 4)).astype(np.int32)
    quads[:9, 3] = -1
    return {
        "neutral": neutral, "quads": quads, "step": np.float32(0.0005), "exp": moves, "exp_names": np.array(ALL_SHAPES),
        "idn": identity, "id_names": np.array([f"identity{place:03d}" for place in range(100)]),
    }  # fmt: skip


@pytest.fixture(scope="module")
def weights(arrays: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ict")
    np.savez(folder / "light.npz", **arrays)
    sentence = add("ict-facekit", folder / "light.npz", folder / "weights")
    assert f"{KEPT} vertices, 51 actions, 100 identities" in sentence
    return folder / "weights"


@pytest.fixture(scope="module")
def head(weights: Path) -> Head:
    return load_ict(weights / BROUGHT["ict-facekit"].filename)


@pytest.fixture(scope="module")
def parameters() -> HeadParameters:
    ours = load_head()
    identity = np.random.default_rng(1).normal(0, 0.7, len(ours.identity)).astype(np.float32)
    turned = np.array([[0.96, 0, 0.28], [0, 1, 0], [-0.28, 0, 0.96]], np.float32)
    return HeadParameters(
        turned, 1200.0, np.array([150, 160], np.float32), identity, ours.coefficients({"jawOpen": 0.5})
    )


@pytest.fixture
def mesh(head: Head, parameters: HeadParameters) -> MeshFace:
    points = np.zeros((478, 3), np.float32)
    face = Face(Box(50, 50, 250, 250), 1.0, points, np.zeros(52, np.float32), HeadPose(0, 0, 0))
    picture = np.full((300, 300, 3), 90, np.uint8)
    return MeshFace(1, face, picture, as_ict(parameters, head), "ict-facekit", 1.0, head)


def test_every_name_maps() -> None:
    assert not shapes_of("_neutral")
    assert shapes_of("browInnerUp") == ("browInnerUp_L", "browInnerUp_R")
    assert shapes_of("mouthSmileLeft") == ("mouthSmile_L",) and shapes_of("jawLeft") == ("jawLeft",)
    assert len(ALL_SHAPES) == 53


def test_it_lies_over_our_mean_head(head: Head) -> None:
    ours = load_head()
    wanted = ours.landmarks(ours.neutral)[list(POINTS_68)]
    assert np.abs(head.neutral[list(ICT_68)] - wanted).max() < 1e-4
    assert head.neutral.shape == (KEPT, 3) and head.faces.max() < KEPT and head.expression.shape == (52, KEPT, 3)
    row = BLENDSHAPE_NAMES.index("jawOpen")
    moved = np.flatnonzero(np.abs(head.expression[row]).max(1) > 1e-5)
    start = ALL_SHAPES.index("jawOpen") * 20
    assert moved.tolist() == list(range(start, start + 20))
    assert palette().shape == (16, 256, 3)  # powers of two, or WebGL draws it black
    assert head.uvs.min() >= 0 and head.uvs.max() <= 1


def test_a_face_stands_where_it_stood(head: Head, parameters: HeadParameters) -> None:
    ours, found = load_head(), as_ict(parameters, head)
    resting = parameters.expression * 0
    wanted = parameters.to_picture(ours.landmarks(ours.vertices(parameters.identity, resting)))[list(POINTS_68)]
    points = found.to_picture(head.vertices(found.identity, resting))[list(ICT_68)]
    assert np.linalg.norm(points[17:, :2] - wanted[17:, :2], axis=1).mean() < 4
    assert np.array_equal(found.expression, parameters.expression)


@pytest.mark.parametrize("kind", ["glb", "obj", "ply", "stl", "npz", "csv", "json"])
def test_it_is_taken_home(mesh: MeshFace, kind: str) -> None:
    assert len(write(mesh, kind)[2]) > 500


def test_the_browser_gets_the_head_and_its_actions(mesh: MeshFace) -> None:
    message = json.loads(scene(mesh))
    assert message["own"]["vertices"] == KEPT and len(message["own"]["shapes"]) == 52
    assert np.array_equal(texture_of(mesh), palette())
    with pytest.raises(BadInput, match="open head"):
        list(carry_out(mesh, mesh, Order("photo")))


def test_what_is_not_it_is_refused(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.savez(tmp_path / "small.npz", **(arrays | {"neutral": arrays["neutral"][:100]}))
    keep = np.array([name != "jawOpen" for name in ALL_SHAPES])
    lacking = arrays | {"exp": arrays["exp"][keep], "exp_names": arrays["exp_names"][keep]}
    np.savez(tmp_path / "lacking.npz", **lacking)
    (tmp_path / "text.npz").write_text("nothing")
    (tmp_path / "empty").mkdir()
    for name, message in {
        "small.npz": "expected", "lacking.npz": "no shape jawOpen", "text.npz": "does not hold", "empty": "FaceXModel",
    }.items():  # fmt: skip
        with pytest.raises(BadWeights, match=message):
            add("ict-facekit", tmp_path / name, tmp_path / "weights")


def test_a_folder_of_obj_files_is_read(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    folder = tmp_path / "FaceXModel"
    folder.mkdir()
    places = "".join(f"v {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in arrays["neutral"])
    (folder / "generic_neutral_mesh.obj").write_text(f"# made up\n{places}f 1/1 2/2 3/3 4/4\nf 1 2 3\n")
    (folder / "jawOpen.obj").write_text(places)
    with pytest.raises(BadWeights, match="no shape browDown_L"):
        add("ict-facekit", folder, tmp_path / "weights")


def test_the_open_head_stays_the_default(mesh: MeshFace) -> None:
    registry.load.cache_clear()
    assert replace(mesh, own_head=None).head is load_head()
