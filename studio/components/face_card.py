"""One face with everything read off it: portrait, emotions, actions, vector, and the faces near it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from models.types import Expression
from studio.components.markup import render
from studio.components.scripts import script
from studio.services.comparison import distance, likeness
from studio.services.expression import ADVICE, FaceReading, all_actions, certainty, strongest_actions, tilt
from studio.services.nearest import Neighbourhood


@dataclass(frozen=True, eq=False)
class Other:
    """A face whose vector the card's stripe may be laid against."""

    key: str
    name: str
    reading: FaceReading


@dataclass(frozen=True)
class Dot:
    """One face on the plane of valence and arousal."""

    words: str
    valence: float
    arousal: float


class FaceCard(gr.HTML):
    """Triggers `against` with the `key` of the face to compare with, `keep`, and the face menu's events."""

    def __init__(self, **options: Any) -> None:
        super().__init__(js_on_load=script("face_card"), apply_default_css=False, **options)


def face_card(
    reading: FaceReading, near: Neighbourhood, *, title: str, others: Sequence[Other] = (), against: str = ""
) -> str:
    """Return the card of one face; `others` may be compared with it, `against` is the key of the one that is."""
    chosen = next((other for other in others if other.key == against), None)
    apart = distance(reading.expression.vector, chosen.reading.expression.vector) if chosen else 0.0
    return render(
        "face_card.html",
        reading=reading,
        near=near,
        title=title,
        others=others,
        chosen=chosen,
        likeness=likeness(apart, near.reference),
        dots=[_dot(title, reading.expression), *(_dot(other.name, other.reading.expression) for other in others)],
        sure=certainty(reading.expression, reading.face.quality.flags),
        tilt=tilt(reading.face.pose),
        advice=[ADVICE[flag] for flag in reading.face.quality.flags],
        strongest=strongest_actions(reading.face.blendshapes),
        all_actions=all_actions(reading.face.blendshapes),
    )


def _dot(name: str, expression: Expression) -> Dot:
    valence, arousal = expression.valence, expression.arousal
    return Dot(f"{name}: valence {valence:+.2f}, arousal {arousal:+.2f}", valence, arousal)
