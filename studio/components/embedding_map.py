"""The map of expressions: points one can grab, drawn by Plotly's own script inside our HTML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from studio.components.scripts import STATIC, script

HELP = (
    "Click a face for its nearest ones. Keyboard: arrows walk from face to face, Enter shows the nearest, Space "
    "selects, plus and minus zoom, Shift with arrows moves the map, 0 shows all of it. While drawing a lasso, Shift "
    "adds to the selection and Alt takes away."
)
LABEL = "Map of expressions. Arrow keys walk from face to face."
PARTS = ("embedding_map", "embedding_map_over", "embedding_map_hands", "embedding_map_wiring")
"""The script's files; together they are one, so that they share what is drawn."""
TEMPLATE = f"""
<div class="embedding-map">
  <div class="map-tools" role="toolbar" aria-label="Map tools">
    <button type="button" data-mode="move" aria-pressed="true">Move</button>
    <button type="button" data-mode="lasso" aria-pressed="false">Lasso</button>
    <button type="button" data-mode="box" aria-pressed="false">Box</button>
    <span class="gap"></span>
    <button type="button" data-zoom="out" aria-label="Zoom out">−</button>
    <button type="button" data-zoom="in" aria-label="Zoom in">+</button>
    <button type="button" data-zoom="all">Whole map</button>
  </div>
  <div class="map-stage" tabindex="0" role="application" aria-label="{LABEL}">
    <div class="map-plot"></div>
    <canvas class="map-over" aria-hidden="true"></canvas>
    <div class="map-tip" aria-hidden="true" hidden><canvas width="112" height="112"></canvas><p></p></div>
    <p class="map-say sr" role="status" aria-live="polite"></p>
  </div>
  <div class="map-legend"></div>
  <p class="map-help">{HELP}</p>
</div>
"""


def _part(name: str) -> str:
    return (STATIC / f"{name}.js").read_text(encoding="utf-8")


class EmbeddingMap(gr.HTML):
    """Shows `services.explore.points` as its value, `paint`, `marks` and `lines` as properties that change alone.

    Triggers `map_ready` when it appears, `pick_face` with `key` and `id`, `select_faces` with `key` and `ids`. These
    come from a browser: look them up before using them. `sprite_page` is given a dict of `key` and `page` and returns
    a page of thumbnails as a data URL.
    """

    def __init__(
        self, value: str | None = None, *, sprite_page: Callable[[dict[str, Any]], str] | None = None, **options: Any
    ) -> None:
        # Gradio builds the component again for every update of `paint` or `marks`, then with all of these given.
        settings: dict[str, Any] = {
            "html_template": TEMPLATE,
            "css_template": (STATIC / "embedding_map.css").read_text(encoding="utf-8"),
            "js_on_load": "\n".join([script(PARTS[0]), *(_part(name) for name in PARTS[1:])]),
            "apply_default_css": False,
            "paint": None,
            "marks": None,
            "lines": None,
        }
        if sprite_page is not None:
            settings["server_functions"] = [sprite_page]
        super().__init__(value=value, **(settings | options))

    def postprocess(self, value: str | None) -> str | None:
        """Send the text as it is; only the map's own script reads it."""
        return value

    def api_info(self) -> dict[str, Any]:
        """Describe the value to API clients."""
        return {"type": "string", "description": "ids and places of the faces on the map, as JSON"}
