"""The recipe learns, resumes, and its crops are where they should be."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.dfc_vae.network import DfcVae
from models.errors import BadInput, MissingWeights
from models.faces.network import FaceNet
from models.training.data import read_faces
from models.training.dfc_vae import measure, ruler_for, train
from models.training.dfc_vae_crops import Wobble, exact_crops

SMALL = {"widths": (8, 16, 24), "latent": 16, "batch": 16, "workers": 0, "device": "cpu", "principal_crops": 200}


@pytest.fixture(scope="module")
def few_faces(faces_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set in the shape of the real ones: 160 of their faces."""
    labels = np.load(faces_dir / "faces256" / "labels.npz")
    rows = np.random.default_rng(0).choice(np.flatnonzero(labels["source"] == "sfhq_t2i"), 160, replace=False)
    folder = tmp_path_factory.mktemp("faces")
    paths = []
    for row in rows:
        picture = cv2.imread(str(faces_dir / "faces256" / str(labels["path"][row])))
        paths.append(f"{row}.png")
        cv2.imwrite(str(folder / paths[-1]), picture)
    kept = ("identity", "source", "caption", "landmarks", "blendshapes", "pose")
    names = {"blendshape_names": labels["blendshape_names"]}
    np.savez(folder / "labels.npz", path=np.array(paths), **{key: labels[key][rows] for key in kept}, **names)
    return folder


def test_wobbling_keeps_the_middle_near_and_changes_every_time() -> None:
    rng = np.random.default_rng(0)
    middles = np.stack([(Wobble().draw(128, rng) @ [63.5, 63.5, 1])[:2] for _ in range(300)])
    np.testing.assert_allclose(middles.mean(0), 63.5, atol=0.4)
    np.testing.assert_allclose(middles.std(0), 0.008 * 128, rtol=0.2)
    still = Wobble(0.0, 0.0, 0.0).draw(128, rng)
    np.testing.assert_allclose(still, np.eye(3), atol=1e-12)


@pytest.mark.slow
def test_training_learns_and_resumes(few_faces: Path, tmp_path: Path) -> None:
    options = {"data": few_faces, "out": tmp_path, "features": "pixel", **SMALL}
    untrained = DfcVae(size=32, latent=16, widths=(8, 16, 24)).eval()
    crops = exact_crops(read_faces(few_faces), size=32)
    start = measure(untrained, crops, ruler=None, device="cpu")
    half = train(minutes=0.15, **options)
    whole = train(minutes=0.4, resume=True, **options)
    rows = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] > rows[0]["step"] > 0
    assert rows[-1]["minutes"] == pytest.approx(0.4, abs=0.05)
    assert half["psnr"] > start["psnr"] + 1
    assert whole["psnr"] > half["psnr"]
    loaded = DfcVae.from_pretrained(tmp_path / "model")
    assert measure(loaded.eval(), crops, ruler=None, device="cpu")["psnr"] > start["psnr"] + 1


def test_feature_errors_of_the_face_network_drive_the_training(few_faces: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    face_network = FaceNet(size=32, widths=(8, 16, 24, 32)).eval()
    figures = train(data=few_faces, out=tmp_path, minutes=0.1, features="faces", ruler=face_network, **SMALL)
    row = json.loads((tmp_path / "curve.jsonl").read_text().splitlines()[-1])
    assert {"features", "pixels", "divergence"} <= row.keys()
    assert 0 < figures["feature_error"] < 1.5
    assert all(parameter.grad is None for parameter in face_network.parameters())


def test_the_ruler_is_named_when_it_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match="mien train faces"):
        ruler_for("faces", network=None, weights=None)
    with pytest.raises(MissingWeights, match="mien weights add vgg19"):
        ruler_for("vgg-123", network=None, weights=tmp_path)
    with pytest.raises(BadInput, match="vgg-345"):
        ruler_for("vgg", network=None, weights=None)


def test_the_paper_network_trains_too(few_faces: Path, tmp_path: Path) -> None:
    figures = train(
        data=few_faces, out=tmp_path, minutes=0.05, features="pixel", paper=True, batch=8, workers=0, device="cpu"
    )
    assert np.isfinite(figures["psnr"])
    assert json.loads((tmp_path / "model" / "config.json").read_text())["_class_name"] == "PaperVae64"
