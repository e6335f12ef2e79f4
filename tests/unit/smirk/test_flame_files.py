"""FLAME's pickle is read without running it, checked, and converted once."""

import collections
import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.brought import BROUGHT
from models.errors import BadWeights, MissingWeights
from models.smirk import rule_face
from models.smirk.face_arrays import FaceArrays
from models.smirk.flame_files import arrays_from_pickle, install_flame
from models.smirk.flame_pickle import read_pickle
from models.weights import add
from tests.unit.smirk.old_pickles import chumpy, flame_content, python2_pickle


@pytest.fixture(scope="module")
def flame_pickle():
    with chumpy() as wrap:
        return python2_pickle(flame_content("unit", wrap))


def read(data):
    return read_pickle(io.BytesIO(data))


def test_python_2_pickle_with_chumpy_and_scipy_is_converted(flame_pickle, tmp_path):
    (tmp_path / "generic_model.pkl").write_bytes(flame_pickle)
    sentence = add("flame", tmp_path / "generic_model.pkl", tmp_path / "weights")
    assert "5023 vertices" in sentence and "eyelids" in sentence
    arrays = FaceArrays.load(tmp_path / "weights" / BROUGHT["flame"].filename)
    wanted = rule_face.face_arrays("unit")
    for name in ("triangles", "template", "shape_basis", "pose_basis", "joint_regressor", "skinning", "parents"):
        assert np.allclose(getattr(arrays, name), getattr(wanted, name), atol=1e-7), name
    assert arrays.expression_basis.shape == (5023, 3, 100) and arrays.extras == ()
    assert not list((tmp_path / "weights").glob("*.part"))


def test_the_downloaded_zip_is_read_in_place(flame_pickle, tmp_path):
    with zipfile.ZipFile(tmp_path / "FLAME2020.zip", "w") as archive:
        archive.writestr("Readme.pdf", "terms")
        archive.writestr("FLAME2020/generic_model.pkl", flame_pickle)
    install_flame(tmp_path / "FLAME2020.zip", tmp_path / "head.npz")
    assert FaceArrays.load(tmp_path / "head.npz").template.shape == (5023, 3)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("photo.jpg", "x")
    with pytest.raises(MissingWeights, match=r"generic_model\.pkl"):
        install_flame(tmp_path / "other.zip", tmp_path / "none.npz")


def write_assets(folder, flame_pickle):
    """The files of SMIRK's assets folder, by rule, with the kinds of pickles found there."""
    arrays = rule_face.face_arrays("unit")
    (folder / "FLAME2020").mkdir(parents=True)
    (folder / "FLAME2020" / "generic_model.pkl").write_bytes(flame_pickle)
    np.save(folder / "l_eyelid.npy", arrays.eyelids[0])
    np.save(folder / "r_eyelid.npy", arrays.eyelids[1])
    marks = arrays.landmarks
    table = {
        "static_lmk_faces_idx": marks["static"].triangles.astype(np.uint32),
        "static_lmk_bary_coords": marks["static"].weights,
        "dynamic_lmk_faces_idx": torch.from_numpy(marks["dynamic"].triangles),
        "dynamic_lmk_bary_coords": torch.from_numpy(marks["dynamic"].weights).float(),
        "full_lmk_faces_idx": marks["full"].triangles[None],
        "full_lmk_bary_coords": marks["full"].weights[None],
    }
    np.save(folder / "landmark_embedding.npy", np.array(table, dtype=object), allow_pickle=True)
    mediapipe = marks["mediapipe"]
    np.savez(
        folder / "mediapipe_landmark_embedding.npz",
        lmk_face_idx=mediapipe.triangles,
        lmk_b_coords=mediapipe.weights,
        landmark_indices=np.arange(105),
    )
    (folder / "FLAME_masks.pkl").write_bytes(python2_pickle({"face": np.arange(100, 1887), "nose": np.arange(9)}))
    regions = {"lips": np.arange(50), "forehead": np.arange(40, 90), "neck": np.arange(200, 300)}
    np.save(folder / "FLAME_masks_triangles.npy", np.array(regions, dtype=object), allow_pickle=True)


def test_assets_beside_the_model_are_added(flame_pickle, tmp_path):
    write_assets(tmp_path / "assets", flame_pickle)
    for source in (tmp_path / "assets", tmp_path / "assets" / "FLAME2020" / "generic_model.pkl"):
        assert "Not found" not in install_flame(source, tmp_path / "head.npz")
    arrays, wanted = FaceArrays.load(tmp_path / "head.npz"), rule_face.face_arrays("unit")
    assert arrays.extras == ("eyelids", "landmarks", "face mask", "sampling regions")
    for name, marks in wanted.landmarks.items():
        assert np.array_equal(arrays.landmarks[name].triangles, marks.triangles), name
        assert np.allclose(arrays.landmarks[name].weights, marks.weights, atol=1e-6), name
    assert arrays.face_vertices.tolist() == list(range(100, 1887))
    assert arrays.triangle_weights[[0, 45, 60, 250]].tolist() == [0.5, 0.5, 1.0, 0.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"posedirs": None}, "lacks posedirs"),
        ({"weights": np.zeros((5023, 24))}, r"weights should have the shape \(5023, 5\)"),
        ({"v_template": np.full((5023, 3), np.nan)}, "v_template holds values that are not numbers"),
        ({"f": np.full((9976, 3), 5023)}, "vertices that do not exist"),
        ({"kintree_table": np.array([[0, 2, 1, 1, 1], [0, 1, 2, 3, 4]])}, "parents before children"),
    ],
)
def test_a_wrong_model_is_named(change, message):
    content = flame_content("unit", lambda array: array) | change
    content["J_regressor"] = rule_face.face_arrays("unit").joint_regressor
    content = {name: value for name, value in content.items() if value is not None}
    with pytest.raises(BadWeights, match=message):
        arrays_from_pickle(content)


class Runs:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def hostile():
    """Pickles that would run, open or build something, each by another way in."""
    touched = "touched"
    direct = {
        "system": Runs(os.system, f"touch {touched}"),
        "eval": Runs(eval, f"open({touched!r}, 'w')"),
        "open": Runs(open, touched, "w"),
        "getattr": Runs(getattr, "text", "upper"),
        "numpy load": Runs(np.load, touched, None, True),
        "scipy io": Runs(scipy.sparse.load_npz, touched),
        "in an array": np.array([Runs(os.system, f"touch {touched}")], dtype=object),
        "in a list": {"f": [1, Runs(os.system, f"touch {touched}")]},
        "partial": Runs(__import__("functools").partial, os.system),
    }
    made = {name: pickle.dumps(value, protocol=2) for name, value in direct.items()}
    made["stack global"] = pickle.dumps(direct["system"], protocol=5)
    made["chumpy dotted"] = b"\x80\x04\x8c\x09chumpy.ch\x8c\x09os.system\x93."
    made["inst"] = b"(S'touch touched'\nios\nsystem\n."
    made["reconstruct a class"] = b"ccopy_reg\n_reconstructor\n(cnumpy\nndarray\nc__builtin__\nobject\nNtR."
    made["extension"] = b"\x82\x01."
    made["persistent"] = b"Pfile\n."
    made["set state on a class"] = b"cchumpy.ch\nCh\n}X\x01\x00\x00\x00xK\x01sb."
    made["only a class"] = b"cnumpy\ndtype\n."
    made["torch loader"] = pickle.dumps(Runs(torch.load, touched), protocol=2)
    return made


@pytest.mark.parametrize("name", hostile())
def test_nothing_in_a_hostile_pickle_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadWeights):
        read(hostile()[name])
    assert not list(tmp_path.iterdir())


def test_a_nested_torch_file_is_read_safely_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nested = io.BytesIO()
    torch.save({"x": Runs(os.system, "touch touched")}, nested)
    load_from_bytes = torch.storage._load_from_bytes
    call = Runs(torch._utils._rebuild_tensor_v2, Runs(load_from_bytes, nested.getvalue()), 0, (1,), (1,), False, {})
    with pytest.raises(BadWeights):
        read(pickle.dumps(call))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("offset_size_stride", [(0, (5,), (1,)), (3, (2,), (1,)), (0, (2,), (-1,)), (-1, (1,), (1,))])
def test_a_tensor_cannot_reach_beyond_its_numbers(offset_size_stride):
    rebuild, (storage, *_) = torch.arange(4.0).__reduce_ex__(2)
    offset, size, stride = offset_size_stride
    call = Runs(rebuild, storage, offset, size, stride, False, collections.OrderedDict())
    with pytest.raises(BadWeights, match="beyond its numbers"):
        read(pickle.dumps(call))
    call = Runs(rebuild, storage, 1, (3,), (1,), False, collections.OrderedDict())
    assert read(pickle.dumps(call)).tolist() == [1.0, 2.0, 3.0]


def test_nesting_that_explodes_or_never_ends_is_refused():
    bomb = [1.0]
    for _ in range(60):
        bomb = [bomb, bomb]
    circle = []
    circle.append(circle)
    for value in (bomb, circle):
        with pytest.raises(BadWeights):
            read(pickle.dumps(value))


def test_a_forged_length_claims_no_memory():
    forged = b"\x80\x05" + pickle.BYTEARRAY8 + (2**40).to_bytes(8, "little") + b"abc."
    with pytest.raises(BadWeights):
        read(forged)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["<f8", ">f4", "<i4", "u1", "?"])
def test_plain_arrays_of_every_protocol_are_read(kind, protocol):
    array = np.arange(24).reshape(2, 3, 4).astype(kind)
    content = {"c": array, "fortran": np.asfortranarray(array), "number": array[1, 2, 3], "text": "a", "list": [1, 2.5]}
    got = read(pickle.dumps(content, protocol=protocol))
    assert np.array_equal(got["c"], array) and np.array_equal(got["fortran"], array)
    assert got["number"] == array[1, 2, 3] and got["text"] == "a" and got["list"] == [1, 2.5]


@pytest.mark.parametrize("kind", [scipy.sparse.csc_matrix, scipy.sparse.csr_matrix, scipy.sparse.csc_array])
def test_sparse_matrices_become_dense(kind):
    dense = np.random.default_rng(0).random((5, 40)) * (np.random.default_rng(1).random((5, 40)) < 0.3)
    assert np.allclose(read(pickle.dumps(kind(dense))), dense)


def test_a_sparse_matrix_with_forged_indices_is_refused():
    matrix = scipy.sparse.csc_matrix(np.eye(5))
    matrix.indices[2] = 99
    with pytest.raises(BadWeights, match="indices do not fit"):
        read(pickle.dumps(matrix))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_pickle_gives_data_or_a_clear_error(data):
    with chumpy() as wrap:
        whole = python2_pickle({"a": wrap(np.arange(6.0)), "b": scipy.sparse.csc_matrix(np.eye(3)), "c": [1, "x"]})
    damaged = bytearray(whole[: data.draw(st.integers(1, len(whole)))])
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    try:
        read(bytes(damaged))
    except BadWeights as error:
        assert str(error)
