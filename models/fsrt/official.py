"""FSRT's official shape, running on checkpoints the user brings: pictures in, pictures out.

A source is encoded once; each driving frame then costs one decoding of 256x256 pixels. On a CPU that takes seconds,
so there is a preview: every n-th pixel of the same grid, never a smaller grid, which the networks do not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.transform import resize
from torch import Tensor, nn

from models.errors import BadInput
from models.fsrt.checkpoints import (
    KEYPOINTS_FILE,
    ONE_SOURCE_FILE,
    TWO_SOURCES_FILE,
    load_keypoint_detector,
    load_networks,
)
from models.fsrt.decoder import Memory, PixelDecoder, decode_in_chunks
from models.fsrt.encoder import SetLatentEncoder
from models.fsrt.expression_encoder import ExpressionEncoder
from models.fsrt.keypoints import KeypointDetector
from models.fsrt.motion import Motion
from models.fsrt.packed import can_pack, pack_linears
from models.fsrt.posenc import GRID_SIZE, pixel_grid
from models.fsrt.transformer import Linear
from models.types import Image, check_image

Precision = Literal["float32", "bfloat16", "float16"]
CHUNK_ON_CPU = 2048
CHUNK_ON_GPU = 65536


@dataclass(frozen=True, eq=False)
class EncodedSource:
    """What is kept of one or several pictures of a face; made once, read by every frame."""

    keypoints: NDArray[np.float32]
    """(N, 10, 2), in the order of the pictures; relative motion starts from the first."""
    expressions: NDArray[np.float32]
    """(N, 256)"""
    memory: Memory


@dataclass(frozen=True, eq=False)
class Reading:
    """What is read off one driving picture."""

    keypoints: NDArray[np.float32]
    """(10, 2)"""
    expression: NDArray[np.float32]
    """(256,)"""


def to_grid(image: Image) -> Tensor:
    """Resize a picture to the network's (3, 256, 256) in [0, 1]; what is not square is squeezed, so crop it before."""
    shrunk = resize(check_image(image), (GRID_SIZE, GRID_SIZE))  # float64, anti-aliased where it shrinks
    return torch.from_numpy(shrunk).float().permute(2, 0, 1).contiguous()


def to_image(colours: Tensor) -> Image:
    """Round colours (h, w, 3) in about [0, 1] to a picture."""
    return (colours.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def prepare_decoder(decoder: PixelDecoder, *, precision: Precision = "float32", chunk: int = CHUNK_ON_CPU) -> None:
    """Set the precision of a decoder's large layers and, on the CPU, pack them; for reading only, in place."""
    layers = decoder.half_layers()
    for layer in layers:
        layer.to(getattr(torch, precision))
    if next(decoder.parameters()).device.type == "cpu" and can_pack():
        pack_linears(decoder, layers, rows=chunk)


def prepare_encoder(encoder: SetLatentEncoder) -> None:
    """On the CPU, pack the transformer's layers; for reading only, in place."""
    if next(encoder.parameters()).device.type == "cpu" and can_pack():
        layers = [layer for layer in encoder.transformer.modules() if isinstance(layer, Linear)]
        pack_linears(encoder.transformer, layers, rows=1024)


class OfficialFSRT:
    """Reenact faces with FSRT's networks; nothing in it changes after it is made."""

    def __init__(
        self,
        keypoint_detector: KeypointDetector,
        networks: tuple[ExpressionEncoder, SetLatentEncoder, PixelDecoder],
        *,
        device: torch.device | str = "cpu",
        precision: Precision | None = None,
        compiled: bool = False,
    ) -> None:
        """Take over the networks (they are changed for speed and must not be used elsewhere).

        `precision` is that of the decoder, where the time goes: unless told, float32 on the CPU (where only bfloat16
        is faster) and float16 on a GPU. Sources are always encoded in float32. `compiled` runs the decoder through
        torch.compile, which needs a compiler; it is meant for a GPU.
        """
        self._device = torch.device(device)
        on_cpu = self._device.type == "cpu"
        self._chunk = CHUNK_ON_CPU if on_cpu else CHUNK_ON_GPU
        moved: list[nn.Module] = [network.eval().to(self._device) for network in (keypoint_detector, *networks)]
        self._keypoint_detector, self._expression_encoder, self._encoder, self._decoder = moved
        prepare_encoder(self._encoder)
        prepare_decoder(self._decoder, precision=precision or ("float32" if on_cpu else "float16"), chunk=self._chunk)
        if compiled:
            self._decoder.compile()

    @classmethod
    def load(
        cls,
        weights_dir: Path,
        *,
        sources: Literal[1, 2] = 1,
        device: torch.device | str = "cpu",
        precision: Precision | None = None,
        compiled: bool = False,
    ) -> OfficialFSRT:
        """Load what the user brought, the checkpoint trained with one or with two sources.

        Raises MissingWeights naming the file that is not there.
        """
        detector = load_keypoint_detector(weights_dir / KEYPOINTS_FILE)
        networks = load_networks(weights_dir / (ONE_SOURCE_FILE if sources == 1 else TWO_SOURCES_FILE))
        return cls(detector, networks, device=device, precision=precision, compiled=compiled)

    @torch.inference_mode()
    def read(self, image: Image) -> Reading:
        """Read keypoints and expression off a driving picture, cropped like the source and square."""
        keypoints, expressions = self._read(to_grid(image)[None].to(self._device))
        return Reading(keypoints[0].cpu().numpy(), expressions[0].cpu().numpy())

    def read_clip(self, frames: Iterable[Image], *, frames_per_second: float) -> Motion:
        """Read a motion off a clip, one frame in memory at a time; raises BadInput for a clip without frames."""
        readings = [self.read(frame) for frame in frames]
        if not readings:
            raise BadInput("the clip holds no frame")
        return Motion(
            keypoints=np.stack([reading.keypoints for reading in readings]),
            expressions=np.stack([reading.expression for reading in readings]),
            frames_per_second=frames_per_second,
        )

    @torch.inference_mode()
    def encode_source(self, images: Sequence[Image]) -> EncodedSource:
        """Encode one or several square crops of one face, once for all frames."""
        if not images:
            raise BadInput("a source needs at least one picture")
        batch = torch.stack([to_grid(image) for image in images]).to(self._device)  # (N, 3, 256, 256)
        keypoints, expressions = self._read(batch)
        latent = self._encoder(batch[None], keypoints[None], expressions[None])  # (1, N * 1024, 768)
        return EncodedSource(keypoints.cpu().numpy(), expressions.cpu().numpy(), self._decoder.remember(latent))

    @torch.inference_mode()
    def render(
        self,
        source: EncodedSource,
        reading: Reading,
        *,
        stride: int = 1,
        on_progress: Callable[[float], None] | None = None,
    ) -> Image:
        """Show the source with these keypoints and this expression, (256, 256, 3), or less for a preview.

        `stride` 4 gives 64x64 for a sixteenth of the work. `on_progress` gets the share done and may raise Cancelled.
        """
        grid = pixel_grid(stride=stride, offset=stride // 2, device=self._device)
        colours = decode_in_chunks(
            self._decoder,
            source.memory,
            keypoints=torch.from_numpy(reading.keypoints)[None].to(self._device),
            expressions=torch.from_numpy(reading.expression)[None].to(self._device),
            pixels=grid.flatten(0, 1),
            chunk=self._chunk,
            on_progress=on_progress,
        )
        return to_image(colours.view(*grid.shape[:2], 3))

    def animate(self, source: EncodedSource, motion: Motion, *, stride: int = 1) -> Iterator[Image]:
        """Show the source frame by frame with a motion that was retargeted to it (`models.fsrt.motion.retarget`)."""
        for keypoints, expression in zip(motion.keypoints, motion.expressions, strict=True):
            yield self.render(source, Reading(keypoints, expression), stride=stride)

    def _read(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        detected = self._keypoint_detector(batch)
        return detected.points, self._expression_encoder(detected)
