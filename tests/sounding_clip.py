"""Clips with a tone, as the tests of films read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from models.types import Image

RATE = 10
SAMPLES = 16_000
"""A second of the tone."""


def write_sounding_clip(path: Path, pictures: Sequence[Image]) -> Path:
    """Write pictures of one even size as MP4, RATE a second, with a tone of 440 Hz as long as they last."""
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        voice = container.add_stream("aac", rate=SAMPLES, layout="mono")
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode())
        moments = np.arange(SAMPLES * len(pictures) // RATE) / SAMPLES
        tone = np.sin(moments * 440 * 2 * np.pi).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate = SAMPLES
        for packet in (*voice.encode(frame), *voice.encode(None)):
            container.mux(packet)
    return path
