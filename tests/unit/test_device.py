"""The device is chosen once; what is not there is refused in words."""

from __future__ import annotations

import threading

import pytest
import torch

from models.device import choose_device, device_words, inference, one_thread, precision, words_for
from models.errors import BadInput


def test_auto_gives_a_device_that_computes() -> None:
    device = choose_device("auto")
    assert device == choose_device("auto")
    assert torch.ones(2, device=device).sum().item() == 2
    assert device_words(device)


def test_cpu_computes_in_full_precision_without_gradients() -> None:
    device = choose_device("cpu")
    assert precision(device) == torch.float32
    layer = torch.nn.Linear(4, 2)
    with inference(device):
        answer = layer(torch.ones(1, 4))
    assert answer.dtype == torch.float32
    assert answer.is_inference()
    assert layer(torch.ones(1, 4)).requires_grad


@pytest.mark.parametrize("wanted", ["gpu", "", "cuda:99", "tpu"])
def test_a_device_that_is_not_there_is_refused(wanted: str) -> None:
    with pytest.raises(BadInput):
        choose_device(wanted)


def test_the_device_is_named_as_it_will_be_chosen() -> None:
    assert words_for("auto") == device_words(choose_device("auto"))
    assert words_for("cpu") == "CPU"
    with pytest.raises(BadInput):
        words_for("cuda:99")


def test_one_thread_holds_for_a_while_and_only_here() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    with one_thread():
        assert torch.get_num_threads() == 1
        beside = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        beside.start()
        beside.join()
    assert torch.get_num_threads() == before == seen[0]
