"""Choose the faces that new ones may be mixed from: synthetic people, near frontal, bare-faced, each also mirrored."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.training.face_shapes import (
    LabelledFaces,
    frontal_mean,
    mirror_coefficients,
    mirror_shapes,
    similarity_frames,
)
from models.training.morph import rasterise, triangulate, warp, with_surround

THUMB = 128
SYNTHETIC = "sfhq_t2i"
EYEWEAR = ("reading glasses", "sunglasses")
HATS = ("baseball cap", "beanie", "cowboy hat", "fedora", "sun hat", "top hat")
BARE = (
    "angry",
    "angry or enraged",
    "eyes closed",
    "grim face",
    "happy",
    "lipstick",
    "sad or depressed",
    "shaved face",
    "sideburns",
    "small child",
    "smiling",
    "surprised",
    "tongue out",
)
EYE_ROWS, BROW_ROWS = slice(30, 78), slice(0, 48)


@dataclass(frozen=True, eq=False)
class Cast:
    """Candidates for mixing; every array has one row per candidate, mirrored copies in the second half."""

    labels: LabelledFaces
    row: np.ndarray
    """(m,) row of `labels`"""
    flipped: np.ndarray
    """(m,) bool"""
    shapes: np.ndarray
    """(m, 478, 3) in the common frame"""
    turn: np.ndarray
    """(m, 3) pitch, yaw, roll in degrees"""
    coefficients: np.ndarray
    """(m, 52)"""
    skin: np.ndarray
    """(m, k) small Lab picture of the face"""
    hair: np.ndarray
    """(m, k) small Lab picture of what surrounds it"""
    mean: np.ndarray
    """(478, 3)"""
    triangles: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    @property
    def people(self) -> np.ndarray:
        """(m,) identity of each candidate."""
        return self.labels.identity[self.row]

    def picture(self, candidate: int) -> tuple[np.ndarray, np.ndarray]:
        """The crop (BGR) and its (478, 3) landmarks in pixels, mirrored where the candidate is."""
        row = self.row[candidate]
        image = cv2.imread(str(self.labels.folder / self.labels.paths[row]), cv2.IMREAD_COLOR)
        landmarks = self.labels.landmarks[row]
        if not self.flipped[candidate]:
            return image, landmarks
        twin = mirror_shapes(landmarks) + np.array([image.shape[1] - 1.0, 0.0, 0.0])
        return np.ascontiguousarray(image[:, ::-1]), twin


def gather_cast(labels: LabelledFaces, *, widest_turn: float = 24.0) -> Cast:
    """Pick, align and describe the candidates; people with eyewear, hats or grey pictures are left out by score."""
    mean = frontal_mean(labels.landmarks)
    triangles = triangulate(mean, mean[:, 2])
    frames = similarity_frames(labels.landmarks, mean)
    turn = frames.turn
    near = (np.abs(turn[:, 1]) < widest_turn) & (np.abs(turn[:, 0]) < 16) & (np.abs(turn[:, 2]) < 20)
    kept = np.flatnonzero(near)
    labels, turn = labels.subset(kept), turn[kept]
    thumbs = _thumbnails(labels, mean, triangles)
    shapes = similarity_frames(labels.landmarks, mean).normalised(labels.landmarks)
    tiny = np.stack([_tiny_lab(thumb) for thumb in thumbs])
    coloured = np.abs(tiny[:, 3:13, 4:12, 1:]).mean((1, 2, 3)) > 4
    bare = (_worn_score(thumbs, labels, EYEWEAR, EYE_ROWS) < 0.68) & (
        _worn_score(thumbs, labels, HATS, BROW_ROWS) < 0.85
    )
    keep = np.flatnonzero(coloured & bare & (labels.source == SYNTHETIC))
    labels, turn, shapes, tiny = labels.subset(keep), turn[keep], shapes[keep], tiny[keep]
    count = len(keep)
    both = np.concatenate([tiny, tiny[:, :, ::-1]])
    return Cast(
        labels=labels,
        row=np.tile(np.arange(count), 2),
        flipped=np.repeat([False, True], count),
        shapes=np.concatenate([shapes, mirror_shapes(shapes)]),
        turn=np.concatenate([turn, turn * [1, -1, -1]]),
        coefficients=np.concatenate([labels.blendshapes, mirror_coefficients(labels.blendshapes)]),
        skin=both[:, 4:13, 4:12].reshape(2 * count, -1),
        hair=np.concatenate(
            [part.reshape(2 * count, -1) for part in (both[:, :4], both[:, 4:12, :4], both[:, 4:12, 12:])], 1
        ),
        mean=mean,
        triangles=triangles,
    )


def _thumbnails(labels: LabelledFaces, mean: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(n, THUMB, THUMB, 3) BGR faces warped to the mean shape."""
    target = mean * (THUMB * 0.5 / np.ptp(mean[:, 0])) + [THUMB / 2, THUMB / 2, 0]
    dense = rasterise(with_surround(target), triangles, THUMB)
    thumbs = []
    for path, landmarks in zip(labels.paths, labels.landmarks, strict=True):
        image = cv2.imread(str(labels.folder / path), cv2.IMREAD_COLOR)
        thumbs.append(np.clip(warp(image, landmarks, dense), 0, 255).astype(np.uint8))
    return np.stack(thumbs)


def _tiny_lab(thumb: np.ndarray) -> np.ndarray:
    small = cv2.resize(thumb, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return cv2.cvtColor(small, cv2.COLOR_BGR2Lab)


def _worn_score(thumbs: np.ndarray, labels: LabelledFaces, words: tuple[str, ...], rows: slice) -> np.ndarray:
    """(n,) rank in 0..1 of how much a strip of the face looks like those captioned with `words`.

    Gradient histograms of the strip, reduced to 60 components, then a logistic regression on the few captions.
    """
    descriptor = cv2.HOGDescriptor((96, 48), (16, 16), (8, 8), (8, 8), 9)
    strips = [cv2.equalizeHist(cv2.cvtColor(thumb, cv2.COLOR_BGR2GRAY)[rows, 16:112]) for thumb in thumbs]
    gradients = np.stack([descriptor.compute(strip).ravel() for strip in strips])
    features = PCA(60, random_state=0).fit_transform(gradients)
    worn = np.isin(labels.caption, words)
    bare = np.isin(labels.caption, BARE) | (labels.source != SYNTHETIC)
    known = worn | bare
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.02, class_weight="balanced", max_iter=2000))
    model.fit(features[known], worn[known])
    score = model.decision_function(features)
    return np.argsort(np.argsort(score)) / max(len(score) - 1, 1)
