"""Make a face perform: encode a source once, then draw it under one driving frame after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from models.clips import ClipFrame
from models.errors import BadInput
from models.faces.align import units
from models.faces.finder import FaceFinder
from models.fsrt_open.geometry import frame_of, geometry, state_of
from models.fsrt_open.network import Asked, FsrtOpen, Memory
from models.fsrt_open.reading import ClipReading, read_clip
from models.motions import (
    Drive,
    Motion,
    absolute,
    action_directions,
    best_reference,
    kept_apart,
    read_drive,
    relative,
    scaled,
    smoothed,
)
from models.types import BLENDSHAPES, Face, Image, check_image

BATCH = 4
"""Frames drawn at once: more are no faster on a CPU, and make a visitor wait."""
MOST_SOURCES = 3
Part = Literal["all", "pose", "expression"]


@dataclass(frozen=True)
class Retarget:
    """How a source follows a driver."""

    mode: Literal["relative", "absolute"] = "relative"
    """relative: by what the driver moved since its reference frame; absolute: the driver's pose and actions."""
    reference: int | None = None
    """The driver's frame that is most like the source; None looks for it."""
    part: Part = "all"
    """pose: keep the source's expression; expression: keep its pose."""
    expression_strength: float = 1.0
    pose_strength: float = 1.0
    """0 stays with the source, 1 is the driver, above 1 exaggerates."""
    smoothing_seconds: float = 0.0


RETARGET = Retarget()


@dataclass(frozen=True, eq=False)
class Source:
    """What is kept of one to three pictures of a face; made once, read by every frame."""

    memory: Memory
    drive: Drive
    """The first picture's own pose, shape and expression."""
    image: Image
    """(256, 256, 3) the first picture."""


class Animator:
    """Holds the network and nothing else; nothing in it changes after it is made."""

    kind = "open"

    def __init__(self, network: FsrtOpen, *, backend: str, device: torch.device) -> None:
        self.network = network.eval().to(device, memory_format=torch.channels_last)
        self.backend, self.device = backend, device
        self.size = network.size

    @torch.inference_mode()
    def source(self, images: Sequence[Image], faces: Sequence[Face]) -> Source:
        """Encode one to three square crops of one face, each with its face in the crop's own pixels.

        The first one is carried along and sets place and identity; the others fill in what it does not show. Raises
        BadInput for other counts or crops that are not square.
        """
        if not 0 < len(images) <= MOST_SOURCES or len(images) != len(faces):
            raise BadInput(f"a source has 1 to {MOST_SOURCES} pictures with a face each, got {len(images)}")
        squares = [self._square(image) for image in images]
        drives = [
            read_drive(units(face.landmarks, image.shape[0]), face.blendshapes)
            for image, face in zip(images, faces, strict=True)
        ]
        batch = torch.stack([torch.from_numpy(square) for square in squares]).to(self.device)
        batch = batch.permute(0, 3, 1, 2).float().div(255).contiguous(memory_format=torch.channels_last)
        states = self._tensor(np.stack([state_of(drive) for drive in drives]))
        frames = self._tensor(np.stack([frame_of(drive) for drive in drives]))
        memory = self.network.remember(batch[None], states[None], frames[None])
        return Source(memory, drives[0], squares[0])

    def frame(self, source: Source, drive: Drive) -> Image:
        """Draw one frame, (256, 256, 3)."""
        return next(self.frames(source, [drive]))

    def frames(
        self,
        source: Source,
        drives: Iterable[Drive],
        *,
        on_progress: Callable[[int], None] | None = None,
    ) -> Iterator[Image]:
        """Draw frame after frame, (256, 256, 3) each, a few at once.

        A Motion can be given as it is. `on_progress` gets the number of frames drawn and may raise Cancelled.
        """
        done = 0
        coming = iter(drives)
        while some := list(islice(coming, BATCH)):
            yield from self._draw(source, some)
            done += len(some)
            if on_progress is not None:
                on_progress(done)

    def read_motion(self, frames: Iterable[ClipFrame], finder: FaceFinder, *, fps: float | None = None) -> Motion:
        """Read a motion off a clip, one frame in memory at a time; raises NoFaceFound, or BadInput without frames."""
        return self.read_clip(frames, finder, fps=fps).motion

    def read_clip(
        self,
        frames: Iterable[ClipFrame],
        finder: FaceFinder,
        *,
        fps: float | None = None,
        on_frame: Callable[[int], None] | None = None,
    ) -> ClipReading:
        """The same with the crop's box in the clip and each frame's time; `on_frame` may raise Cancelled."""
        return read_clip(frames, finder, fps=fps, on_frame=on_frame)

    def retarget(self, motion: Motion, source: Source, options: Retarget = RETARGET) -> Motion:
        """Turn a driver's motion into the source's own."""
        own = source.drive
        calm = smoothed(motion, options.smoothing_seconds)
        if options.mode == "absolute":
            moved = absolute(calm, own)
        else:
            reference = best_reference(motion, own) if options.reference is None else options.reference
            moved = relative(calm, own, reference)
        expression = 0.0 if options.part == "pose" else options.expression_strength
        pose = 0.0 if options.part == "expression" else options.pose_strength
        if expression == pose == 1.0:
            return moved
        return scaled(moved, own, expression_strength=expression, pose_strength=pose)

    def drive_from_sliders(
        self,
        source: Source,
        *,
        coefficients: NDArray[np.floating] | None = None,
        rotation: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> Drive:
        """The source's face with other coefficients (52,), turned by further degrees.

        `rotation` is yaw > 0 towards the picture's right, pitch > 0 down, roll > 0 clockwise, as models.types.HeadPose
        counts. Without `coefficients` the expression stays.
        """
        own = source.drive
        wanted = own.coefficients if coefficients is None else np.clip(np.asarray(coefficients, np.float32), 0, 1)
        if wanted.shape != (BLENDSHAPES,) or not np.isfinite([*wanted, *rotation]).all():
            raise BadInput("expected 52 coefficients and three angles, all of them numbers")
        change = np.tensordot(wanted - own.coefficients, action_directions(), 1)
        yaw, pitch, roll = rotation
        turn = Rotation.from_euler("zxy", [roll, pitch, -yaw], degrees=True).as_matrix()
        posed = replace(own, coefficients=wanted, rotation=(turn @ own.rotation).astype(np.float32))
        return posed.reshaped(kept_apart(own.shape + change.astype(np.float32)))

    @torch.inference_mode()
    def _draw(self, source: Source, drives: Sequence[Drive]) -> list[Image]:
        asked = stacked([geometry(source.drive, drive) for drive in drives], self.device)
        memory = repeated(source.memory, len(drives))
        painted = self.network(memory, asked).image
        whole = (painted.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        return [np.ascontiguousarray(image) for image in whole]

    def _square(self, image: Image) -> Image:
        check_image(image)
        height, width = image.shape[:2]
        if height != width:
            raise BadInput(f"a source must be a square crop, got {width}x{height}")
        if height == self.size:
            return image
        flags = cv2.INTER_AREA if height > self.size else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(image, (self.size, self.size), interpolation=flags), dtype=np.uint8)

    def _tensor(self, values: NDArray) -> Tensor:
        return torch.from_numpy(values).to(self.device)


def stacked(geometries: Sequence, device: torch.device | str) -> Asked:
    """Join models.fsrt_open.geometry.Geometry of several frames."""

    def joined(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(one, name) for one in geometries])).to(device)

    return Asked(*[joined(name) for name in ("flow", "coarse", "fine", "state", "frame", "rotation")])


def repeated(memory: Memory, count: int) -> Memory:
    """The memory of one source for several frames at once."""

    def times(values: Tensor) -> Tensor:
        return values.expand(count, *values.shape[1:])

    quarter, eighth = (times(found) for found in memory.maps)
    return Memory(
        times(memory.image),
        (quarter, eighth),
        tuple((times(keys), times(values)) for keys, values in memory.keys_values),
        times(memory.expression),
        times(memory.frame),
        times(memory.skin),
    )
