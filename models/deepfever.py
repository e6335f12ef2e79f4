"""The expression vector, after DeepFEVER: an aligned face crop to a small vector in which alike expressions lie near.

What DeepFEVER's authors published is in docs/deepfever.md; this network is Mien's own and was distilled, not taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.device import place
from models.faces import align
from models.trunk import Trunk
from models.types import EMOTIONS, Expression, Face, Image

CROP_SCALE = 1.3
"""Crop edge over the longer edge of the levelled landmark box."""


@dataclass(frozen=True)
class ExpressionReading:
    """What the network says of a batch of crops."""

    vector: Tensor
    """(B, 64) unit length."""
    compact: Tensor
    """(B, 16) unit length; FECNet's size."""
    emotions: Tensor
    """(B, 8) before the softmax, in the order of EMOTIONS."""
    affect: Tensor
    """(B, 2) valence and arousal in [-1, 1]."""


class ExpressionNet(ModelMixin, ConfigMixin):
    """Residual trunk, a bottleneck of 64 numbers on the unit sphere, and everything else read off those."""

    @register_to_config
    def __init__(
        self,
        size: int = 140,
        widths: tuple[int, ...] = (32, 64, 128, 192),
        depths: tuple[int, ...] = (2, 2, 2),
        hidden_size: int = 384,
        vector_size: int = 64,
        compact_size: int = 16,
    ) -> None:
        super().__init__()
        self.trunk = Trunk(tuple(widths), tuple(depths))
        cells = ((size + 15) // 16) ** 2
        self.squeeze = nn.Sequential(
            nn.Conv2d(self.trunk.width, 32, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(inplace=True)
        )
        self.hidden = nn.Sequential(
            nn.Linear(cells * 32 + self.trunk.width, hidden_size), nn.BatchNorm1d(hidden_size), nn.PReLU(hidden_size)
        )
        self.vector = nn.Linear(hidden_size, vector_size)
        self.compact = nn.Linear(vector_size, compact_size, bias=False)
        self.emotions = nn.Sequential(nn.Linear(vector_size, 64), nn.GELU(), nn.Linear(64, len(EMOTIONS)))
        self.affect = nn.Sequential(nn.Linear(vector_size, 64), nn.GELU(), nn.Linear(64, 2), nn.Tanh())

    def features(self, pixels: Tensor) -> Tensor:
        """(B, 3, size, size) in [0, 1] -> (B, hidden_size)."""
        return features_of(self, self.trunk(pixels))

    def forward(self, pixels: Tensor) -> ExpressionReading:
        """Read (B, 3, size, size) pixels in [0, 1]."""
        vector = vector_of(self, self.features(pixels))  # (B, 64)
        spread = vector * vector.shape[1] ** 0.5  # unit variance for the heads
        spread = spread.to(self.compact.weight.dtype)
        return ExpressionReading(
            vector=vector,
            compact=F.normalize(self.compact(spread).float(), dim=1),
            emotions=self.emotions(spread),
            affect=self.affect(spread),
        )


def features_of(network: nn.Module, maps: Tensor) -> Tensor:
    """What a network's `squeeze` and `hidden` make of its trunk's maps: (B, width, h, w) -> (B, hidden_size)."""
    places = network.squeeze(maps).flatten(1)  # (B, cells * 32)
    return network.hidden(torch.cat([places, maps.mean((2, 3))], 1))


def vector_of(network: nn.Module, features: Tensor) -> Tensor:
    """(B, hidden_size) -> (B, 64) of unit length, by a network's `vector`."""
    return F.normalize(network.vector(features).float(), dim=1)


class ExpressionReader:
    """Expressions of faces that were found; holds nothing but the network."""

    def __init__(self, network: ExpressionNet, *, backend: str, device: torch.device, dtype: torch.dtype) -> None:
        self.network = place(network, device=device, dtype=dtype)
        self.backend = backend
        self.device, self.dtype = device, dtype
        self.size = int(network.config["size"])

    def read(self, image: Image, faces: list[Face]) -> list[Expression]:
        """Read every face of a picture, in the faces' order; no face gives an empty list."""
        return self.read_crops([align.crop(face, image, size=self.size, scale=CROP_SCALE).pixels for face in faces])

    @torch.inference_mode()
    def read_crops(self, crops: list[Image], *, batch: int = 32) -> list[Expression]:
        """Read upright crops of (size, size, 3) pixels, cut at CROP_SCALE."""
        results: list[Expression] = []
        for start in range(0, len(crops), batch):
            pixels = torch.from_numpy(np.stack(crops[start : start + batch])).to(self.device)
            pixels = pixels.permute(0, 3, 1, 2).to(self.dtype) / 255  # (B, 3, size, size)
            reading = self.network(pixels.contiguous(memory_format=torch.channels_last))
            results += self._rows(reading)
        return results

    def _rows(self, reading: ExpressionReading) -> list[Expression]:
        vectors = _unit(reading.vector)
        compacts = _unit(reading.compact)
        emotions = reading.emotions.float().softmax(1).cpu().numpy()
        affect = reading.affect.float().cpu().numpy()
        return [
            Expression(vector, compact, emotion, float(pair[0]), float(pair[1]), self.backend)
            for vector, compact, emotion, pair in zip(vectors, compacts, emotions, affect, strict=True)
        ]


def _unit(rows: Tensor) -> NDArray[np.float32]:
    values = rows.float().cpu().numpy()
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), dtype=np.float32)
