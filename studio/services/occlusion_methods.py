"""The ways to guess a hidden part: which of them can run here, and where the files of the others are had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from models import registry
from models.brought import BROUGHT
from models.cards import all_cards
from models.device import words_for
from models.errors import BadInput
from models.weights import find_weight

OWN, DIFFUSION, HUB = "mien", "diffusion", "hub"
DRAWN = (DIFFUSION, HUB)
"""Methods that draw several guesses when their button is pressed, in steps, and can be stopped."""
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
    return tuple(method for method in all_methods() if method.has_files())


def missing() -> tuple[Method, ...]:
    """Return the methods whose files are not here but can be had."""
    return tuple(method for method in all_methods() if not method.has_files() and method.how_to_add)


def method_called(name: object) -> Method:
    """Return a method by its name or title, which may come from a browser; raises BadInput where it cannot run."""
    for method in all_methods():
        if str(name) in (method.name, method.title):
            if method.has_files():
                return method
            raise BadInput(f"{method.title} cannot run here. {method.how_to_add}")
    raise BadInput(f"There is no method {str(name)[:40]!r}; there are {', '.join(one.name for one in offered())}.")


def all_methods() -> tuple[Method, ...]:
    """Return every method in the order of the menu, with the Hub's as the host chose it."""
    return (*METHODS, _hub())


def hub_model() -> str:
    """Return what a person calls the model that the host named: its id on the Hub, or its folder's name."""
    return registry.shown_name(registry.places().inpaint_model)


def _hub() -> Method:
    model = hub_model()
    if not model:
        return Method(
            HUB, "Inpainting model of the Hub", "Draws what a large model of somebody else's makes of it.",
            lambda: False,
            "Off until whoever runs Mien names one: `MIEN_INPAINT_MODEL`, the extra `mien[hub-inpainting]`, a GPU.",
        )  # fmt: skip
    what = f"Runs {model}, which the host chose. It is not Mien's, and its licence is the model's own."
    lacks = _hub_lacks()
    return Method(HUB, f"{model} (not Mien's)", what, lambda: not lacks, f"Still missing: {lacks}." if lacks else "")


def _hub_lacks() -> str:
    places = registry.places()
    absent = [name for name in registry.HUB_EXTRA if find_spec(name) is None]
    if absent:
        return f"{' and '.join(absent)}, which the extra `mien[hub-inpainting]` installs"
    if words_for(places.device) == "CPU" and not places.inpaint_on_cpu:
        return "a GPU; `MIEN_INPAINT_ON_CPU=on` lets it take minutes on a CPU"
    return ""


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
"""In the order of the menu; `all_methods` adds the one that depends on the host."""
