"""The ways to guess a hidden part: which of them can run here, and where the files of the others are had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from models import registry
from models.brought import BROUGHT
from models.cards import all_cards
from models.errors import BadInput
from models.weights import find_weight

OWN, DIFFUSION = "mien", "diffusion"
NEEDED = ("faces", "deepfever", "mae", "svdd", "refiner")
"""Shipped weights without which there is no tab."""


@dataclass(frozen=True)
class Method:
    """One way to guess; `name` is what the reader calls it."""

    name: str
    title: str
    what: str
    """How it works, in a sentence for people."""
    has_files: Callable[[], bool]
    how_to_add: str = ""
    """What to do where its files are missing."""


def is_ready() -> bool:
    """Tell whether the chain's own weights are here, without loading them."""
    return set(NEEDED) <= set(all_cards())


def offered() -> tuple[Method, ...]:
    """Return the methods that can run here."""
    return tuple(method for method in METHODS if method.has_files())


def missing() -> tuple[Method, ...]:
    """Return the methods whose files are not here but can be had."""
    return tuple(method for method in METHODS if not method.has_files() and method.how_to_add)


def method_called(name: object) -> Method:
    """Return a method by its name or title, which may come from a browser; raises BadInput where it cannot run."""
    for method in METHODS:
        if str(name) in (method.name, method.title):
            if method.has_files():
                return method
            raise BadInput(f"{method.title} cannot run here. {method.how_to_add}")
    raise BadInput(f"There is no method {str(name)[:40]!r}; there are {', '.join(one.name for one in offered())}.")


def _brought(*names: str) -> bool:
    known = [name for name in names if name in BROUGHT]
    return bool(known) and any(find_weight(name, *registry.places().weights_folders) is not None for name in known)


def _of(name: str) -> str:
    entry = BROUGHT.get(name)
    return f"{entry.title}: {entry.where}; then `mien weights add {name} FILE` ({entry.licence})." if entry else ""


METHODS: tuple[Method, ...] = (
    Method(
        OWN, "Mien's networks", "An autoencoder guesses what the rest of the face implies; a refiner sharpens it.",
        lambda: is_ready(), "Its weights are made by `mien train mae`, `mien train svdd` and `mien train refiner`.",
    ),
    Method(
        DIFFUSION, "Diffusion", "Draws several guesses that differ in chance; slower, and can be stopped.",
        lambda: "diffusion" in all_cards(), "Its weights are made by `mien train diffusion`.",
    ),
    Method("mean_face", "Mean face", "The average face, matched in colour.", lambda: True),
    Method("telea", "Telea", "Carries the border's colours inwards (OpenCV); knows nothing of faces.", lambda: True),
    Method(
        "navier_stokes", "Navier-Stokes", "Continues the border's lines inwards (OpenCV); knows nothing of faces.",
        lambda: True,
    ),
    Method(
        "latent_ofer", "Latent-OFER, official (your files)", "The authors' masked autoencoder and refiner.",
        lambda: _brought("mae-base", "mae-large"), _of("mae-base"),
    ),
    Method(
        "lama", "LaMa (your file)", "Fourier convolutions for any picture (ONNX).",
        lambda: _brought("lama") and find_spec("onnxruntime") is not None, _of("lama"),
    ),
)  # fmt: skip
"""In the order of the menu."""
