"""Heads as files, read back by other libraries, and as pictures."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import trimesh
from PIL import Image as Pillow

from models import cards, registry
from models.clips import ClipFrame, open_clip
from models.errors import BadInput
from models.faces.names import BLENDSHAPE_NAMES
from models.films import write_film
from models.head import load_head
from models.head.drawing import Drawable, draw, over
from models.head.texture import bake_texture
from models.types import Image
from studio.services import mesh_exports, mesh_graphics, mesh_pictures, mesh_scene
from studio.services.expression import read_photo
from studio.services.mesh import MeshFace, edited, read_meshes
from studio.services.mesh_clip import Movement, clip_csv, clip_glb, filtered, overlay_film, read_mesh_clip
from studio.services.mesh_glb import TARGETS, glb
from studio.services.mesh_orders import Made, carry_out, order_of
from studio.services.mesh_words import PRESETS, grouped_actions


@pytest.fixture(scope="module", autouse=True)
def torch_draws() -> Iterator[None]:
    """What every machine has: no test depends on a graphics library."""
    patch = pytest.MonkeyPatch()
    patch.setattr(mesh_graphics, "_chosen", lambda: "torch")
    yield
    patch.undo()


@pytest.fixture(scope="module")
def mesh(photo: Image) -> MeshFace:
    missing = {"faces", "deepfever", "head"} - set(cards.all_cards())
    if missing:
        pytest.skip(f"the shipped weights {', '.join(sorted(missing))} are not there")
    registry.load.cache_clear()
    return read_meshes(read_photo(photo, name="astronaut.png"))[0]


def test_the_head_lies_on_the_face(mesh: MeshFace) -> None:
    head = load_head()
    vertices = head.vertices(mesh.parameters.identity, mesh.parameters.expression)
    points = mesh.parameters.to_picture(head.landmarks(vertices))
    error = np.linalg.norm(points[:, :2] - mesh.face.landmarks[:, :2], axis=1).mean() / mesh.face.iris_distance
    assert error < 0.05
    smile = mesh.parameters.expression[BLENDSHAPE_NAMES.index("mouthSmileLeft")]
    assert smile > 0.2  # she smiles


def test_glb_is_read_back_by_others(mesh: MeshFace) -> None:
    pygltflib = pytest.importorskip("pygltflib", reason="pygltflib reads the file back")
    content = mesh_exports.as_glb(mesh)
    document = pygltflib.GLTF2.load_from_bytes(content)
    read = document.meshes[0]
    assert read.extras["targetNames"] == list(TARGETS) and len(read.weights) == len(TARGETS) == 51
    assert read.weights == pytest.approx(
        [mesh.parameters.expression[BLENDSHAPE_NAMES.index(n)] for n in TARGETS], abs=1e-4
    )
    moves = _sparse(document, read.primitives[0].targets[TARGETS.index("jawOpen")]["POSITION"])
    expected = load_head().expression[BLENDSHAPE_NAMES.index("jawOpen")]
    assert moves == pytest.approx(expected, abs=4e-5)
    loaded = trimesh.load(io.BytesIO(content), file_type="glb", process=False)
    shape = next(iter(loaded.geometry.values()))
    assert shape.vertices.shape == (6544, 3) and len(shape.faces) == len(load_head().faces)
    assert shape.visual.material.baseColorTexture.size == (512, 512)


def _sparse(document: object, number: int) -> np.ndarray:
    accessor = document.accessors[number]  # type: ignore[attr-defined]
    blob = document.binary_blob()  # type: ignore[attr-defined]
    views = document.bufferViews  # type: ignore[attr-defined]

    def taken(view: int, kind: str) -> np.ndarray:
        start = views[view].byteOffset
        return np.frombuffer(blob[start : start + views[view].byteLength], kind)

    values = np.zeros((accessor.count, 3), np.float32)
    rows = taken(accessor.sparse.indices.bufferView, "<u2")
    values[rows] = taken(accessor.sparse.values.bufferView, "<f4").reshape(-1, 3)
    return values


def test_a_clip_moves_the_glb(mesh: MeshFace) -> None:
    pygltflib = pytest.importorskip("pygltflib", reason="pygltflib reads the file back")
    heads = (mesh.parameters, mesh.parameters.with_expression(load_head().coefficients({"jawOpen": 0.9})))
    movement = Movement(np.array([0.0, 0.5], np.float32), heads)
    content = glb(load_head(), heads[0], np.zeros((8, 8, 3), np.uint8), movement=movement)
    animation = pygltflib.GLTF2.load_from_bytes(content).animations[0]
    assert [channel.target.path for channel in animation.channels] == ["weights", "rotation"]


def test_obj_ply_and_stl_hold_the_edited_head(mesh: MeshFace) -> None:
    now = edited(mesh, load_head().coefficients({"jawOpen": 1.0}))
    with zipfile.ZipFile(io.BytesIO(mesh_exports.as_obj(now))) as archive:
        assert set(archive.namelist()) == {"head.obj", "head.mtl", "head.jpg"}
        shape = trimesh.load(io.BytesIO(archive.read("head.obj")), file_type="obj", process=False, skip_materials=True)
    assert shape.extents[1] > 0.25
    ply = trimesh.load(io.BytesIO(mesh_exports.as_ply(now)), file_type="ply", process=False)
    assert ply.vertices == pytest.approx(shape.vertices, abs=1e-5)
    stl = trimesh.load(io.BytesIO(mesh_exports.as_stl(now)), file_type="stl")
    assert len(stl.faces) == len(load_head().faces)


def test_numbers_agree_in_all_files(mesh: MeshFace) -> None:
    record = json.loads(mesh_exports.as_json(mesh))
    row = next(csv.DictReader(io.StringIO(mesh_exports.as_csv(mesh).decode())))
    arrays = np.load(io.BytesIO(mesh_exports.as_npz(mesh)), allow_pickle=False)
    for name in ("jawOpen", "mouthSmileLeft"):
        assert float(row[name]) == pytest.approx(record["expression"][name], abs=1e-4)
    assert arrays["vertices"].shape == (6544, 3) and arrays["landmarks"].shape == (478, 3)
    assert float(row["yaw"]) == pytest.approx(record["pose"]["yaw"], abs=1e-2)


def test_wishes_from_a_browser_are_checked(mesh: MeshFace) -> None:
    with pytest.raises(BadInput, match="kind"):
        order_of({"kind": "exe"})
    with pytest.raises(BadInput, match="52"):
        edited(mesh, order_of({"kind": "glb", "expression": [0.1, 0.2]}).expression)
    with pytest.raises(BadInput, match="finite"):
        edited(mesh, [float("nan")] * 52)
    with pytest.raises(BadInput, match="numbers"):
        order_of({"kind": "glb", "expression": "smile"})
    assert order_of({"kind": "sheet", "look": "<b>"}).look == "shaded"


def test_pictures_show_the_face_and_stay_the_photo_without_an_edit(mesh: MeshFace) -> None:
    overlay = mesh_pictures.overlay(mesh, mesh)
    stage, _ = mesh_scene.stage_of(mesh)
    assert overlay.shape == stage.shape == (640, 640, 3)
    assert (np.abs(overlay.astype(int) - stage).max(2) > 10).mean() > 0.08
    same = mesh_pictures.with_expression(mesh, mesh)
    assert np.abs(same.astype(int) - mesh.picture).mean() < 1.5
    smiling = mesh_pictures.with_expression(mesh, edited(mesh, load_head().coefficients(PRESETS["Surprise"])))
    assert 0.3 < np.abs(smiling.astype(int) - mesh.picture).mean() < 12


def test_a_contact_sheet_is_made_to_order(mesh: MeshFace) -> None:
    made = [step for step in carry_out(mesh, mesh, order_of({"kind": "sheet"})) if isinstance(step, Made)]
    assert Pillow.open(io.BytesIO(made[0].content)).size == (6 * 320, 320)


def test_the_scene_is_small_and_the_bases_of_others_are_not_in_it(mesh: MeshFace) -> None:
    message = json.loads(mesh_scene.scene(mesh))
    assert len(json.dumps(message)) < 600_000 and len(message["expression"]) == 52
    shared = json.loads(mesh_scene.head_data())
    assert shared["vertices"] == 6544 and len(shared["shapes"]) == 52
    assert sum(shared["counts"]) == 3 * len(load_head().faces)


def test_every_action_has_a_slider_and_presets_name_actions() -> None:
    rows = sorted(action.row for group in grouped_actions().values() for action in group)
    assert rows == list(range(1, 52))
    assert all(name in BLENDSHAPE_NAMES for preset in PRESETS.values() for name in preset)


def test_the_texture_is_the_photo_where_the_photo_shows_it(mesh: MeshFace) -> None:
    head = load_head()
    vertices = head.vertices(mesh.parameters.identity, mesh.parameters.expression)
    skin = bake_texture(head, mesh.parameters, vertices, mesh.picture)
    placed = mesh.parameters.to_picture(vertices)
    drawn = draw(
        Drawable(placed, head.part_faces("face"), head.colours, head.uvs, skin),
        height=mesh.picture.shape[0], width=mesh.picture.shape[1], smooth=1,
    )  # fmt: skip
    nose = placed[head.landmark_vertices[4]].astype(int)
    there = over(drawn, mesh.picture)[nose[1], nose[0]].astype(int)
    assert np.abs(there - mesh.picture[nose[1], nose[0]]).max() < 60


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, photo: Image, mesh: MeshFace) -> Path:
    path = tmp_path_factory.mktemp("clip") / "talk.mp4"
    pictures = (ClipFrame(number / 10, np.roll(photo[:320, 60:380], 2 * number, 1)) for number in range(8))
    sound = path.with_name("tone.mp4")
    with av.open(str(sound), "w") as container:
        voice = container.add_stream("aac", rate=48_000)
        tone = np.sin(np.arange(48_000) / 48_000 * 440 * 2 * np.pi).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate = 48_000
        for packet in (*voice.encode(frame), *voice.encode(None)):
            container.mux(packet)
    assert write_film(pictures, path, rate=10, sound=sound) == 8
    return path


def test_a_film_keeps_times_and_sound(clip: Path) -> None:
    info = open_clip(clip)
    assert info.has_audio and info.frames_per_second == pytest.approx(10, rel=0.15)


def test_a_clip_becomes_a_moving_head(clip: Path) -> None:
    *_, read = read_mesh_clip(clip, name="talk.mp4", frames_per_second=5)
    assert read.is_complete and len(read.read) == len(read.frames) >= 4
    now = filtered(read, "savitzky-golay")
    shifts = [frame.parameters.shift[0] for frame in now.read if frame.parameters is not None]
    assert shifts == sorted(shifts)  # the picture wanders to the right
    rows = list(csv.DictReader(io.StringIO(clip_csv(now).decode())))
    assert len(rows) == len(now.read) and {"far_turned", "jawOpen", "yaw"} <= set(rows[0])
    assert clip_glb(now)[:4] == b"glTF"
    film = next(step for step in overlay_film(now) if isinstance(step, bytes))
    made = clip.with_name("over.mp4")
    made.write_bytes(film)
    assert open_clip(made).has_audio
