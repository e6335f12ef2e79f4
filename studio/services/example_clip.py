"""A clip to try that needs no network: faces that Mien made itself, turning into each other."""

from __future__ import annotations

import threading
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from models.appearance import StarterFace
from models.errors import MissingWeights
from models.training.morph import rasterise, triangulate, warp, with_surround
from models.types import Image
from studio.services.examples import varied_faces

RATE = 10
FACES = 4
STAY, TURN = 4, 8
"""Frames a face stays as it is, and frames it takes to become the next."""

_writing = threading.Lock()


def example_clip(folder: Path) -> Path:
    """Return the clip's file, made now where it is not there yet; raises MissingWeights without made faces."""
    faces = varied_faces()[:FACES]
    if not faces:
        raise MissingWeights(
            "The made faces are not installed; run `mien train appearance`, or give a clip of your own."
        )
    path = folder / f"faces-{faces[0].sha256[:8]}.mp4"
    with _writing:
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".part.mp4")
            _write(faces, unfinished)
            unfinished.replace(path)
    return path


def _write(faces: tuple[StarterFace, ...], path: Path) -> None:
    size = faces[0].image.shape[0]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = size, size, "yuv420p", 2_000_000
        for one, other in zip(faces, (*faces[1:], faces[0]), strict=True):
            pictures = [one.image] * STAY + between(one, other, TURN)
            for picture in pictures:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def between(one: StarterFace, other: StarterFace, count: int) -> list[Image]:
    """Return `count` pictures on the way from one face to the other: shapes move, colours fade."""
    first, second = one.image, other.image
    middle = (one.landmarks + other.landmarks) / 2
    triangles = triangulate(middle, middle[:, 2])
    steps = (1 - np.cos(np.pi * np.arange(1, count + 1) / (count + 1))) / 2
    return [_mixed(float(step), (first, one.landmarks), (second, other.landmarks), triangles) for step in steps]


def _mixed(
    step: float,
    start: tuple[Image, NDArray[np.float32]],
    end: tuple[Image, NDArray[np.float32]],
    triangles: NDArray[np.int64],
) -> Image:
    shape = (1 - step) * start[1] + step * end[1]
    dense = rasterise(with_surround(shape), triangles, start[0].shape[0])
    picture = (1 - step) * warp(start[0], start[1], dense) + step * warp(end[0], end[1], dense)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)
