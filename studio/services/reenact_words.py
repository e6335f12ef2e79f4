"""What the Reenact tab calls things: main expressions, how the head turns, how good the weights measured, and care."""

from __future__ import annotations

from typing import NamedTuple

from models.cards import all_cards
from studio.services.reenact import OPEN
from studio.services.reenact_motion import Options
from studio.services.reenact_official import NAME
from studio.services.reenact_official import is_here as official_is_here


class Main(NamedTuple):
    """One slider that moves several of the 52 actions; below 0 it moves those of `less`."""

    title: str
    more: dict[str, float]
    less: dict[str, float] | None = None


MAIN: dict[str, tuple[Main, ...]] = {
    "Mouth": (
        Main("Smile", {"mouthSmileLeft": 1, "mouthSmileRight": 1}),
        Main("Mouth open", {"jawOpen": 1}),
        Main("Lips puckered", {"mouthPucker": 1}),
        Main("Mouth corners down", {"mouthFrownLeft": 1, "mouthFrownRight": 1}),
        Main("Upper lip raised", {"mouthUpperUpLeft": 1, "mouthUpperUpRight": 1}),
        Main("Lips stretched", {"mouthStretchLeft": 1, "mouthStretchRight": 1}),
    ),
    "Brows and nose": (
        Main("Brows raised", {"browInnerUp": 1, "browOuterUpLeft": 1, "browOuterUpRight": 1}),
        Main("Brows lowered", {"browDownLeft": 1, "browDownRight": 1}),
        Main("Nose wrinkled", {"noseSneerLeft": 1, "noseSneerRight": 1}),
    ),
    "Eyes": (
        Main("Left eye closed", {"eyeBlinkLeft": 1}),
        Main("Right eye closed", {"eyeBlinkRight": 1}),
        Main("Eyes wide", {"eyeWideLeft": 1, "eyeWideRight": 1}),
        Main(
            "Looks to the picture's right",
            {"eyeLookOutLeft": 1, "eyeLookInRight": 1},
            {"eyeLookInLeft": 1, "eyeLookOutRight": 1},
        ),
        Main(
            "Looks up",
            {"eyeLookUpLeft": 1, "eyeLookUpRight": 1},
            {"eyeLookDownLeft": 1, "eyeLookDownRight": 1},
        ),
    ),
}
"""Sliders in groups."""


class Turn(NamedTuple):
    """One slider of the head's pose, degrees."""

    name: str
    title: str
    most: int


TURNS = (Turn("yaw", "Turned", 30), Turn("pitch", "Lowered", 20), Turn("roll", "Tilted", 25))
"""yaw > 0 towards the picture's right, pitch > 0 down, roll > 0 clockwise."""

CONSENT = (
    "Use a face only with the consent of the person it shows. Every file made here says that it is synthetic{mark}."
)
OPEN_NAME = "Mien's own network"
LICENCE = (
    "FSRT's authors state no licence for code or weights: these are files somebody brought to this computer, and "
    "nothing of theirs is passed on. Without a GPU a frame takes seconds; the preview shows every fourth pixel of a "
    "few frames."
)
LIMITS = """
A small network looks at one to three photos and draws the face again under another expression and pose. It carries the
photo's own pixels along where it can, and paints what the photo does not show: teeth, the inside of a mouth, the other
side of a head.

- Small changes look best. Beyond some 25 degrees of turning the face becomes a guess.
- The square is drawn at 256 x 256 pixels. Pasted back into a large photo, the face is softer than its surroundings.
- *Relative* counts movements from a frame that looks most like your face, and keeps its likeness better. *Absolute*
  takes the driver's expression and pose as they are.
- Hair, glasses, hands and whatever crosses the face move with it, as if painted on.
- It is no likeness to tell people by, and no recording: say so when you show it.

The idea is FSRT's (Rochow, Schwarz and Behnke, CVPR 2024); the weights are Mien's own. FSRT's authors state no licence
for their code or weights, so neither is passed on. {official}
"""
OFFICIAL_HERE = "Their files were brought to this computer, and can be chosen under *Drawn by*."
OFFICIAL_ABSENT = (
    "Whoever has their files can add them with `mien weights add fsrt-keypoints FILE` and `fsrt-vox256`; then they "
    "can be chosen here."
)


def consent_words(*, mark: bool) -> str:
    """Return the notice that asks for consent."""
    return CONSENT.format(mark=" and carries the word in its corner" if mark else "")


def limits() -> str:
    """Return what the tab is and is not, as Markdown."""
    return LIMITS.format(official=OFFICIAL_HERE if official_is_here() else OFFICIAL_ABSENT)


def wait_words(frame_s: float, whole_s: float) -> str:
    """Say how long a frame and a whole film will take."""
    whole = f"{whole_s:.0f} s" if whole_s < 90 else f"{whole_s / 60:.0f} minutes"
    frame = f"{frame_s:.1f}" if frame_s < 10 else f"{frame_s:.0f}"
    return f"a frame in the chosen size takes about {frame} s here, all of it about {whole}"


def ran_words(options: Options | None = None) -> str:
    """Return which weights ran."""
    if options is not None and options.network == "official":
        return NAME
    card = all_cards().get(OPEN)
    return f"Own weights {card.backend}" if card else "Own weights"


def measured_words() -> str:
    """Say how well the weights measured on people never trained on, as the card says; empty where it says nothing."""
    card = all_cards().get(OPEN)
    if card is None:
        return ""
    told = []
    for name, words in (("aed", "expression error {:.2f} ({:.2f} unmoved)"), ("apd", "pose error {:.1f}° ({:.1f}°)")):
        found, still = card.figures.get(name), card.figures.get(f"still_{name}")
        if found is not None and still is not None:
            told.append(words.format(found.value, still.value))
    found, warp = card.figures.get("l1"), card.figures.get("warp_l1")
    if found is not None and warp is not None:
        told.append(f"colours off by {found.value:.1f} of 255 ({warp.value:.1f} by a plain warp)")
    return f"measured on unseen people: {', '.join(told)}" if told else ""
