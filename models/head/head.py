"""The open head: a face one can shape by identity and by 52 named actions, with skull, ears, neck, teeth and eyes.

Learned by `mien train head`. Everything is linear in its coefficients, so that a browser or a GLB file with morph
targets moves it exactly as this does; jaw and gaze are part of the named shapes (jawOpen turns the lower teeth about
the jaw's hinge to first order, eyeLook... turn the eyeballs).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from models.cards import PRETRAINED
from models.errors import BadInput, BadWeights, MissingWeights
from models.faces.names import BLENDSHAPE_NAMES, MIRRORED_LANDMARKS
from models.head.subdivision import subdivide

if TYPE_CHECKING:
    import torch

WEIGHTS = PRETRAINED / "head.safetensors"
BEHIND_LIPS = ("mouth_cavity", "teeth_upper", "teeth_lower")
BACK = 0.005
"""Metres by which they are moved back when the head is read."""
Floats = TypeVar("Floats", NDArray[np.float32], "torch.Tensor")


@dataclass(frozen=True, eq=False)
class Head:
    """Metres, x to the person's left, y up, z towards the viewer; the origin lies between ears and nose."""

    neutral: NDArray[np.float32]
    """(V, 3) the mean face, every action at rest"""
    identity: NDArray[np.float32]
    """(K, V, 3) displacement per standard deviation, most important first"""
    expression: NDArray[np.float32]
    """(52, V, 3) displacement at coefficient 1, in the order of models.faces.names.BLENDSHAPE_NAMES"""
    faces: NDArray[np.int32]
    """(F, 3) counter-clockwise from outside"""
    uvs: NDArray[np.float32]
    """(V, 2) in [0, 1]; u to the right, v up"""
    colours: NDArray[np.uint8]
    """(V, 3) plain RGB of skin, lips, brows, teeth and eyes"""
    part_of: NDArray[np.int32]
    """(V,) index into `part_names`"""
    part_names: tuple[str, ...]
    landmark_vertices: NDArray[np.int64]
    """(478,) the vertex at each of MediaPipe's landmarks"""

    @cached_property
    def identity_signs(self) -> NDArray[np.float32]:
        """(K,) 1 for components that mirror onto themselves, -1 for those that mirror onto their opposite."""
        shapes = self.identity[:, self.landmark_vertices]
        twins = shapes[:, MIRRORED_LANDMARKS] * np.array([-1, 1, 1], np.float32)
        return np.sign((shapes * twins).sum((1, 2))).astype(np.float32)

    def vertices(self, identity: Floats, expression: Floats) -> Floats:
        """Shape the head: identity (..., k <= K) in standard deviations, expression (..., 52) -> (..., V, 3).

        Both are numpy arrays or both torch tensors, and so is the answer; gradients flow. Raises BadInput for other
        lengths.
        """
        count = identity.shape[-1]
        if count > len(self.identity) or expression.shape[-1] != len(self.expression):
            raise BadInput(
                f"expected at most {len(self.identity)} identity and {len(self.expression)} expression coefficients, "
                f"got {count} and {expression.shape[-1]}"
            )
        if not isinstance(identity, np.ndarray):
            import torch  # noqa: PLC0415 - whoever gives a tensor has it already

            neutral, who, what = (
                torch.from_numpy(part).to(identity) for part in (self.neutral, self.identity[:count], self.expression)
            )
            shaped = identity @ who.flatten(1) + expression @ what.flatten(1)  # (..., V * 3)
            return neutral + shaped.unflatten(-1, (-1, 3))
        flat = identity @ self.identity[:count].reshape(count, -1)
        flat = flat + expression @ self.expression.reshape(len(self.expression), -1)
        return (self.neutral + flat.reshape(*flat.shape[:-1], -1, 3)).astype(np.float32)

    def landmarks(self, vertices: Floats) -> Floats:
        """(..., V, 3) -> (..., 478, 3)."""
        return vertices[..., self.landmark_vertices, :]

    def coefficients(self, actions: Mapping[str, float]) -> NDArray[np.float32]:
        """(52,) from named actions, all others at rest; raises BadInput for an unknown name."""
        values = np.zeros(len(BLENDSHAPE_NAMES), np.float32)
        for name, value in actions.items():
            if name not in BLENDSHAPE_NAMES:
                raise BadInput(f"no action is called {name!r}")
            values[BLENDSHAPE_NAMES.index(name)] = value
        return values

    def part_faces(self, *names: str) -> NDArray[np.int32]:
        """(f, 3) the triangles whose corners all belong to the named parts; raises BadInput for an unknown part."""
        unknown = set(names) - set(self.part_names)
        if unknown:
            raise BadInput(f"the head has no part {sorted(unknown)[0]!r}; there are {', '.join(self.part_names)}")
        chosen = np.isin(self.part_of, [self.part_names.index(name) for name in names])
        return self.faces[chosen[self.faces].all(1)]


@cache
def load_head(file: Path = WEIGHTS) -> Head:
    """Read and subdivide the head that ships; raises MissingWeights or BadWeights."""
    if not file.is_file():
        raise MissingWeights(f"{file.name} is not installed; `mien train head` makes it")
    try:
        with safe_open(file, framework="numpy") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}
            part_names = tuple(json.loads(stored.metadata()["part_names"]))
        return _grown(tensors, part_names)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BadWeights(f"{file.name} does not hold a head: {error}") from error


def _grown(stored: dict[str, NDArray], part_names: tuple[str, ...]) -> Head:
    """Subdivide the stored skin once and set the other parts, which are stored as they are, beside it."""
    base = len(stored["skin_neutral"])
    skin = subdivide(stored["skin_faces"].astype(np.int32), stored["creases"].astype(np.int32), vertices=base)

    def both(name: str) -> NDArray[np.float64]:
        coarse, beside = stored[f"skin_{name}"].astype(np.float64), stored[f"parts_{name}"].astype(np.float64)
        axis = coarse.ndim - 2
        moved = np.moveaxis(coarse, axis, 0)
        fine = skin.weights @ moved.reshape(base, -1)
        fine = np.moveaxis(fine.reshape(-1, *moved.shape[1:]), 0, axis)
        return np.concatenate([fine, beside], axis)

    ends = stored["skin_part_of"][skin.edges]
    part_of = np.concatenate([stored["skin_part_of"], ends.min(1), stored["parts_part_of"]])
    shift = skin.weights.shape[0]
    neutral = both("neutral").astype(np.float32)
    # a smile draws the chin's skin back, through what lies close behind it
    neutral[np.isin(part_of, [part_names.index(name) for name in part_names if name in BEHIND_LIPS]), 2] -= BACK
    return Head(
        neutral=neutral,
        identity=both("identity").astype(np.float32),
        expression=both("expression").astype(np.float32),
        faces=np.concatenate([skin.triangles, stored["parts_faces"].astype(np.int32) + shift]),
        uvs=both("uvs").astype(np.float32),
        colours=np.clip(np.round(both("colours")), 0, 255).astype(np.uint8),
        part_of=part_of.astype(np.int32),
        part_names=part_names,
        landmark_vertices=_landmark_vertices(stored["iris_vertices"], shift),
    )


def _landmark_vertices(iris: NDArray, shift: int) -> NDArray[np.int64]:
    """The skin's landmarks are its first vertices; the irises' lie on the eyeballs."""
    return np.concatenate([np.arange(468), iris.astype(np.int64) + shift])
