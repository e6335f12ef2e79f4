"""Directions in the latent space that people have words for, and how each was measured."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from models import cards
from models.errors import MissingWeights

NAME = "dfc_vae_directions"


@dataclass(frozen=True)
class Meter:
    """An attribute that the landmark network can read, as a weighted sum of blendshapes or the head's turn."""

    name: str
    title: str
    less: str
    more: str
    weights: dict[str, float]


METERS = (
    Meter("smile", "Smile", "none", "broad", {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}),
    Meter("mouth_open", "Mouth", "closed", "open", {"jawOpen": 1.0}),
    Meter(
        "brows_up", "Brows up", "low", "raised",
        {"browInnerUp": 0.5, "browOuterUpLeft": 0.25, "browOuterUpRight": 0.25},
    ),
    Meter("brows_down", "Brows down", "smooth", "frowning", {"browDownLeft": 0.5, "browDownRight": 0.5}),
    Meter("eyes_closed", "Eyes closed", "open", "closed", {"eyeBlinkLeft": 0.5, "eyeBlinkRight": 0.5}),
    Meter("eyes_wide", "Eyes wide", "calm", "wide", {"eyeWideLeft": 0.5, "eyeWideRight": 0.5}),
    Meter(
        "look_side", "Look", "left", "right",
        {"eyeLookOutLeft": 0.5, "eyeLookInRight": 0.5, "eyeLookInLeft": -0.5, "eyeLookOutRight": -0.5},
    ),
    Meter("head_turn", "Head", "left", "right", {"yaw": 1.0}),
)  # fmt: skip
"""Left and right are the picture's."""


@dataclass(frozen=True)
class Words:
    """An attribute that only captions tell: which of them have it, and which surely have not."""

    name: str
    title: str
    less: str
    more: str
    having: tuple[str, ...]
    lacking: tuple[str, ...]


CAPTIONED = (
    Words(
        "beard", "Beard", "none", "full", ("full beard", "goatee", "mustache"),
        ("shaved face", "lipstick", "16 year old teenager", "30 year old adult", "asian", "irish"),
    ),
    Words(
        "glasses", "Glasses", "none", "on", ("reading glasses", "sunglasses"),
        ("neutral", "smiling", "30 year old adult", "wrinkly 70 year old senior", "looking directly at camera"),
    ),
    Words(
        "age", "Age", "younger", "older", ("wrinkly 70 year old senior",),
        ("30 year old adult", "16 year old teenager", "small child"),
    ),
)  # fmt: skip
STEPS = 3.0
"""How many steps each slider reaches to either side."""
STEP = 1 / STEPS
"""What one step is to change in a slider's own reading, in standard deviations of that reading among training faces:
the slider's end is one standard deviation."""
LEAST = 0.7
"""Share of `STEP` below which a slider counts as weak."""


@dataclass(frozen=True)
class Attribute:
    """One slider: its words and what one step was measured to do to people training never saw."""

    name: str
    title: str
    less: str
    more: str
    unit: float
    """One standard deviation among training faces, of the reading or of the captions' probe."""
    effect: float
    """Mean measured change of its own reading per step, in that unit; `STEP` is what was aimed at."""
    side_effect: str
    """The other reading that changes most."""
    side: float
    """How much it changes, in its own unit."""
    is_read: bool
    """Read off the picture by the landmark network; if not, by a probe on the picture's code that captions taught."""
    auc: float = 0.0
    """How well the probe tells held-apart captions; only for attributes that are not read."""

    @property
    def is_weak(self) -> bool:
        """Whether a step does much less than it says, or changes something else at least as much."""
        return self.effect < LEAST * STEP or abs(self.side) >= self.effect


@dataclass(frozen=True, eq=False)
class Directions:
    """The sliders of one latent space."""

    attributes: tuple[Attribute, ...]
    steps: NDArray[np.float32]
    """(attributes, latent): what one step adds to a code."""
    mean: NDArray[np.float32]
    """(latent,) of the training faces' codes."""
    spread: NDArray[np.float32]
    """(latent, latent) lower triangle; times unit normals it gives codes that lie like the training faces'."""
    backend: str
    """Of the network whose codes these are."""

    def moved(self, code: NDArray[np.float32], amounts: dict[str, float]) -> NDArray[np.float32]:
        """Return the code after so many steps of each named attribute."""
        result = code.astype(np.float32).copy()
        for attribute, step in zip(self.attributes, self.steps, strict=True):
            result += float(amounts.get(attribute.name, 0.0)) * step
        return result

    def draw(self, seed: int, *, variety: float = 0.8) -> NDArray[np.float32]:
        """(latent,) code of a face that nobody has; the same seed gives the same face."""
        noise = np.random.default_rng(seed).standard_normal(len(self.mean))
        return (self.mean + variety * self.spread @ noise).astype(np.float32)


def save_directions(directions: Directions, path: Path) -> None:
    """Write the sliders beside their network."""
    tensors = {"steps": directions.steps, "mean": directions.mean, "spread": directions.spread}
    told = json.dumps([asdict(attribute) for attribute in directions.attributes])
    metadata = {"attributes": told, "backend": directions.backend}
    save_file({key: np.ascontiguousarray(value, np.float32) for key, value in tensors.items()}, path, metadata=metadata)
    path.chmod(0o644)


def read_directions(*, backend: str) -> Directions:
    """Read the sliders that ship; raises MissingWeights when there are none for this network."""
    card_file = cards.PRETRAINED / f"{NAME}.json"
    remedy = f"run `mien train {NAME}`"
    if not card_file.is_file():
        raise MissingWeights(f"the latent space has no attribute directions; {remedy}")
    path = cards.check_weight(cards.read_card(card_file))
    with safe_open(path, framework="numpy") as stored:
        about = stored.metadata()
        if about["backend"] != backend:
            raise MissingWeights(f"the attribute directions belong to {about['backend']}, not to {backend}; {remedy}")
        arrays = {name: stored.get_tensor(name) for name in ("steps", "mean", "spread")}
    attributes = tuple(Attribute(**entry) for entry in json.loads(about["attributes"]))
    return Directions(attributes, backend=backend, **arrays)
