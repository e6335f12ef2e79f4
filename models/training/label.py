"""Make a training folder out of any photos and clips: MediaPipe's Face Landmarker finds and labels every face.

Needs the extra `mien[mediapipe]`, in an environment of its own: that package brings another OpenCV.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.clips import frames
from models.errors import BadInput, MienError, MissingWeights
from models.faces.names import BLENDSHAPE_NAMES
from models.images import read_image
from models.types import Image

log = logging.getLogger(__name__)

CLIPS = {".mp4", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".gif"}
PHOTOS = {".jpg", ".jpeg", ".png", ".webp", ".heic", ".avif", ".bmp", ".tif", ".tiff"}
CROP_SCALE = 1.6
"""Crop edge over the longer edge of the landmark box."""


@dataclass
class Labels:
    """Rows gathered so far; saved as labels.npz."""

    path: list[str] = field(default_factory=list)
    identity: list[str] = field(default_factory=list)
    source: list[str] = field(default_factory=list)
    caption: list[str] = field(default_factory=list)
    landmarks: list[NDArray] = field(default_factory=list)
    blendshapes: list[NDArray] = field(default_factory=list)
    pose: list[NDArray] = field(default_factory=list)


def landmarker(file: Path, *, most: int = 10) -> Any:
    """Open the official landmarker on its .task file; raises MissingWeights without the extra or the file."""
    try:
        import mediapipe  # noqa: PLC0415 - an extra that most installations lack
    except ImportError as error:
        raise MissingWeights(
            "labelling needs MediaPipe: pip install 'mien[mediapipe]' in an environment of its own"
        ) from error
    if not file.is_file():
        raise MissingWeights(f"{file} is not there; run `mien weights get face_landmarker`")
    tasks = mediapipe.tasks
    options = tasks.vision.FaceLandmarkerOptions(
        base_options=tasks.BaseOptions(model_asset_path=str(file)),
        num_faces=most,
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
    )
    return tasks.vision.FaceLandmarker.create_from_options(options)


def ask(teacher: Any, image: Image) -> Iterator[tuple[NDArray, NDArray, NDArray]]:
    """Yield landmarks (478, 3) in pixels, blendshapes (52,) and pose (4, 4) of each face of the picture."""
    import mediapipe  # noqa: PLC0415 - see landmarker

    answer = teacher.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image)))
    height, width = image.shape[:2]
    for points, shapes, pose in zip(
        answer.face_landmarks, answer.face_blendshapes, answer.facial_transformation_matrixes, strict=True
    ):
        landmarks = np.array([(p.x * width - 0.5, p.y * height - 0.5, p.z * width) for p in points], np.float32)
        yield landmarks, np.array([s.score for s in shapes], np.float32), np.asarray(pose, np.float32)


def crop_around(image: Image, landmarks: NDArray, *, size: int) -> tuple[Image, NDArray[np.float32]]:
    """Cut the square of CROP_SCALE around the points; returns it with the points in its pixels."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    edge = float((high - low).max()) * CROP_SCALE
    zoom = size / edge
    offset = (size - 1) / 2 - zoom * (low + high) / 2
    matrix = np.array([[zoom, 0, offset[0]], [0, zoom, offset[1]]])
    flags = cv2.INTER_AREA if zoom < 0.7 else cv2.INTER_LINEAR
    pixels = cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    moved = np.concatenate([landmarks[:, :2] * zoom + offset, landmarks[:, 2:] * zoom], 1)
    return np.asarray(pixels, dtype=np.uint8), moved.astype(np.float32)


def pictures(folder: Path, *, frames_per_second: float) -> Iterator[tuple[str, str, Image]]:
    """Yield (name, identity, picture) of every photo and, some times a second, of every clip below `folder`.

    A subfolder of the top level names the person; a file directly in it is a person of its own. What cannot be read is
    logged and left out.
    """
    for file in sorted(folder.rglob("*")):
        kind = file.suffix.lower()
        if kind not in CLIPS | PHOTOS:
            continue
        inside = file.relative_to(folder)
        identity = inside.parts[0] if len(inside.parts) > 1 else inside.stem
        stem = "_".join([*inside.parts[:-1], inside.stem])
        try:
            if kind in CLIPS:
                for time, image in frames(file, every=1 / frames_per_second):
                    yield f"{stem}_{round(time * 1000):07d}", stem, image
            else:
                yield stem, identity, read_image(file)
        except MienError as error:
            log.warning("%s left out: %s", inside, error)


def label_folder(
    folder: Path,
    out: Path,
    *,
    task_file: Path,
    size: int = 256,
    frames_per_second: float = 2.0,
    source: str | None = None,
) -> int:
    """Write face crops and labels.npz for every face below `folder` to `out`; returns how many faces there are."""
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder")
    out.mkdir(parents=True, exist_ok=True)
    labels = Labels()
    with landmarker(task_file) as teacher:
        for name, identity, image in pictures(folder, frames_per_second=frames_per_second):
            for number, (landmarks, blendshapes, pose) in enumerate(ask(teacher, image)):
                crop, points = crop_around(image, landmarks, size=size)
                path = f"{name}_{number}.jpg"
                cv2.imwrite(str(out / path), cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 93])
                labels.path.append(path)
                labels.identity.append(f"{identity}_{number}")
                labels.source.append(source or out.name)
                labels.caption.append("")
                labels.landmarks.append(points.astype(np.float16))
                labels.blendshapes.append(blendshapes.astype(np.float16))
                labels.pose.append(pose)
    if not labels.path:
        raise BadInput(f"no face was found in any picture below {folder}")
    save(labels, out)
    return len(labels.path)


def save(labels: Labels, out: Path) -> None:
    """Write labels.npz with the columns that `models.training.data.read_faces` expects."""

    np.savez_compressed(
        out / "labels.npz",
        path=np.array(labels.path),
        identity=np.array(labels.identity),
        source=np.array(labels.source),
        caption=np.array(labels.caption),
        landmarks=np.stack(labels.landmarks),
        blendshapes=np.stack(labels.blendshapes),
        pose=np.stack(labels.pose),
        blendshape_names=np.array(BLENDSHAPE_NAMES),
    )
