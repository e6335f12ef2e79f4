"""One line about the work: what is being done, how long it will take, and the way to stop it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from studio.components.scripts import script


@dataclass
class Brake:
    """Held in a visitor's own gr.State: cancelling pulls it, and the work looks at it between its steps.

    Gradio's own way to cancel drops a running handler, whose last step may still reach the page after the answer to
    the cancel button.
    """

    pulled: bool = False

    def pull(self) -> None:
        """Ask the work under way to stop."""
        self.pulled = True

    def release(self) -> None:
        """Begin new work."""
        self.pulled = False


class Status(gr.HTML):
    """Shows one of the states below; triggers `cancel`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(value="", js_on_load=script("status"), apply_default_css=False, **options)


def working(step: str, *, share: float | None = None, seconds_left: float | None = None) -> str:
    """Return the line for work under way; `share` is how much of it is done, 0..1."""
    left = f'<span class="left">{time_left(seconds_left)}</span>' if seconds_left is not None else ""
    track = (
        f'<progress max="1" value="{share:.3f}" aria-label="{escape(step)}"></progress>'
        if share is not None
        else f'<progress aria-label="{escape(step)}"></progress>'
    )
    return (
        f'<div class="status working"><p role="status"><span class="step">{escape(step)}</span>{left}</p>{track}'
        '<button type="button" class="cancel quiet-button">Cancel</button></div>'
    )


def time_left(seconds: float) -> str:
    """Return the time left in words; nobody needs it to the second."""
    if seconds < 5:
        return "a few seconds left"
    if seconds < 90:
        return f"about {round(seconds / 5) * 5:.0f} seconds left"
    return f"about {seconds / 60:.0f} minutes left"


def note(title: str, text: str) -> str:
    """Return what was looked for and what to try."""
    return f'<div class="status note" role="status"><h3>{escape(title)}</h3><p>{escape(text)}</p></div>'


def quiet_line(*parts: str) -> str:
    """Return the line under a result: weights, times, how sure."""
    return f'<p class="quiet-line">{" · ".join(escape(part) for part in parts if part)}</p>'
