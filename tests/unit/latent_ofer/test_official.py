"""Checkpoints that users bring: what fits is kept and computes the same, what does not is refused by name."""

from __future__ import annotations

import os
import pickle
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import nn

from models.brought import BROUGHT
from models.errors import BadWeights, MissingWeights
from models.latent_ofer import mae, official, rule
from models.latent_ofer.classifier import (
    LATENT_VALUES,
    TOKENS,
    LatentClassifier,
    attended_cells,
    fold,
    pick_latents,
)
from models.latent_ofer.dan import Dan
from models.latent_ofer.mae import MaskedAutoencoder

ENTRIES = {
    "mae-base": official.MAE_BASE_FILE,
    "mae-large": official.MAE_LARGE_FILE,
    "latent-ofer-refiner": official.REFINER_FILE,
    "latent-ofer-dan": official.DAN_FILE,
    "latent-ofer-classifier": official.CLASSIFIER_FILE,
}


@pytest.fixture(scope="module")
def dan() -> Dan:
    return rule.build(Dan, "fer_dan", "test")


def hollow(net: nn.Module) -> dict[str, torch.Tensor]:
    """Tensors of the network's shapes that take no room: each is one number, repeated."""
    return {key: torch.zeros((), dtype=t.dtype).expand(t.shape) for key, t in net.state_dict().items()}


def empty_mae(sizes: dict[str, int]) -> MaskedAutoencoder:
    with torch.device("meta"):
        return MaskedAutoencoder(**sizes)


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_names_a_function_and_the_file_that_is_loaded(name: str) -> None:
    module, function = BROUGHT[name].install.split(":")
    assert callable(getattr(import_module(module), function))
    assert BROUGHT[name].filename == ENTRIES[name]


def test_dan_is_kept_and_reads_the_same(dan: Dan, tmp_path: Path) -> None:
    source, target = tmp_path / "dan.pth", tmp_path / official.DAN_FILE
    torch.save({"iter": 3, "model_state_dict": {f"module.{k}": v for k, v in dan.state_dict().items()}}, source)
    assert "275 tensors" in official.install_dan(source, target)
    image = rule.blocks("fer_dan", "test", "image", size=224, block=8)
    kept, state = official.load_dan(target), dan.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in kept.state_dict().items())
    with torch.inference_mode():
        torch.testing.assert_close(kept(image).logits, dan(image).logits, rtol=1e-5, atol=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dan.pth", official.DAN_FILE]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("fc.bias"), "missing fc.bias"),
        (lambda state: state.update(extra=torch.zeros(1)), "unknown extra"),
        (lambda state: state.update({"fc.bias": torch.zeros(8)}), r"fc.bias has shape \(8,\), expected \(7,\)"),
        (lambda state: state.update({"fc.bias": torch.full((7,), torch.nan)}), "fc.bias holds values that are not"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(dan: Dan, tmp_path: Path, change: object, words: str) -> None:
    state = dict(dan.state_dict())
    change(state)
    torch.save(state, tmp_path / "dan.pth")
    with pytest.raises(BadWeights, match=words):
        official.install_dan(tmp_path / "dan.pth", tmp_path / "kept.safetensors")
    assert not (tmp_path / "kept.safetensors").exists()


class Runs:
    """Something that would run a command when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran_when_loaded",)


def test_nothing_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Runs()}, tmp_path / "zip.pth")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Runs(), protocol=2))
    for name in ("zip.pth", "bare.pth"):
        with pytest.raises(BadWeights, match="cannot be read"):
            official.install_dan(tmp_path / name, tmp_path / "kept.safetensors")
    assert not (tmp_path / "ran_when_loaded").exists()


@pytest.mark.parametrize("name", ["cut.pth", "cut.safetensors"])
def test_a_damaged_file_is_refused(dan: Dan, tmp_path: Path, name: str) -> None:
    whole = tmp_path / "whole.pth"
    torch.save(dan.fc.state_dict(), whole)
    (tmp_path / name).write_bytes(whole.read_bytes()[:-200])
    with pytest.raises(BadWeights, match="cannot be read"):
        official.load_dan(tmp_path / name)
    with pytest.raises(MissingWeights, match="mien weights add"):
        official.load_dan(tmp_path / "nowhere.pth")


def test_the_autoencoders_file_says_its_size(tmp_path: Path) -> None:
    torch.save({"model": hollow(empty_mae(mae.BASE))}, tmp_path / "base.pth")
    net = official.load_mae(tmp_path / "base.pth")
    assert (net.config.width, net.config.depth) == (768, 12)
    with pytest.raises(BadWeights, match="768 wide, expected 1024"):
        official.install_mae_large(tmp_path / "base.pth", tmp_path / "kept.safetensors")


def test_an_autoencoder_without_decoder_is_told_apart(tmp_path: Path) -> None:
    state = hollow(empty_mae(mae.LARGE))
    encoder = {key: value for key, value in state.items() if "decoder" not in key and key != "mask_token"}
    torch.save({"model": encoder}, tmp_path / "encoder.pth")
    with pytest.raises(BadWeights, match="mae_visualize"):
        official.install_mae_large(tmp_path / "encoder.pth", tmp_path / "kept.safetensors")
    torch.save({"model": hollow(empty_mae(mae.TINY))}, tmp_path / "tiny.pth")
    with pytest.raises(BadWeights, match="768 and 1024"):
        official.load_mae(tmp_path / "tiny.pth")


@pytest.fixture(scope="module")
def layered() -> LatentClassifier:
    return rule.build(lambda: LatentClassifier(latent_branch="layers", latent_widths=(96, 48)), "classifier", "test")


def faces_and_latents() -> tuple[torch.Tensor, torch.Tensor]:
    image = rule.blocks("classifier", "test", "image", size=224, block=8)
    return image, rule.vector("classifier", "test", "latent", (1, LATENT_VALUES))


def test_the_classifier_is_folded_on_the_way_in(layered: LatentClassifier, tmp_path: Path) -> None:
    source, target = tmp_path / "full.pth", tmp_path / official.CLASSIFIER_FILE
    torch.save({"iter": 22, "model_state_dict": layered.state_dict(), "optimizer_state_dict": {}}, source)
    assert "folded" in official.install_classifier(source, target)
    folded = official.load_classifier(target)
    with torch.inference_mode():
        logits, ours = (net(*faces_and_latents()).logits for net in (layered, folded))
    assert float((logits - ours).abs().max()) <= 1e-6 * float(logits.abs().max())
    with pytest.raises(BadWeights, match="folds them"):
        official.load_classifier(source)
    again = tmp_path / "again.safetensors"
    official.install_classifier(target, again)  # what is folded already stays as it is
    assert torch.equal(official.load_classifier(again).latent.weight, folded.latent.weight)


def test_folding_does_not_depend_on_the_rows_read_at_a_time(layered: LatentClassifier) -> None:
    state = layered.state_dict()
    few, many = fold(state, rows=7), fold(state, rows=1000)
    torch.testing.assert_close(few["latent.weight"], many["latent.weight"], atol=1e-7, rtol=1e-5)
    exact = nn.Sequential(*(layered.get_submodule(name) for name in ("hh_layer", "hh_layer2", "hh_batch1")))
    exact.extend(layered.get_submodule(name) for name in ("hh_layer3", "hh_layer4", "batch_norm1"))
    latents = faces_and_latents()[1]
    with torch.inference_mode():
        expected = exact(latents)
    ours = latents @ few["latent.weight"].T + few["latent.bias"]
    assert float((ours - expected).abs().max()) <= 1e-6 * float(expected.abs().max()) * 4


def test_latents_are_the_official_tokens_in_order() -> None:
    assert len(TOKENS) == 78 and TOKENS[:9] == (46, 47, 48, 49, 50, 51, 52, 53, 60) and TOKENS[-1] == 177
    decoded = torch.arange(197.0)[None, :, None].expand(1, 197, 512)
    picked = pick_latents(decoded)
    assert picked.shape == (1, LATENT_VALUES) and picked[0, ::512].tolist() == list(TOKENS)


def test_attended_cells_are_where_the_heads_look() -> None:
    attention = torch.rand(2, 4, 7, 7, generator=torch.Generator().manual_seed(0)) * 0.1
    attention[0, :, :3], attention[1, :, :, 4:] = 1.0, 1.0
    cells = attended_cells(attention).reshape(2, 14, 14)
    assert cells[0, :6].all() and cells[1, :, 8:].all()
    assert 0.35 <= float(cells.float().mean()) <= 0.5
