"""Use cases of the latent studio: hold faces, move them along attributes, mix them, and give them back."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models import cards, registry
from models.device import one_thread
from models.dfc_vae.attributes import STEPS, Attribute, read_directions
from models.errors import BadInput, MissingWeights, NoFaceFound
from models.images import encode_image
from models.types import Face, Image
from studio.gpu import on_gpu
from studio.services.expression import shrink

if TYPE_CHECKING:
    from models.dfc_vae.space import FaceCode, FaceSpace

MOST_FACES = 5
LETTERS = "ABCDE"
KEPT_EDGE = 4000
"""Longest edge in pixels of a photo that an edit is put back into; larger ones are shrunk to it first."""
FROM_THE_MAP = "from_the_map"
"""Name of the slider fitted to faces chosen on the map."""
LEAST_FITTED = 5


@dataclass(frozen=True, eq=False)
class Source:
    """The photo a face came from."""

    image: Image
    code: FaceCode


@dataclass(frozen=True, eq=False)
class Held:
    """One face on the table."""

    name: str
    numbers: NDArray[np.float32]
    """(latent,)"""
    rebuilt: Image
    """(size, size, 3) what the decoder makes of the code."""
    source: Source | None = None
    """None for faces that no photo shows: random ones and mixtures."""


@dataclass(frozen=True, eq=False)
class Table:
    """What one visitor has in front of them."""

    faces: tuple[Held, ...] = ()
    chosen: int = 0
    fitted: NDArray[np.float32] | None = None
    """(latent,) one step of the attribute fitted to faces of the map."""

    @property
    def face(self) -> Held:
        """The face the sliders move; raises NoFaceFound while there is none."""
        if not self.faces:
            raise NoFaceFound("There is no face yet. Give a photo, or draw a random face.")
        return self.faces[min(self.chosen, len(self.faces) - 1)]

    def with_face(self, face: Held) -> Table:
        """Add a face and choose it; beyond five, the oldest one makes room."""
        faces = (*self.faces, face)[-MOST_FACES:]
        return replace(self, faces=faces, chosen=len(faces) - 1)

    def without(self, place: object) -> Table:
        """Leave out the face at `place`, which may come from a browser."""
        faces = tuple(face for index, face in enumerate(self.faces) if index != place)
        return replace(self, faces=faces, chosen=max(0, min(self.chosen, len(faces) - 1)))

    def choosing(self, place: object) -> Table:
        """Choose the face at `place`; another place changes nothing."""
        is_there = isinstance(place, int) and 0 <= place < len(self.faces)
        return replace(self, chosen=int(place)) if is_there else self  # type: ignore[call-overload]

    def letter(self, letter: object) -> Held:
        """Return the face called A to E; raises NoFaceFound."""
        place = LETTERS.find(str(letter)[:1] or "?")
        if not 0 <= place < len(self.faces):
            raise NoFaceFound(f"There is no face {str(letter)[:1]}; {len(self.faces)} are on the table.")
        return self.faces[place]


@dataclass(frozen=True, eq=False)
class Edit:
    """What sliders made of a face."""

    numbers: NDArray[np.float32]
    picture: Image
    """(size, size, 3) what the decoder makes of it."""
    detailed: Image
    """The same over the photo's own pixels; equal to `picture` for faces without a photo."""
    milliseconds: float


def space() -> FaceSpace:
    """Return the latent space; raises MissingWeights."""
    found: FaceSpace = registry.load("dfc_vae")
    return found


@cache
def attributes() -> tuple[Attribute, ...]:
    """Return the sliders that ship, without loading the network; none where the weights are missing."""
    card = cards.PRETRAINED / "dfc_vae.json"
    if not card.is_file():
        return ()
    try:
        return read_directions(backend=cards.read_card(card).backend).attributes
    except MissingWeights:  # of another network, or not fitted yet
        return ()


@on_gpu
def code_faces(image: Image, faces: list[Face]) -> list[FaceCode]:
    """Return the codes of faces of a picture."""
    return space().encode(image, faces)


@on_gpu
def find_faces(image: Image, most: int) -> list[Face]:
    """Return the clearest faces of a picture."""
    found: list[Face] = registry.load("faces").find(image, most=most)
    return found


def hold(image: Image, *, name: str, face: Face | None = None) -> Held:
    """Put the clearest face of a photo, or a known one, on the table; raises NoFaceFound."""
    picture, factor = shrink(image, KEPT_EDGE)
    faces = [face] if face is not None and factor == 1.0 else find_faces(picture, 1)
    if not faces:
        raise NoFaceFound("Faces are found from 40 pixels up. Try a sharper or larger picture, or one with more light.")
    code = code_faces(picture, faces[:1])[0]
    return Held(name, code.numbers, code.rebuilt, Source(picture, code))


def held_code(numbers: NDArray[np.float32], *, name: str) -> Held:
    """Put a code on the table."""
    return Held(name, numbers, space().decode(numbers[None])[0])


def random_face(seed: int, *, variety: float = 0.8) -> Held:
    """Draw a face of nobody; the same seed gives the same face."""
    seed = int(seed) % 2**32
    return held_code(space().directions.draw(seed, variety=float(np.clip(variety, 0, 1.5))), name=f"random {seed}")


def edit(face: Held, amounts: dict[str, float], *, fitted: NDArray[np.float32] | None = None) -> Edit:
    """Move a face by so many steps of each attribute."""
    begun = time.perf_counter()
    here = space()
    reach = {name: float(np.clip(value or 0.0, -STEPS, STEPS)) for name, value in amounts.items()}
    numbers = here.directions.moved(face.numbers, reach)
    if fitted is not None:
        numbers = numbers + reach.get(FROM_THE_MAP, 0.0) * fitted
    with one_thread():
        picture = here.decode(numbers[None])[0]
    detailed = here.with_detail(face.source.code, picture) if face.source else picture
    return Edit(numbers, picture, detailed, (time.perf_counter() - begun) * 1000)


def into_photo(face: Held, made: Edit, *, keep_detail: bool) -> Image:
    """Return the photo with the edited face in it, or the picture alone when no photo shows this face."""
    if face.source is None:
        return made.picture
    return space().into_photo(face.source.image, face.source.code, made.picture, keep_detail=keep_detail)


def mixture(table: Table, first: object, less: object, more: object) -> Held:
    """Return the face A - B + C."""
    one, taken, given = table.letter(first), table.letter(less), table.letter(more)
    letters = f"{str(first)[:1]} - {str(less)[:1]} + {str(more)[:1]}"
    return held_code(one.numbers - taken.numbers + given.numbers, name=letters)


def fit_attribute(chosen: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return one step from other faces towards the chosen ones: (latent,).

    `chosen` and `others` are (n, latent). A third of the difference of their means, as with the captions' attributes;
    differences that a random choice of so many faces would show are damped. Raises BadInput for fewer than five.
    """
    if min(len(chosen), len(others)) < LEAST_FITTED:
        raise BadInput(
            f"An attribute needs at least {LEAST_FITTED} faces with it and without it; these are {len(chosen)} and "
            f"{len(others)}."
        )
    gap = chosen.mean(0) - others.mean(0)
    noise = np.concatenate([chosen - chosen.mean(0), others - others.mean(0)]).var(0)
    noise = noise * (1 / len(chosen) + 1 / len(others))
    keep = np.clip(1 - noise / np.maximum(gap**2, 1e-12), 0, 1)
    return np.asarray(gap * keep / STEPS, np.float32)


def code_record(face: Held, made: Edit, amounts: dict[str, float]) -> bytes:
    """Return a code and how it was made, as JSON."""
    record = {
        "name": face.name,
        "backend": space().backend,
        "steps": {name: value for name, value in amounts.items() if value},
        "code": [round(float(number), 5) for number in made.numbers],
    }
    return json.dumps(record, indent=1).encode()


def picture_file(image: Image) -> bytes:
    """Return a picture as PNG."""
    return encode_image(image, "PNG")
