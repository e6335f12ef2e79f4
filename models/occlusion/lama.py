"""LaMa (Suvorov et al., WACV 2022) as one more way to fill a hole, from an ONNX file of the user's own.

Exports differ: some take the picture and the mask apart and answer in levels, others take the picture with its hole and
the mask as a fourth channel and answer in 0 to 1. Which one a file is, it says itself. Needs the extra `mien[onnx]`.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import BadWeights
from models.onnx_files import session
from models.types import Image

USUAL_SIZE = 512
"""Edge of the square it looks at where the file leaves it open."""
LEVELS_FROM = 4.0
"""Answers that reach above this are levels from 0 to 255, others shares from 0 to 1."""


class Lama:
    """Fill holes with the network of one file; raises BadWeights when it is another network."""

    def __init__(self, file: Path) -> None:
        self._session: Any = session(file.read_bytes())
        self._inputs = {entry.name: entry.shape for entry in self._session.get_inputs()}
        channels = sorted(shape[1] for shape in self._inputs.values() if len(shape) == 4)
        if channels not in ([4], [1, 3]) or len(self._session.get_outputs()) != 1:
            told = ", ".join(f"{name} {shape}" for name, shape in self._inputs.items())
            raise BadWeights(f"{file.name} is not LaMa: it takes {told}; a picture and a mask, or both in one, fit")
        edge = next(iter(self._inputs.values()))[2]
        self.size = edge if isinstance(edge, int) else USUAL_SIZE

    def fill(self, pixels: Image, mask: NDArray[np.bool_]) -> Image:
        """Fill the mask (H, W) of a picture (H, W, 3); every other pixel stays as it is."""
        edge = (self.size, self.size)
        given = (
            cv2.resize(pixels, edge, interpolation=cv2.INTER_CUBIC).transpose(2, 0, 1)[None].astype(np.float32) / 255
        )
        hole = cv2.resize(mask.astype(np.float32), edge, interpolation=cv2.INTER_NEAREST)[None, None]
        answer = self._session.run(None, self._asked(given, hole))[0]
        if answer.shape != given.shape or not np.isfinite(answer).all():
            raise BadWeights(f"the network answers {answer.shape}, not a picture {given.shape}")
        share = answer[0].transpose(1, 2, 0) / (255.0 if answer.max() > LEVELS_FROM else 1.0)
        levels = (share.clip(0, 1) * 255 + 0.5).astype(np.uint8)
        shown = cv2.resize(levels, (pixels.shape[1], pixels.shape[0]), interpolation=cv2.INTER_AREA)
        return np.where(mask[..., None], shown, pixels)

    def _asked(self, given: NDArray[np.float32], hole: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        if len(self._inputs) == 1:
            return {next(iter(self._inputs)): np.concatenate([given * (1 - hole), hole], 1)}
        return {name: hole if shape[1] == 1 else given for name, shape in self._inputs.items()}


def install(source: Path, target: Path) -> str:
    """Check an ONNX file of LaMa on a grey picture with a hole and keep it; one sentence back."""
    network = Lama(source)
    hole = np.zeros((64, 64), bool)
    hole[24:40, 24:40] = True
    network.fill(np.full((64, 64, 3), 128, np.uint8), hole)
    shutil.copyfile(source, target)
    return f"{source.name}: fills holes at {network.size} px"
