"""Heads over time without jitter: one person has one shape, and what moves is filtered.

One-Euro: Casiez, Roussel and Vogel, CHI 2012. Savitzky-Golay: Savitzky and Golay, Analytical Chemistry 1964.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from models.errors import BadInput
from models.head.parameters import HeadParameters

METHODS = ("none", "one-euro", "savitzky-golay")
LEAST_CUTOFF_HZ, SPEED = 1.5, 2.0
"""Of the One-Euro filter; values are in standard deviations of each row, so that one setting serves all."""
SPEED_CUTOFF_HZ = 1.0
WINDOW_S, ORDER = 0.35, 2


def smoothed(
    heads: Sequence[HeadParameters], times_s: NDArray[np.float64], *, method: str = "one-euro"
) -> list[HeadParameters]:
    """Filter heads at rising times; identity becomes the clip's median. Raises BadInput for an unknown method."""
    if method not in METHODS:
        raise BadInput(f"smoothing must be one of {', '.join(METHODS)}, got {method!r}")
    if len(heads) < 2:
        return list(heads)
    identity = np.median([head.identity for head in heads], 0).astype(np.float32)
    middle = Rotation.from_matrix([head.rotation for head in heads]).mean()
    turns = (middle.inv() * Rotation.from_matrix([head.rotation for head in heads])).as_rotvec()
    rows = np.concatenate(
        [
            turns,
            np.log([[head.scale] for head in heads]),
            np.array([head.shift for head in heads]),
            np.array([head.expression for head in heads]),
        ],
        1,
    ).astype(np.float64)
    if method == "one-euro":
        rows = one_euro(rows, times_s)
    elif method == "savitzky-golay":
        rows = savitzky_golay(rows, times_s)
    turned = (middle * Rotation.from_rotvec(rows[:, :3])).as_matrix().astype(np.float32)
    return [
        replace(
            head,
            rotation=rotation,
            scale=float(np.exp(row[3])),
            shift=row[4:6].astype(np.float32),
            identity=identity,
            expression=np.clip(row[6:], 0, 1).astype(np.float32),
        )
        for head, rotation, row in zip(heads, turned, rows, strict=True)
    ]


def one_euro(rows: NDArray[np.float64], times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Filter (n, d) rows: slow changes strongly, quick ones hardly."""
    spread = np.maximum(rows.std(0), 1e-6)
    values = rows / spread
    result = np.empty_like(values)
    result[0], speed = values[0], np.zeros(values.shape[1])
    for place in range(1, len(values)):
        step = max(float(times_s[place] - times_s[place - 1]), 1e-3)
        now = (values[place] - result[place - 1]) / step
        speed += _share(SPEED_CUTOFF_HZ, step) * (now - speed)
        share = _share(LEAST_CUTOFF_HZ + SPEED * np.abs(speed), step)
        result[place] = result[place - 1] + share * (values[place] - result[place - 1])
    return result * spread


def _share(cutoff_hz: NDArray[np.float64] | float, step: float) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + 1.0 / (2 * np.pi * np.asarray(cutoff_hz) * step)))


def savitzky_golay(rows: NDArray[np.float64], times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit a parabola around each of (n, d) rows; looks ahead as well as back, so nothing lags."""
    from scipy.signal import savgol_filter  # noqa: PLC0415 - it takes a second to load

    step = max(float(np.median(np.diff(times_s))), 1e-3)
    window = max(round(WINDOW_S / step) // 2 * 2 + 1, ORDER + 3)
    if len(rows) < window:
        return rows
    return np.asarray(savgol_filter(rows, window, ORDER, axis=0))


def between(one: HeadParameters, other: HeadParameters, share: float) -> HeadParameters:
    """The head `share` of the way (0..1) from one to the other."""
    first = Rotation.from_matrix(one.rotation)
    step = (first.inv() * Rotation.from_matrix(other.rotation)).as_rotvec()
    return HeadParameters(
        rotation=(first * Rotation.from_rotvec(step * share)).as_matrix().astype(np.float32),
        scale=float(np.exp((1 - share) * np.log(one.scale) + share * np.log(other.scale))),
        shift=((1 - share) * one.shift + share * other.shift).astype(np.float32),
        identity=((1 - share) * one.identity + share * other.identity).astype(np.float32),
        expression=((1 - share) * one.expression + share * other.expression).astype(np.float32),
    )
