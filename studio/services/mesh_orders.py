"""What a visitor asked to take home, checked, and made step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.errors import BadInput
from models.images import encode_image
from models.types import Image
from studio.services import mesh_pictures as pictures
from studio.services.mesh import MeshFace
from studio.services.mesh_exports import WRITERS, write

PHOTOS = {
    "sheet": ("sheet.jpg", pictures.sheet),
    "photo": ("expression.jpg", pictures.with_expression),
    "carried": ("carried.jpg", pictures.carried),
}
"""File name and maker of each picture that is a photo."""
PICTURES = ("overlay", *PHOTOS)
FILMS = ("turntable", "gif")
LOOKS = ("texture", "shaded")


@dataclass(frozen=True)
class Order:
    """One file of one edited head."""

    kind: str
    expression: tuple[float, ...] | None = None
    """52 coefficients; None for those of the photo."""
    look: str = "texture"


@dataclass(frozen=True)
class Made:
    """A file: how its name ends, and what is in it."""

    suffix: str
    media_type: str
    content: bytes


def order_of(said: Mapping[str, Any]) -> Order:
    """Check what came from a browser; raises BadInput."""
    kind, look = str(said.get("kind", "")), str(said.get("look", "texture"))
    if kind not in (*WRITERS, *PICTURES, *FILMS):
        raise BadInput(f"There is no file of the kind {kind[:12]!r}.")
    given = said.get("expression")
    try:
        expression = None if given is None else tuple(float(value) for value in given)
    except (TypeError, ValueError) as error:
        raise BadInput("An expression is 52 numbers.") from error
    return Order(kind, expression, look if look in LOOKS else "shaded")


def carry_out(mesh: MeshFace, now: MeshFace, order: Order) -> Iterator[float | Made]:
    """Yield shares of the work, 0..1, then the file; `now` is `mesh` with the ordered expression."""
    if order.kind in WRITERS:
        ending, media_type, content = write(now, order.kind)
        yield Made(f"head.{ending}", media_type, content)
    elif order.kind in PICTURES:
        yield _picture(mesh, now, order)
    else:
        turn: list[Image] = []
        for picture in pictures.turning(mesh, now, look=order.look):
            turn.append(picture)
            yield len(turn) / (pictures.TURN_FRAMES + 1)
        if order.kind == "gif":
            yield Made("turn.gif", "image/gif", pictures.as_gif(iter(turn)))
        else:
            yield Made("turn.mp4", "video/mp4", pictures.as_mp4(iter(turn)))


def _picture(mesh: MeshFace, now: MeshFace, order: Order) -> Made:
    if mesh.own_head is not None and order.kind in ("photo", "carried"):
        raise BadInput("The photo with another expression is made by the open head; choose it first.")
    if order.kind == "overlay":
        return Made("overlay.png", "image/png", encode_image(pictures.overlay(mesh, now), "PNG"))
    name, make = PHOTOS[order.kind]
    return Made(name, "image/jpeg", encode_image(np.ascontiguousarray(make(mesh, now)), "JPEG", quality=93))
