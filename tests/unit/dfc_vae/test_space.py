"""Faces lie where the latent space expects them, sliders and readings are what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import cards
from models.dfc_vae.align import BONES, EDGE, MIDDLE, bone_matrix, oval
from models.dfc_vae.attributes import Attribute, Directions, read_directions, save_directions
from models.dfc_vae.evaluation import pixel_figures
from models.dfc_vae.losses import relative_layer_errors, texture_errors
from models.dfc_vae.network import DfcVae
from models.dfc_vae.reading import read_crops
from models.errors import MissingWeights
from models.faces.names import MIRRORED_BLENDSHAPES, MIRRORED_LANDMARKS
from models.faces.network import FaceNet
from models.training.dfc_vae_directions import _centred, _regression
from models.training.dfc_vae_principal import fit_pca, lay_principal, read_pca

SIZE = 128


def average_face() -> np.ndarray:
    """(478, 3) landmarks whose bones lie on the average face, in units of the eyes' distance."""
    points = np.random.default_rng(0).normal(0, 0.3, (478, 3)).astype(np.float32)
    for number, place in BONES.items():
        points[number, :2] = place
    return points


@given(
    turn=st.floats(-3, 3), zoom=st.floats(20, 400), x=st.floats(-500, 500), y=st.floats(-500, 500)
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_bones_lie_in_the_same_place_however_the_photo_was_taken(turn: float, zoom: float, x: float, y: float) -> None:
    face = average_face()
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * zoom
    photo = face.copy()
    photo[:, :2] = face[:, :2] @ matrix.T + [x, y]
    back = bone_matrix(photo, size=SIZE)
    laid = photo[list(BONES), :2].astype(np.float64) @ back[:2, :2].T + back[:2, 2]
    wanted = (np.array(list(BONES.values())) - MIDDLE) * SIZE / EDGE + (SIZE - 1) / 2
    np.testing.assert_allclose(laid, wanted, atol=0.02)


def test_an_open_mouth_moves_nothing_else() -> None:
    closed, open_ = average_face(), average_face()
    open_[[13, 14, 17, 152], 1] += 0.4  # lips and chin are no bones
    np.testing.assert_array_equal(bone_matrix(closed * 100, size=SIZE), bone_matrix(open_ * 100, size=SIZE))


def test_the_oval_is_one_on_the_face_and_zero_at_the_border() -> None:
    share = oval(SIZE)
    assert share[SIZE // 2, SIZE // 2] == 1 and share.min() == 0
    assert max(share[0].max(), share[-1].max(), share[:, 0].max(), share[:, -1].max()) < 0.02
    np.testing.assert_allclose(share, share[:, ::-1], atol=1e-6)
    assert oval(SIZE, low=0.3)[0, 0] == pytest.approx(0.3)


def test_principal_components_are_whitened_and_as_good_as_any_linear_code() -> None:
    torch.manual_seed(0)
    basis = torch.rand(6, 3, 4, 4)
    mixed = torch.einsum("nk,kchw->nchw", torch.randn(200, 6), basis - 0.5) * 0.05 + 0.5
    crops = (torch.nn.functional.interpolate(mixed, size=(16, 16)).clamp(0, 1) * 255).to(torch.uint8)
    network = DfcVae(size=16, latent=6, widths=(4, 8)).eval()
    lay_principal(network, crops)
    unit = crops.float() / 255
    codes = network.principal.encode(unit)
    torch.testing.assert_close(codes.std(0), torch.ones(6), atol=0.05, rtol=0)
    assert (network(unit) - unit).square().mean().sqrt() < 0.06
    np.testing.assert_allclose(network.encode(unit).mean.detach(), codes, atol=1e-5)


def test_the_control_of_components_comes_back_from_its_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    crops = (torch.rand(40, 3, 8, 8) * 255).to(torch.uint8)
    fit_pca(crops, latent=30).save(tmp_path)
    unit = crops.float() / 255
    rebuilt = read_pca(tmp_path).rebuild(unit)
    assert rebuilt.shape == unit.shape
    assert (rebuilt - unit).square().mean() < 0.5 * (unit - unit.mean(0)).square().mean()


def test_a_blur_costs_texture_even_where_it_costs_few_squares() -> None:
    torch.manual_seed(0)
    sharp = [torch.randn(1, 4, 16, 16)]
    other, flat = [torch.randn(1, 4, 16, 16)], [torch.zeros(1, 4, 16, 16)]
    assert relative_layer_errors(sharp, flat)[0] < relative_layer_errors(sharp, other)[0]
    assert texture_errors(sharp, other, cells=4)[0] < texture_errors(sharp, flat, cells=4)[0]


def test_readings_of_a_mirrored_crop_are_mirrored() -> None:
    torch.manual_seed(0)
    network = FaceNet(size=32, widths=(8, 16, 24, 32)).eval()
    network.mean_shape.copy_(torch.randn(478, 3))
    crops = torch.rand(2, 3, 64, 64)
    plain, turned = read_crops(network, crops), read_crops(network, crops.flip(-1))
    back = turned.landmarks[:, MIRRORED_LANDMARKS]
    np.testing.assert_allclose(63 - back[..., 0], plain.landmarks[..., 0], atol=1e-3)
    np.testing.assert_allclose(turned.blendshapes[:, MIRRORED_BLENDSHAPES], plain.blendshapes, atol=1e-5)


def test_a_regression_within_people_leaves_people_out() -> None:
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(30), 6)
    values = rng.standard_normal((180, 2))
    true = rng.standard_normal((2, 8))
    codes = values @ true + 5 * rng.standard_normal((30, 8))[people]
    ones = np.ones(180)
    found = _regression(_centred(codes, people, ones), _centred(values, people, ones), ones)
    np.testing.assert_allclose(found, true, atol=0.2)


def test_sliders_come_back_from_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attribute = Attribute("smile", "Smile", "none", "broad", 0.3, 0.9, "Mouth", 0.1, is_read=True)
    steps = np.arange(4, dtype=np.float32)[None]
    kept = Directions((attribute,), steps, np.zeros(4, np.float32), np.eye(4, dtype=np.float32), backend="x-1")
    path = tmp_path / "dfc_vae_directions.safetensors"
    save_directions(kept, path)
    monkeypatch.setattr(cards, "PRETRAINED", tmp_path)
    with pytest.raises(MissingWeights, match="mien train dfc_vae_directions"):
        read_directions(backend="x-1")
    monkeypatch.setattr(cards, "check_weight", lambda card: path)
    monkeypatch.setattr(cards, "read_card", lambda file: None)
    (tmp_path / "dfc_vae_directions.json").write_text("{}")
    found = read_directions(backend="x-1")
    assert found.attributes == (attribute,)
    np.testing.assert_array_equal(found.moved(np.ones(4, np.float32), {"smile": 2.0}), [1, 3, 5, 7])
    np.testing.assert_array_equal(found.draw(5), found.draw(5))
    with pytest.raises(MissingWeights, match="belong to x-1"):
        read_directions(backend="y-2")


def test_figures_of_a_perfect_copy_and_of_a_blur() -> None:
    rng = np.random.default_rng(0)
    crops = torch.from_numpy(rng.random((2, 3, 64, 64), np.float32))
    same = pixel_figures(crops, crops)
    assert same["psnr"] == pytest.approx(100) and same["ssim"] == pytest.approx(1) and same["sharpness"] == 1
    blurred = pixel_figures(crops, torch.nn.functional.avg_pool2d(crops, 3, 1, 1))
    assert blurred["psnr"] < 20 and blurred["sharpness"] < 0.2
