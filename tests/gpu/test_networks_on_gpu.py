"""On a GPU, in half precision, the networks say what they say on a CPU in full."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from models import registry
from models.device import choose_device, device_words, inference, precision
from models.types import Image

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU here"),
]


def built(name: str, device: str) -> Any:
    """Build a network anew on another device, which only tests do."""
    registry.load.cache_clear()
    registry.configure(device=device, weights_folders=())
    return registry.load(name)


def test_auto_takes_the_gpu_in_half_precision() -> None:
    device = choose_device("auto")
    assert device.type == "cuda"
    assert precision(device) == torch.float16
    assert device_words(device) not in ("", "CPU")
    layer = torch.nn.Linear(64, 8).to(device)
    with inference(device):
        answer = layer(torch.ones(2, 64, device=device))
    assert answer.dtype == torch.float16


def test_faces_and_expressions_agree_with_the_cpu(photo: Image) -> None:
    on_cpu = built("faces", "cpu").find(photo)
    on_gpu = built("faces", "cuda").find(photo)
    assert len(on_cpu) == len(on_gpu) == 1
    apart = np.linalg.norm(on_cpu[0].landmarks[:, :2] - on_gpu[0].landmarks[:, :2], axis=1).mean()
    assert apart / on_cpu[0].iris_distance < 0.01
    assert np.abs(on_cpu[0].blendshapes - on_gpu[0].blendshapes).max() < 0.03
    first = built("deepfever", "cpu").read(photo, on_cpu)[0]
    second = built("deepfever", "cuda").read(photo, on_cpu)[0]
    assert float(first.vector @ second.vector) > 0.999
    assert np.abs(first.emotions - second.emotions).max() < 0.02
    assert first.backend == second.backend
