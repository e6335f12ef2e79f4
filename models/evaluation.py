"""Measure the shipped face and expression networks on a folder of labelled pictures."""

from __future__ import annotations

import csv
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from models import registry
from models.errors import BadInput, NotAnImage
from models.faces.finder import FaceFinder
from models.faces.names import IRIS_LEFT, IRIS_RIGHT
from models.images import read_image
from models.training.data import FaceSet, read_faces, split
from models.types import Box, Face

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
FOLDS = 5


def evaluate_faces(
    folder: Path, *, people: str = "all", finder: FaceFinder | None = None
) -> dict[str, float | int | str]:
    """Compare the face finder with labels.npz in `folder`.

    `people` is "all", or "held-out" for those that `mien train` never sees. Point errors are means over the 478
    points, divided by the distance of the iris centres; blendshapes count where their standard deviation is above
    0.03. A face is found when its box overlaps the labelled one by at least 0.3. Without a `finder` the shipped one is
    measured.
    """
    faces = read_faces(folder)
    if people == "held-out":
        faces = split(faces)[1]
    elif people != "all":
        raise BadInput(f"people must be all or held-out, got {people!r}")
    if not len(faces):
        raise BadInput(f"{folder} has no face to measure on")
    finder = finder or registry.load("faces")
    finder.find(faces.pictures[0])  # the first call warms up
    rows, errors, shapes = [], [], []
    begun = time.perf_counter()
    for row, picture in enumerate(faces.pictures):
        face = match_face(finder.find(picture), faces.landmarks[row])
        if face is None:
            continue
        rows.append(row)
        errors.append(point_error(face.landmarks, faces.landmarks[row]))
        shapes.append(face.blendshapes)
    seconds = time.perf_counter() - begun
    return {
        "faces": len(faces),
        "people": people,
        "found": round(len(rows) / len(faces), 4),
        "nme_median": round(float(np.median(errors)), 4) if rows else float("nan"),
        "nme_p90": round(float(np.percentile(errors, 90)), 4) if rows else float("nan"),
        "blendshape_corr": round(_correlation(np.array(shapes), faces, rows), 4) if rows else float("nan"),
        "ms_per_face": round(1000 * seconds / len(faces), 1),
    }


def point_error(points: NDArray, truth: NDArray) -> float:
    """Mean distance over the 478 points, over the distance of the labelled iris centres."""
    iris = float(np.linalg.norm(truth[IRIS_RIGHT, :2] - truth[IRIS_LEFT, :2]))
    return float(np.linalg.norm(points[:, :2] - truth[:, :2], axis=1).mean() / iris)


def match_face(found: list[Face], truth: NDArray) -> Face | None:
    """Return the found face that lies over labelled points, if any."""
    low, high = truth[:, :2].min(0), truth[:, :2].max(0)
    label = Box(float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    best = max(found, key=lambda face: face.box.overlap(label), default=None)
    return best if best is not None and best.box.overlap(label) >= 0.3 else None


def _correlation(shapes: NDArray, faces: FaceSet, rows: list[int]) -> float:
    varied = np.flatnonzero(faces.blendshapes.std(0) > 0.03)
    truth = faces.blendshapes[rows]
    return float(np.mean([np.corrcoef(shapes[:, i], truth[:, i])[0, 1] for i in varied]))


@dataclass(frozen=True, eq=False)
class Labelled:
    """Expression vectors of a folder of classes."""

    vectors: NDArray[np.float32]
    classes: NDArray[np.str_]
    groups: NDArray[np.str_] | None
    found: int
    whole: int


def evaluate_expression(folder: Path) -> dict[str, float | int | str]:
    """Probe frozen expression vectors with a linear classifier and with neighbours.

    `folder` holds one folder of pictures for each class and, if people appear more than once, groups.csv with the
    columns file (relative to `folder`) and group; a group never spans folds. Where no face is found, the whole picture
    is taken for the face crop and counted in `whole`.
    """
    data = read_labelled(folder)
    if data.groups is None:
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    else:
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, class_weight="balanced", max_iter=2000))
    neighbours = make_pipeline(KNeighborsClassifier(5, metric="cosine"))

    def predict(model: Pipeline) -> NDArray:
        return cross_val_predict(model, data.vectors, data.classes, groups=data.groups, cv=folds)

    guessed = predict(probe)
    return {
        "n": len(data.classes),
        "classes": len(set(data.classes)),
        "found": data.found,
        "whole": data.whole,
        "accuracy": round(float((guessed == data.classes).mean()), 4),
        "balanced_accuracy": round(float(balanced_accuracy_score(data.classes, guessed)), 4),
        "knn_accuracy": round(float((predict(neighbours) == data.classes).mean()), 4),
        "backend": registry.load("deepfever").backend,
    }


def read_labelled(folder: Path) -> Labelled:
    """Read every picture of a folder of classes into a vector; raises BadInput when there is too little."""
    files = [
        (path, kind.name)
        for kind in sorted(folder.iterdir() if folder.is_dir() else [])
        if kind.is_dir()
        for path in sorted(kind.rglob("*"))
        if path.suffix.lower() in PICTURES
    ]
    if len({name for _, name in files}) < 2:
        raise BadInput(f"{folder} needs at least two folders of pictures, one for each class")
    finder, reader = registry.load("faces"), registry.load("deepfever")
    group_of = _groups(folder / "groups.csv")
    vectors, classes, groups, found, whole = [], [], [], 0, 0
    for path, name in files:
        try:
            picture = read_image(path)
        except NotAnImage:
            continue
        faces = finder.find(picture, most=1)
        if faces:
            found += 1
        else:
            whole += 1
            faces = [finder.read_whole(picture)]
        vectors.append(reader.read(picture, faces)[0].vector)
        classes.append(name)
        groups.append(group_of.get(path.relative_to(folder).as_posix(), str(path)))
    return Labelled(
        np.stack(vectors), np.array(classes), np.array(groups) if group_of else None, found=found, whole=whole
    )


def _groups(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    with file.open(newline="", encoding="utf-8") as rows:
        return {row["file"]: row["group"] for row in csv.DictReader(rows)}
