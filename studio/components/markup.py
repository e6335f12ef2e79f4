"""HTML from templates: every value is escaped by Jinja unless it is a template's own text."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.images import encode_image
from models.types import EMOTIONS, Box, Expression, Image
from studio.palette import EMOTION_COLOURS

STRIPE_LOW, STRIPE_MIDDLE, STRIPE_HIGH = (0x1B, 0x6C, 0xA8), (0xF4, 0xF2, 0xEC), (0xC6, 0x5D, 0x1E)
STRIPE_REACH = 0.3
"""Component value that gets the full colour; those of a 64-d unit vector are around 0.125."""


class NamedShare(NamedTuple):
    """An emotion and its probability."""

    name: str
    share: float


def render(template: str, **values: Any) -> str:
    """Return a template of studio/components/templates filled with values."""
    return TEMPLATES.get_template(template).render(**values)


def jpeg(content: bytes) -> str:
    """Return an encoded picture as a data URL, so that no file of it lies on the server."""
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def source(image: Image, *, step: int = 1) -> str:
    """Return a picture as a data URL; `step` keeps every so-manieth pixel, for thumbnails."""
    return jpeg(encode_image(np.ascontiguousarray(image[::step, ::step]), "JPEG", quality=88))


def percent(share: float) -> str:
    """Return a share in whole percent; a little is never shown as nothing, nearly all never as all."""
    if 0.0 < share < 0.01:
        return "under 1 %"
    if 0.99 < share < 1.0:
        return "over 99 %"
    return f"{share * 100:.0f} %"


def number(value: float) -> str:
    """Return a figure with the digits that mean something: whole thousands grouped, otherwise three."""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def capital(text: str) -> str:
    """Return the text with a capital first letter; the rest stays."""
    return text[:1].upper() + text[1:]


def shown_emotions(expression: Expression) -> list[NamedShare]:
    """Return the emotions with their probabilities in the order of display, which never changes."""
    return [NamedShare(name, float(expression.emotions[EMOTIONS.index(name)])) for name in EMOTION_COLOURS]


def first_emotion(expression: Expression) -> NamedShare:
    """Return the most probable emotion and its probability."""
    best = int(np.argmax(expression.emotions))
    return NamedShare(EMOTIONS[best], float(expression.emotions[best]))


def place(box: Box, width: int, height: int) -> str:
    """Return the CSS position of a box on a picture of this size, kept inside the picture."""
    left, top = max(box.left, 0.0) / width, max(box.top, 0.0) / height
    right, bottom = min(box.right, float(width)) / width, min(box.bottom, float(height)) / height
    return f"left:{left:.3%};top:{top:.3%};width:{max(right - left, 0):.3%};height:{max(bottom - top, 0):.3%}"


def stripe_colour(value: float) -> str:
    """Return the colour of one vector component: blue below zero, orange above, pale at zero."""
    reach = min(abs(value) / STRIPE_REACH, 1.0) ** 0.8
    end = STRIPE_HIGH if value > 0 else STRIPE_LOW
    mixed = (round(middle + (far - middle) * reach) for middle, far in zip(STRIPE_MIDDLE, end, strict=True))
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for named in (jpeg, source, percent, number, capital, shown_emotions, first_emotion, place, stripe_colour):
        made.filters[named.__name__] = named
    return made


TEMPLATES = _environment()
