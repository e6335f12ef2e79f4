"""What the clip part of the Reenact tab shows: what is missing, a preview and what to know of it, a film."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from studio.components.crop_view import driver_crops
from studio.components.reenact_view import performance_view
from studio.components.status import note, quiet_line
from studio.services.reenact import Performer
from studio.services.reenact_driver import Driver, beginning
from studio.services.reenact_motion import Options
from studio.services.reenact_run import Performance
from studio.services.reenact_words import measured_words, ran_words

EMPTY = (
    '<div class="empty"><h2>One face performs another\'s motion</h2><p>Give a face, and something that '
    "moves it: a clip, a recording, a photo, or a motion from the shelf.</p></div>"
)


def page(
    *,
    work: bool,
    crops: Any = None,
    view: Any = None,
    hint: Any = None,
    line: Any = None,
    button: Any = None,
    status: Any = None,
    studied: Any = None,
    empty: Any = None,
) -> tuple[Any, ...]:
    """Return the values of `shown`; what is not told stays, and what was made before is put away."""
    told = [gr.skip() if value is None else value for value in (crops, view, hint, button, line, status, studied)]
    empty = gr.HTML(visible=False) if empty is None else empty
    group = gr.Group(visible=work)
    return (*told[:2], empty, told[2], group, told[3], told[4], gr.Group(visible=False), None, *told[5:])


def waiting(performer: Performer | None, driver: Driver | None) -> tuple[Any, ...]:
    """Say what is still missing."""
    missing = ""
    if driver is not None:
        missing = "Now give the face that shall perform."
    elif performer is not None:
        missing = "Now give something that moves it: a clip, a recording, a photo, or a motion from the shelf."
    empty = gr.HTML(f'<div class="empty"><p>{missing}</p></div>' if missing else EMPTY, visible=True)
    crops = gr.update(value=None) if driver is None else crops_of(driver, 0.0, None)
    return page(crops=crops, view="", hint="", line="", empty=empty, work=False)


def crops_of(driver: Driver, at_s: float, reference: float | None) -> Any:
    """Return the driver's frames with their square; nothing for motions without pixels."""
    return gr.update(value=driver_crops(driver, reference_s=at_s, automatic=reference is None))


def button_of(driver: Driver, *, interactive: bool = True) -> gr.Button:
    """Return the button by what it will make."""
    return gr.Button("Make the picture" if driver.kind == "photo" else "Make the film", interactive=interactive)


def hint_of(performer: Performer, driver: Driver, options: Options, reference_s: float) -> str:
    """Say what to know of this driver before a film is made."""
    said = []
    if driver.kind == "photo":
        said.append("A photo has no movement: its expression and pose are taken as they are.")
    elif options.mode == "relative" and driver.kind != "shelf" and driver.official is None:
        begins = beginning(driver, performer.own)
        where = f"Movements are counted from {reference_s:.1f} s, where both are most alike."
        chooses = "The slider below the driver chooses another." if driver.frames else ""
        if begins and options.reference_s is None:
            said.append(f"{begins} {where} {chooses}")
    missed = len(driver.frames) - len(driver.seen)
    if missed:
        held = "; the face is held still there" if options.network == "open" else ""
        said.append(f"No face was found in {missed} of {len(driver.frames)} frames{held}.")
    return advice(said)


def advice(said: list[str]) -> str:
    """Return some sentences as a list; nothing for none."""
    return f'<ul class="advice">{"".join(f"<li>{escape(one)}</li>" for one in said)}</ul>' if said else ""


def finished(made: Performance) -> tuple[Any, ...]:
    """Return the values after a run, complete or stopped."""
    button = gr.Button("Make it again", interactive=True)
    if not len(made.reel):
        told = note("Stopped", "Nothing had been drawn yet.")
        return told, gr.skip(), made.driver, gr.skip(), button, gr.Group(visible=False), None
    status = ""
    if not made.is_whole:
        status = note("Stopped", f"{_counted(len(made.reel), len(made.moved.drives))} made, and can be taken home.")
    frame_s = made.drawing_s / len(made.reel)
    drawn = f"{frame_s * 1000:.0f} ms" if frame_s < 1 else f"{frame_s:.1f} s"
    line = quiet_line(
        ran_words(made.options),
        f"motion read in {made.reading_s:.1f} s" if made.driver.frames else "",
        f"{drawn} to draw and save a frame",
        measured_words() if made.options.network == "open" else "",
    )
    return status, performance_view(made), made.driver, line, button, gr.Group(visible=True), made


def _counted(done: int, wanted: int) -> str:
    return f"The first of {wanted} frames was" if done == 1 else f"The first {done} of {wanted} frames were"
