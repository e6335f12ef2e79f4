"""A checkpoint laid out like SMIRK_em1.pt, brought, loaded strictly, and used from photo to painted photo."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.brought import BROUGHT
from models.errors import BadWeights, MissingWeights
from models.smirk import rule, rule_face
from models.smirk.encoder import SmirkEncoder
from models.smirk.generator import SmirkGenerator
from models.smirk.official import ENCODER_PREFIX, GENERATOR_PREFIX, build_networks, load_reader, read_tensors
from models.smirk.reader import SmirkReader
from models.weights import add


@pytest.fixture(scope="module")
def checkpoint():
    networks = ((ENCODER_PREFIX, SmirkEncoder()), (GENERATOR_PREFIX, SmirkGenerator()))
    tensors = {}
    for prefix, network in networks:
        filled = rule.state_dict("unit", network.state_dict(), prefix=prefix)
        tensors |= {prefix + key: value for key, value in filled.items()}
    return tensors


@pytest.fixture(scope="module")
def reader(checkpoint):
    """Networks and a head by rule; the head's masks are made up, its vertices are no face."""
    arrays = replace(
        rule_face.face_arrays("unit"),
        face_vertices=np.arange(0, 5023, 2),
        triangle_weights=np.ones(9976),
    )
    encoder, generator = build_networks(checkpoint)
    return SmirkReader(encoder, arrays, generator=generator)


@pytest.fixture
def landmarks():
    """An oval where the astronaut's face is."""
    around = np.linspace(0, 2 * np.pi, 478)
    return np.stack((222 + 45 * np.cos(around), 118 + 60 * np.sin(around)), axis=1).astype(np.float32)


def test_checkpoint_is_checked_converted_and_loaded(checkpoint, tmp_path):
    torch.save(checkpoint, tmp_path / "SMIRK_em1.pt")
    sentence = add("smirk", tmp_path / "SMIRK_em1.pt", tmp_path / "weights")
    assert "940 tensors" in sentence
    installed = tmp_path / "weights" / BROUGHT["smirk"].filename
    encoder, generator = build_networks(read_tensors(installed))
    for prefix, network in ((ENCODER_PREFIX, encoder), (GENERATOR_PREFIX, generator)):
        assert all(torch.equal(value, checkpoint[prefix + key]) for key, value in network.state_dict().items())
    rule_face.face_arrays("unit").save(tmp_path / "weights" / BROUGHT["flame"].filename)
    assert isinstance(load_reader(installed, tmp_path / "weights" / BROUGHT["flame"].filename), SmirkReader)


def test_what_is_not_the_checkpoint_is_named(checkpoint):
    key = ENCODER_PREFIX + "shape_encoder.shape_layers.0.weight"
    changes = {
        "missing smirk_encoder.shape_encoder.shape_layers.0.weight": {k: v for k, v in checkpoint.items() if k != key},
        "unknown smirk_encoder.extra": checkpoint | {ENCODER_PREFIX + "extra": torch.zeros(1)},
        r"has shape \(100, 960\), expected \(300, 960\)": checkpoint | {key: torch.zeros(100, 960)},
        "holds values that are not numbers": checkpoint | {key: torch.full((300, 960), torch.nan)},
    }
    for message, tensors in changes.items():
        with pytest.raises(BadWeights, match=message):
            build_networks(tensors)


class Runs:
    def __reduce__(self):
        return os.system, ("touch touched",)


def test_hostile_and_broken_checkpoints_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"x": Runs()}, "hostile.pt")
    torch.save([torch.zeros(2)], "list.pt")
    torch.save({"net": {"w": torch.zeros(2)}}, "nested.pt")
    (tmp_path / "text.pt").write_text("no checkpoint")
    (tmp_path / "text.safetensors").write_text("no checkpoint")
    for name in ("hostile.pt", "list.pt", "nested.pt", "text.pt", "text.safetensors"):
        with pytest.raises(BadWeights):
            read_tensors(tmp_path / name)
    with pytest.raises(MissingWeights, match="mien weights add smirk"):
        read_tensors(tmp_path / "none.pt")
    assert not (tmp_path / "touched").exists()


def test_photo_to_head(reader, photo, landmarks):
    face = reader.read_landmarks(photo, landmarks)
    assert face.vertices.shape == (5023, 3) and face.triangles.shape == (9976, 3)
    assert face.crop.pixels.shape == (224, 224, 3)
    scale, x, y = face.parameters.camera.astype(np.float64)
    crop_x = (scale * (face.vertices[:, 0] + x) + 1) * 112 - 0.5
    crop_y = (-scale * (face.vertices[:, 1] + y) + 1) * 112 - 0.5
    wanted = face.crop.to_image(np.stack((crop_x, crop_y), axis=1))
    assert np.abs(face.vertices_image[:, :2] - wanted).max() < 1e-2
    again = reader.read_landmarks(photo, landmarks)
    assert np.array_equal(again.vertices, face.vertices)


def test_reshaping_keeps_the_photo_and_moves_the_face(reader, photo, landmarks):
    face = reader.read_landmarks(photo, landmarks)
    same = reader.reshape(face, face.parameters)
    assert np.allclose(same.vertices, face.vertices, atol=1e-6)
    open_jaw = replace(face.parameters, jaw=np.array([0.5, 0, 0], np.float32))
    edited = reader.reshape(face, open_jaw)
    assert np.abs(edited.vertices - face.vertices).max() > 1e-3 and edited.crop is face.crop
    assert np.array_equal(face.vertices, reader.read_landmarks(photo, landmarks).vertices)


def test_drawing_and_painting(reader, photo, landmarks):
    face = reader.read_landmarks(photo, landmarks)
    closer = replace(face.parameters, camera=np.array([5.0, 0, 0], np.float32))
    edited = reader.reshape(face, closer)
    half, whole = reader.draw(edited), reader.draw(edited, size=128, surface="head")
    assert half.shape == (224, 224) and whole.shape == (128, 128) and 0 < half.max() < 0.8
    assert (whole > 0).mean() > (half > 0).mean()
    painted = reader.repaint(face, edited, seed=1)
    assert painted.shape == (224, 224, 3) and painted.dtype == np.uint8
    assert np.array_equal(painted, reader.repaint(face, edited, seed=1))
    with pytest.raises(ValueError, match="face, head"):
        reader.draw(face, surface="skull")


def test_painting_without_masks_says_what_to_bring(checkpoint, photo, landmarks):
    encoder, generator = build_networks(checkpoint)
    bare = SmirkReader(encoder, rule_face.face_arrays("unit"), generator=generator)
    face = bare.read_landmarks(photo, landmarks)
    with pytest.raises(MissingWeights, match="assets"):
        bare.repaint(face, face)
