"""The Occlusion tab: what hides a face is found, painted or drawn; what lies behind it is guessed and read."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from models.occlusion.align import SIZE
from studio.components.doors import Doors, Inlet, Outlet
from studio.components.drop_zone import DropZone, photo_zone
from studio.components.examples import Examples
from studio.components.occlusion_view import OcclusionView
from studio.components.photo_faces import PhotoFaces
from studio.components.saver import Saver
from studio.components.status import Status, note
from studio.context import Context
from studio.services.examples import examples
from studio.services.occlusion import MOST_SAMPLES
from studio.services.occlusion_methods import DIFFUSION, is_ready, missing, offered
from studio.services.occlusion_pictures import BRUSH, SHOWN
from studio.services.occlusion_words import EXACT, FIND, FOUND, WAYS, WHAT_IT_IS
from studio.tabs import occlusion_endpoints, occlusion_events
from studio.tabs.occlusion_desk import Desk

TITLE = "Occlusion"
HEIGHT = 400
"""Of the painting and of the comparison beside it, in pixels."""
MASK = "The mask. Paint what is hidden, erase what is not; all that follows is made anew."
DRAG = "Put back into the photo. Drag to compare: left as given, right with the guess."
EMPTY = (
    '<div class="empty"><h2>See behind what hides a face</h2><p>Give a photo with a mask, sunglasses or a hand before '
    "a face, or a clean face to cover. The hidden part is guessed, and the expression read before and after.</p></div>"
)


@dataclass(frozen=True, eq=False)
class Controls:
    """Everything on the page that events touch."""

    zone: DropZone
    photo: PhotoFaces
    samples: Examples
    settings: gr.Column
    way: gr.Radio
    radius: gr.Slider
    palette: OcclusionView
    hide: gr.Radio
    method: gr.Dropdown
    diffusion: gr.Column
    count: gr.Slider
    steps: gr.Slider
    seed: gr.Number
    draw: gr.Button
    status: Status
    empty: gr.HTML
    whole: gr.Button
    work: gr.Column
    editor: gr.ImageEditor
    slider: gr.ImageSlider
    guesses: OcclusionView
    stages: OcclusionView
    card: OcclusionView
    line: gr.HTML
    saver: Saver
    desk: gr.State


def build(context: Context) -> Doors:
    """Lay out and wire the tab, and its endpoints for programs."""
    if not is_ready():
        told = "Its weights are made by `mien train mae`, `mien train svdd` and `mien train refiner`."
        gr.HTML(note("The occlusion networks are not installed", told), apply_default_css=False)
        return Doors()
    desk = gr.State(Desk(), time_to_live=1800)
    with gr.Row(elem_classes="bench"):
        with gr.Column(elem_classes="input-side", min_width=280):
            given = _inputs()
        with gr.Column(elem_classes="result-side", min_width=320):
            shown = _results()
    parts = Controls(**given, **shown, desk=desk)  # type: ignore[arg-type]
    events = occlusion_events.Events(parts)
    events.wire()
    occlusion_endpoints.build()
    return Doors(
        inlet=Inlet(events.receive, events.seen, events.shown),
        outlets=(Outlet(parts.stages, events.carried, [desk]),),
    )


def _inputs() -> dict[str, object]:
    zone = photo_zone("occlusion-zone")
    photo = PhotoFaces(elem_id="occlusion-faces")
    samples = Examples(examples, elem_id="occlusion-examples", elem_classes="when-empty")
    with gr.Column(visible=False, elem_id="occlusion-settings") as settings:
        way = gr.Radio(WAYS, value=FIND, label="What hides the face", elem_id="occlusion-way")
        radius = gr.Slider(
            0.3,
            3,
            value=1,
            step=0.05,
            label="Radius",
            info="Patches further than this from an uncovered face count as hidden; 1 is the detector's own",
            buttons=[],
            elem_id="occlusion-radius",
        )
        palette = OcclusionView(elem_id="occlusion-palette", visible=False)
        hide = gr.Radio([FOUND, EXACT], value=FOUND, label="Hide", visible=False, elem_id="occlusion-hide")
        methods = offered()
        method = gr.Dropdown(
            [(one.title, one.name) for one in methods],
            value=methods[0].name,
            label="Guess the hidden part by",
            info=methods[0].what,
            elem_id="occlusion-method",
        )
        with gr.Column(visible=False, elem_id="occlusion-diffusion") as diffusion:
            count = gr.Slider(1, MOST_SAMPLES, value=4, step=1, label="Guesses", buttons=[], elem_id="occlusion-count")
            steps = gr.Slider(
                5, 50, value=20, step=5, label="Steps", info="More are slower and a little finer", buttons=[],
                elem_id="occlusion-steps",
            )  # fmt: skip
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="occlusion-seed")
            draw = gr.Button("Draw guesses", variant="primary", elem_id="occlusion-draw")
        _others()
    return {
        "zone": zone, "photo": photo, "samples": samples, "settings": settings, "way": way, "radius": radius,
        "palette": palette, "hide": hide, "method": method, "diffusion": diffusion, "count": count, "steps": steps,
        "seed": seed, "draw": draw,
    }  # fmt: skip


def _painting() -> gr.ImageEditor:
    editor = gr.ImageEditor(
        type="numpy",
        layers=False,
        canvas_size=(SHOWN, SHOWN),
        fixed_canvas=True,
        brush=gr.Brush(default_size=26, colors=[BRUSH], color_mode="fixed"),
        eraser=gr.Eraser(default_size=26),
        transforms=(),
        sources=(),
        buttons=[],
        show_label=False,
        height=HEIGHT,
        elem_id="occlusion-editor",
    )
    gr.HTML(f'<p class="quiet-line">{MASK}</p>', apply_default_css=False)
    return editor


def _others() -> None:
    """Say what could be added to the menu, and where its files are had."""
    absent = [method for method in missing() if method.name != DIFFUSION]
    if absent:
        with gr.Accordion("More methods, with files of others", open=False):
            gr.Markdown("\n".join(f"- **{method.title}** {method.what} {method.how_to_add}" for method in absent))


def _results() -> dict[str, object]:
    status = Status(elem_id="occlusion-status")
    empty = gr.HTML(EMPTY, apply_default_css=False, elem_id="occlusion-empty")
    whole = gr.Button("The picture is one face: take it as it is", visible=False, elem_id="occlusion-whole")
    with gr.Column(visible=False, elem_id="occlusion-work") as work:
        with gr.Row(elem_classes="stage-bench"):
            with gr.Column(min_width=280):
                editor = _painting()
            with gr.Column(min_width=280):
                slider = gr.ImageSlider(
                    show_label=False, interactive=False, buttons=[], max_height=HEIGHT, elem_id="occlusion-slider"
                )
                gr.HTML(f'<p class="quiet-line">{DRAG}</p>', apply_default_css=False, elem_id="occlusion-drag")
        guesses = OcclusionView(elem_id="occlusion-guesses")
        stages = OcclusionView(elem_id="occlusion-stages")
        card = OcclusionView(elem_id="occlusion-card")
        line = gr.HTML(apply_default_css=False, elem_id="occlusion-line")
        saver = Saver(("unmasked", "side", "stages", "csv", "json"), elem_id="occlusion-saver")
        with gr.Accordion("What this is, and what it is not", open=False):
            gr.Markdown(WHAT_IT_IS.format(size=SIZE))
    return {
        "status": status, "empty": empty, "whole": whole, "work": work, "editor": editor, "slider": slider,
        "guesses": guesses, "stages": stages, "card": card, "line": line, "saver": saver,
    }  # fmt: skip
