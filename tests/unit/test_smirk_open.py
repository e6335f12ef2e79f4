"""`smirk_open`: shapes and ranges, a batch of one is a row of a batch, a mirrored photo mirrors its reading."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models import cards, registry
from models.head import load_head
from models.head.parameters import mirrored
from models.head.reader import METHODS
from models.mesh_evaluation import correlation, evaluate_mesh
from models.smirk_open.encoder import OpenEncoder, project, rotation_of
from models.smirk_open.reader import OpenReader
from models.training.smirk import LandmarksOfHead, losses
from models.types import Image

SMALL = {"widths": (8, 8, 8, 8), "depths": (1, 1, 1), "squeezed": 4, "hidden_size": 16}


@pytest.fixture(scope="module")
def network() -> OpenEncoder:
    torch.manual_seed(0)
    return OpenEncoder(**SMALL).eval()


def test_shapes_ranges_and_rows(network: OpenEncoder) -> None:
    pixels = torch.rand(3, 3, 128, 128)
    with torch.inference_mode():
        all_rows, one = network(pixels), network(pixels[1:2])
    assert all_rows.identity.shape == (3, 40) and all_rows.expression.shape == (3, 52)
    assert (all_rows.expression > 0).all() and (all_rows.expression < 1).all() and (all_rows.scale > 0).all()
    assert torch.allclose(all_rows.rotation @ all_rows.rotation.transpose(1, 2), torch.eye(3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(all_rows.rotation), torch.ones(3), atol=1e-5)
    for name in ("rotation", "scale", "shift", "identity", "expression"):
        assert torch.allclose(getattr(all_rows, name)[1], getattr(one, name)[0], atol=1e-5)


def test_two_vectors_become_a_rotation() -> None:
    turned = rotation_of(torch.tensor([[2.0, 0, 0]]), torch.tensor([[1.0, 3, 0]]))
    assert torch.allclose(turned[0], torch.eye(3), atol=1e-6)


def test_tensors_and_arrays_project_alike(network: OpenEncoder) -> None:
    head = load_head()
    reader = OpenReader(network, head, backend="small", device=torch.device("cpu"), dtype=torch.float32)
    picture = np.random.default_rng(0).integers(0, 255, (1, 128, 128, 3), dtype=np.uint8)
    found = reader.read_crops(picture)[0]
    with torch.inference_mode():
        reading = network(torch.from_numpy(picture).permute(0, 3, 1, 2).float() / 255)
        laid = project(reading, LandmarksOfHead(head)(reading.identity, reading.expression))[0].numpy()
    points = found.to_picture(head.landmarks(head.vertices(found.identity, found.expression)))
    assert points[:, :2] == pytest.approx(laid * 64 + 63.5, abs=0.05)


def test_every_loss_has_a_gradient(network: OpenEncoder) -> None:
    batch = {
        "pixels": torch.randint(0, 255, (10, 3, 128, 128), dtype=torch.uint8),
        "landmarks": torch.randn(10, 478, 3) * 0.3,
        "blendshapes": torch.rand(10, 52),
        "identity": torch.randn(10, 40),
    }
    training = OpenEncoder(**SMALL)
    found = losses(LandmarksOfHead(load_head()), torch.ones(52), torch.ones(478))(training, batch)
    assert set(found) == {"laid", "points", "shapes", "identity", "twins"}
    sum(found.values()).backward()
    assert all(p.grad is not None for name, p in training.named_parameters() if "score" not in name)


def test_correlation_leaves_out_what_does_not_vary() -> None:
    truth = np.zeros((20, 3))
    truth[:, 0] = np.linspace(0, 1, 20)
    assert correlation(truth * 2 + 1, truth) == pytest.approx(1)


@pytest.mark.skipif("smirk_open" not in cards.all_cards(), reason="the weights smirk_open are not there")
def test_a_mirrored_photo_gives_a_mirrored_reading(photo: Image) -> None:
    registry.load.cache_clear()
    reader, finder = registry.load("head"), registry.load("faces")
    flipped = np.ascontiguousarray(photo[:, ::-1])
    one, other = (reader.read(image, finder.find(image, most=1)[0], method="encoder") for image in (photo, flipped))
    expected = mirrored(one, reader.head, width=photo.shape[1])
    assert other.shift == pytest.approx(expected.shift, abs=6)
    assert np.corrcoef(other.expression, expected.expression)[0, 1] > 0.95


def test_labelled_faces_measure_the_head(tmp_path: Path, photo: Image) -> None:
    if "faces" not in cards.all_cards():
        pytest.skip("the shipped weights faces are not there")
    registry.load.cache_clear()
    face = registry.load("faces").find(photo, most=1)[0]
    labelled = face.landmarks + np.random.default_rng(0).normal(0, 1, face.landmarks.shape).astype(np.float32)
    cv2.imwrite(str(tmp_path / "one.png"), photo[..., ::-1])
    np.savez(
        tmp_path / "labels.npz", path=np.array(["one.png"]), identity=np.array(["someone"]),
        landmarks=labelled[None], blendshapes=face.blendshapes[None],
    )  # fmt: skip
    for method in METHODS if "smirk_open" in cards.all_cards() else ("fit",):
        measured = evaluate_mesh(tmp_path, method=method)
        assert measured["faces"] == 1 and measured["reprojected_median"] < 0.12
