"""Measure what a slider of the latent space does to many faces."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from models import registry
from models.dfc_vae.attributes import METERS, Directions, Meter
from models.dfc_vae.evaluation import faces_to_measure
from models.dfc_vae.reading import CropReadings, read_crops
from models.dfc_vae.space import FaceSpace
from models.errors import BadInput
from models.faces.network import FaceNet
from models.training.dfc_vae_crops import exact_crops
from models.weights import find_weight

STOPS = (-2.0, -1.0, 0.0, 1.0, 2.0)
SLACK = 0.02
"""How much a reading may fall from one stop to the next, in its standard deviations, and still count as rising."""


def evaluate_slider(folder: Path, *, people: str = "all", name: str = "smile") -> dict[str, float | int | str | None]:
    """Move every face of `folder` along one slider and read the pictures.

    `rising` is the share of faces whose reading rises at every stop from -2 to 2, `per_step` the mean change in
    standard deviations of training faces. `identity` is the mean cosine similarity, under a face-recognition network
    the user brings (MobileFaceNet), of the face two steps up with the face unmoved; None without that network.
    """
    space: FaceSpace = registry.load("dfc_vae")
    meter, unit = _meter(space.directions, name)
    faces = faces_to_measure(folder, people=people)
    crops = exact_crops(faces, size=space.size).permute(0, 2, 3, 1).contiguous().numpy()
    codes = space.encode_crops(crops)
    config, tensors, _ = registry.shipped("faces")
    network = FaceNet(**config)
    network.load_state_dict(tensors)
    network.eval()
    pictures = {stop: _moved(space, codes, name, stop) for stop in STOPS}
    readings = {stop: read_crops(network, _unit(shown)) for stop, shown in pictures.items()}
    values = np.stack([readings[stop].strength(meter.weights) for stop in STOPS], 1) / unit  # (N, stops)
    rises = (np.diff(values, axis=1) > -SLACK).all(1) & (values[:, -1] > values[:, 0])
    detector = find_weight("mobilefacenet", *registry.places().weights_folders)
    kept = _likeness(detector, pictures[0.0], readings[0.0], pictures[2.0], readings[2.0]) if detector else None
    return {
        "slider": name,
        "faces": len(faces),
        "people": people,
        "rising": round(float(rises.mean()), 4),
        "per_step": round(float((values[:, -1] - values[:, 0]).mean() / (STOPS[-1] - STOPS[0])), 4),
        "identity": round(kept, 4) if kept is not None else None,
    }


def _meter(directions: Directions, name: str) -> tuple[Meter, float]:
    known = {attribute.name: attribute for attribute in directions.attributes if attribute.is_read}
    if name not in known:
        raise BadInput(f"the slider {name!r} cannot be read off a picture; those that can are {', '.join(known)}")
    return next(meter for meter in METERS if meter.name == name), known[name].unit


def _moved(space: FaceSpace, codes: NDArray[np.float32], name: str, stop: float) -> NDArray[np.uint8]:
    return space.decode(np.stack([space.directions.moved(code, {name: stop}) for code in codes]))


def _unit(pictures: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def _likeness(
    weights: Path,
    before: NDArray[np.uint8],
    read_before: CropReadings,
    after: NDArray[np.uint8],
    read_after: CropReadings,
) -> float:
    from models.training.appearance_novelty import identity_vector  # noqa: PLC0415 - brings a whole recipe with it

    network = cv2.dnn.readNetFromONNX(str(weights))
    pairs = zip(before, read_before.landmarks, after, read_after.landmarks, strict=True)
    cosines = [
        float(identity_vector(network, a[..., ::-1], p) @ identity_vector(network, b[..., ::-1], q))
        for a, p, b, q in pairs
    ]
    return float(np.mean(cosines))
