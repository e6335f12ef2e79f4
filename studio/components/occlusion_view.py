"""The Occlusion tab's own parts: the stages side by side, the palette of covers, several guesses, and the reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray

from models.types import Image
from studio.components.latent_view import enlarged
from studio.components.markup import render
from studio.components.scripts import STATIC, script
from studio.palette import EMOTION_COLOURS


@dataclass(frozen=True, eq=False)
class Stage:
    """One picture of the row."""

    key: str
    """What its face menu sends back; empty for pictures that are no face."""
    title: str
    tip: str
    """The exact words."""
    picture: Image


@dataclass(frozen=True, eq=False)
class Read:
    """An expression as it was read, and of what: before, after, clean."""

    key: str
    title: str
    emotions: dict[str, float]
    """Probabilities by name."""
    vector: NDArray[np.float32]
    """(64,)"""


class OcclusionView(gr.HTML):
    """Shows one of the views below.

    Triggers `cover` with the `kind` of an occluder, `choose` with the `place` of a guess, and the face menu's events.
    """

    def __init__(self, **options: Any) -> None:
        # Gradio builds the component again for every update, then with all of these given.
        settings: dict[str, Any] = {
            "value": "",
            "js_on_load": script("occlusion"),
            "css_template": _style(),
            "apply_default_css": False,
        }
        super().__init__(**(settings | options))


def _style() -> str:
    return (STATIC / "occlusion.css").read_text(encoding="utf-8")


def stage_view(stages: Sequence[Stage]) -> str:
    """Return the pictures in a row, each with its face menu."""
    sources = [enlarged(stage.picture) for stage in stages]
    return render("occlusion_stages.html", stages=list(zip(stages, sources, strict=True)))


def palette_view(kinds: Sequence[tuple[str, str, Image]], *, chosen: str = "") -> str:
    """Return a button for each kind of cover, drawn on this very face; `kinds` are name, title and picture."""
    return render("occlusion_palette.html", kinds=kinds, chosen=chosen)


def guesses_view(pictures: Sequence[Image], *, chosen: int) -> str:
    """Return several guesses to choose from."""
    return render("occlusion_guesses.html", sources=[enlarged(picture) for picture in pictures], chosen=chosen)


def reading_view(
    reads: Sequence[Read],
    *,
    attention: Sequence[tuple[str, Image]],
    words: str,
    facts: Sequence[tuple[str, str, str]],
    warning: str = "",
) -> str:
    """Return emotions and vectors of before, after and, where known, clean.

    `attention` are titles and pictures; `facts` are a name, the figure and its exact words, shown where the truth is
    known; `warning` stands on top.
    """
    return render(
        "occlusion_reading.html",
        reads=reads,
        emotions=list(EMOTION_COLOURS),
        attention=[(title, enlarged(picture)) for title, picture in attention],
        words=words,
        facts=facts,
        warning=warning,
    )
