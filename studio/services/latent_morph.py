"""Ways between faces of the latent space: a strip of pictures, an MP4, a GIF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from models.errors import BadInput, Cancelled
from models.types import Image
from studio.services.background import Report
from studio.services.latent import Held, space

RATE = 20
"""Frames per second."""
STAY, WAY = 8, 24
"""Frames a face stays, and frames of the way to the next."""
EDGE = 384
"""Pixels of a frame; the network's own are 128."""
STRIP = 9


def path(faces: Sequence[Held], count: int) -> NDArray[np.float32]:
    """(count, latent) codes at even distances on the way through two to five faces; raises BadInput for fewer."""
    if len(faces) < 2:
        raise BadInput("A morph needs two to five faces on the table.")
    codes = np.stack([face.numbers for face in faces])
    places = np.linspace(0, len(faces) - 1, count)
    low = np.minimum(places.astype(int), len(faces) - 2)
    share = (places - low)[:, None]
    return np.asarray(codes[low] * (1 - share) + codes[low + 1] * share, np.float32)


def strip(faces: Sequence[Held], *, count: int = STRIP) -> NDArray[np.uint8]:
    """(count, size, size, 3) pictures on the way."""
    return space().decode(path(faces, count))


def frames(faces: Sequence[Held], report: Report) -> list[Image]:
    """All frames of a morph there and back, (EDGE, EDGE, 3); raises Cancelled when told to stop."""
    if len(faces) < 2:
        raise BadInput("A morph needs two to five faces on the table.")
    round_trip = [*faces, faces[0]]
    found: list[Image] = []
    for number, (one, other) in enumerate(pairwise(round_trip)):
        if not report("Drawing the frames", number / len(faces)):
            raise Cancelled("The film was stopped.")
        eased = (1 - np.cos(np.pi * np.arange(WAY) / WAY)) / 2
        codes = one.numbers + eased[:, None] * (other.numbers - one.numbers)
        pictures = [_large(picture) for picture in space().decode(codes.astype(np.float32))]
        found += [pictures[0]] * STAY + pictures[1:]
    return found


def _large(picture: Image) -> Image:
    return np.asarray(cv2.resize(picture, (EDGE, EDGE), interpolation=cv2.INTER_CUBIC), np.uint8)


def as_mp4(pictures: Sequence[Image]) -> bytes:
    """Return the frames as an MP4 that browsers play."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("h264", rate=RATE)
        stream.width = stream.height = EDGE
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, RATE)
        stream.options = {"crf": "20", "preset": "veryfast", "movflags": "+faststart"}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def as_gif(pictures: Sequence[Image]) -> bytes:
    """Return every second frame at a smaller size as a GIF that repeats."""
    small = [Pillow.fromarray(picture).resize((256, 256)) for picture in pictures[::2]]
    palette = [image.quantize(128, method=Pillow.Quantize.MEDIANCUT) for image in small]
    buffer = io.BytesIO()
    palette[0].save(buffer, "GIF", save_all=True, append_images=palette[1:], duration=2000 // RATE, loop=0)
    return buffer.getvalue()


def film(faces: Sequence[Held], kind: str, report: Report) -> bytes:
    """Return a morph as "mp4" or "gif"."""
    pictures = frames(faces, report)
    if not report("Packing the film", 0.9):
        raise Cancelled("The film was stopped.")
    return as_gif(pictures) if kind == "gif" else as_mp4(pictures)


def strip_picture(pictures: NDArray[np.uint8]) -> Image:
    """Return the pictures of a strip side by side."""
    return np.concatenate(list(pictures), axis=1)
