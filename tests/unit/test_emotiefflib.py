"""A network in EmotiEffLib's shape, built here, goes through adding and reading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models import registry
from models.emotiefflib import CLASSES, EmotiEffReader, install
from models.errors import BadWeights
from models.types import EMOTIONS

onnx = pytest.importorskip("onnx", reason="the extra mien[onnx] is not installed")
pytest.importorskip("onnxruntime", reason="the extra mien[onnx] is not installed")


def network(path: Path, *, outputs: int) -> Path:
    """Write a tiny ONNX image network: average pooling in 8x8 cells, a ReLU layer of 96 features, a linear layer."""
    rng = np.random.default_rng(0)
    helper, tensor = onnx.helper, onnx.numpy_helper.from_array
    weights = [
        tensor(rng.normal(0, 0.2, (192, 96)).astype(np.float32), "w1"),
        tensor(rng.normal(0, 0.3, (outputs, 96)).astype(np.float32), "w2"),
        tensor(np.zeros(outputs, np.float32), "b2"),
    ]
    nodes = [
        helper.make_node("AveragePool", ["input"], ["pooled"], kernel_shape=[28, 28], strides=[28, 28]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w1"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["features"]),
        helper.make_node("Gemm", ["features", "w2", "b2"], ["scores"], transB=1),
    ]
    image = helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, 224, 224])
    scores = helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, [1, outputs])
    graph = helper.make_graph(nodes, "tiny", [image], [scores], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize("outputs", [8, 10])
def test_adding_and_reading(tmp_path, photo, outputs):
    target = tmp_path / "features.onnx"
    told = install(network(tmp_path / "tiny.onnx", outputs=outputs), target)
    assert "96 features" in told
    reader = EmotiEffReader(target)
    faces = registry.load("faces").find(photo)
    expression = reader.read(photo, faces)[0]
    assert expression.vector.shape == (64,)
    assert np.linalg.norm(expression.compact) == pytest.approx(1, abs=1e-3)
    assert expression.emotions.sum() == pytest.approx(1, abs=1e-5)
    assert expression.backend.startswith("emotiefflib-")
    assert set(CLASSES) == set(EMOTIONS)


def test_the_file_as_published_has_to_be_added_first(tmp_path):
    with pytest.raises(BadWeights, match="mien weights add emotiefflib"):
        EmotiEffReader(network(tmp_path / "tiny.onnx", outputs=8))


def test_a_file_that_is_no_network_is_refused(tmp_path):
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"not a network" * 50)
    with pytest.raises(BadWeights, match=r"junk\.onnx"):
        install(junk, tmp_path / "out.onnx")
