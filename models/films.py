"""Films out: pictures at their own times as H.264, with the sound of the clip they came from, or as GIF."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import PIL.Image
from av.error import FFmpegError

from models.clips import ClipFrame
from models.types import Image

log = logging.getLogger(__name__)

TICKS = 90_000
"""Of a second: fine enough for any frame's own time."""
SOUND_RATE = 48_000
GIF_COLOURS = 128
SHORTEST_GIF_STEP = 2
"""Hundredths of a second: browsers slow down what is shorter."""


def write_film(
    pictures: Iterator[ClipFrame],
    path: Path,
    *,
    rate: float,
    sound: Path | None = None,
    about: Mapping[str, str] | None = None,
) -> int:
    """Write pictures of one size as MP4, each at its own time, and the first sound track of `sound`; returns how many.

    `rate` is only the nominal number of frames a second. A sound track that cannot be read is left out; it ends with
    the pictures. `about` is metadata under the names MP4 knows, such as title, comment and description.
    """
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        container.metadata.update(about or {})
        track = container.add_stream(
            "libx264",
            rate=Fraction(max(rate, 1.0)).limit_denominator(1001),
            options={"crf": "20", "preset": "veryfast"},
        )
        voice = container.add_stream("aac", rate=SOUND_RATE) if sound is not None and _has_sound(sound) else None
        count, last = 0, -1
        for time_s, image in pictures:
            if count == 0:
                track.height, track.width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
                track.pix_fmt, track.codec_context.time_base = "yuv420p", Fraction(1, TICKS)
            last = max(round(time_s * TICKS), last + 1)
            container.mux(track.encode(_frame(image, last, track.height, track.width)))
            count += 1
        container.mux(track.encode(None))
        if voice is not None and sound is not None:
            _add_sound(container, voice, sound, end_s=last / TICKS + 1 / max(rate, 1.0))
    return count


def write_gif(pictures: Iterator[ClipFrame], path: Path, *, rate: float, comment: str = "") -> int:
    """Write pictures of one size as a GIF that repeats, each shown until the next one's time; returns how many.

    The last is shown for 1 / `rate` seconds. All of them are held in memory as 128 colours: a byte a pixel.
    """
    frames, times = [], []
    for time_s, image in pictures:
        frames.append(PIL.Image.fromarray(image).quantize(GIF_COLOURS))
        times.append(time_s)
    if frames:
        # Rounded places, not rounded steps: otherwise a long film drifts away from its times.
        places = np.round(100 * np.array([*times, times[-1] + 1 / max(rate, 1.0)]))
        steps = np.maximum(np.diff(places), SHORTEST_GIF_STEP).astype(int)
        frames[0].save(
            path, "GIF", save_all=True, append_images=frames[1:], duration=[10 * int(step) for step in steps],
            loop=0, disposal=1, comment=comment.encode("ascii", "replace"),
        )  # fmt: skip
    return len(frames)


def _frame(image: Image, tick: int, height: int, width: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
    frame.pts, frame.time_base = tick, Fraction(1, TICKS)
    return frame


def _has_sound(path: Path) -> bool:
    with av.open(str(path)) as container:
        return bool(container.streams.audio)


def _add_sound(
    container: av.container.OutputContainer, voice: av.audio.stream.AudioStream, sound: Path, *, end_s: float
) -> None:
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SOUND_RATE)
    try:
        with av.open(str(sound)) as source:
            for frame in source.decode(audio=0):
                if frame.time is not None and frame.time >= end_s:
                    break
                for part in resampler.resample(frame):
                    container.mux(voice.encode(part))
        for part in resampler.resample(None):
            container.mux(voice.encode(part))
    except (FFmpegError, ValueError, OSError):
        log.warning("the sound of a clip could not be read to its end")
    container.mux(voice.encode(None))
