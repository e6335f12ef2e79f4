"""What the expression network learns to say: two teachers' readings, the captions, and what follows from them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.faces.names import BLENDSHAPE_NAMES, MIRRORED_BLENDSHAPES
from models.training.data import FaceSet
from models.training.teachers import (
    FACEAPI_CLASSES,
    FER_CLASSES,
    FaceApiExpression,
    MiniXception,
    ask_faceapi,
    ask_fer,
    face_square,
)
from models.types import CIRCUMPLEX, EMOTIONS

log = logging.getLogger(__name__)

CAPTIONS = {
    "smiling": "happiness",
    "happy": "happiness",
    "joyful": "happiness",
    "laughing": "happiness",
    "neutral": "neutral",
    "surprised": "surprise",
    "angry or enraged": "anger",
    "angry": "anger",
    "sad or depressed": "sadness",
    "sad": "sadness",
    "disgusted": "disgust",
    "fearful": "fear",
}
"""Search words of the synthetic faces that name an emotion; weak labels."""


@dataclass(frozen=True, eq=False)
class Targets:
    """Row i belongs to face i; every column is standardised over the training faces."""

    readings: NDArray[np.float32]
    """(N, D) blendshapes, the teacher's feature in its main directions, and both teachers' logits."""
    importance: NDArray[np.float32]
    """(D,) weight of each column, mean 1."""
    emotions: NDArray[np.float32]
    """(N, 8) probabilities in the order of EMOTIONS."""
    affect: NDArray[np.float32]
    """(N, 2) valence and arousal."""
    place: NDArray[np.float32]
    """(N, E) coordinates in which distances say how different two expressions are to the teachers."""


@dataclass(frozen=True, eq=False)
class TeacherAnswers:
    """What the teachers said of each face."""

    feature: NDArray[np.float32]
    faceapi: NDArray[np.float32]
    fer: NDArray[np.float32]


def ask_teachers(faces: FaceSet, *, faceapi_file: Path, fer_file: Path, cache: Path) -> TeacherAnswers:
    """Ask both teachers about every face; answers are kept in `cache` and reused when the faces are as many."""
    if cache.is_file():
        stored = np.load(cache)
        if len(stored["feature"]) == len(faces):
            return TeacherAnswers(stored["feature"], stored["faceapi"], stored["fer"])
    first = FaceApiExpression(faceapi_file.parent).eval()
    second = MiniXception(fer_file).eval()
    parts = []
    for start in range(0, len(faces), 64):
        rows = range(start, min(start + 64, len(faces)))
        feature, faceapi = ask_faceapi(first, [_square(faces, row, 112, 1.15) for row in rows])
        fer = [ask_fer(second, [_square(faces, row, 64, scale) for row in rows]) for scale in (1.15, 1.3)]
        parts.append((feature, faceapi, np.mean(fer, 0)))
        if start % 2048 == 0:
            log.info("teachers asked about %d of %d faces", start, len(faces))
    feature, faceapi, fer = (np.concatenate(column) for column in zip(*parts, strict=True))
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez(cache, feature=feature, faceapi=faceapi, fer=fer)
    return TeacherAnswers(feature, faceapi, fer)


def _square(faces: FaceSet, row: int, size: int, scale: float) -> NDArray[np.uint8]:
    return face_square(faces.pictures[row], faces.landmarks[row], size=size, scale=scale)


def build_targets(faces: FaceSet, answers: TeacherAnswers, *, directions: int = 64) -> Targets:
    """Standardise and weigh what the teachers said."""
    shapes = sideless(faces.blendshapes)
    varied = shapes.std(0) > 0.02
    shapes = _standard(shapes[:, varied])
    feature = answers.feature - answers.feature.mean(0)
    _, strength, axes = np.linalg.svd(feature[:: max(1, len(feature) // 6000)], full_matrices=False)
    share = strength[:directions] ** 2 / (strength[:directions] ** 2).sum()
    feature = _standard(feature @ axes[:directions].T)
    faceapi, fer = _standard(answers.faceapi), _standard(answers.fer)
    importance = np.concatenate(
        [
            np.full(shapes.shape[1], 1.0 / shapes.shape[1]),
            share**0.5 / (share**0.5).sum() * 1.4,
            np.full(7, 0.8 / 7),
            np.full(7, 0.8 / 7),
        ]
    )
    emotions = _emotions(faces, answers)
    affect = emotions @ np.array([CIRCUMPLEX[name] for name in EMOTIONS])
    place = np.concatenate(
        [
            shapes / np.sqrt(shapes.shape[1]),
            feature * np.sqrt(share),
            0.7 * faceapi / np.sqrt(7),
            0.5 * fer / np.sqrt(7),
        ],
        1,
    )
    return Targets(
        readings=np.concatenate([shapes, feature, faceapi, fer], 1).astype(np.float32),
        importance=(importance / importance.mean()).astype(np.float32),
        emotions=emotions.astype(np.float32),
        affect=affect.astype(np.float32),
        place=place.astype(np.float32),
    )


def _emotions(faces: FaceSet, answers: TeacherAnswers) -> NDArray[np.float64]:
    """Mean of both teachers' probabilities, pulled towards the caption; contempt from one-sided mouth corners."""
    mixed = np.full((len(faces), len(EMOTIONS)), 1e-3)
    for names, logits, share in ((FACEAPI_CLASSES, answers.faceapi, 0.6), (FER_CLASSES, answers.fer, 0.4)):
        chance = torch.from_numpy(logits).softmax(1).numpy()
        for column, name in enumerate(names):
            mixed[:, EMOTIONS.index(name)] += share * chance[:, column]
    for row, caption in enumerate(faces.caption):
        if caption in CAPTIONS:
            mixed[row, EMOTIONS.index(CAPTIONS[caption])] += 0.6
    sided = np.zeros(len(faces))
    for name in ("mouthSmile", "mouthDimple", "mouthPress"):
        left = faces.blendshapes[:, BLENDSHAPE_NAMES.index(f"{name}Left")]
        sided += np.abs(left - faces.blendshapes[:, BLENDSHAPE_NAMES.index(f"{name}Right")])
    mixed[:, EMOTIONS.index("contempt")] += np.clip((sided - 0.25) * 1.5, 0, 0.7)
    return mixed / mixed.sum(1, keepdims=True)


def sideless(blendshapes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 52) -> (N, 104): mean of both sides and how much they differ, so that a mirrored face reads the same."""
    mirrored = blendshapes[:, MIRRORED_BLENDSHAPES]
    once = np.arange(blendshapes.shape[1]) <= MIRRORED_BLENDSHAPES
    both = np.where(once, (blendshapes + mirrored) / 2, 0)
    return np.concatenate([both, np.where(once, np.abs(blendshapes - mirrored), 0)], 1)


def _standard(columns: NDArray) -> NDArray[np.float64]:
    return (columns - columns.mean(0)) / (columns.std(0) + 1e-4)
