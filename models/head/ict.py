"""ICT-FaceKit as a head of ours: the same 52 actions move it, and its own identities follow the open head's.

ICT-FaceKit (Li et al., CVPR 2020, "Learning Formation of Physically-Based Face Attributes"; MIT) is the user's own:
a folder with its OBJ files, or one npz. It is converted once; every one of our 51 names maps onto its shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from models.errors import BadWeights
from models.faces.names import BLENDSHAPE_NAMES
from models.head.fit import similarity
from models.head.head import Head, load_head
from models.head.parameters import HeadParameters

VERTICES, IDENTITIES = 26719, 100
NEUTRAL = "generic_neutral_mesh"
PARTS: dict[str, tuple[int, int, tuple[int, int, int]]] = {
    "face": (0, 9409, (214, 176, 156)),
    "skull": (9409, 11248, (214, 176, 156)),
    "mouth_cavity": (11248, 13294, (120, 52, 50)),
    "eye_pocket_left": (13294, 13678, (150, 98, 88)),
    "eye_pocket_right": (13678, 14062, (150, 98, 88)),
    "gums": (14062, 17039, (176, 92, 92)),
    "teeth_upper": (17039, 19247, (232, 226, 212)),
    "teeth_lower": (19247, 21451, (226, 219, 204)),
    "eye_left": (21451, 22221, (238, 236, 232)),
    "iris_left": (22221, 23021, (98, 112, 114)),
    "eye_right": (23021, 23791, (238, 236, 232)),
    "iris_right": (23791, 24591, (98, 112, 114)),
}
"""Rows of each part and its plain colour, as ICT's description lists them; tears and lashes, which come after, are left
out: they need glass and hair."""
KEPT = 24591
CELLS = (*list(PARTS)[:-2], "pupil", "iris_right", "eye_right")
"""Order in the palette: colours that meet within a triangle lie side by side, since between them others would show."""
PALETTE_CELLS, CELL_SIZE = 16, 16
"""Powers of two, as WebGL wants pictures that are shrunk."""
POINTS_68 = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389, 71, 63, 105, 66, 107, 336, 296,
    334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305, 33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380, 61,
    39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
"""MediaPipe's landmark nearest to each of the 68 of Multi-PIE."""
ICT_68 = (
    1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443, 268, 493, 1914,
    2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360, 1507, 1542, 1537,
    1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732, 5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957,
    5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966,
)  # fmt: skip
"""ICT's vertex at each of them, as its description lists them."""
JAW = 17
"""The first of the 68, which lie on an outline that differs from face to face: they count a tenth."""
STIFFNESS = 4.0
"""Prior of an identity component against a point's error in millimetres."""


def shapes_of(name: str) -> tuple[str, ...]:
    """ICT's shapes that together are one of our names; empty for `_neutral`."""
    if name == "_neutral":
        return ()
    if name in ("browInnerUp", "cheekPuff"):
        return f"{name}_L", f"{name}_R"
    for ending, short in (("Left", "_L"), ("Right", "_R")):
        if name.endswith(ending) and name not in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
            return (name.removesuffix(ending) + short,)
    return (name,)


def install_ict(source: Path, target: Path) -> str:
    """Convert ICT-FaceKit's folder of OBJ files, or one npz of the same arrays, to `target`.

    Raises BadWeights naming what is missing or has another shape.
    """
    neutral, quads, moves = _from_folder(source) if source.is_dir() else _from_npz(source)
    expression = np.zeros((len(BLENDSHAPE_NAMES), VERTICES, 3), np.float32)
    for row, name in enumerate(BLENDSHAPE_NAMES):
        for shape in shapes_of(name):
            if shape not in moves:
                raise BadWeights(f"{source.name} is not ICT-FaceKit: it has no shape {shape}")
            expression[row] += moves[shape]
    named = [f"identity{place:03d}" for place in range(IDENTITIES)]
    identity = np.stack([moves[name] for name in named if name in moves]) if named[0] in moves else expression[:0]
    kept = quads[(quads < KEPT).all(1)]
    partial = target.with_name(target.name + ".part.npz")
    np.savez_compressed(
        partial, neutral=neutral[:KEPT], faces=np.concatenate([kept[:, :3], kept[:, [0, 2, 3]]]).astype(np.int32),
        **_packed("expression", expression[:, :KEPT]), **_packed("identity", identity[:, :KEPT]),
    )  # fmt: skip
    partial.replace(target)
    return f"ICT-FaceKit is ready: {KEPT} vertices, {len(expression) - 1} actions, {len(identity)} identities."


def _packed(name: str, moves: NDArray[np.float32]) -> dict[str, NDArray]:
    step = max(float(np.abs(moves).max(initial=0)) / 32767, 1e-9)
    return {name: np.round(moves / step).astype(np.int16), f"{name}_step": np.float32(step)}


def _from_folder(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.int64], dict[str, NDArray[np.float32]]]:
    files = {path.stem: path for path in folder.rglob("*.obj")}
    if NEUTRAL not in files:
        raise BadWeights(f"{folder.name} holds no {NEUTRAL}.obj; give ICT-FaceKit's folder FaceXModel")
    neutral, quads = read_obj(files[NEUTRAL])
    _check(neutral, quads, folder.name)
    moves = {}
    for name, path in files.items():
        if name != NEUTRAL and (name.startswith("identity") or _is_wanted(name)):
            moved, _ = read_obj(path)
            if moved.shape != neutral.shape:
                raise BadWeights(f"{path.name} has {len(moved)} vertices, expected {len(neutral)}")
            moves[name] = moved - neutral
    return neutral, quads, moves


def _is_wanted(name: str) -> bool:
    return any(name in shapes_of(ours) for ours in BLENDSHAPE_NAMES)


def read_obj(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vertices (V, 3) and four-cornered faces (F, 4), from 0; triangles repeat their last corner."""
    places, faces = [], []
    try:
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("v "):
                places.append([float(word) for word in line.split()[1:4]])
            elif line.startswith("f "):
                corners = [int(word.partition("/")[0]) - 1 for word in line.split()[1:5]]
                faces.append(corners + corners[-1:] * (4 - len(corners)))
    except ValueError as error:
        raise BadWeights(f"{path.name} cannot be read as OBJ: {error}") from error
    return np.array(places, np.float32).reshape(-1, 3), np.array(faces, np.int64).reshape(-1, 4)


def _from_npz(file: Path) -> tuple[NDArray[np.float32], NDArray[np.int64], dict[str, NDArray[np.float32]]]:
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays: Mapping[str, NDArray] = {name: stored[name] for name in stored.files}
        step = float(arrays["step"])
        moves = {
            str(name): values.astype(np.float32) * step
            for names, group in (("exp_names", "exp"), ("id_names", "idn"))
            for name, values in zip(arrays[names], arrays[group], strict=True)
        }
        neutral, quads = arrays["neutral"].astype(np.float32), arrays["quads"].astype(np.int64)
        quads = np.where(quads < 0, quads[:, 2:3], quads)  # triangles
    except (OSError, ValueError, KeyError, BadZipFile, EOFError, TypeError) as error:
        raise BadWeights(f"{file.name} does not hold ICT-FaceKit: {error}") from error
    _check(neutral, quads, file.name)
    return neutral, quads, moves


def _check(neutral: NDArray, quads: NDArray, what: str) -> None:
    if neutral.shape != (VERTICES, 3) or not np.isfinite(neutral).all():
        raise BadWeights(f"{what}: the neutral head has the shape {neutral.shape}, expected ({VERTICES}, 3)")
    if quads.ndim != 2 or quads.shape[1] != 4 or quads.min() < 0 or quads.max() >= VERTICES:
        raise BadWeights(f"{what}: its faces do not fit its {VERTICES} vertices")


@cache
def load_ict(file: Path) -> Head:
    """Read a converted file as a head in our axes and metres; raises BadWeights.

    It is laid over the mean open head, whose landmarks it takes from its nearest vertices; its map (`uvs`) leads into
    `palette`, a picture of plain colours.
    """
    try:
        with np.load(file, allow_pickle=False) as stored:
            neutral, faces = stored["neutral"].astype(np.float64), stored["faces"].astype(np.int32)
            moves = {n: stored[n].astype(np.float32) * stored[f"{n}_step"] for n in ("expression", "identity")}
    except (OSError, ValueError, KeyError, BadZipFile, EOFError) as error:
        raise BadWeights(f"{file.name} does not hold a converted ICT-FaceKit: {error}") from error
    ours = load_head()
    goal = ours.landmarks(ours.neutral).astype(np.float64)
    rotation, scale, shift = similarity(neutral[list(ICT_68)], goal[list(POINTS_68)])
    linear = (scale * rotation.T).astype(np.float32)
    placed = (neutral @ (scale * rotation.T) + shift).astype(np.float32)
    part_of = np.zeros(KEPT, np.int32)
    for place, (first, end, _) in enumerate(PARTS.values()):
        part_of[first:end] = place
    painted = _with_irises(placed, part_of)
    _, nearest = cKDTree(placed[: PARTS["face"][1]]).query(goal)
    nearest[list(POINTS_68)] = ICT_68
    return Head(
        neutral=placed,
        identity=moves["identity"] @ linear,
        expression=moves["expression"] @ linear,
        faces=faces,
        uvs=np.stack([(painted + 0.5) / PALETTE_CELLS, np.full(KEPT, 0.5)], 1).astype(np.float32),
        colours=_cell_colours()[painted],
        part_of=part_of,
        part_names=tuple(PARTS),
        landmark_vertices=nearest.astype(np.int64),
    )


def _with_irises(places: NDArray[np.float32], part_of: NDArray[np.int32]) -> NDArray[np.int32]:
    """(V,) row of CELLS; the clear front of an eyeball is painted like the iris behind it."""
    painted = np.array([CELLS.index(name) for name in PARTS], np.int32)[part_of]
    for side in ("left", "right"):
        iris = places[slice(*PARTS[f"iris_{side}"][:2])]
        rows = np.arange(*PARTS[f"eye_{side}"][:2])
        middle, radius = iris[:, :2].mean(0), float(np.ptp(iris[:, 0])) * 0.4
        away = np.linalg.norm(places[rows, :2] - middle, axis=1)
        is_front = places[rows, 2] > iris[:, 2].mean()
        painted[rows[is_front & (away < radius)]] = CELLS.index(f"iris_{side}")
        painted[rows[is_front & (away < 0.4 * radius)]] = CELLS.index("pupil")
    return painted


def _cell_colours() -> NDArray[np.uint8]:
    """(PALETTE_CELLS, 3)"""
    found = [PARTS[name][2] if name in PARTS else (24, 24, 26) for name in CELLS]
    return np.array(found + found[-1:] * (PALETTE_CELLS - len(found)), np.uint8)


def palette() -> NDArray[np.uint8]:
    """(16, 256, 3) the plain colours side by side, for `Head.uvs`."""
    return np.ascontiguousarray(np.repeat(np.repeat(_cell_colours()[None], CELL_SIZE, 0), CELL_SIZE, 1))


def as_ict(parameters: HeadParameters, ict: Head) -> HeadParameters:
    """The same face on ICT's head: identity by least squares of the 68 points, placed anew, with our coefficients."""
    ours = load_head()
    resting = np.zeros(len(BLENDSHAPE_NAMES), np.float32)
    at = list(POINTS_68)
    goal = ours.landmarks(ours.vertices(parameters.identity, resting)).astype(np.float64)[at]
    base = ict.neutral[list(ICT_68)].astype(np.float64)
    basis = ict.identity[:, list(ICT_68)].astype(np.float64)  # (K, 68, 3)
    weight = np.sqrt(np.where(np.arange(len(at)) < JAW, 0.1, 1.0))[:, None]
    found = np.zeros(len(basis))
    for _ in range(3):
        shaped = base + np.einsum("k,kpc->pc", found, basis)
        rotation, scale, shift = similarity(goal, shaped)
        wanted = (((scale * goal @ rotation.T + shift) - base) * weight * 1000).ravel()
        design = (basis * weight * 1000).reshape(len(basis), -1)
        found = np.linalg.solve(design @ design.T + STIFFNESS * np.eye(len(basis)), design @ wanted)
    identity = found.astype(np.float32)
    own = ict.vertices(identity, resting)[list(ICT_68)].astype(np.float64)
    # where the open head's points lie in the picture, resting, there lie ICT's
    rotation, scale, shift = similarity(own, goal @ parameters.rotation.T.astype(np.float64) * parameters.scale)
    return HeadParameters(
        rotation=rotation.astype(np.float32),
        scale=scale,
        shift=(parameters.shift + np.array([shift[0], -shift[1]])).astype(np.float32),
        identity=identity,
        expression=parameters.expression,
    )
