"""What the driving face says about each place of the picture: where the source shows it, and what is seen there.

A triangulation of the driving points (with a rim about the skull, and the crop's border at rest) carries each place
back to the source: a piecewise-affine warp on a coarse grid, between whose cells one interpolates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import Delaunay

from models.head.head import load_head
from models.head.parameters import TO_PICTURE
from models.head.texture import normals_of
from models.motions import LEFT_LIDS, LIPS, RIGHT_LIDS, Drive, mean_landmarks

Floats = NDArray[np.float32]

GRID = 64
"""Cells along an edge of the coarse maps."""
FINE = 128
"""Cells along an edge of the warp and of the drawings of eyes and mouth: lids are a few pixels apart."""
COARSE_MAPS = ("face", "source mouth", "source eyes", "shown", "outside")
FINE_MAPS = ("lips", "mouth", "eyes", "irises", "teeth")
TEETH_SHARE, TEETH_HEIGHT = 0.45, 0.007
"""Of the opening of the mouth, and metres."""
CLOSED = 0.12
"""Opening of an eye over its width up to which it counts as closed."""
PARTED = 0.03
"""Crop units, about 4 pixels of 256, at which a mouth counts as open."""
RIM = (0.098, 0.115)
"""Half width and half height of an ellipse about the skull, metres: hair moves with the head."""
RIM_CENTRE = (0.0, -0.02, 0.03)
RIM_POINTS = 24
INSIDE = 0.94
"""Crop units beyond which a rim point gives way to the border."""
BORDER_POINTS = 12
BACK_FACING = 0.05
WELL_SHOWN = 0.3
"""Cosines to the viewer from which a point takes part in the warp, and from which the source shows its skin well."""

OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149,
        150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)  # fmt: skip
OUTER_LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
RIGHT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
LEFT_EYE = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
RIGHT_IRIS, LEFT_IRIS = (469, 470, 471, 472), (474, 475, 476, 477)


@dataclass(frozen=True, eq=False)
class Geometry:
    """One driving frame as the network is shown it."""

    flow: Floats
    """(2, FINE, FINE) where the source shows each cell, x and y in crop units"""
    coarse: Floats
    """(5, GRID, GRID) in [0, 1], see COARSE_MAPS"""
    fine: Floats
    """(5, FINE, FINE) in [0, 1], see FINE_MAPS"""
    state: Floats
    """(STATE,) what the driving face does: coefficients and shape"""
    frame: Floats
    """(4,) middle, size and roll of the driving face"""
    rotation: Floats
    """(9,) the turn from the source's pose to the driving one"""


STATE = 52 + 478 * 3


def state_of(drive: Drive) -> Floats:
    """(STATE,) coefficients in [0, 1], and the shape's distance from the mean head in centimetres."""
    away = np.clip((drive.shape - mean_landmarks()) * 100, -5, 5)
    return np.concatenate([drive.coefficients, away.ravel()]).astype(np.float32)


def frame_of(drive: Drive) -> Floats:
    """(4,) where a face stands in its crop: x, y, metres for a crop unit times 10, roll in radians."""
    across = drive.rotation[:, 0]
    return np.array([*drive.translation[:2], 10 / drive.scale, np.arctan2(across[1], across[0])], np.float32)


def geometry(source: Drive, drive: Drive) -> Geometry:
    """Lay a driving frame over a source."""
    flow, shown = warp(source, drive)
    whole = drawn(drive.landmarks, (OVAL,), GRID)
    there = ((halved(flow) + 1) * (GRID / 2) - 0.5).astype(np.float32)

    def at_source(mask: Floats) -> Floats:
        return cv2.remap(mask, there[0], there[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)

    eyes = (RIGHT_EYE, LEFT_EYE)
    coarse = [
        whole,
        at_source(drawn(source.landmarks, (INNER_LIPS,), GRID) * inside_shown(source, drive)),
        at_source(drawn(source.landmarks, eyes, GRID)),
        halved(shown[None])[0],
        (np.abs(halved(flow)).max(0) > 1).astype(np.float32),
    ]
    open_eyes = drawn(drive.landmarks, eyes, FINE)
    open_mouth = drawn(drive.landmarks, (INNER_LIPS,), FINE) * parted(drive)
    fine = [
        drawn(drive.landmarks, (OUTER_LIPS,), FINE),
        open_mouth,
        open_eyes,
        drawn(drive.landmarks, (RIGHT_IRIS, LEFT_IRIS), FINE) * open_eyes,
        teeth(drive) * open_mouth,
    ]
    return Geometry(
        flow=flow,
        coarse=np.stack(coarse).astype(np.float32),
        fine=np.stack(fine).astype(np.float32),
        state=state_of(drive),
        frame=frame_of(drive),
        rotation=(drive.rotation @ source.rotation.T).ravel().astype(np.float32),
    )


def warp(source: Drive, drive: Drive) -> tuple[Floats, Floats]:
    """Where the source shows each cell (2, FINE, FINE), and how well (FINE, FINE) in [0, 1]."""
    facing = -(point_normals() @ drive.rotation.T)[:, 2]
    shown = np.clip(-(point_normals() @ source.rotation.T)[:, 2] / WELL_SHOWN, 0, 1)
    keep = (facing > BACK_FACING) & (np.abs(drive.landmarks[:, :2]).max(1) < INSIDE)
    keep &= irises_seen(drive) & irises_seen(source)
    rim_here, rim_there = _rim(drive), _rim(source)
    held = np.abs(rim_here).max(1) < INSIDE
    border = _border()
    here = np.concatenate([drive.landmarks[keep, :2], rim_here[held], border])
    there = np.concatenate([source.landmarks[keep, :2], rim_there[held], border])
    seen = np.concatenate([shown[keep], np.full(held.sum(), 0.7), np.ones(len(border))])
    # points that coincide (closed lips) would leave gaps in the triangulation
    here = here.astype(np.float64) + np.random.default_rng(0).normal(0, 1e-5, here.shape) * (np.abs(here) < 1)
    values = LinearNDInterpolator(Delaunay(here), np.column_stack([there, seen]), fill_value=0.0)(_cells())
    found = values.reshape(FINE, FINE, 3).transpose(2, 0, 1).astype(np.float32)
    return np.ascontiguousarray(found[:2]), found[2]


def halved(maps: Floats) -> Floats:
    """(C, H, W) -> (C, H / 2, W / 2), means of four."""
    return maps.reshape(len(maps), maps.shape[1] // 2, 2, -1, 2).mean((2, 4))


def irises_seen(drive: Drive) -> NDArray[np.bool_]:
    """(478,) False for points of an iris that lie under a lid: they would show the eye through it."""
    seen = np.ones(len(drive.landmarks), bool)
    eyes = ((RIGHT_EYE, RIGHT_LIDS, (468, *RIGHT_IRIS)), (LEFT_EYE, LEFT_LIDS, (473, *LEFT_IRIS)))
    for eye, lids, iris in eyes:
        outline = drive.landmarks[list(eye), :2].astype(np.float32)
        upper, lower = np.array(lids).T
        opening = float((drive.landmarks[lower, 1] - drive.landmarks[upper, 1]).max())
        is_open = opening > CLOSED * float(np.ptp(outline[:, 0]))
        for point in iris:
            x, y = drive.landmarks[point, :2]
            seen[point] = is_open and cv2.pointPolygonTest(outline, (float(x), float(y)), False) > 0
    return seen


def drawn(points: Floats, outlines: tuple[tuple[int, ...], ...], size: int) -> Floats:
    """(size, size) in [0, 1] the inside of some closed lines through points (478, 3) in crop units."""
    mask = np.zeros((size, size), np.uint8)
    places = ((points[:, :2] + 1) * (size / 2) - 0.5) * 16
    places = np.clip(places, -(2**14), 2**14)
    for outline in outlines:
        cv2.fillPoly(mask, [places[list(outline)].round().astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)
    return mask.astype(np.float32) / 255


def parted(drive: Drive) -> float:
    """How far the lips are apart: 0 while they touch, 1 from PARTED crop units on."""
    return float(np.clip(lip_gap(drive) / PARTED - 0.25, 0, 1))


def inside_shown(source: Drive, drive: Drive) -> float:
    """How well the source shows the inside of the mouth: not at all where it would have to be stretched threefold."""
    return parted(source) * float(np.clip(1.5 * lip_gap(source) / max(lip_gap(drive), 1e-4) - 0.5, 0, 1))


def lip_gap(drive: Drive) -> float:
    """The largest height between the lips, crop units."""
    upper, lower = np.array(LIPS).T
    return max(float((drive.landmarks[lower, 1] - drive.landmarks[upper, 1]).max()), 0.0)


def teeth(drive: Drive) -> Floats:
    """(FINE, FINE) in [0, 1] where upper teeth show: a band below the upper lip, at most TEETH_HEIGHT high."""
    upper, lower = np.array(LIPS).T
    top, bottom = drive.landmarks[upper], drive.landmarks[lower]
    gap = np.linalg.norm((bottom - top)[:, :2], axis=1, keepdims=True)
    share = np.minimum(TEETH_SHARE, TEETH_HEIGHT * drive.scale / np.maximum(gap, 1e-4))
    edge = top + (bottom - top) * share
    band = np.concatenate([top, edge[::-1]])
    return drawn(band, (tuple(range(len(band))),), FINE)


@cache
def point_normals() -> NDArray[np.float64]:
    """(478, 3) outward normals of the mean head at the landmarks, in the axes of a crop; the viewer is at -z."""
    head = load_head()
    return (normals_of(head.neutral, head.faces)[head.landmark_vertices] * TO_PICTURE).astype(np.float64)


def _rim(drive: Drive) -> Floats:
    angles = np.linspace(0, 2 * np.pi, RIM_POINTS, endpoint=False)
    angles = angles[np.sin(angles) < 0.35]  # y points down: no rim below the jaw
    ring = np.zeros((len(angles), 3), np.float32)
    ring[:, 0], ring[:, 1] = RIM[0] * np.cos(angles), RIM[1] * np.sin(angles)
    placed = drive.scale * (ring + np.array(RIM_CENTRE, np.float32)) @ drive.rotation.T + drive.translation
    return placed[:, :2].astype(np.float32)


@cache
def _border() -> NDArray[np.float64]:
    edge = np.linspace(-1, 1, BORDER_POINTS)
    return np.array([(x, y) for x in edge for y in edge if abs(x) == 1 or abs(y) == 1])


@cache
def _cells() -> NDArray[np.float64]:
    centres = (np.arange(FINE) + 0.5) * 2 / FINE - 1
    return np.stack(np.meshgrid(centres, centres), 2).reshape(-1, 2)
