"""A shelf of motions made by the project itself: written down as curves, played by the mean head, without any clip.

They are meant for `relative`, frame 0 being at rest. Curves run through eased key frames; blinks take a sixth of a
second, closing faster than they open (Caffier, Erdmann and Ullsperger 2003), and the head is never quite still.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation

from models.faces.names import BLENDSHAPE_NAMES
from models.motions import Drive, Motion, action_directions, kept_apart, laid, mean_landmarks

FPS = 25.0
SCALE = 7.5
"""Crop units for a metre: the mean face fills 1 / 1.6 of its crop."""
Keys = tuple[tuple[float, float], ...]
"""(second, value), in order of time."""

SMILE: dict[str, Keys] = {
    "mouthSmile*": ((0, 0), (0.3, 0), (0.9, 0.75), (2.0, 0.8), (2.7, 0.1), (3.0, 0)),
    "cheekSquint*": ((0, 0), (0.4, 0), (1.0, 0.4), (2.0, 0.4), (2.7, 0)),
    "eyeSquint*": ((0, 0), (0.4, 0), (1.0, 0.35), (2.0, 0.35), (2.7, 0)),
    "jawOpen": ((0, 0), (0.5, 0), (1.1, 0.06), (2.0, 0.05), (2.6, 0)),
    "mouthUpperUp*": ((0, 0), (0.5, 0), (1.1, 0.3), (2.0, 0.3), (2.6, 0)),
    "pitch": ((0, 0), (0.5, 0), (1.2, -2.5), (2.2, -1.5), (3.0, 0)),
    "roll": ((0, 0), (0.6, 0), (1.4, 3), (2.3, 2), (3.0, 0)),
}
NOD: dict[str, Keys] = {
    "pitch": ((0, 0), (0.25, -2), (0.55, 9), (0.85, -1), (1.15, 8), (1.5, -1), (1.8, 4), (2.2, 0)),
    "browInnerUp": ((0, 0), (0.25, 0.2), (0.6, 0), (2.2, 0)),
    "mouthPress*": ((0, 0), (0.4, 0.15), (1.6, 0.15), (2.2, 0)),
}
WINK: dict[str, Keys] = {
    "eyeBlinkLeft": ((0, 0), (0.7, 0), (0.85, 1), (1.15, 1), (1.4, 0), (2.2, 0)),
    "eyeSquintRight": ((0, 0), (0.7, 0), (0.9, 0.15), (1.2, 0.15), (1.5, 0)),
    "cheekSquintLeft": ((0, 0), (0.65, 0), (0.9, 0.2), (1.2, 0.2), (1.6, 0)),
    "mouthSmileLeft": ((0, 0), (0.5, 0), (0.9, 0.6), (1.4, 0.5), (2.0, 0)),
    "mouthSmileRight": ((0, 0), (0.5, 0), (0.9, 0.2), (1.4, 0.2), (2.0, 0)),
    "roll": ((0, 0), (0.5, 0), (0.95, 4), (1.4, 3), (2.1, 0)),
    "yaw": ((0, 0), (0.5, 0), (1.0, 4), (1.5, 3), (2.1, 0)),
}
SURPRISE: dict[str, Keys] = {
    "browInnerUp": ((0, 0), (0.35, 0), (0.6, 0.9), (1.6, 0.8), (2.4, 0)),
    "browOuterUp*": ((0, 0), (0.35, 0), (0.6, 0.85), (1.6, 0.75), (2.4, 0)),
    "eyeWide*": ((0, 0), (0.35, 0), (0.6, 0.8), (1.5, 0.6), (2.3, 0)),
    "jawOpen": ((0, 0), (0.4, 0), (0.75, 0.45), (1.5, 0.35), (2.3, 0)),
    "mouthFunnel": ((0, 0), (0.4, 0), (0.75, 0.2), (1.5, 0.2), (2.2, 0)),
    "pitch": ((0, 0), (0.35, 1), (0.7, -5), (1.6, -4), (2.5, 0)),
}
SYLLABLES = (
    (0.15, 0.26, 0.0, 0.1), (0.38, 0.12, 0.35, 0.0), (0.62, 0.34, 0.0, 0.15), (0.82, 0.08, 0.5, 0.0),
    (1.05, 0.22, 0.1, 0.1), (1.5, 0.3, 0.0, 0.2), (1.72, 0.14, 0.45, 0.0), (1.95, 0.28, 0.0, 0.1),
    (2.2, 0.1, 0.3, 0.0), (2.42, 0.24, 0.0, 0.25),
)  # fmt: skip
"""Of the talk: second, how far the jaw opens, how round the lips are, how wide they are drawn."""
BLINKS: dict[str, tuple[float, ...]] = {
    "smile": (0.2, 2.55),
    "nod": (0.5,),
    "wink": (),
    "surprise": (0.1, 1.9),
    "talk": (0.7, 2.3),
}


@cache
def shelf() -> Mapping[str, Motion]:
    """Smile, nod, wink, surprise and talk, two to three seconds each at 25 frames a second."""
    scripts = {"smile": (SMILE, 3.1), "nod": (NOD, 2.4), "wink": (WINK, 2.4), "surprise": (SURPRISE, 2.7)}
    scripts["talk"] = (_talk(), 2.9)
    return {name: played(keys, seconds, blinks=BLINKS[name]) for name, (keys, seconds) in scripts.items()}


def played(keys: Mapping[str, Keys], seconds: float, *, blinks: tuple[float, ...] = ()) -> Motion:
    """Play curves on the mean head.

    A name is one of the 52 coefficients, one with `*` for Left and Right together, or yaw, pitch or roll in degrees;
    `blinks` are the seconds at which both eyes begin to close.
    """
    times = np.arange(round(seconds * FPS)) / FPS
    coefficients = np.zeros((len(times), len(BLENDSHAPE_NAMES)), np.float32)
    angles = idle(times)
    for name, curve in keys.items():
        values = eased(curve, times)
        if name in ("yaw", "pitch", "roll"):
            angles[:, ("yaw", "pitch", "roll").index(name)] += values
            continue
        for full in (name.replace("*", "Left"), name.replace("*", "Right")) if "*" in name else (name,):
            coefficients[:, BLENDSHAPE_NAMES.index(full)] = np.clip(values, 0, 1)
    for side in ("Left", "Right"):
        column = BLENDSHAPE_NAMES.index(f"eyeBlink{side}")
        for begin in blinks:
            coefficients[:, column] = np.maximum(coefficients[:, column], blink(times - begin))
    return Motion.of([posed(*row) for row in zip(coefficients, angles, strict=True)], fps=FPS)


def eased(curve: Keys, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """A curve through key frames without overshoot, flat at its ends (Fritsch and Carlson 1980)."""
    at, values = np.array(curve, dtype=np.float64).T
    return PchipInterpolator([at[0] - 1, *at, at[-1] + 1], [values[0], *values, values[-1]])(
        np.clip(times, at[0] - 1, at[-1] + 1)
    )


def blink(since: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far lids are closed so many seconds after they begin to: shut after 80 ms, open again after 260."""
    return eased(((0.0, 0.0), (0.08, 1.0), (0.12, 1.0), (0.26, 0.0)), since)


def idle(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, 3) yaw, pitch and roll of a head that is only nearly still, degrees; 0 at the beginning."""
    slow = np.array([[0.31, 0.23, 0.17], [0.71, 0.53, 0.41]]) * 2 * np.pi
    return 0.5 * np.sin(times[:, None] * slow[0]) + 0.2 * np.sin(times[:, None] * slow[1])


def posed(coefficients: NDArray[np.float32], angles: NDArray[np.float64]) -> Drive:
    """The mean head with coefficients (52,) and yaw, pitch and roll in degrees."""
    yaw, pitch, roll = angles
    rotation = Rotation.from_euler("zxy", [roll, pitch, -yaw], degrees=True).as_matrix().astype(np.float32)
    shape = mean_landmarks() + np.tensordot(coefficients, action_directions(), 1)
    origin = np.zeros(3, np.float32)
    points = laid(kept_apart(shape.astype(np.float32)), rotation, SCALE, origin)
    return Drive(points, coefficients, rotation, origin, SCALE)


def _talk() -> dict[str, Keys]:
    """Syllables as keys: the jaw closes between two of them."""
    jaw, round_, wide = [(0.0, 0.0)], [(0.0, 0.0)], [(0.0, 0.0)]
    for (at, opened, rounded, drawn), following in zip(SYLLABLES, [*SYLLABLES[1:], (2.75, 0, 0, 0)], strict=True):
        jaw += [(at, opened), ((at + following[0]) / 2, min(opened, following[1]) * 0.35)]
        round_.append((at, rounded))
        wide.append((at, drawn))
    for keys in (jaw, round_, wide):
        keys.append((2.75, 0.0))
    return {
        "jawOpen": tuple(jaw),
        "mouthFunnel": tuple((at, value * 0.6) for at, value in round_),
        "mouthPucker": tuple((at, value * 0.7) for at, value in round_),
        "mouthStretch*": tuple(wide),
        "mouthLowerDown*": tuple((at, value * 0.5) for at, value in jaw),
        "mouthUpperUp*": tuple((at, value * 0.25) for at, value in jaw),
        "browInnerUp": ((0, 0), (0.6, 0.35), (1.1, 0.1), (1.5, 0.3), (2.0, 0), (2.75, 0)),
        "yaw": ((0, 0), (0.7, -3), (1.5, 3), (2.2, -1.5), (2.75, 0)),
        "pitch": ((0, 0), (0.6, 2.5), (1.1, -1), (1.5, 2), (2.1, 0), (2.75, 0)),
    }
