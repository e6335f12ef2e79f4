"""Write binary Torch7 files, so that the reader can be tried without Lua."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import nn

from models.dfc_vae.torch7 import LuaObject

STORAGES = {"float32": "Float", "float64": "Double", "int64": "Long"}


@dataclass
class Torch7Writer:
    """Collects bytes; equal objects (by identity) are written once and then referred to."""

    pieces: list[bytes] = field(default_factory=list)
    indices: dict[int, int] = field(default_factory=dict)
    kept: list[object] = field(default_factory=list)

    def number(self, value: int) -> None:
        self.pieces.append(struct.pack("<i", value))

    def text(self, value: str) -> None:
        self.number(len(value.encode()))
        self.pieces.append(value.encode())

    def value(self, value: object) -> None:
        if value is None:
            self.number(0)
        elif isinstance(value, bool):
            self.number(5)
            self.number(int(value))
        elif isinstance(value, int | float):
            self.number(1)
            self.pieces.append(struct.pack("<d", value))
        elif isinstance(value, str):
            self.number(2)
            self.text(value)
        else:
            self.indexed(value)

    def indexed(self, value: object) -> None:
        self.number(3 if isinstance(value, dict) else 4)
        known = id(value) in self.indices
        index = self.indices.setdefault(id(value), len(self.indices) + 1)
        self.kept.append(value)
        self.number(index)
        if known:
            return
        if isinstance(value, dict):
            self.table(value)
        elif isinstance(value, LuaObject):
            self.text("V 1")
            self.text(value.kind)
            self.value(value.fields)
        elif isinstance(value, np.ndarray):
            self.tensor(value)
        else:
            raise TypeError(type(value))

    def table(self, table: dict[object, object]) -> None:
        self.number(len(table))
        for key, content in table.items():
            self.value(key)
            self.value(content)

    def tensor(self, array: np.ndarray) -> None:
        kind = STORAGES[str(array.dtype)]
        self.text("V 1")
        self.text(f"torch.{kind}Tensor")
        self.number(array.ndim)
        strides = [stride // array.itemsize for stride in array.strides]
        self.pieces.append(struct.pack(f"<{2 * array.ndim + 1}q", *array.shape, *strides, 1))
        self.number(4)
        self.number(len(self.indices) + 1)
        self.indices[-len(self.indices) - 1] = len(self.indices) + 1
        self.text("V 1")
        self.text(f"torch.{kind}Storage")
        flat = np.lib.stride_tricks.as_strided(array, (array.size,), (array.itemsize,))
        self.pieces.append(struct.pack("<q", array.size) + flat.tobytes())

    def save(self, value: object, path: Path) -> Path:
        self.value(value)
        path.write_bytes(b"".join(self.pieces))
        return path


def lua_layer(layer: nn.Module, *, flat: bool, old_statistics: bool) -> LuaObject:
    """A PyTorch layer as Lua Torch would keep it."""
    fields: dict[object, object] = {"train": True, "_type": "torch.FloatTensor"}
    kinds = {nn.Conv2d: "nn.SpatialConvolution", nn.Linear: "nn.Linear", nn.BatchNorm2d: "nn.SpatialBatchNormalization"}
    kind = kinds.get(type(layer), f"nn.{type(layer).__name__}")
    if type(layer) in kinds:
        weight = layer.weight.detach().numpy()
        fields["weight"] = weight.reshape(len(weight), -1) if flat and weight.ndim == 4 else weight
        fields["bias"] = layer.bias.detach().numpy()
        fields["gradWeight"] = np.zeros_like(fields["weight"])
    if isinstance(layer, nn.BatchNorm2d):
        fields["running_mean"] = layer.running_mean.numpy()
        fields["eps"] = layer.eps
        variance = layer.running_var.numpy()
        old = {"running_std": ((variance.astype(np.float64) + layer.eps) ** -0.5).astype(np.float32)}
        fields |= old if old_statistics else {"running_var": variance}
    return LuaObject(kind, fields)


def lua_container(kind: str, children: list[LuaObject]) -> LuaObject:
    """nn.Sequential or nn.ConcatTable of layers."""
    return LuaObject(f"nn.{kind}", {"modules": dict(enumerate(children, 1)), "train": False})
