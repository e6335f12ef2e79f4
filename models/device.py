"""What to compute on: chosen once, half precision on a GPU, never a gradient outside training.

Torch is imported inside: the page opens without it, and it loads with the first network.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from models.errors import BadInput

if TYPE_CHECKING:
    import torch
    from threadpoolctl import ThreadpoolController

Network = TypeVar("Network", bound="torch.nn.Module")
NVIDIA_DRIVER = Path("/dev/nvidiactl")
CHOICES = ("auto", "cuda", "mps", "cpu")


@cache
def choose_device(wanted: str = "auto") -> torch.device:
    """Return the best device there is, or the one asked for: cuda, cuda:1, mps or cpu; raises BadInput without it."""
    import torch  # noqa: PLC0415 - see the module's docstring

    kind = wanted.split(":")[0]
    if kind not in CHOICES:
        raise BadInput(f"there is no device {wanted!r}; choose one of {', '.join(CHOICES)}")
    if kind == "auto":
        return torch.device(_best())
    if kind == "cuda" and not torch.cuda.is_available():
        raise BadInput(f"{wanted} was asked for, and torch sees no CUDA GPU; use auto or cpu")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise BadInput("mps was asked for, and this is no Mac with a GPU for torch; use auto or cpu")
    device = torch.device(wanted)
    if kind == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BadInput(f"{wanted} was asked for, and there are {torch.cuda.device_count()} GPUs, counted from 0")
    return device


def _best() -> str:
    import torch  # noqa: PLC0415 - see the module's docstring

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def precision(device: torch.device) -> torch.dtype:
    """Return float16 on a GPU and float32 on a CPU, where half precision is slower."""
    import torch  # noqa: PLC0415 - see the module's docstring

    return torch.float32 if device.type == "cpu" else torch.float16


@contextmanager
def inference(device: torch.device) -> Iterator[None]:
    """Run networks without gradients, and in half precision on a GPU; weights and results stay float32 outside."""
    import torch  # noqa: PLC0415 - see the module's docstring

    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.float16, enabled=device.type != "cpu"):
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread of the CPU: for a few milliseconds' work while a browser on the same cores draws.

    On idle cores it takes half as long again; beside something else threads that wait for each other take far longer.
    """
    with _thread_pools().limit(limits=1, user_api="openmp"):
        yield


@cache
def _thread_pools() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController  # noqa: PLC0415 - it looks for libraries, of which torch brings some

    return ThreadpoolController()


def words_for(wanted: str) -> str:
    """Return what a person calls the device that will be chosen, without loading torch where it can only be the CPU."""
    no_nvidia = sys.platform.startswith("linux") and not NVIDIA_DRIVER.exists()
    if wanted == "cpu" or (wanted == "auto" and no_nvidia and not _emulated()):
        return "CPU"
    return device_words(choose_device(wanted))


def _emulated() -> bool:
    """On ZeroGPU there is a GPU to lend and no driver in sight; its package is imported before anything of ours."""
    return "spaces" in sys.modules


def device_words(device: torch.device) -> str:
    """Return what a person calls the device: "CPU", "Apple GPU" or the name of the graphics card."""
    import torch  # noqa: PLC0415 - see the module's docstring

    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return "Apple GPU" if device.type == "mps" else "CPU"


def place(network: Network, *, device: torch.device, dtype: torch.dtype) -> Network:
    """Return the network ready for inference on a device, channels last."""
    import torch  # noqa: PLC0415 - see the module's docstring

    network = network.eval().to(device, memory_format=torch.channels_last)
    return network if dtype is torch.float32 else network.to(dtype=dtype)
