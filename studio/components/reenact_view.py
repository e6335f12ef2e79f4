"""What came of a performance: a few frames, the newest one while it is made, a film, or one picture."""

from __future__ import annotations

import base64
from typing import Any

import gradio as gr

from studio.components.markup import jpeg, render, source
from studio.components.scripts import STATIC, script
from studio.services.expression import shrink
from studio.services.reenact import SHOWN_EDGE
from studio.services.reenact_motion import Preview
from studio.services.reenact_run import Performance, Progress


class ReenactView(gr.HTML):
    """Shows one of the states below; triggers the face menu's events."""

    def __init__(self, **options: Any) -> None:
        settings: dict[str, Any] = {
            "value": "",
            "js_on_load": script("reenact_view"),
            "css_template": (STATIC / "reenact.css").read_text(encoding="utf-8"),
            "apply_default_css": False,
        }
        super().__init__(**(settings | options))


def preview_view(made: Preview) -> str:
    """Return a few frames in a row."""
    pictures = [(time_s, source(image)) for time_s, image in made.frames]
    words = "A preview: some of the frames." if len(pictures) > 1 else ""
    return render("reenact_view.html", kind="preview", pictures=pictures, words=words)


def working_view(progress: Progress) -> str:
    """Return the newest frame; nothing before the first."""
    if not progress.picture:
        return ""
    return render("reenact_view.html", kind="working", pictures=[(0.0, jpeg(progress.picture))], words="Being made")


def performance_view(made: Performance) -> str:
    """Return the film, or the picture where the driver was one."""
    if made.is_still:
        picture = source(shrink(made.still, SHOWN_EDGE)[0])
        return render("reenact_view.html", kind="still", pictures=[(0.0, picture)], words="")
    count = len(made.reel)
    seconds = made.moved.times[count - 1] + 1 / made.moved.rate
    words = f"{count} {'frame' if count == 1 else 'frames'}, {seconds:.1f} seconds"
    first = shrink(made.still, SHOWN_EDGE)[0]
    return render(
        "reenact_view.html", kind="film", film=base64.b64encode(made.film).decode(), words=words,
        poster=source(first), width=first.shape[1], height=first.shape[0],
    )  # fmt: skip
