"""The head's simple parts: ears, eyeballs and teeth, each a closed shape of its own with colours and a flat map.

Lengths are in face units (63 mm are about 1.2), x to the picture's right (the person's left), y down, z away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.training.head_topology import border_edges

EYE_RADIUS = 0.228
"""An eyeball of 24 mm."""
EYE_RINGS = np.radians([5, 10, 11.5, 17, 23, 28, 29.5, 35, 45, 58, 72, 90, 110, 135, 160])
PUPIL, IRIS = np.radians(11), np.radians(29)
EYE_SEGMENTS = 24
WIDEST_GAZE = np.radians(35)
EAR_ANGLES = 26
SKIN, IVORY, GUM, WHITE = (222, 180, 158), (236, 228, 212), (188, 92, 92), (238, 234, 230)
IRIS_COLOUR, PUPIL_COLOUR = (92, 108, 96), (18, 16, 18)
TOOTH_COLUMNS, TEETH = 45, 10


@dataclass(frozen=True, eq=False)
class Simple:
    """One part: vertices, triangles, colours and a map into the unit square."""

    positions: np.ndarray
    triangles: np.ndarray
    colours: np.ndarray
    flat: np.ndarray


def grid_triangles(rows: int, columns: int, *, closed: bool) -> np.ndarray:
    """Triangles of a grid of vertices numbered row by row; `closed` joins the last column to the first."""
    triangles = []
    for row in range(rows - 1):
        for column in range(columns if closed else columns - 1):
            following = (column + 1) % columns
            a, b = row * columns + column, row * columns + following
            c, d = a + columns, b + columns
            triangles += [(a, c, b), (b, c, d)]
    return np.array(triangles)


def eyeball(centre: np.ndarray) -> Simple:
    """A sphere that looks towards -z, with a slightly raised cornea, iris and pupil by colour."""
    around = 2 * np.pi * np.arange(EYE_SEGMENTS) / EYE_SEGMENTS
    points, colours, flat = [np.array([[0.0, 0.0, -1.0]])], [PUPIL_COLOUR], [np.zeros((1, 2))]
    for angle in EYE_RINGS:
        raised = 1 + 0.035 * np.clip(1 - angle / (1.25 * IRIS), 0, 1)
        ring = np.stack(
            [np.sin(angle) * np.cos(around), np.sin(angle) * np.sin(around), -np.cos(angle) * np.ones_like(around)], 1
        )
        points.append(ring * raised)
        colour = PUPIL_COLOUR if angle < PUPIL else IRIS_COLOUR if angle < IRIS else WHITE
        colours += [colour] * EYE_SEGMENTS
        flat.append(angle / np.pi * np.stack([np.cos(around), np.sin(around)], 1))
    points.append(np.array([[0.0, 0.0, 1.0]]))
    colours.append(WHITE)
    flat.append(np.array([[1.0, 0.0]]))
    positions = centre + EYE_RADIUS * np.concatenate(points)
    rings = len(EYE_RINGS)
    first, last = 1 + np.arange(EYE_SEGMENTS), 1 + (rings - 1) * EYE_SEGMENTS + np.arange(EYE_SEGMENTS)
    front = np.stack([np.zeros_like(first), first, np.roll(first, -1)], 1)
    back = np.stack([np.full_like(last, len(positions) - 1), np.roll(last, -1), last], 1)
    middle = 1 + grid_triangles(rings, EYE_SEGMENTS, closed=True)
    triangles = outward(positions, np.concatenate([front, middle, back]))
    return Simple(positions, triangles, np.array(colours), 0.5 + 0.5 * np.concatenate(flat))


def eye_centre(shapes: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """Where an eyeball must lie to be covered by the lids in all (n, 478, 3) shapes, and no deeper."""
    rims = shapes[:, rim]
    centre = rims[0].mean(0)
    across = ((rims[..., :2] - centre[:2]) ** 2).sum(-1)
    inside = across < EYE_RADIUS**2 * 0.97
    deep = rims[..., 2] + np.sqrt(np.maximum((EYE_RADIUS * 1.02) ** 2 - across, 0))
    return np.array([centre[0], centre[1], deep[inside].max()])


def gaze_turns(learned: np.ndarray, iris: np.ndarray) -> np.ndarray:
    """(52, 2) yaw and pitch in radians per name, from how far the learned shapes carry an iris."""
    moved = learned[:, iris].mean(1)  # (52, 3)
    return np.clip(np.arcsin(np.clip(moved[:, :2] / EYE_RADIUS, -1, 1)), -WIDEST_GAZE, WIDEST_GAZE)


def ear(mirror: float) -> Simple:
    """A plain ear with rim, groove and hollow; `mirror` is 1 for the person's left."""
    angles = 2 * np.pi * np.arange(EAR_ANGLES) / EAR_ANGLES
    up, back = np.cos(angles), np.sin(angles)
    reach_up = np.where(up > 0, 0.60, 0.62)
    reach_back = np.where(back > 0, 0.42 + 0.06 * np.clip(up, 0, 1) - 0.10 * np.clip(-up, 0, 1), 0.20)
    flare = 0.06 + 0.20 * np.clip(back * 0.9 + 0.35 * up, 0, 1)
    rim = np.clip(back + 0.6 * np.clip(up, 0, 1) + 0.35, 0, 1)
    rings = [(0.22, -0.05), (0.40, -0.01), (0.56, 0.07), (0.68, 0.03), (0.80, 0.03), (0.92, 0.11), (1.0, 0.06)]
    outline = np.stack([reach_up * up, reach_back * back], 1)
    front = [_ear_ring(outline, flare, rim, share=share, lift=lift) for share, lift in rings]
    behind = [_ear_ring(outline, flare, rim, share=share, lift=lift) for share, lift in ((0.95, -0.05), (0.6, -0.14))]
    hollow, root = np.array([[0.0, 0.0, -0.07]]), np.array([[0.0, 0.0, -0.22]])
    local = np.concatenate([hollow, *front, *behind, root])
    lean, out = np.radians(12), np.array([1.385, -0.02, 1.56])
    y, z = -local[:, 0], local[:, 1]
    turned = np.stack([local[:, 2], y * np.cos(lean) + z * np.sin(lean), z * np.cos(lean) - y * np.sin(lean)], 1)
    positions = (turned + out) * [mirror, 1, 1]
    count = len(front) + len(behind)
    first = 1 + np.arange(EAR_ANGLES)
    last = 1 + (count - 1) * EAR_ANGLES + np.arange(EAR_ANGLES)
    triangles = np.concatenate(
        [
            np.stack([np.zeros_like(first), first, np.roll(first, -1)], 1),
            1 + grid_triangles(count, EAR_ANGLES, closed=True),
            np.stack([np.full_like(last, len(local) - 1), np.roll(last, -1), last], 1),
        ]
    )
    flat = 0.5 + 0.5 * local[:, :2] / 0.75
    return Simple(positions, outward(positions, triangles), np.tile(SKIN, (len(local), 1)), flat)


def _ear_ring(outline: np.ndarray, flare: np.ndarray, rim: np.ndarray, *, share: float, lift: float) -> np.ndarray:
    """(angles, 3) up, back and outward at a share of the outline (angles, 2)."""
    outward_by = flare * share**1.5 + lift * (0.35 + 0.65 * rim)
    return np.concatenate([share * outline, outward_by[:, None]], 1)


def teeth(lips: np.ndarray, *, upper: bool) -> Simple:
    """A row of teeth with its gum as one closed band behind the lips' middle, `lips` (3,)."""
    across = np.linspace(-1, 1, TOOTH_COLUMNS)
    half = 0.40 if upper else 0.36
    x = half * np.sin(across * np.pi / 2 * 0.92) / np.sin(np.pi / 2 * 0.92)
    depth = lips[2] + (0.15 if upper else 0.18) + 1.9 * x**2
    phase = (across * TEETH / 2) % 1.0
    bulge = 0.028 * np.sin(np.pi * phase) ** 0.5
    notch = 0.022 * (1 - np.sin(np.pi * phase)) ** 2
    edge = lips[1] + (0.075 if upper else 0.065)
    sign = -1.0 if upper else 1.0
    # towards the root, towards the viewer, colour
    rows = [
        (0.36 + 0 * x, 0.00 * x, GUM),
        (0.25 + 0 * x, 0.035 + 0 * x, GUM),
        (0.17 + 1.2 * notch, 0.030 + 0.6 * bulge, GUM),
        (0.155 + 1.2 * notch, 0.028 + bulge, IVORY),
        (0.08 + 0 * x, 0.028 + bulge, IVORY),
        (notch, 0.012 + bulge, IVORY),
        (notch + 0.012, -0.05 + 0 * x, IVORY),
        (0.16 + 0 * x, -0.10 + 0 * x, GUM),
        (0.36 + 0 * x, -0.12 + 0 * x, GUM),
    ]
    points, colours, flat = [], [], []
    for number, (root, out, colour) in enumerate(rows):
        points.append(np.stack([x, edge + sign * root, depth - out], 1))
        colours += [colour] * TOOTH_COLUMNS
        flat.append(np.stack([(across + 1) / 2, np.full(TOOTH_COLUMNS, number / (len(rows) - 1))], 1))
    positions = np.concatenate(points)
    count = len(rows)
    sheet = grid_triangles(count, TOOTH_COLUMNS, closed=False)
    bottom = (count - 1) * TOOTH_COLUMNS + np.arange(TOOTH_COLUMNS)
    top = np.arange(TOOTH_COLUMNS)
    roof = np.concatenate(
        [np.stack([bottom[:-1], top[:-1], bottom[1:]], 1), np.stack([bottom[1:], top[:-1], top[1:]], 1)]
    )
    ends = [_fan(np.arange(count) * TOOTH_COLUMNS), _fan(np.arange(count)[::-1] * TOOTH_COLUMNS + TOOTH_COLUMNS - 1)]
    triangles = np.concatenate([sheet, *(_continuing(sheet, patch) for patch in (roof, *ends))])
    return Simple(positions, outward(positions, triangles), np.array(colours), np.concatenate(flat))


def _continuing(sheet: np.ndarray, patch: np.ndarray) -> np.ndarray:
    """Wind a patch so that it runs against the sheet along their common border."""
    there = border_edges(sheet)
    return patch[:, ::-1] if border_edges(patch) & there else patch


def _fan(loop: np.ndarray) -> np.ndarray:
    """Triangles over a flat closed loop."""
    return np.array([(loop[0], loop[k], loop[k + 1]) for k in range(1, len(loop) - 1)])


def outward(positions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Wind the triangles of a closed part so that its volume is positive."""
    a, b, c = (positions[triangles[:, k]] for k in range(3))
    volume = (a * np.cross(b, c)).sum()
    return triangles if volume > 0 else triangles[:, ::-1]
