"""Recipe of the open head: statistics of labelled faces, closed into a head, measured and written with its card."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from scipy.sparse.linalg import splu

from models.cards import Figure, TrainingData, make_card
from models.faces.names import BLENDSHAPE_NAMES, IRIS_LEFT, IRIS_RIGHT
from models.head.subdivision import subdivide
from models.training.face_shapes import FACE_OVAL
from models.training.head_basis import IDENTITIES, Basis, learn_basis
from models.training.head_calibrate import calibrate, rigid_jaw
from models.training.head_closing import Closing, affine_follow, affine_weights, close_head
from models.training.head_parts import EYE_RADIUS, SKIN, Simple, ear, eye_centre, eyeball, gaze_turns, teeth
from models.training.head_topology import (
    INNER_LIPS,
    LID_LEFT,
    LID_RIGHT,
    SURFACE_POINTS,
    face_triangles,
    inside,
    unrolled,
)

LOG = logging.getLogger(__name__)
CHIN_POINTS = np.array([152, 175, 199, 200, 148, 377, 171, 396])
HINGE = np.array([0.0, -0.05, 1.35])
"""Axis of the jaw, at the ears."""
INTERPUPILLARY = 0.063
"""Metres; sets the head's size."""
LIP_OUTLINE = np.array("61 185 40 39 37 0 267 269 270 409 291 375 321 405 314 17 84 181 91 146".split(), dtype=np.int64)
BROWS = np.array("70 63 105 66 107 55 65 52 53 46".split(), dtype=np.int64)
LIP_COLOUR, BROW_COLOUR, LASH_COLOUR, CAVITY_COLOUR = (190, 110, 104), (132, 98, 78), (110, 74, 62), (120, 48, 50)
TO_HEAD = np.array([1.0, -1.0, -1.0])
"""Half a turn about x: from y down and z away to y up and z towards the viewer."""


def run(
    *, data: Path, out: Path, device: str = "cpu", resume: bool = True, identities: int = IDENTITIES
) -> dict[str, float]:
    """Write `out`/head.safetensors and its card from the labelled faces below `data`; returns the card's figures.

    Plain linear algebra on the processor, done in about a minute: `device` and `resume` change nothing.
    """
    started = time.monotonic()
    learned = learn_basis(data, identities=identities)
    LOG.info("learned from %d faces", learned.faces)
    basis = calibrate(learned)
    tensors, part_names = assemble(basis)
    out.mkdir(parents=True, exist_ok=True)
    file = out / "head.safetensors"
    save_file(tensors, file, metadata={"part_names": json.dumps(part_names)})
    figures = {
        "faces": float(basis.faces),
        "expression_share_of_variance": basis.expression_share,
        "identity_share_of_the_rest": basis.identity_share,
        "seconds": round(time.monotonic() - started, 1),
    }
    _write_card(file, figures)
    return figures


def assemble(basis: Basis) -> tuple[dict[str, np.ndarray], list[str]]:
    """Close the head, let every vertex follow the basis, and pack it in metres with y up."""
    opened = basis.neutral + 0.6 * basis.expression[BLENDSHAPE_NAMES.index("jawOpen")]
    closing = close_head(basis.neutral, face_triangles(opened))
    triangles = np.concatenate(closing.triangles)
    creases = np.concatenate(
        [np.stack([rim, np.roll(rim, -1)], 1) for rim in (LID_RIGHT, LID_LEFT, INNER_LIPS, closing.hem)]
    )
    skin = {
        "neutral": closing.neutral,
        "identity": _identity_of_skin(closing, basis),
        "expression": _expression_of_skin(closing, basis),
    }
    skin = _interpolating(skin, triangles, creases)
    simple = _simple_parts(basis)
    scale = INTERPUPILLARY / np.linalg.norm(basis.neutral[IRIS_LEFT] - basis.neutral[IRIS_RIGHT])
    names = [part.name for part in closing.parts] + [name for name, *_ in simple]
    tensors: dict[str, np.ndarray] = {}
    for key in ("neutral", "identity", "expression"):
        kind = np.float32 if key == "neutral" else np.float16
        tensors[f"skin_{key}"] = (skin[key] * TO_HEAD * scale).astype(kind)
    tensors["parts_neutral"] = (np.concatenate([s.positions for _, s, *_ in simple]) * TO_HEAD * scale).astype(
        np.float32
    )
    tensors["parts_identity"] = (np.concatenate([i for *_, i, _ in simple], 1) * TO_HEAD * scale).astype(np.float16)
    tensors["parts_expression"] = (np.concatenate([e for *_, e in simple], 1) * TO_HEAD * scale).astype(np.float16)
    tensors |= {
        "skin_faces": triangles.astype(np.int16),
        "creases": creases.astype(np.int16),
        "skin_colours": _skin_colours(closing, opened),
        "parts_colours": np.concatenate([s.colours for _, s, *_ in simple]).astype(np.uint8),
        "skin_uvs": _skin_map(closing, opened).astype(np.float32),
        "parts_uvs": _parts_map([s for _, s, *_ in simple]).astype(np.float32),
        "skin_part_of": np.concatenate([np.full(p.end - p.start, k) for k, p in enumerate(closing.parts)]).astype(
            np.int32
        ),
    }
    starts = np.cumsum([0, *(len(s.positions) for _, s, *_ in simple)])
    first = len(closing.parts)
    tensors["parts_faces"] = np.concatenate(
        [s.triangles + start for (_, s, *_), start in zip(simple, starts, strict=False)]
    ).astype(np.int16)
    tensors["parts_part_of"] = np.concatenate(
        [np.full(len(s.positions), first + k) for k, (_, s, *_) in enumerate(simple)]
    ).astype(np.int32)
    tensors["iris_vertices"] = _iris_vertices(basis, simple, starts).astype(np.int32)
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}, names


def _identity_of_skin(closing: Closing, basis: Basis) -> np.ndarray:
    """(k, n, 3)"""
    follow = np.concatenate(closing.follow_identity)
    added = np.einsum("vp,kpc->kvc", follow, basis.identity)
    return np.concatenate([basis.identity[:, :SURFACE_POINTS], added], 1)


def _expression_of_skin(closing: Closing, basis: Basis) -> np.ndarray:
    """(52, n, 3)"""
    follow, jaw = np.concatenate(closing.follow_expression), np.concatenate(closing.jaw)
    added = np.einsum("vp,kpc->kvc", follow, basis.expression)
    added += jaw[:, None] * rigid_jaw(basis, closing.neutral[SURFACE_POINTS:], HINGE, CHIN_POINTS)
    return np.concatenate([basis.expression[:, :SURFACE_POINTS], added], 1)


def _interpolating(skin: dict[str, np.ndarray], triangles: np.ndarray, creases: np.ndarray) -> dict[str, np.ndarray]:
    """Move the control points so that the subdivided surface passes through the landmarks, not beside them."""
    count = len(skin["neutral"])
    even = subdivide(triangles.astype(np.int32), creases.astype(np.int32), vertices=count).weights[:count]
    solver = splu(even.tocsc())
    moved = {}
    for key, values in skin.items():
        axis = values.ndim - 2
        columns = np.moveaxis(values, axis, 0)
        solved = solver.solve(np.ascontiguousarray(columns.reshape(count, -1)))
        moved[key] = np.moveaxis(solved.reshape(columns.shape), 0, axis)
    return moved


def _simple_parts(basis: Basis) -> list[tuple[str, Simple, np.ndarray, np.ndarray]]:
    """Name, shape, (k, n, 3) identity and (52, n, 3) expression of each simple part."""
    names = len(BLENDSHAPE_NAMES)
    parts = []
    affine = affine_follow(basis.neutral)
    for side, mirror in (("right", -1.0), ("left", 1.0)):
        shape = ear(mirror)
        root = np.broadcast_to(affine_weights(shape.positions, affine), (len(shape.positions), len(basis.neutral)))
        identity = np.einsum("vp,kpc->kvc", root, basis.identity)
        parts.append((f"ear_{side}", shape, identity, np.zeros((names, len(shape.positions), 3))))
    for side, rim, iris in (("right", LID_RIGHT, range(468, 473)), ("left", LID_LEFT, range(473, 478))):
        parts.append((f"eye_{side}", *_eye(basis, rim, np.array(iris))))
    lips = (basis.neutral[13] + basis.neutral[14]) / 2
    around = basis.identity[:, [0, 2, 17, 61, 291]].mean(1)[:, None]
    for upper in (True, False):
        shape = teeth(lips, upper=upper)
        identity = np.broadcast_to(around, (len(around), *shape.positions.shape)).copy()
        still = np.zeros((names, len(shape.positions), 3))
        moves = still if upper else rigid_jaw(basis, shape.positions, HINGE, CHIN_POINTS)
        parts.append((f"teeth_{'upper' if upper else 'lower'}", shape, identity, moves))
    return parts


def _eye(basis: Basis, rim: np.ndarray, iris: np.ndarray) -> tuple[Simple, np.ndarray, np.ndarray]:
    """An eyeball under its lids: it goes with the lids' rim by identity and turns by the eyeLook names."""
    side = "Right" if iris[0] == IRIS_RIGHT else "Left"
    blink = basis.expression[BLENDSHAPE_NAMES.index(f"eyeBlink{side}")]
    shapes = np.stack([basis.neutral + share * blink for share in (0.0, 0.35, 0.7, 1.0)])
    centre = eye_centre(shapes, rim)
    shape = eyeball(centre)
    turns = gaze_turns(basis.expression, iris)
    moves = np.zeros((len(BLENDSHAPE_NAMES), *shape.positions.shape))
    for row, name in enumerate(BLENDSHAPE_NAMES):
        if name.startswith("eyeLook") and name.endswith(side):
            moves[row] = _turned(shape.positions - centre, *turns[row]) - (shape.positions - centre)
    identity = basis.identity[:, rim].mean(1)[:, None] * np.ones((1, len(shape.positions), 1))
    return shape, identity, moves


def _turned(points: np.ndarray, yaw: float, pitch: float) -> np.ndarray:
    """Turn points so that what lies at -z goes to +x by `yaw` and to +y by `pitch`, in radians."""
    x, y, z = points.T
    x, z = x * np.cos(yaw) - z * np.sin(yaw), x * np.sin(yaw) + z * np.cos(yaw)
    y, z = y * np.cos(pitch) - z * np.sin(pitch), y * np.sin(pitch) + z * np.cos(pitch)
    return np.stack([x, y, z], 1)


def _iris_vertices(basis: Basis, simple: list, starts: np.ndarray) -> np.ndarray:
    """(10,) the eyeballs' vertices at the ten iris landmarks: the centre, then four on the border."""
    rows = []
    for part, iris in (("eye_right", range(468, 473)), ("eye_left", range(473, 478))):
        number = next(k for k, (name, *_) in enumerate(simple) if name == part)
        points = simple[number][1].positions
        offset = basis.neutral[list(iris)] - basis.neutral[iris[0]]
        wanted = (
            points[0] + offset / np.maximum(np.linalg.norm(offset, axis=1, keepdims=True), 1e-9) * EYE_RADIUS * 0.47
        )
        wanted[0] = points[0]
        front = points[:, 2] < points[:, 2].mean()
        distance = np.linalg.norm(points[None, :, :2] - wanted[:, None, :2], axis=2) + np.where(front, 0, 9)
        rows.append(starts[number] + distance.argmin(1))
    return np.concatenate(rows)


def _skin_colours(closing: Closing, opened: np.ndarray) -> np.ndarray:
    """(n, 3) plain colours: skin, lips, brows, and the inside of the mouth."""
    colours = np.tile(np.array(SKIN, np.uint8), (len(closing.neutral), 1))
    flat = unrolled(opened[:SURFACE_POINTS])
    lips = inside(flat[LIP_OUTLINE], flat)
    lips[np.concatenate([LIP_OUTLINE, INNER_LIPS])] = True
    colours[:SURFACE_POINTS][lips] = LIP_COLOUR
    partner = np.abs(flat[:, None] - flat[BROWS] * [-1, 1]).sum(2).argmin(0)
    colours[np.concatenate([BROWS, partner])] = BROW_COLOUR
    colours[np.concatenate([LID_RIGHT, LID_LEFT])] = LASH_COLOUR
    for part in closing.parts:
        if part.name == "mouth_cavity":
            colours[part.start : part.end] = CAVITY_COLOUR
    return colours


def _skin_map(closing: Closing, opened: np.ndarray) -> np.ndarray:
    """(n, 2) the face unrolled in the middle, the loops behind it as rings around, the openings' insides within."""
    flat = unrolled(opened[:SURFACE_POINTS])
    reach = np.abs(flat).max()
    placed = np.zeros((len(closing.neutral), 2))
    placed[:SURFACE_POINTS] = flat / reach * 0.26
    behind = [p for p in closing.parts if p.name in ("skull", "neck")]
    rows = np.concatenate([p.rows for p in behind])
    loops = rows[: len(rows) // len(FACE_OVAL) * len(FACE_OVAL)].reshape(-1, len(FACE_OVAL))
    outline = placed[_outline_order(closing, loops[0])]
    for number, loop in enumerate(loops, start=1):
        placed[loop] = outline * (1 + 0.8 * number / len(loops))
    placed[rows[-1]] = outline[0] * 1.85
    for part in closing.parts:
        if part.name == "mouth_cavity":
            _fill(placed, part.rows, placed[INNER_LIPS].mean(0), 0.02)
        elif part.name.startswith("eye_pocket"):
            rim = LID_RIGHT if part.name.endswith("right") else LID_LEFT
            _fill(placed, part.rows, placed[rim].mean(0), 0.01)
    return np.stack([0.5 + placed[:, 0], 0.5 - placed[:, 1]], 1)


def _outline_order(closing: Closing, loop: np.ndarray) -> np.ndarray:
    """The face-outline landmark that each vertex of the first loop continues."""
    follow = np.concatenate(closing.follow_expression)[loop - SURFACE_POINTS]
    return follow.argmax(1)


def _fill(placed: np.ndarray, rows: np.ndarray, centre: np.ndarray, radius: float) -> None:
    turn = np.linspace(0, 2 * np.pi, len(rows), endpoint=False)
    shrink = np.linspace(1, 0.1, len(rows))[:, None]
    placed[rows] = centre + radius * shrink * np.stack([np.cos(turn), np.sin(turn)], 1)


def _parts_map(shapes: list[Simple]) -> np.ndarray:
    """(n, 2) each simple part in a small square of its own, in the corners of the map."""
    corners = [(0.0, 0.0), (0.86, 0.0), (0.0, 0.86), (0.86, 0.86), (0.0, 0.72), (0.86, 0.72)]
    return np.concatenate(
        [
            0.005 + np.array(corner) + 0.13 * np.clip(shape.flat, 0, 1)
            for shape, corner in zip(shapes, corners, strict=True)
        ]
    )


def _write_card(file: Path, measured: dict[str, float]) -> None:
    recipe = "mien train head"
    make_card(
        file,
        title="Open head",
        what="A head one can shape: identity, 52 named actions, teeth and eyes; free to use and to pass on.",
        licence="Apache-2.0",
        training_data=[
            TrainingData(name="SFHQ-T2I (synthetic people)", licence="MIT", credit="David Beniaguev"),
            TrainingData(
                name="Face Research Lab London Set",
                licence="CC-BY-4.0",
                credit="DeBruine and Jones 2017, https://doi.org/10.6084/m9.figshare.5047666",
            ),
            TrainingData(name="webmorph: one person", licence="CC0-1.0", credit="Lisa DeBruine"),
            TrainingData(
                name="Portraits of members of Congress (landmarks only)",
                licence="mostly public domain",
                credit="voteview/member_photos",
            ),
        ],
        recipe=recipe,
        figures={
            name: Figure(value=round(value, 4), data="faces256, congress160 within 25 degrees", command=recipe)
            for name, value in measured.items()
        },
        limits="Depth is the landmark teacher's guess; skull, neck, ears, teeth and eyes are plain, not learned; "
        "puffed cheeks, raised cheeks, wrinkled nose and sideways jaw are set by hand, for photos hardly show them.",
        day=datetime.now(UTC).date(),
    )
