"""Read the binary files of Lua Torch (.t7) without running anything that is in them.

A file is one object: a 32-bit type number, then its content. Tables, Torch objects and functions carry an index, and an
index seen before means the same object again. A Torch object is a version string ("V 1"), a class name and what its
class wrote: sizes, strides and a storage for tensors, raw numbers for storages, one table for everything else.
Functions (compiled Lua) are stepped over.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models.errors import BadWeights

NOTHING, NUMBER, TEXT, TABLE, OBJECT, BOOLEAN = 0, 1, 2, 3, 4, 5
FUNCTIONS = (7, 8)
MAXIMUM_DEPTH = 200
MAXIMUM_DIMENSIONS = 16
ELEMENTS = {"Byte": "u1", "Char": "i1", "Short": "<i2", "Int": "<i4", "Long": "<i8", "Float": "<f4", "Double": "<f8"}
ELEMENTS |= {f"Cuda{name}": kind for name, kind in ELEMENTS.items()} | {"Cuda": "<f4"}


@dataclass(eq=False)
class LuaObject:
    """An instance of a Lua class, such as nn.Linear, with the fields it was saved with."""

    kind: str
    fields: dict[object, object] = field(default_factory=dict)

    def children(self) -> list[LuaObject]:
        """The modules a container holds, in order; empty for a leaf."""
        modules = self.fields.get("modules")
        if not isinstance(modules, dict):
            return []
        return [modules[key] for key in sorted(k for k in modules if isinstance(k, int | float))]

    def tensor(self, name: str) -> np.ndarray | None:
        """A field that is a tensor, or None."""
        value = self.fields.get(name)
        return value if isinstance(value, np.ndarray) else None


def read_torch7(path: Path) -> object:
    """Return the file's object: numbers, text, dicts, numpy arrays and LuaObjects.

    Raises BadWeights for text-mode files, other formats, truncation, and sizes or offsets beyond the file.
    """
    return _Reader(path.read_bytes(), path.name).whole()


class _Reader:
    def __init__(self, content: bytes, name: str) -> None:
        self.content = content
        self.name = name
        self.position = 0
        self.depth = 0
        self.seen: dict[int, object] = {}

    def whole(self) -> object:
        try:
            return self.value()
        except (UnicodeDecodeError, ValueError, TypeError, struct.error) as error:
            raise self.wrong(str(error)) from error

    def wrong(self, what: str) -> BadWeights:
        return BadWeights(f"{self.name} is not a binary Torch7 file that can be read: {what} (at byte {self.position})")

    def take(self, count: int) -> bytes:
        if count < 0 or self.position + count > len(self.content):
            raise self.wrong(f"{count} bytes wanted, {len(self.content) - self.position} left")
        piece = self.content[self.position : self.position + count]
        self.position += count
        return piece

    def whole_number(self) -> int:
        return struct.unpack("<i", self.take(4))[0]

    def long_numbers(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}q", self.take(8 * count))

    def text(self) -> str:
        return self.take(self.whole_number()).decode("utf-8", errors="replace")

    def value(self) -> object:
        self.depth += 1
        if self.depth > MAXIMUM_DEPTH:
            raise self.wrong(f"objects lie more than {MAXIMUM_DEPTH} deep")
        try:
            return self.one()
        finally:
            self.depth -= 1

    def one(self) -> object:
        kind = self.whole_number()
        if kind == NOTHING:
            return None
        if kind == NUMBER:
            number = struct.unpack("<d", self.take(8))[0]
            return int(number) if number.is_integer() else number
        if kind == TEXT:
            return self.text()
        if kind == BOOLEAN:
            return self.whole_number() == 1
        if kind in (TABLE, OBJECT, *FUNCTIONS):
            return self.indexed(kind)
        raise self.wrong(f"there is no type {kind}")

    def indexed(self, kind: int) -> object:
        index = self.whole_number()
        if index in self.seen:
            return self.seen[index]
        if kind == TABLE:
            return self.table(self.seen.setdefault(index, {}))
        if kind == OBJECT:
            return self.torch_object(index)
        self.seen[index] = None
        self.text()  # compiled Lua, never run
        self.value()  # the values it closes over
        return None

    def table(self, target: dict[object, object]) -> dict[object, object]:
        for _ in range(self.whole_number()):
            key = self.value()
            content = self.value()
            # A table or object as a key has no meaning for weights.
            if isinstance(key, str | int | float | bool):
                target[key] = content
        return target

    def torch_object(self, index: int) -> object:
        version = self.text()
        kind = self.text() if version.startswith("V ") else version
        name = kind.removeprefix("torch.")
        if name.endswith("Tensor") and name.removesuffix("Tensor") in ELEMENTS:
            self.seen[index] = self.tensor()
        elif name.endswith("Storage") and name.removesuffix("Storage") in ELEMENTS:
            self.seen[index] = self.storage(ELEMENTS[name.removesuffix("Storage")])
        else:
            made = LuaObject(kind)
            self.seen[index] = made
            fields = self.value()
            if not isinstance(fields, dict):
                raise self.wrong(f"a {kind} without a table of fields")
            made.fields = fields
        return self.seen[index]

    def storage(self, element: str) -> np.ndarray:
        (count,) = self.long_numbers(1)
        return np.frombuffer(self.take(count * np.dtype(element).itemsize), element)

    def tensor(self) -> np.ndarray:
        dimensions = self.whole_number()
        if not 0 <= dimensions <= MAXIMUM_DIMENSIONS:
            raise self.wrong(f"a tensor of {dimensions} dimensions")
        shape, strides = self.long_numbers(dimensions), self.long_numbers(dimensions)
        offset = self.long_numbers(1)[0] - 1  # Lua counts from one
        storage = self.value()
        if storage is None or dimensions == 0:
            return np.zeros(0, np.float32)
        if not isinstance(storage, np.ndarray) or min(shape) < 0 or min(strides) < 0 or offset < 0:
            raise self.wrong(f"a tensor of shape {shape}, strides {strides}, offset {offset}")
        last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
        if min(shape) > 0 and last >= storage.size:
            raise self.wrong(f"a tensor of shape {shape} reaches beyond its storage of {storage.size}")
        if int(np.prod(shape, dtype=object)) > storage.size:
            raise self.wrong(f"a tensor of shape {shape} repeats its storage of {storage.size}")
        steps = [stride * storage.itemsize for stride in strides]
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False).copy()
