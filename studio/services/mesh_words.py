"""The head's actions for people: in groups, under plain names, and as whole expressions to begin from."""

from __future__ import annotations

from typing import NamedTuple

from models.faces.names import BLENDSHAPE_NAMES, PLAIN_NAMES


class Action(NamedTuple):
    """One slider: where it stands among the 52, and what it is called."""

    row: int
    plain: str
    technical: str


GROUPS: dict[str, tuple[str, ...]] = {
    "Brows": ("brow",),
    "Eyes": ("eye",),
    "Mouth": ("mouth",),
    "Jaw": ("jaw",),
    "Cheeks and nose": ("cheek", "nose"),
}
"""Beginnings of the technical names in each group."""

PRESETS: dict[str, dict[str, float]] = {
    "Neutral": {},
    "Smile": {
        "mouthSmileLeft": 0.85, "mouthSmileRight": 0.85, "cheekSquintLeft": 0.5, "cheekSquintRight": 0.5,
        "eyeSquintLeft": 0.35, "eyeSquintRight": 0.35, "mouthUpperUpLeft": 0.25, "mouthUpperUpRight": 0.25,
    },
    "Surprise": {
        "browInnerUp": 0.9, "browOuterUpLeft": 0.8, "browOuterUpRight": 0.8, "eyeWideLeft": 0.8, "eyeWideRight": 0.8,
        "jawOpen": 0.5, "mouthFunnel": 0.25,
    },
    "Sadness": {
        "browInnerUp": 0.7, "mouthFrownLeft": 0.8, "mouthFrownRight": 0.8, "mouthShrugLower": 0.5,
        "eyeSquintLeft": 0.2, "eyeSquintRight": 0.2,
    },
    "Anger": {
        "browDownLeft": 0.95, "browDownRight": 0.95, "eyeSquintLeft": 0.5, "eyeSquintRight": 0.5,
        "mouthPressLeft": 0.6, "mouthPressRight": 0.6, "noseSneerLeft": 0.4, "noseSneerRight": 0.4,
    },
    "Fear": {
        "browInnerUp": 0.9, "browDownLeft": 0.2, "browDownRight": 0.2, "eyeWideLeft": 0.9, "eyeWideRight": 0.9,
        "mouthStretchLeft": 0.7, "mouthStretchRight": 0.7, "jawOpen": 0.2,
    },
    "Disgust": {
        "noseSneerLeft": 0.9, "noseSneerRight": 0.9, "mouthUpperUpLeft": 0.7, "mouthUpperUpRight": 0.7,
        "browDownLeft": 0.5, "browDownRight": 0.5, "mouthFrownLeft": 0.3, "mouthFrownRight": 0.3,
    },
    "Wink": {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.6, "mouthSmileLeft": 0.6, "mouthSmileRight": 0.25},
    "Kiss": {"mouthPucker": 0.95, "mouthFunnel": 0.2},
    "Open mouth": {"jawOpen": 0.75},
}  # fmt: skip
"""Expressions to begin from; what a preset does not name is at rest."""


def grouped_actions() -> dict[str, tuple[Action, ...]]:
    """Return the 51 actions under their groups; `_neutral` moves nothing and is left out."""
    return {
        title: tuple(
            Action(row, PLAIN_NAMES[name][:1].upper() + PLAIN_NAMES[name][1:], name)
            for row, name in enumerate(BLENDSHAPE_NAMES)
            if name.startswith(beginnings)
        )
        for title, beginnings in GROUPS.items()
    }
