"""Clips in: one frame at a time, upright, on white, at its own time; the whole clip is never in memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.error import EOFError, FFmpegError
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from models.errors import BadClip
from models.images import plain_name
from models.types import Image

MOST_SECONDS = 60.0
MOST_RATE = 240
"""Frames a second, on average; more is a broken or hostile file."""
MOST_DAMAGE = 10_000
"""Packets that may fail before the rest is given up."""
MOST_MEGAPIXELS = 17
"""Of one frame: 4096 x 4096; 4K film has 9."""
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,gif,avi,mpegts,mpeg,ogg,flv,asf"
"""Only formats that hold their frames themselves: playlists could point at other files or at the network."""
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own VP8 and VP9 decoders leave the transparency of WebM out; these read it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClipInfo:
    """What a clip is, as it is shown: after its rotation, with square pixels."""

    width: int
    height: int
    frames_per_second: float
    """The average; clips from phones and browsers vary."""
    duration_s: float
    rotation: int
    """Degrees the stored frames are turned counter-clockwise to stand upright: 0, 90, 180 or 270."""
    has_audio: bool


class ClipFrame(NamedTuple):
    """One frame and its time since the clip's beginning."""

    time_s: float
    image: Image


def open_clip(path: Path) -> ClipInfo:
    """Read what a clip is, decoding one frame; raises BadClip when it is none, damaged or too large."""
    with _open(path) as container:
        stream = _video_of(container, path)
        first = next(_decoded(container, stream, path), None)
        if first is None:
            raise BadClip(f"{plain_name(path)}: no frame can be decoded; save it again as MP4 or WebM")
        height, width = _to_image(first).shape[:2]
        rotation = _rotation(first)
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        duration = _duration(container, stream)
        has_audio = bool(container.streams.audio)
    if duration is None or rate <= 0:
        measured = _measure(path)
        duration = measured.seconds if duration is None else duration
        rate = rate if rate > 0 else measured.packets / max(measured.seconds, 1e-3)
    return ClipInfo(width, height, rate, duration, rotation, has_audio)


def frames(path: Path, *, every: float = 0.0, most_seconds: float = MOST_SECONDS) -> Iterator[ClipFrame]:
    """Yield frames in order of time, at least `every` seconds apart (0: all of them).

    Damaged stretches are left out; a clip that ends early gives what it has. Raises BadClip when the clip is longer
    than `most_seconds`, which is known before the first frame unless the file conceals it, or when nothing decodes.
    """
    duration = open_clip(path).duration_s
    if duration > most_seconds + 0.5:
        raise _too_long(path, f"{duration:.0f} s", most_seconds)
    with _open(path) as container:
        stream = _video_of(container, path)
        start, due, seen = None, 0.0, 0
        for decoded in _decoded(container, stream, path):
            now = decoded.time if decoded.time is not None else seen / float(stream.guessed_rate or 25)
            start = now if start is None else start
            time_s = max(now - start, 0.0)
            seen += 1
            if time_s > most_seconds + 0.5:
                raise _too_long(path, f"{time_s:.0f} s and more", most_seconds)
            if seen > MOST_RATE * max(most_seconds, 1):
                raise BadClip(f"{plain_name(path)} has more than {MOST_RATE} frames a second; save it again")
            if time_s + 1e-6 >= due:
                # The next is due a whole step after this one's place in the grid, so that steps do not add up late.
                due = (np.floor(time_s / every + 1e-6) + 1) * every if every > 0 else 0.0
                yield ClipFrame(time_s, _to_image(decoded))


def _open(path: Path) -> InputContainer:
    if not path.is_file():
        raise BadClip(f"{plain_name(path)} is not a file")
    if path.stat().st_size == 0:
        raise BadClip(f"{plain_name(path)} is empty")
    try:
        return av.open(
            f"file:{path.resolve()}",
            mode="r",
            options={"protocol_whitelist": "file", "format_whitelist": CONTAINERS},
            metadata_errors="ignore",
        )
    except (FFmpegError, ValueError, OSError) as error:
        raise BadClip(f"{plain_name(path)} is not a clip that can be read; use MP4, WebM, MOV or GIF") from error


def _video_of(container: InputContainer, path: Path) -> VideoStream:
    # The cover picture of a sound file is a video stream to FFmpeg, and not to anybody else.
    moving = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not moving:
        what = "sound, but no picture" if container.streams.audio else "no picture"
        raise BadClip(f"{plain_name(path)} has {what}; choose a clip with a video track")
    stream = moving[0]
    if stream.width * stream.height > MOST_MEGAPIXELS * 1_000_000:
        size = f"{stream.width}x{stream.height}"
        raise BadClip(f"{plain_name(path)} has frames of {size}; at most {MOST_MEGAPIXELS} megapixels can be read")
    stream.thread_type = "AUTO"
    return stream


def _decoded(container: InputContainer, stream: VideoStream, path: Path) -> Iterator[VideoFrame]:
    """Yield what decodes; damaged packets are passed over, and the end of a broken file is an end."""
    decoder = _alpha_decoder(stream)
    packets = container.demux(stream)
    damaged = 0
    while True:
        try:
            packet = next(packets)
            decoded = decoder.decode(packet) if decoder else packet.decode()
        except StopIteration:
            break
        except EOFError:
            continue
        except (FFmpegError, OSError, ValueError):
            damaged += 1
            if damaged > MOST_DAMAGE:
                break
            continue
        yield from (frame for frame in decoded if not frame.is_corrupt)
    if damaged:
        logger.warning("%d packets of a clip could not be decoded", damaged)


def _alpha_decoder(stream: VideoStream) -> VideoCodecContext | None:
    name = ALPHA_DECODERS.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return None
    return VideoCodecContext.create(name, "r")


def _rotation(frame: VideoFrame) -> int:
    return round(frame.rotation / 90) * 90 % 360


def _to_image(frame: VideoFrame) -> Image:
    """Return the frame as it is shown: on white, with square pixels, turned upright."""
    if any(component.is_alpha for component in frame.format.components) or frame.format.name == "pal8":
        rgba = frame.to_ndarray(format="rgba").astype(np.uint16)  # (height, width, 4)
        alpha = rgba[..., 3:]
        rgb = ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    else:
        rgb = frame.to_ndarray(format="rgb24")  # (height, width, 3)
    return np.ascontiguousarray(np.rot90(rgb, _rotation(frame) // 90))


def _duration(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


class _Measured(NamedTuple):
    packets: int
    seconds: float


def _measure(path: Path) -> _Measured:
    """Walk through the packets without decoding: recordings made by browsers do not say how long they are."""
    count, first, last = 0, None, 0.0
    with _open(path) as container:
        stream = _video_of(container, path)
        try:
            for packet in container.demux(stream):
                if packet.pts is None or packet.time_base is None:
                    continue
                start = float(packet.pts * packet.time_base)
                first = start if first is None else min(first, start)
                last = max(last, start + float((packet.duration or 0) * packet.time_base))
                count += 1
        except (FFmpegError, OSError, ValueError):
            logger.warning("a clip ends early")
    return _Measured(count, max(last - (first or 0.0), 0.0))


def _too_long(path: Path, length: str, most_seconds: float) -> BadClip:
    return BadClip(f"{plain_name(path)} runs {length}; at most {most_seconds:.0f} s can be read, so cut it first")
