"""Measure pictures with an edited expression: the small generator's, and plainly carried pixels beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models import registry
from models.errors import BadInput
from models.faces.finder import FaceFinder
from models.faces.names import IRIS_LEFT, IRIS_RIGHT
from models.head.head import Head
from models.head.parameters import HeadParameters
from models.head.reader import HeadReader
from models.mesh_evaluation import correlation
from models.smirk_open.painter import ExpressionPainter
from models.training.data import FaceSet, read_faces, split
from models.types import Image

PRESETS: dict[str, dict[str, float]] = {
    "smile": {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "cheekSquintLeft": 0.4, "cheekSquintRight": 0.4},
    "open mouth": {"jawOpen": 0.6},
    "blink": {"eyeBlinkLeft": 0.9, "eyeBlinkRight": 0.9},
    "surprise": {
        "browInnerUp": 0.8, "browOuterUpLeft": 0.7, "browOuterUpRight": 0.7, "eyeWideLeft": 0.5, "eyeWideRight": 0.5,
        "jawOpen": 0.35,
    },
    "neutral": {},
}  # fmt: skip
"""What faces are asked to do; whatever is not named rests."""
ROOM = 8
"""Pixels around the head that count to a pair's errors."""


@dataclass(frozen=True, eq=False)
class Edit:
    """One photo, the head in it, and the head that is wanted."""

    image: Image
    before: HeadParameters
    after: HeadParameters


def evaluate_generator(folder: Path) -> dict[str, float | int]:
    """Compare both ways on people never trained on; see `measure_pairs` and `measure_edits`."""
    from models.training.smirk_pairs import held_out_pairs  # noqa: PLC0415 - it imports the painter's ruler from here

    finder, reader, painter = registry.load("faces"), registry.load("head"), registry.load("smirk_open_generator")
    held = held_out_pairs(folder, finder, reader)
    if not held:
        raise BadInput(f"{folder} shows nobody who is held out")
    edits = edits_of(split(read_faces(folder, sets=("faces256",)))[1], finder, reader)
    measured = measure_pairs(painter, held) | measure_edits(painter, edits, finder, reader)
    return {"pairs": len(held), "edits": len(edits)} | {name: round(value, 4) for name, value in measured.items()}


def measure_pairs(painter: ExpressionPainter, pairs: list) -> dict[str, float]:
    """Against the true second picture: psnr about the head, and l1 in grey levels where the photo showed nothing.

    Each also for the carried photo alone, with `carried_` before its name.
    """
    found: dict[str, list[float]] = {"psnr": [], "carried_psnr": [], "l1_hidden": [], "carried_l1_hidden": []}
    for pair in pairs:
        target = pair.target.astype(np.float32)
        about = cv2.dilate((pair.carried.kind > 0).astype(np.uint8), np.ones((ROOM, ROOM), np.uint8)) > 0
        hidden = cv2.dilate((pair.carried.plain > 0.5).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        plain = pair.carried.image.astype(np.float32)
        for start, picture in (("", np.clip(plain + painter.change(pair.carried), 0, 255)), ("carried_", plain)):
            off = picture - target
            found[f"{start}psnr"].append(float(10 * np.log10(255**2 / max(np.square(off[about]).mean(), 1e-3))))
            if hidden.sum() > 20:
                found[f"{start}l1_hidden"].append(float(np.abs(off[hidden]).mean()))
    return {name: float(np.mean(values)) for name, values in found.items() if values}


def edits_of(held: FaceSet, finder: FaceFinder, reader: HeadReader, *, photos: int = 12) -> list[Edit]:
    """Each photo with each preset."""
    edits = []
    for row in range(0, len(held), max(len(held) // photos, 1)):
        faces = finder.find(held.pictures[row], most=1)
        if not faces:
            continue
        before = reader.read(held.pictures[row], faces[0])
        for actions in PRESETS.values():
            after = before.with_expression(reader.head.coefficients(actions))
            edits.append(Edit(held.pictures[row], before, after))
    return edits


def measure_edits(
    painter: ExpressionPainter, edits: list[Edit], finder: FaceFinder, reader: HeadReader
) -> dict[str, float]:
    """Read the pictures again: does the face found in them do what was asked?

    `points`: distance of the found landmarks from the wanted head's over the iris distance, median; `expression_corr`:
    correlation of the coefficients read with those asked; `expression_off`: their mean absolute difference. Each also
    for the carried photo alone.
    """
    ways = {"": painter, "carried_": painter.carried}
    result: dict[str, float] = {}
    for start, way in ways.items():
        points, read, asked, lost = [], [], [], 0
        for edit in edits:
            picture = way(edit.image, edit.before, edit.after)
            faces = finder.find(picture, most=1)
            if not faces:
                lost += 1
                continue
            points.append(_points_off(painter.head, edit.after, faces[0].landmarks))
            read.append(reader.read(picture, faces[0]).expression)
            asked.append(edit.after.expression)
        shapes, wanted = np.array(read), np.array(asked)
        result |= {
            f"{start}points": float(np.median(points)),
            f"{start}expression_corr": correlation(shapes, wanted),
            f"{start}expression_off": float(np.abs(shapes - wanted).mean()),
            f"{start}not_found": lost / max(len(edits), 1),
        }
    return result


def _points_off(head: Head, wanted: HeadParameters, found: NDArray[np.float32]) -> float:
    goal = wanted.to_picture(head.landmarks(head.vertices(wanted.identity, wanted.expression)))[:, :2]
    iris = float(np.linalg.norm(goal[IRIS_RIGHT] - goal[IRIS_LEFT]))
    return float(np.linalg.norm(found[:, :2] - goal, axis=1).mean() / iris)
