"""How fast and how large: the figures behind `make bench`, measured on the device Mien runs on."""

from __future__ import annotations

import importlib.util
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
import torch

from models import registry
from models.deepfever import CROP_SCALE
from models.device import choose_device, device_words
from models.errors import NoFaceFound
from models.faces.align import crop
from models.images import encode_image, read_image
from models.types import Face, Image
from models.weights import find_weight

PHOTO_WIDTH, PHOTO_HEIGHT = 1280, 720
BATCH = 64


def photo_720p() -> Image:
    """Return a photo of 1280x720 with one face: scikit-image's astronaut, 500 px high, on its own mean colour."""
    astronaut = skimage.data.astronaut()
    canvas = np.full((PHOTO_HEIGHT, PHOTO_WIDTH, 3), astronaut.mean((0, 1)).astype(np.uint8), np.uint8)
    canvas[-512:, 384:896] = cv2.GaussianBlur(astronaut, (3, 3), 0.5)
    return canvas


def milliseconds(work: Callable[[], object], *, repeats: int) -> float:
    """Return the median time of one call after three calls to warm up."""
    for _ in range(3):
        work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def memory_mb() -> float:
    """Return the most memory this process has held, in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def measure(*, repeats: int = 30) -> dict[str, Any]:
    """Return speeds in milliseconds and faces a second, and memory, with every network loaded.

    Raises MissingWeights when a network is not there and NoFaceFound when the networks fail on the test photo.
    """
    finder, reader = registry.load("faces"), registry.load("deepfever")
    photo = photo_720p()
    faces: list[Face] = finder.find(photo)
    if not faces:
        raise NoFaceFound("no face in the benchmark's own photo; the face network is not what it should be")
    pixels = crop(faces[0], photo, size=reader.size, scale=CROP_SCALE).pixels
    upload = encode_image(photo, "JPEG")

    def from_upload() -> None:
        image = read_image(upload)
        reader.read(image, finder.find(image))

    batch_ms = milliseconds(lambda: reader.read_crops([pixels] * BATCH, batch=BATCH), repeats=max(repeats // 3, 5))
    figures = {
        "device": device_words(choose_device(registry.places().device)),
        "machine": f"{platform.machine()}, torch {torch.__version__} on {torch.get_num_threads()} threads",
        "photo_720p_to_vector_ms": milliseconds(from_upload, repeats=repeats),
        "find_720p_ms": milliseconds(lambda: finder.find(photo), repeats=repeats),
        "landmarks_ms": milliseconds(lambda: finder.landmark(photo, [faces[0].box]), repeats=repeats),
        "vector_ms": milliseconds(lambda: reader.read_crops([pixels]), repeats=repeats),
        "vectors_per_s": BATCH * 1000 / batch_ms,
    }
    figures |= _mediapipe(photo, repeats)
    registry.load_all()
    figures["memory_mb"] = memory_mb()
    return {name: round(value, 2) if isinstance(value, float) else value for name, value in figures.items()}


def _mediapipe(photo: Image, repeats: int) -> dict[str, float]:
    """Time MediaPipe's landmarker on the same photo, where the extra and its file are there."""
    path: Path | None = find_weight("face_landmarker", *registry.places().weights_folders)
    if path is None or importlib.util.find_spec("mediapipe") is None:
        return {}
    import mediapipe  # noqa: PLC0415 - an optional extra

    vision = mediapipe.tasks.vision
    options = vision.FaceLandmarkerOptions(
        base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(path)), output_face_blendshapes=True
    )
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=photo)
        return {"mediapipe_720p_ms": milliseconds(lambda: landmarker.detect(image), repeats=repeats)}
