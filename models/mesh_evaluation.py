"""Measure the open head on labelled faces: whether its points lie right, and its coefficients mean what they say."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models import registry
from models.errors import BadInput
from models.evaluation import match_face, point_error
from models.faces.finder import FaceFinder
from models.faces.names import MIRRORED_BLENDSHAPES
from models.head.reader import HeadReader
from models.training.data import FaceSet, read_faces, split
from models.types import Face, Image

VARIED = 0.03
"""Standard deviation of a coefficient from which it is compared."""


def evaluate_mesh(
    folder: Path,
    *,
    people: str = "all",
    method: str | None = None,
    reader: HeadReader | None = None,
    finder: FaceFinder | None = None,
) -> dict[str, float | int | str]:
    """Compare the head read off each picture with labels.npz in `folder`.

    `people` is "all", or "held-out" for those that `mien train` never sees; `method` is one of
    models.head.reader.METHODS, or None for the one that the Mesh tab uses. `reprojected` is the mean distance of the
    head's 478 points, laid back onto the picture, over the iris distance; `ratio` is its median against that of the
    landmark network; `expression_corr` the mean correlation of the coefficients that vary with the teacher's;
    `mirror_corr` that of a mirrored picture's mirrored coefficients with the picture's own.
    """
    faces = read_faces(folder)
    if people == "held-out":
        faces = split(faces)[1]
    elif people != "all":
        raise BadInput(f"people must be all or held-out, got {people!r}")
    if not len(faces):
        raise BadInput(f"{folder} has no face to measure on")
    reader = reader or registry.load("head")
    seen = look(faces, finder or registry.load("faces"))
    told: dict[str, float | int | str] = {"faces": len(faces), "people": people, "method": method or reader.method}
    return told | {"found": round(len(seen) / len(faces), 4)} | measure(seen, reader, method=method)


@dataclass(frozen=True, eq=False)
class Seen:
    """One labelled picture with the face found in it, and the same mirrored."""

    picture: Image
    face: Face
    flipped: Image
    twin: Face | None
    landmarks: NDArray
    blendshapes: NDArray


def look(faces: FaceSet, finder: FaceFinder) -> list[Seen]:
    """Find the labelled faces; raises BadInput when none is found."""
    seen = []
    for row, picture in enumerate(faces.pictures):
        face = match_face(finder.find(picture), faces.landmarks[row])
        if face is None:
            continue
        flipped = np.ascontiguousarray(picture[:, ::-1])
        twin = next(iter(finder.find(flipped, most=1)), None)
        seen.append(Seen(picture, face, flipped, twin, faces.landmarks[row], faces.blendshapes[row]))
    if not seen:
        raise BadInput("no face was found in any of the pictures")
    return seen


def measure(seen: list[Seen], reader: HeadReader, *, method: str | None = None) -> dict[str, float | int | str]:
    """Read the head of each face and compare; see `evaluate_mesh`."""
    head, spent = reader.head, 0.0
    errors, points, shapes = [], [], []
    for one in seen:
        begun = time.perf_counter()
        found = reader.read(one.picture, one.face, method=method)
        vertices = head.vertices(found.identity, found.expression)
        spent += time.perf_counter() - begun
        errors.append(point_error(found.to_picture(head.landmarks(vertices)), one.landmarks))
        points.append(point_error(one.face.landmarks, one.landmarks))
        shapes.append(found.expression)
    shape = np.array(shapes)
    both = [place for place, one in enumerate(seen) if one.twin is not None]
    twins = [reader.read(seen[place].flipped, seen[place].twin, method=method).expression for place in both]
    return {
        "reprojected_median": round(float(np.median(errors)), 4),
        "reprojected_p90": round(float(np.percentile(errors, 90)), 4),
        "landmarks_median": round(float(np.median(points)), 4),
        "ratio": round(float(np.median(errors) / np.median(points)), 3),
        "expression_corr": round(correlation(shape, np.array([one.blendshapes for one in seen])), 4),
        "mirror_corr": round(correlation(np.array(twins)[:, MIRRORED_BLENDSHAPES], shape[both]), 4),
        "ms": round(1000 * spent / len(seen), 1),
    }


def correlation(values: NDArray, truth: NDArray) -> float:
    """Mean over the columns of `truth` that vary of their correlation with `values`, both (n, 52); 0 for a constant."""
    columns = np.flatnonzero(truth.std(0) > VARIED)
    found = [np.corrcoef(values[:, c], truth[:, c])[0, 1] if values[:, c].std() > 1e-6 else 0.0 for c in columns]
    return float(np.mean(found)) if found else float("nan")
