"""Networks in the shapes of LaMa's two usual exports, built here, go through adding and filling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models import registry
from models.errors import BadWeights
from models.occlusion.lama import Lama, install

onnx = pytest.importorskip("onnx", reason="the extra mien[onnx] is not installed")
pytest.importorskip("onnxruntime", reason="the extra mien[onnx] is not installed")
SIZE = 32


def export(path: Path, *, joined: bool, channels: int = 3) -> Path:
    """Write a network that paints a hole in the picture's mean colour, in levels or, joined, in 0 to 1."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    outputs = [helper.make_tensor_value_info("output", kind, [1, channels, SIZE, SIZE])]
    if joined:
        inputs = [helper.make_tensor_value_info("input", kind, [1, 4, SIZE, SIZE])]
        starts = onnx.numpy_helper.from_array(np.array([0], np.int64), "start")
        ends = onnx.numpy_helper.from_array(np.array([channels], np.int64), "end")
        axes = onnx.numpy_helper.from_array(np.array([1], np.int64), "axes")
        zero = onnx.numpy_helper.from_array(np.array([0], np.float32), "zero")
        nodes = [
            helper.make_node("Slice", ["input", "start", "end", "axes"], ["image"]),
            helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
            helper.make_node("Mul", ["image", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "mean"], ["output"]),
        ]
        known = [starts, ends, axes, zero]
    else:
        inputs = [
            helper.make_tensor_value_info("image", kind, [1, channels, SIZE, SIZE]),
            helper.make_tensor_value_info("mask", kind, [1, 1, SIZE, SIZE]),
        ]
        known = [onnx.numpy_helper.from_array(np.array([255.0], np.float32), "levels")]
        nodes = [
            helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
            helper.make_node("Mul", ["image", "mask"], ["seen"]),
            helper.make_node("Sub", ["seen", "seen"], ["nothing"]),
            helper.make_node("Add", ["nothing", "mean"], ["shares"]),
            helper.make_node("Mul", ["shares", "levels"], ["output"]),
        ]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, known)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


@pytest.mark.parametrize("joined", [False, True])
def test_adding_and_filling(tmp_path: Path, joined: bool) -> None:
    target = tmp_path / "lama.onnx"
    assert f"{SIZE} px" in install(export(tmp_path / "tiny.onnx", joined=joined), target)
    pixels = np.full((48, 48, 3), (200, 120, 40), np.uint8)
    mask = np.zeros((48, 48), bool)
    mask[10:20, 10:20] = True
    filled = Lama(target).fill(pixels, mask)
    assert (filled[~mask] == pixels[~mask]).all()
    wanted = np.array([200, 120, 40]) * (1 - (mask.mean() if joined else 0))  # a joined export sees the hole as black
    np.testing.assert_allclose(filled[mask].mean(0), wanted, atol=4)


def test_another_network_and_a_broken_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadWeights, match="is not LaMa"):
        install(export(tmp_path / "grey.onnx", joined=False, channels=1), tmp_path / "lama.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"half a file")
    with pytest.raises(BadWeights, match="cannot open the file"):
        install(broken, tmp_path / "lama.onnx")
    assert not (tmp_path / "lama.onnx").exists()


def test_the_chain_offers_it_once_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = registry.load("occlusion")
    assert "lama" not in reader.methods
    lama = Lama(export(tmp_path / "tiny.onnx", joined=False))
    monkeypatch.setattr(reader, "networks", type(reader.networks)(**vars(reader.networks) | {"lama": lama}))
    assert reader.methods["lama"] == "LaMa, your file"
