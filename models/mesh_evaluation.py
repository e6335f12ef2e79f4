"""Measure the open head on labelled faces: whether its points lie right, and its coefficients mean what they say."""

from __future__ import annotations

import time
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
    reader, finder = reader or registry.load("head"), finder or registry.load("faces")
    return {"faces": len(faces), "people": people, "method": method or reader.method} | _measured(
        faces, reader, finder, method
    )


def _measured(faces: FaceSet, reader: HeadReader, finder: FaceFinder, method: str | None) -> dict[str, float | int]:
    head, rows, spent = reader.head, [], 0.0
    errors, points, shapes, twins = [], [], [], []
    for row, picture in enumerate(faces.pictures):
        face = match_face(finder.find(picture), faces.landmarks[row])
        if face is None:
            continue
        begun = time.perf_counter()
        found = reader.read(picture, face, method=method)
        vertices = head.vertices(found.identity, found.expression)
        spent += time.perf_counter() - begun
        rows.append(row)
        errors.append(point_error(found.to_picture(head.landmarks(vertices)), faces.landmarks[row]))
        points.append(point_error(face.landmarks, faces.landmarks[row]))
        shapes.append(found.expression)
        twins.append(_of_mirrored(picture, reader, finder, method))
    if not rows:
        raise BadInput("no face was found in any of the pictures")
    both = [place for place, twin in enumerate(twins) if twin is not None]
    shape = np.array(shapes)
    return {
        "found": round(len(rows) / len(faces), 4),
        "reprojected_median": round(float(np.median(errors)), 4),
        "reprojected_p90": round(float(np.percentile(errors, 90)), 4),
        "landmarks_median": round(float(np.median(points)), 4),
        "ratio": round(float(np.median(errors) / np.median(points)), 3),
        "expression_corr": round(correlation(shape, faces.blendshapes[rows]), 4),
        "mirror_corr": round(correlation(np.array([twins[place] for place in both]), shape[both]), 4),
        "ms": round(1000 * spent / len(rows), 1),
    }


def _of_mirrored(picture: NDArray, reader: HeadReader, finder: FaceFinder, method: str | None) -> NDArray | None:
    """(52,) mirrored back, of the mirrored picture's best face; None where none is found."""
    flipped = np.ascontiguousarray(picture[:, ::-1])
    found = finder.find(flipped, most=1)
    if not found:
        return None
    return reader.read(flipped, found[0], method=method).expression[MIRRORED_BLENDSHAPES]


def correlation(values: NDArray, truth: NDArray) -> float:
    """Mean over the columns of `truth` that vary of their correlation with `values`, both (n, 52); 0 for a constant."""
    columns = np.flatnonzero(truth.std(0) > VARIED)
    found = [np.corrcoef(values[:, c], truth[:, c])[0, 1] if values[:, c].std() > 1e-6 else 0.0 for c in columns]
    return float(np.mean(found)) if found else float("nan")
