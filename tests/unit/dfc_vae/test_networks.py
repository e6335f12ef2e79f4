"""The published shapes, their loaders and the loss."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from models.brought import BROUGHT
from models.dfc_vae.latent import Latent
from models.dfc_vae.load import (
    ANTIXK,
    PAPER,
    VGG19,
    install_antixk,
    install_paper,
    install_vgg19,
    load_antixk,
    load_paper,
    load_vgg19,
)
from models.dfc_vae.losses import NamedLayerTaps, VggTaps, layer_errors, relative_layer_errors
from models.dfc_vae.network import DfcVae
from models.dfc_vae.official import AntixkVae, AuthorsVae128, PaperVae64
from models.dfc_vae.parity import checks, filled
from models.dfc_vae.vgg import VAE_345, Vgg19
from models.errors import BadInput, BadWeights

NETWORKS = {
    "dfcvae_paper64": lambda: PaperVae64(),
    "dfcvae_lua128": lambda: AuthorsVae128(),
    "dfcvae_antixk": lambda: AntixkVae(features="full"),
    "dfcvae_vgg19": lambda: Vgg19(),
}


@pytest.fixture
def stored(fixtures_dir: Path) -> Path:
    return fixtures_dir / "latent_ofer_dfc_vae"


@pytest.mark.parametrize("name", NETWORKS)
def test_keys_shapes_types_and_order_are_the_published_ones(stored: Path, name: str) -> None:
    listed = json.loads((stored / f"{name}.keys.json").read_text())["tensors"]
    with torch.device("meta"):
        state = NETWORKS[name]().state_dict()
    ours = {key: [list(value.shape), str(value.dtype).removeprefix("torch.")] for key, value in state.items()}
    assert list(ours.items()) == list(listed.items())


@pytest.mark.parametrize("part", ["paper64", "lua128", "antixk"])
def test_outputs_equal_the_stored_ones(stored: Path, part: str) -> None:
    seeds = sorted({path.name.split(".")[1] for path in stored.glob("dfcvae_paper64.*.npz")})
    for seed in seeds:
        wrong = [check.line() for check in checks(stored, seed=seed, only=part) if not check.ok]
        assert not wrong


def test_an_unknown_seed_or_part_is_an_error_not_a_pass(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no stored outputs"):
        list(checks(tmp_path, seed="dev", only="paper64"))
    with pytest.raises(BadInput, match="no part"):
        list(checks(tmp_path, seed="dev", only="nets"))


def test_torchvision_numbers_become_layer_names(tmp_path: Path) -> None:
    network = filled(Vgg19(), "any", "numbers")
    plain = nn.Sequential()
    numbered = {}
    for name, layer in network.features.items():
        if name.endswith("_1") and name != "conv1_1":
            plain.append(nn.MaxPool2d(2))
        numbered |= {f"features.{len(plain)}.{key}": value for key, value in layer.state_dict().items()}
        plain.extend([layer, nn.ReLU()])
    torch.save(numbered | {"classifier.0.weight": torch.zeros(3)}, tmp_path / "vgg19.pth")
    install_vgg19(tmp_path / "vgg19.pth", tmp_path / VGG19)
    loaded = load_vgg19(tmp_path)
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    relu5_1 = plain[:30](image)  # torchvision's relu5_1 is features[29]
    torch.testing.assert_close(loaded(image, VAE_345)[2], relu5_1)


def test_paper_and_antixk_checkpoints_load_strictly(tmp_path: Path) -> None:
    paper = filled(PaperVae64(), "any", "paper")
    torch.save({"state_dict": paper.state_dict()}, tmp_path / "paper.ckpt")
    install_paper(tmp_path / "paper.ckpt", tmp_path / PAPER)
    torch.testing.assert_close(load_paper(tmp_path).state_dict(), paper.state_dict())
    antixk = filled(AntixkVae(), "any", "antixk")
    lightning = {f"model.{key}": value for key, value in antixk.state_dict().items()}
    torch.save({"state_dict": lightning | {"model.feature_network.x": torch.zeros(2)}}, tmp_path / "antixk.ckpt")
    install_antixk(tmp_path / "antixk.ckpt", tmp_path / ANTIXK)
    torch.testing.assert_close(load_antixk(tmp_path).state_dict(), antixk.state_dict())


def test_wrong_files_are_refused_by_name(tmp_path: Path) -> None:
    state = PaperVae64().state_dict()
    torch.save({key: value for key, value in state.items() if key != "encoder.mean.bias"}, tmp_path / "less.pth")
    with pytest.raises(BadWeights, match=r"encoder\.mean\.bias is missing"):
        install_paper(tmp_path / "less.pth", tmp_path / PAPER)
    torch.save(state | {"encoder.mean.bias": torch.zeros(7)}, tmp_path / "shape.pth")
    with pytest.raises(BadWeights, match=r"encoder\.mean\.bias has the shape \(7,\)"):
        install_paper(tmp_path / "shape.pth", tmp_path / PAPER)
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(BadWeights, match=r"text\.pth"):
        install_paper(tmp_path / "text.pth", tmp_path / PAPER)


def test_every_entry_for_users_names_a_function_that_exists() -> None:
    entries = [entry for entry in BROUGHT.values() if entry.install.startswith("models.dfc_vae.")]
    assert len(entries) == 5
    for entry in entries:
        module, function = entry.install.split(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_divergence_is_zero_for_the_unit_normal_and_right_for_another() -> None:
    assert Latent(torch.zeros(2, 5), torch.zeros(2, 5)).divergence().tolist() == [0.0, 0.0]
    shifted = Latent(torch.full((1, 3), 2.0), torch.full((1, 3), 1.0).log())
    normal = torch.distributions.Normal(2.0, 1.0)
    expected = 3 * torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(shifted.divergence()[0], expected)


def test_our_network_keeps_its_contract() -> None:
    torch.manual_seed(0)
    network = DfcVae().eval()
    image = torch.rand(3, 3, 128, 128)
    with torch.inference_mode():
        whole, one = network(image), network(image[1:2])
    assert whole.shape == image.shape
    assert 0 <= whole.min() and whole.max() <= 1
    torch.testing.assert_close(whole[1:2], one, rtol=1e-4, atol=1e-5)
    assert 2 * sum(value.numel() for value in network.state_dict().values()) <= 12e6  # float16 bytes
    with pytest.raises(ValueError, match="halve"):
        DfcVae(size=64)


def test_feature_errors_flow_back_to_the_picture_and_not_to_the_ruler() -> None:
    torch.manual_seed(0)
    ruler = VggTaps(Vgg19(), scale="caffe")
    wanted = torch.rand(1, 3, 32, 32)
    given = wanted.clone().requires_grad_(True)
    assert layer_errors(ruler(wanted), ruler(given)).tolist() == [0.0, 0.0, 0.0]
    other = torch.rand(1, 3, 32, 32, requires_grad=True)
    relative_layer_errors(ruler(wanted), ruler(other)).sum().backward()
    assert other.grad is not None and other.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in ruler.parameters())


def test_layers_of_any_network_can_be_the_ruler() -> None:
    network = DfcVae(size=16, latent=4, widths=(4, 8))
    taps = NamedLayerTaps(network.encoder, layers=("0", "1"), prepare=lambda image: image * 2 - 1)
    shapes = [tuple(layer.shape) for layer in taps(torch.rand(2, 3, 16, 16))]
    assert shapes == [(2, 4, 8, 8), (2, 8, 4, 4)]
    with pytest.raises(ValueError, match="no layer"):
        NamedLayerTaps(network, layers=("absent",), prepare=lambda image: image)
