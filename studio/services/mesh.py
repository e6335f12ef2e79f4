"""From a photo to heads that can be turned and edited: read once, kept as parameters, shaped as often as wanted."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models import registry
from models.cards import all_cards
from models.errors import BadInput
from models.head.head import Head
from models.head.ict import as_ict, load_ict, palette
from models.head.parameters import HeadParameters
from models.head.repaint import repaint
from models.head.texture import bake_texture
from models.types import Face, Image
from models.weights import find_weight, require_weight
from studio.gpu import on_gpu
from studio.services.expression import PhotoReading, scaled

GENERATOR, ICT = "smirk_open_generator", "ict-facekit"
FAR_TURNED = 35.0
"""Degrees from which half of the face is a guess."""


@dataclass(frozen=True, eq=False)
class MeshFace:
    """One face of a photo as a head."""

    number: int
    face: Face
    """In pixels of `picture`."""
    picture: Image
    """The photo as it is shown."""
    parameters: HeadParameters
    """In pixels of `picture`."""
    backend: str
    milliseconds: float
    own_head: Head | None = None
    """What the parameters shape, where it is not the open head."""

    @property
    def head(self) -> Head:
        """What the parameters shape."""
        return self.own_head or the_head()

    @property
    def warning(self) -> str:
        """What makes the head unsure, in a sentence; empty where nothing does."""
        return turned_words(self.parameters) or (
            f"The face is {', '.join(self.face.quality.flags)}: its shape is less sure."
            if self.face.quality.flags
            else ""
        )


def turned_words(parameters: HeadParameters) -> str:
    """Say that a head is turned too far to be read well; empty where it is not."""
    pose = parameters.pose
    if max(abs(pose.yaw), abs(pose.pitch)) <= FAR_TURNED:
        return ""
    return f"The head is turned {max(abs(pose.yaw), abs(pose.pitch)):.0f}°: the hidden side is a guess."


@on_gpu
def read_heads(image: Image, faces: list[Face], method: str | None = None) -> list[tuple[HeadParameters, float]]:
    """Return each face's parameters and the milliseconds they took."""
    reader, answers = registry.load("head"), []
    for face in faces:
        begun = time.perf_counter()
        parameters = reader.read(image, face, method=method)
        answers.append((parameters, (time.perf_counter() - begun) * 1000))
    return answers


def read_meshes(reading: PhotoReading, method: str | None = None) -> tuple[MeshFace, ...]:
    """Read the head of every face of a photo; `method` as in models.head.reader, None for the best."""
    faces = [scaled(item.face, reading.factor) for item in reading.faces]
    backend = registry.load("head").backend(method)
    return tuple(
        MeshFace(item.number, face, reading.picture, parameters, backend, milliseconds)
        for item, face, (parameters, milliseconds) in zip(
            reading.faces, faces, read_heads(reading.picture, faces, method), strict=True
        )
    )


def the_head() -> Head:
    """Return the open head."""
    head: Head = registry.load("head").head
    return head


def vertices_of(parameters: HeadParameters, head: Head | None = None) -> NDArray[np.float32]:
    """Shape a head, the open one where no other is given: (V, 3) metres."""
    return (head or the_head()).vertices(parameters.identity, parameters.expression)


def texture_of(mesh: MeshFace) -> Image:
    """Return the head's skin out of its photo, (512, 512, 3); another head than the open one has plain colours."""
    if mesh.own_head is not None:
        return palette()
    return bake_texture(the_head(), mesh.parameters, vertices_of(mesh.parameters), mesh.picture)


def edited(mesh: MeshFace, coefficients: Iterable[object] | None) -> MeshFace:
    """Return the face with 52 coefficients that came from a browser; None leaves it; raises BadInput."""
    if coefficients is None:
        return mesh
    try:
        values = np.asarray(list(coefficients), np.float32)
    except (TypeError, ValueError) as error:
        raise BadInput("An expression is 52 numbers.") from error
    if values.shape != mesh.parameters.expression.shape or not np.isfinite(values).all():
        raise BadInput(f"An expression is 52 finite numbers, got {values.shape}.")
    return replace(mesh, parameters=mesh.parameters.with_expression(np.clip(values, -1, 2)))


def has_encoder() -> bool:
    """Tell whether the encoder `smirk_open` ships here, without loading it."""
    return "smirk_open" in all_cards()


def ict_file() -> Path | None:
    """Return ICT-FaceKit's head where the user brought it."""
    return find_weight(ICT, *registry.places().weights_folders)


def on_ict(mesh: MeshFace) -> MeshFace:
    """Return the same face on ICT-FaceKit's head; raises MissingWeights without its file."""
    head = load_ict(require_weight(ICT, *registry.places().weights_folders))
    return replace(mesh, parameters=as_ict(mesh.parameters, head), backend=ICT, own_head=head)


def has_generator() -> bool:
    """Tell whether the network that paints edited photos ships here, without loading it."""
    return GENERATOR in all_cards()


@on_gpu
def painted(stage: Image, before: HeadParameters, after: HeadParameters) -> Image:
    """Return the square photo (S, S, 3) with the expression of `after`, by the network where it ships."""
    if not has_generator():
        return repaint(the_head(), before, after, stage)
    made: Image = registry.load(GENERATOR)(stage, before, after)
    return made


def measured_words(method: str = "fit") -> str:
    """Say how good a method measured on people never trained on, as the card says; empty where no encoder ships."""
    card = all_cards().get("smirk_open")
    found = card.figures.get(f"faces256 {method} expression_corr") if card else None
    ratio = card.figures.get(f"faces256 {method} ratio") if card else None
    if found is None or ratio is None:
        return ""
    return f"measured on unseen people: points {ratio.value:.2f} x the landmarks' error, actions r = {found.value:.2f}"
