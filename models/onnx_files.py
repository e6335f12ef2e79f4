"""Networks that a user brings as ONNX files; they need the extra `mien[onnx]`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from models.errors import BadWeights, MissingWeights

REFUSALS = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NotImplemented")
"""What onnxruntime raises for a file that it cannot run; they have no common base of their own."""


def package(name: str) -> Any:
    """Import a package of the extra; raises MissingWeights that says how to install it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingWeights(f"this needs the package {name}: pip install 'mien[onnx]'") from error


def session(model: bytes) -> Any:
    """Open a network on the best device that onnxruntime was built for; raises BadWeights when it is none."""
    runtime = package("onnxruntime")
    states = package("onnxruntime.capi.onnxruntime_pybind11_state")
    try:
        return runtime.InferenceSession(model, providers=runtime.get_available_providers())
    except tuple(getattr(states, name) for name in REFUSALS) as error:
        raise BadWeights(f"onnxruntime cannot open the file ({type(error).__name__})") from error
