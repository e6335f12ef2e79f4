"""FSRT's own weights behind the same door as ours, for those who brought kp_detector.pt and vox256.pt.

Its motions are other numbers than models.motions (10 keypoints and an expression vector that its networks read off the
pixels), so the two cannot be exchanged, and there are no sliders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.clips import ClipFrame
from models.errors import BadInput, NoFaceFound
from models.faces.finder import FaceFinder
from models.fsrt.motion import Motion as OfficialMotion
from models.fsrt.motion import RetargetOptions, best_frame, retarget
from models.fsrt.official import EncodedSource, OfficialFSRT, Reading
from models.fsrt_open.animator import RETARGET, Retarget
from models.fsrt_open.crop import cut_box, static_box
from models.fsrt_open.reading import Follower
from models.types import Box, Face, Image


@dataclass(frozen=True, eq=False)
class OfficialSource:
    """What is kept of one or several pictures of a face."""

    encoded: EncodedSource
    image: Image
    """(256, 256, 3) the first picture."""


@dataclass(frozen=True, eq=False)
class OfficialClipReading:
    """A motion of the official networks, and where and when it was read."""

    motion: OfficialMotion
    box: Box
    times: NDArray[np.float64]
    """(T,) seconds since the beginning"""


class OfficialAnimator:
    """Holds the official networks; nothing in it changes after it is made."""

    kind = "official"
    size = 256

    def __init__(self, networks: OfficialFSRT, *, backend: str = "fsrt") -> None:
        self.networks, self.backend = networks, backend

    @classmethod
    def load(cls, weights_dir: Path, *, device: torch.device | str = "cpu") -> OfficialAnimator:
        """Load what the user brought; raises MissingWeights naming the file that is not there."""
        return cls(OfficialFSRT.load(weights_dir, device=device))

    def source(self, images: Sequence[Image], faces: Sequence[Face]) -> OfficialSource:
        """Encode one or several square crops of one face; the networks find their own keypoints."""
        if not images or len(images) != len(faces):
            raise BadInput(f"a source has pictures with a face each, got {len(images)} and {len(faces)}")
        return OfficialSource(self.networks.encode_source(images), images[0])

    def frame(self, source: OfficialSource, drive: Reading, *, stride: int = 1) -> Image:
        """Draw one frame, (256, 256, 3), or every `stride`-th pixel of it; it takes seconds on a CPU."""
        return self.networks.render(source.encoded, drive, stride=stride)

    def frames(
        self,
        source: OfficialSource,
        drives: OfficialMotion | Iterable[Reading],
        *,
        on_progress: Callable[[int], None] | None = None,
        stride: int = 1,
    ) -> Iterator[Image]:
        """Draw frame after frame; `on_progress` gets the number drawn and may raise Cancelled."""
        listed = readings(drives) if isinstance(drives, OfficialMotion) else drives
        for done, drive in enumerate(listed, start=1):
            yield self.frame(source, drive, stride=stride)
            if on_progress is not None:
                on_progress(done)

    def read_motion(
        self, frames: Iterable[ClipFrame], finder: FaceFinder, *, fps: float | None = None
    ) -> OfficialMotion:
        """Read a motion off a clip, one frame in memory at a time."""
        return self.read_clip(frames, finder, fps=fps).motion

    def read_clip(
        self,
        frames: Iterable[ClipFrame],
        finder: FaceFinder,
        *,
        fps: float | None = None,
        on_frame: Callable[[int], None] | None = None,
    ) -> OfficialClipReading:
        """The same with the crop's box, which is that of the first face; frames before it are left out."""
        follow = Follower(finder)
        box: Box | None = None
        found: list[Reading] = []
        times: list[float] = []
        for time_s, image in frames:
            if box is None:
                face = follow(image)
                box = None if face is None else static_box(face.landmarks)
            if box is not None:
                found.append(self.networks.read(cut_box(image, box).pixels))
                times.append(time_s)
            if on_frame is not None:
                on_frame(len(times))
        if box is None:
            raise NoFaceFound("no face in any frame of the clip")
        if fps is None:
            fps = (len(times) - 1) / max(times[-1] - times[0], 1e-3) if len(times) > 1 else 25.0
        motion = OfficialMotion(
            keypoints=np.stack([reading.keypoints for reading in found]),
            expressions=np.stack([reading.expression for reading in found]),
            frames_per_second=fps,
        )
        return OfficialClipReading(motion, box, np.array(times))

    def retarget(self, motion: OfficialMotion, source: OfficialSource, options: Retarget = RETARGET) -> OfficialMotion:
        """Turn a driver's motion into the source's own."""
        own = source.encoded.keypoints[0]
        reference = best_frame(own, list(motion.keypoints)) if options.reference is None else options.reference
        told = RetargetOptions(
            mode=options.mode,
            reference=reference,
            part=options.part,
            pose_strength=options.pose_strength,
            expression_strength=options.expression_strength,
            smoothing_seconds=options.smoothing_seconds / 3,  # a window is about three standard deviations
        )
        return retarget(motion, keypoints=own, expression=source.encoded.expressions[0], options=told)


def readings(motion: OfficialMotion) -> Iterator[Reading]:
    """The motion frame by frame."""
    for keypoints, expression in zip(motion.keypoints, motion.expressions, strict=True):
        yield Reading(keypoints, expression)
