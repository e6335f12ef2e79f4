"""Make named shapes do what their names say at coefficient 1: closed lids touch, closed lips meet, the jaw is rigid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.faces.names import BLENDSHAPE_NAMES
from models.training.face_shapes import mirror_coefficients, mirror_shapes
from models.training.head_basis import Basis
from models.training.head_topology import ACROSS_LIDS, ACROSS_LIPS, INNER_LIPS, LID_RIGHT

LID_MEETING = 0.82
"""Where a closed lid's rims meet, from the upper (0) to the lower (1) rim of the open eye."""
LIP_MEETING = 0.35
LID_REACH, LIP_REACH = 0.11, 0.3
"""How far a correction at a rim is felt by its surroundings, in face units."""


def calibrate(basis: Basis) -> Basis:
    """Close the neutral lips, let blinks close the lids fully, and let mouthClose undo what jawOpen opens."""
    neutral = basis.neutral + lip_closing(basis.neutral, basis.neutral)
    expression = basis.expression.copy()
    right = BLENDSHAPE_NAMES.index("eyeBlinkRight")
    left = BLENDSHAPE_NAMES.index("eyeBlinkLeft")
    expression[right] += lid_closing(neutral + expression[right], neutral)
    expression[left] = mirror_shapes(expression[right])
    opened = neutral + expression[BLENDSHAPE_NAMES.index("jawOpen")]
    expression[BLENDSHAPE_NAMES.index("mouthClose")] = lip_closing(opened, neutral)
    neutral = (neutral + mirror_shapes(neutral)) / 2
    return replace(basis, neutral=neutral, expression=symmetric(expression))


def symmetric(expression: np.ndarray) -> np.ndarray:
    """Average each named shape with the mirror image of its partner."""
    order = mirror_coefficients(np.arange(len(expression)))
    return (expression + mirror_shapes(expression)[order]) / 2


def lid_closing(shape: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """(478, 3) displacement that brings the right eye's rims together in `shape`."""
    places = np.arange(1, len(ACROSS_LIDS) - 1)
    upper, lower = LID_RIGHT[places], LID_RIGHT[ACROSS_LIDS[places]]
    return _meeting(shape, neutral, upper, lower, share=LID_MEETING, reach=LID_REACH)


def lip_closing(shape: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """(478, 3) displacement that brings the inner lips together in `shape`."""
    places = np.arange(1, len(ACROSS_LIPS) - 1)
    upper, lower = INNER_LIPS[places], INNER_LIPS[ACROSS_LIPS[places]]
    move = _meeting(shape, neutral, upper, lower, share=LIP_MEETING, reach=LIP_REACH)
    return (move + mirror_shapes(move)) / 2


def _meeting(
    shape: np.ndarray, neutral: np.ndarray, upper: np.ndarray, lower: np.ndarray, *, share: float, reach: float
) -> np.ndarray:
    """Move two rims to a common line and take their surroundings along, each side with its own rim."""
    line = shape[upper] * (1 - share) + shape[lower] * share
    middle = (neutral[upper] + neutral[lower]) / 2
    move = np.zeros_like(shape)
    for rim, other, sign in ((upper, lower, -1.0), (lower, upper, 1.0)):
        wanted = line - shape[rim]
        across = np.linalg.norm(neutral[:, None, :2] - neutral[rim][None, :, :2], axis=2)
        weights = np.exp(-((across / (0.5 * reach)) ** 2))
        felt = np.exp(-((across.min(1) / reach) ** 2))
        nearest = across.argmin(1)
        own_side = (neutral[:, 1] - middle[nearest, 1]) * sign > -1e-6
        own_side[other] = False
        blended = weights @ wanted / np.maximum(weights.sum(1, keepdims=True), 1e-9)
        move += np.where((felt > 1e-3) & own_side, felt, 0.0)[:, None] * blended
        move[rim] = wanted
    move[468:] = 0
    return move


def rigid_jaw(basis: Basis, points: np.ndarray, hinge: np.ndarray, chin: np.ndarray) -> np.ndarray:
    """(52, n, 3) displacement of points that are fixed to the lower jaw.

    jawOpen turns them about the axis through `hinge`, as far as the chin's landmarks turn; jawForward, jawLeft and
    jawRight carry them as far as the chin goes.
    """
    moves = np.zeros((len(BLENDSHAPE_NAMES), len(points), 3))
    arm = (basis.neutral[chin] - hinge)[:, 1:]
    opening = basis.expression[BLENDSHAPE_NAMES.index("jawOpen")][chin][:, 1:]
    across = np.stack([-arm[:, 1], arm[:, 0]], 1)  # where a small turn about x carries (y, z)
    angle = (across * opening).sum() / (across**2).sum()
    reach = (points - hinge)[:, 1:]
    turn = BLENDSHAPE_NAMES.index("jawOpen")
    moves[turn, :, 1], moves[turn, :, 2] = -angle * reach[:, 1], angle * reach[:, 0]
    for name in ("jawForward", "jawLeft", "jawRight"):
        row = BLENDSHAPE_NAMES.index(name)
        moves[row] = basis.expression[row][chin].mean(0)
    return moves
