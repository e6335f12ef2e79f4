"""On ZeroGPU a function is lent a GPU while it runs; everywhere else this changes nothing.

Only functions that take and return arrays may be marked: their arguments and results travel between processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

try:
    import spaces
except ImportError:  # the package is installed by the host that lends GPUs
    spaces = None

P = ParamSpec("P")
R = TypeVar("R")


def on_gpu(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function of pure arrays to run where the GPU is."""
    if spaces is None:
        return function
    marked: Callable[P, R] = spaces.GPU(function)
    return marked


def is_lent() -> bool:
    """Tell whether a GPU is lent for each call, so that nothing that lies on it can be kept between calls."""
    return spaces is not None
