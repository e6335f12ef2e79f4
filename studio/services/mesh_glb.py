"""GLB by hand: the head with its skin, 51 named morph targets, and for clips their movement (glTF 2.0, Khronos 2021).

trimesh does not write morph targets; a target is stored as a sparse accessor, because an action moves a third of the
head at most.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from models.faces.names import BLENDSHAPE_NAMES
from models.head.head import Head
from models.head.parameters import HeadParameters
from models.head.texture import normals_of
from models.images import encode_image
from models.types import Image

FLOAT, UNSIGNED_SHORT = 5126, 5123
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
STILL = 3e-5
TARGETS = tuple(name for name in BLENDSHAPE_NAMES if name != "_neutral")
ROWS = [BLENDSHAPE_NAMES.index(name) for name in TARGETS]


@dataclass(frozen=True, eq=False)
class Movement:
    """What a head does over time, for the animation."""

    times_s: NDArray[np.float32]
    """(n,) rising"""
    parameters: tuple[HeadParameters, ...]


class _Packer:
    """Collects the binary chunk and the descriptions of what lies in it."""

    def __init__(self) -> None:
        self.chunk = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, content: bytes, *, target: int | None = None) -> int:
        self.chunk.extend(b"\0" * (-len(self.chunk) % 4))
        described: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.chunk), "byteLength": len(content)}
        self.views.append(described | ({"target": target} if target else {}))
        self.chunk.extend(content)
        return len(self.views) - 1

    def array(self, values: NDArray[Any], kind: str, *, target: int | None = None, limits: bool = False) -> int:
        is_float = values.dtype.kind == "f"
        stored = np.ascontiguousarray(values, "<f4" if is_float else "<u2")
        described: dict[str, Any] = {
            "bufferView": self.view(stored.tobytes(), target=target),
            "componentType": FLOAT if is_float else UNSIGNED_SHORT,
            "count": len(stored) if kind != "SCALAR" else stored.size,
            "type": kind,
        }
        if limits:
            flat = stored.reshape(described["count"], -1)
            described |= {"min": flat.min(0).tolist(), "max": flat.max(0).tolist()}
        self.accessors.append(described)
        return len(self.accessors) - 1

    def sparse(self, moves: NDArray[np.float32]) -> int:
        rows = np.flatnonzero(np.abs(moves).max(1) > STILL)
        if not len(rows):
            rows = np.array([0])
        kept = moves[rows].astype("<f4")
        low, high = np.minimum(kept.min(0), 0), np.maximum(kept.max(0), 0)
        self.accessors.append(
            {
                "componentType": FLOAT,
                "count": len(moves),
                "type": "VEC3",
                "min": low.tolist(),
                "max": high.tolist(),
                "sparse": {
                    "count": len(rows),
                    "indices": {"bufferView": self.view(rows.astype("<u2").tobytes()), "componentType": UNSIGNED_SHORT},
                    "values": {"bufferView": self.view(kept.tobytes())},
                },
            }
        )
        return len(self.accessors) - 1


def glb(
    head: Head, parameters: HeadParameters, skin: Image, *, movement: Movement | None = None, name: str = "head"
) -> bytes:
    """Return the head as a GLB file: at rest, with its expression as weights of the targets; metres, y up."""
    packer = _Packer()
    still = head.vertices(parameters.identity, np.zeros(len(head.expression), np.float32))
    primitive = {
        "attributes": {
            "POSITION": packer.array(still, "VEC3", target=ARRAY_BUFFER, limits=True),
            "NORMAL": packer.array(normals_of(still, head.faces), "VEC3", target=ARRAY_BUFFER),
            "TEXCOORD_0": packer.array(head.uvs * [1, -1] + [0, 1], "VEC2", target=ARRAY_BUFFER),
        },
        "indices": packer.array(head.faces.astype(np.uint16).ravel(), "SCALAR", target=ELEMENT_ARRAY_BUFFER),
        "material": 0,
        "targets": [{"POSITION": packer.sparse(head.expression[row])} for row in ROWS],
    }
    picture = packer.view(encode_image(skin, "JPEG", quality=92))
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "Mien"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name}],
        "meshes": [
            {
                "name": name,
                "primitives": [primitive],
                "weights": _weights(parameters),
                "extras": {"targetNames": list(TARGETS)},
            }
        ],
        "materials": [
            {
                "name": "skin",
                "doubleSided": True,
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": 0},
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.9,
                },
            }
        ],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [{"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}],
        "images": [{"bufferView": picture, "mimeType": "image/jpeg", "name": "skin"}],
    }
    if movement is not None:
        document["animations"] = [_animation(packer, movement)]
    document |= {
        "accessors": packer.accessors,
        "bufferViews": packer.views,
        "buffers": [{"byteLength": len(packer.chunk) + -len(packer.chunk) % 4}],
    }
    return _file(document, bytes(packer.chunk))


def _weights(parameters: HeadParameters) -> list[float]:
    return [round(float(parameters.expression[row]), 5) for row in ROWS]


def _animation(packer: _Packer, movement: Movement) -> dict[str, Any]:
    """Weights and the head's turning over time; nodding about the head's own origin."""
    times = packer.array(movement.times_s.astype(np.float32), "SCALAR", limits=True)
    weights = np.array([_weights(each) for each in movement.parameters], np.float32).ravel()
    turns = Rotation.from_matrix(np.array([each.rotation for each in movement.parameters], np.float64)).as_quat()
    signs = np.cumprod(np.concatenate([[1.0], np.where((turns[1:] * turns[:-1]).sum(1) < 0, -1.0, 1.0)]))
    turned = packer.array((turns * signs[:, None]).astype(np.float32), "VEC4")
    return {
        "name": "clip",
        "samplers": [
            {"input": times, "output": packer.array(weights, "SCALAR"), "interpolation": "LINEAR"},
            {"input": times, "output": turned, "interpolation": "LINEAR"},
        ],
        "channels": [
            {"sampler": 0, "target": {"node": 0, "path": "weights"}},
            {"sampler": 1, "target": {"node": 0, "path": "rotation"}},
        ],
    }


def _file(document: dict[str, Any], chunk: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunk += b"\0" * (-len(chunk) % 4)
    total = 12 + 8 + len(text) + 8 + len(chunk)
    return b"".join(
        [
            struct.pack("<4sII", b"glTF", 2, total),
            struct.pack("<I4s", len(text), b"JSON"),
            text,
            struct.pack("<I4s", len(chunk), b"BIN\0"),
            chunk,
        ]
    )
