"""Recipe of the coefficients read off points: ridge regression of the teacher's coefficients on frontal landmarks.

Plain linear algebra on the labels of training people, each face also mirrored; no picture is looked at.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from models import cards
from models.cards import make_card
from models.errors import BadInput
from models.head.actions import NAME
from models.mesh_evaluation import correlation
from models.training.data import held_out
from models.training.face_shapes import (
    frontal_mean,
    mirror_coefficients,
    mirror_shapes,
    read_labels,
    similarity_frames,
)
from models.training.head_basis import STABLE
from models.training.ship import CLIPS, CONGRESS, LONDON, MEDIAPIPE, SFHQ, WARPED, WEBMORPH, figure

log = logging.getLogger(__name__)

SETS = {"faces256": 1, "congress160": 1, "clips": 1, "warped": 4}
"""Sets, and which faces of each are used: every one, or every fourth of the warps, of which there are many."""
COMPONENTS = 80
"""Principal components of the points that coefficients are read from; the rest is mostly the landmarks' noise."""
RIDGE = 1e-3
"""Of the components' mean variance."""
MEAN_OF = 800
"""Faces whose mean the others are laid over."""


@dataclass(frozen=True, eq=False)
class Labels:
    """Row i of every array is one face."""

    landmarks: NDArray[np.float64]
    """(n, 478, 3)"""
    coefficients: NDArray[np.float64]
    """(n, 52)"""


def run(*, data: Path, out: Path, device: str = "cpu", resume: bool = True) -> dict[str, float]:
    """Fit the regression on training people, measure it on the others' landmarks, and ship it.

    Done in about half a minute of one core: `device` and `resume` change nothing.
    """
    out.mkdir(parents=True, exist_ok=True)
    training, held = _read(data, held=False), _read(data, held=True)
    log.info("%d faces of training people, %d of others", len(training.landmarks), len(held.landmarks))
    tensors = fitted(training)
    path = cards.PRETRAINED / f"{NAME}.safetensors"
    save_file(tensors, path)
    path.chmod(0o644)
    told = correlation(applied(tensors, held.landmarks), held.coefficients)
    figures = {"correlation on the teacher's own landmarks": told, "faces": float(len(training.landmarks))}
    command = f"mien train {NAME} --data DATA"
    make_card(
        path,
        title="Coefficients read off points",
        what="The 52 named actions of a face from its landmarks alone; "
        "the head's fit averages them with the network's.",
        licence="Apache-2.0",
        training_data=(SFHQ, LONDON, WEBMORPH, CONGRESS, CLIPS, WARPED, MEDIAPIPE),
        recipe=command,
        figures={
            name: figure(value, f"{len(held.landmarks)} faces of people never trained on", command)
            for name, value in figures.items()
        },
        limits="As good as the landmarks it is given; "
        "what points do not show (puffed cheeks, the tongue) it cannot say.",
        day=datetime.now(UTC).date(),
    )
    return figures


def _read(data: Path, *, held: bool) -> Labels:
    """Labels of training people, or of those never trained on; raises BadInput when there are none."""
    parts = []
    for name, step in SETS.items():
        if not (data / name / "labels.npz").is_file():
            continue
        labels = read_labels(data / name)
        names = np.char.add(np.char.add(labels.source.astype(str), "/"), labels.identity.astype(str))
        pairs = zip(names, labels.source.astype(str), strict=True)
        chosen = np.flatnonzero([held_out(person, source=source) == held for person, source in pairs])[::step]
        parts.append(Labels(labels.landmarks[chosen], labels.blendshapes[chosen]))
    if not sum(len(part.landmarks) for part in parts):
        raise BadInput(f"{data} has no labelled faces in {', '.join(SETS)}")
    return Labels(
        np.concatenate([part.landmarks for part in parts]), np.concatenate([part.coefficients for part in parts])
    )


def fitted(labels: Labels) -> dict[str, NDArray]:
    """The tensors of models.head.actions.PointActions."""
    mean = frontal_mean(labels.landmarks[:: max(1, len(labels.landmarks) // MEAN_OF)], rounds=3)
    offsets, turns = _frontal(labels.landmarks, mean)
    mirrored = mirror_shapes(offsets.reshape(-1, *mean.shape)).reshape(offsets.shape)
    offsets = np.concatenate([offsets, mirrored]).astype(np.float32)
    turns = np.concatenate([turns, turns * [1, -1, -1]])
    wanted = np.concatenate([labels.coefficients, mirror_coefficients(labels.coefficients)])
    axes = np.linalg.eigh(offsets.T @ offsets)[1][:, -COMPONENTS:].astype(np.float64)
    known = np.concatenate([offsets @ axes, turns, np.ones((len(turns), 1))], 1)
    gram = known.T @ known
    damped = np.arange(COMPONENTS)
    gram[damped, damped] += RIDGE * gram[damped, damped].mean()
    weights = np.linalg.solve(gram, known.T @ wanted)
    return {
        "mean": mean.astype(np.float32),
        "stable": STABLE.astype(np.int16),
        "points": (axes @ weights[:COMPONENTS]).astype(np.float16),
        "turn": weights[COMPONENTS:-1].astype(np.float32),
        "rest": weights[-1].astype(np.float32),
    }


def applied(tensors: dict[str, NDArray], landmarks: NDArray) -> NDArray[np.float64]:
    """(n, 52) what those tensors say of (n, 478, 3) landmarks, many at once."""
    offsets, turns = _frontal(landmarks, tensors["mean"].astype(np.float64))
    values = offsets @ tensors["points"].astype(np.float64) + turns @ tensors["turn"] + tensors["rest"]
    return np.asarray(np.clip(values, 0, 1))


def _frontal(landmarks: NDArray, mean: NDArray) -> tuple[NDArray, NDArray]:
    """(n, 1434) displacements from the mean of faces turned to the front, and (n, 3) their turns in degrees."""
    frames = similarity_frames(landmarks[:, STABLE], mean[STABLE])
    return (frames.normalised(landmarks) - mean).reshape(len(landmarks), -1), frames.turn
