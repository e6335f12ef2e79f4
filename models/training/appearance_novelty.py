"""Measure that a composed face is nobody's photo: how far it is from the people mixed, and they from each other."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from sklearn.decomposition import PCA

from models.errors import BadInput
from models.training.appearance_cast import THUMB, Cast
from models.training.appearance_compose import Composed
from models.training.face_shapes import similarity_frames
from models.training.morph import rasterise, warp, with_surround

RECOGNITION_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where eyes, nose tip and mouth corners lie in a 112 px recognition crop (the usual ArcFace template)."""
LANDMARKS_USED = np.array([468, 473, 4, 61, 291])


def nearest_source(faces: list[Composed], cast: Cast) -> tuple[np.ndarray, float]:
    """Distance of each face to its nearest source in shape and texture space, over the median between people.

    The space is that of 60 whitened principal components of the sources' shape-free textures and normalised shapes.
    A copy of a photo would be at 0, a stranger at 1. Also returns how far a person's nearest neighbour is, on the
    median, for comparison.
    """
    half = len(cast) // 2
    people = _described([cast.picture(k) for k in range(half)], cast)
    ours = _described([(face.image[..., ::-1], face.landmarks.astype(np.float64)) for face in faces], cast)
    space = PCA(60, whiten=True, random_state=0).fit(people)
    people, ours = space.transform(people), space.transform(ours)
    between = np.linalg.norm(people[:, None] - people[None], axis=2)
    typical = np.median(between[np.triu_indices(half, 1)])
    np.fill_diagonal(between, np.inf)
    to_nearest = np.linalg.norm(ours[:, None] - people[None], axis=2).min(1) / typical
    return to_nearest, float(np.median(between.min(1)) / typical)


def _described(pictures: list[tuple[np.ndarray, np.ndarray]], cast: Cast) -> np.ndarray:
    """(n, k) shape-free texture, 32 px, beside the normalised shape."""
    target = cast.mean * (THUMB * 0.72 / np.ptp(cast.mean[:, 0])) + [THUMB / 2, THUMB / 2, 0]
    dense = rasterise(with_surround(target), cast.triangles, THUMB)
    textures = []
    for image, landmarks in pictures:
        texture = cv2.cvtColor(np.clip(warp(image, landmarks, dense), 0, 255).astype(np.uint8), cv2.COLOR_BGR2GRAY)
        texture = cv2.resize(texture, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float64).ravel()
        textures.append((texture - texture.mean()) / max(texture.std(), 1.0))
    landmarks = np.stack([points for _, points in pictures])
    shapes = similarity_frames(landmarks, cast.mean).normalised(landmarks)
    return np.concatenate([np.stack(textures), 8 * (shapes - cast.mean).reshape(len(pictures), -1)], 1)


def identity_likeness(faces: list[Composed], cast: Cast, network: Path) -> dict[str, float]:
    """Cosine similarity, under a face-recognition network, of each face with the person it resembles most."""
    if not network.is_file():
        raise BadInput(f"{network} is not a file")
    net = cv2.dnn.readNetFromONNX(str(network))
    half = len(cast) // 2
    people = np.stack([identity_vector(net, *cast.picture(k)) for k in range(half)])
    ours = np.stack([identity_vector(net, face.image[..., ::-1], face.landmarks) for face in faces])
    between = people @ people.T
    np.fill_diagonal(between, -1)
    likest = (ours @ people.T).max(1)
    return {
        "identity_cosine_to_likest_median": float(np.median(likest)),
        "identity_cosine_to_likest_most": float(likest.max()),
        "identity_cosine_between_people_likest_median": float(np.median(between.max(1))),
        "identity_cosine_between_people_likest_p99": float(np.percentile(between.max(1), 99)),
    }


def identity_vector(net: cv2.dnn.Net, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Unit-length identity vector of a BGR picture with known landmarks."""
    points = landmarks[LANDMARKS_USED, :2].astype(np.float32)
    matrix, _ = cv2.estimateAffinePartial2D(points, RECOGNITION_POINTS.astype(np.float32), method=cv2.LMEDS)
    crop = cv2.warpAffine(np.ascontiguousarray(image), matrix, (112, 112))
    net.setInput(cv2.dnn.blobFromImage(crop, 1 / 128, (112, 112), (127.5, 127.5, 127.5), swapRB=True))
    vector = net.forward().ravel()
    return vector / np.linalg.norm(vector)
