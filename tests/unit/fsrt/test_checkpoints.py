"""Official checkpoints: accepted with all names and shapes right, refused otherwise, never run."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.brought import BROUGHT
from models.checkpoints import read_checkpoint
from models.errors import BadWeights, MissingWeights
from models.fsrt.checkpoints import (
    KEYPOINTS_FILE,
    ONE_SOURCE_FILE,
    TWO_SOURCES_FILE,
    install_keypoint_detector,
    install_networks,
    keypoint_state,
    load_keypoint_detector,
    load_networks,
    network_states,
)
from models.fsrt.decoder import PixelDecoder
from models.fsrt.encoder import SetLatentEncoder
from models.fsrt.expression_encoder import ExpressionEncoder
from models.fsrt.keypoints import KeypointDetector


@pytest.fixture
def checkpoint(
    encoder: SetLatentEncoder, decoder: PixelDecoder, expression_encoder: ExpressionEncoder
) -> dict[str, Any]:
    return {
        "encoder": dict(encoder.state_dict()),
        "decoder": dict(decoder.state_dict()),
        "expression_encoder": dict(expression_encoder.state_dict()),
    }


def test_a_detector_survives_the_way_in(detector: KeypointDetector, tmp_path: Path) -> None:
    torch.save(detector.state_dict(), tmp_path / "kp_detector.pt")
    said = install_keypoint_detector(tmp_path / "kp_detector.pt", tmp_path / KEYPOINTS_FILE)
    assert "73 tensors" in said
    loaded = load_keypoint_detector(tmp_path / KEYPOINTS_FILE)
    picture = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    assert torch.equal(loaded(picture).points, detector(picture).points)
    assert torch.equal(load_keypoint_detector(tmp_path / "kp_detector.pt")(picture).points, detector(picture).points)


def test_a_checkpoint_of_the_first_order_model_fits(detector: KeypointDetector, tmp_path: Path) -> None:
    state = detector.state_dict() | {"jacobian.weight": torch.zeros(40, 35, 7, 7), "jacobian.bias": torch.zeros(40)}
    content = {"kp_detector": state, "generator": {"x": torch.zeros(1)}, "epoch": 100}
    torch.save(content, tmp_path / "vox.pth.tar", _use_new_zipfile_serialization=False)
    assert list(keypoint_state(read_checkpoint(tmp_path / "vox.pth.tar"))) == list(detector.state_dict())


def test_networks_survive_the_way_in(checkpoint: dict[str, Any], tmp_path: Path) -> None:
    extras = {"it": 500_000, "loss_val_best": np.float64(0.1), "optimizer": {"state": {}}}
    torch.save(checkpoint | extras, tmp_path / "vox256.pt")
    assert "normal decoder" in install_networks(tmp_path / "vox256.pt", tmp_path / ONE_SOURCE_FILE)
    for path in (tmp_path / "vox256.pt", tmp_path / ONE_SOURCE_FILE):
        loaded = dict(zip(("expression_encoder", "encoder", "decoder"), load_networks(path), strict=True))
        for part, network in loaded.items():
            state = network.state_dict()
            assert list(state) == list(checkpoint[part])
            assert all(torch.equal(value, checkpoint[part][key]) for key, value in state.items())


def test_the_small_decoder_is_recognised(checkpoint: dict[str, Any]) -> None:
    small = PixelDecoder.small().state_dict()
    assert list(network_states(checkpoint | {"decoder": small})["decoder"]) == list(small)


def broken(state: dict[str, torch.Tensor], fault: str) -> Any:
    first = next(iter(state))
    return {
        "missing": {key: value for key, value in state.items() if key != first},
        "unknown": state | {"extra.weight": torch.zeros(1)},
        "has shape": state | {first: state[first][:-1]},
        "not numbers": state | {first: torch.full_like(state[first], torch.nan)},
        "is a str": state | {first: "hello"},
        "expected named tensors": [1, 2],
    }[fault]


@pytest.mark.parametrize("fault", ["missing", "unknown", "has shape", "not numbers", "is a str"])
def test_faults_are_named(checkpoint: dict[str, Any], detector: KeypointDetector, fault: str) -> None:
    wrong = broken(checkpoint["expression_encoder"], fault)
    with pytest.raises(BadWeights, match=f"expression_encoder.*{fault}"):
        network_states(checkpoint | {"expression_encoder": wrong})
    with pytest.raises(BadWeights, match=f"keypoint detector.*{fault}"):
        keypoint_state(broken(detector.state_dict(), fault))


def test_parts_that_are_not_there_are_named(checkpoint: dict[str, Any], detector: KeypointDetector) -> None:
    with pytest.raises(BadWeights, match="no decoder and no expression_encoder"):
        network_states({"encoder": checkpoint["encoder"]})
    with pytest.raises(BadWeights, match="vox256"):
        network_states(detector.state_dict())
    with pytest.raises(BadWeights, match="expected named tensors"):
        keypoint_state({"kp_detector": [1]})


class Intruder:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("intruder-was-here"),))


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"encoder": Intruder()}, tmp_path / "bad.pt")
    with pytest.raises(BadWeights, match=r"bad\.pt cannot be read"):
        read_checkpoint(tmp_path / "bad.pt")
    assert not (tmp_path / "intruder-was-here").exists()


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.pt").write_bytes(b"\x80\x02noise")
    (tmp_path / "noise.safetensors").write_bytes(b"noise and more noise")
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save([1, 2], tmp_path / "list.pt")
    for name in ("noise.pt", "noise.safetensors", "empty.pt", "list.pt"):
        with pytest.raises(BadWeights, match=name):
            read_checkpoint(tmp_path / name)
    with pytest.raises(MissingWeights, match="mien weights add"):
        read_checkpoint(tmp_path / "absent.pt")


def test_the_list_of_files_users_bring_points_here() -> None:
    files = {name: BROUGHT[name] for name in ("fsrt-keypoints", "fsrt-vox256", "fsrt-vox256-two-sources")}
    assert [entry.filename for entry in files.values()] == [KEYPOINTS_FILE, ONE_SOURCE_FILE, TWO_SOURCES_FILE]
    for entry in files.values():
        module, _, function = entry.install.partition(":")
        assert callable(getattr(importlib.import_module(module), function))
        assert "none stated" in entry.licence
