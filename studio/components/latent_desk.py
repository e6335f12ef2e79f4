"""A face of the latent studio beside its sliders; each move asks the server for one picture."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gradio as gr

from models.dfc_vae.attributes import LEAST, STEP, STEPS, Attribute
from studio.components.latent_view import enlarged, style
from studio.components.markup import render
from studio.components.scripts import script
from studio.services.latent import FROM_THE_MAP, Edit, Held, attributes

WEAK = f"A step of these does less than {LEAST:.0%} of what a step aims at, or moves something else at least as much."
BESIDE = 0.2
"""Share of a step from which the change of another reading is told."""


class Measured(NamedTuple):
    """A slider and the words beside it."""

    name: str
    label: str
    words: str


@dataclass(frozen=True)
class Standing:
    """How the sliders stand."""

    amounts: dict[str, float] = field(default_factory=dict)
    """Steps by name; those at zero are left out."""
    keep_detail: bool = True


class LatentDesk(gr.HTML):
    """Shows `face_of` as its `face` and `picture_of` as its `picture`; gives the Standing of its sliders.

    Triggers `move` when they changed. All of them are one component, because Gradio copies each input of an event in
    the browser before it asks the server: with a component per slider that takes longer than drawing the face.
    """

    def __init__(self, **options: Any) -> None:
        settings: dict[str, Any] = {
            "value": None,
            "face": None,
            "picture": None,
            "html_template": _template(),
            "js_on_load": script("latent_desk"),
            "css_template": style(),
            "apply_default_css": False,
        }
        super().__init__(**(settings | options))

    def preprocess(self, payload: str | None) -> Standing:  # type: ignore[override]
        """Read what the browser says; sliders that do not exist and what is no number are left out."""
        try:
            said = json.loads(payload or "{}")
        except ValueError:
            said = {}
        said = said if isinstance(said, dict) else {}
        found = said.get("amounts")
        known = {item.name for item in attributes()} | {FROM_THE_MAP}
        amounts = {
            name: float(amount)
            for name, amount in (found if isinstance(found, dict) else {}).items()
            if name in known and isinstance(amount, int | float) and math.isfinite(amount)
        }
        return Standing(amounts, keep_detail=said.get("keep_detail") is not False)

    def postprocess(self, value: str | None) -> str | None:
        """Send the text as it is; only the component's own script reads it."""
        return value

    def api_info(self) -> dict[str, Any]:
        """Describe the value to API clients."""
        return {"type": "string", "description": "how the sliders stand, as JSON"}


def _template() -> str:
    strong = [_measured(item) for item in attributes() if not item.is_weak]
    strong.append(Measured(FROM_THE_MAP, "From the map", "select faces there, then Fit a slider"))
    weak = [_measured(item) for item in attributes() if item.is_weak]
    return render("latent_desk.html", strong=strong, weak=weak, weak_words=WEAK, steps=STEPS)


def _measured(item: Attribute) -> Measured:
    return Measured(item.name, item.title, f"{item.less} to {item.more}; {told(item)}")


def told(item: Attribute) -> str:
    """Say what a step of an attribute was measured to do."""
    beside = f", {item.side_effect.lower()} {item.side:+.2f}" if abs(item.side) >= BESIDE * STEP else ""
    words = "" if item.is_read else "; known from captions"
    return f"a step: {item.effect:+.2f}{beside}{words}"


def face_of(face: Held) -> str:
    """Return what the sliders begin from: the rebuilt face, and its photo where there is one."""
    photo = enlarged(face.source.code.crop.pixels) if face.source else None
    return json.dumps({"name": face.name, "photo": photo, "rebuilt": enlarged(face.rebuilt)})


def picture_of(face: Held, made: Edit, line: str, *, keep_detail: bool) -> str:
    """Return the edited face and the quiet line below it."""
    shown = made.detailed if keep_detail and face.source else made.picture
    return json.dumps({"src": enlarged(shown), "line": line})
