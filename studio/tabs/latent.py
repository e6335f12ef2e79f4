"""The latent studio: a face as 128 numbers that sliders move, mixed with others, put back into its photo."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from studio.components.doors import Doors, Inlet, Outlet
from studio.components.drop_zone import PHOTO_TYPES, DropZone
from studio.components.examples import Examples
from studio.components.latent_desk import LatentDesk
from studio.components.latent_view import FaceTable, LatentView
from studio.components.saver import Saver
from studio.components.status import Status, note
from studio.context import Context
from studio.services.examples import examples
from studio.services.latent import LETTERS, Table, attributes
from studio.tabs import latent_endpoints, latent_events

EMPTY = (
    '<div class="empty"><h2>Move a face</h2><p>Give a photo, or draw a random face. It becomes 128 numbers, which '
    "sliders move along smile, brows, gaze and more.</p></div>"
)
WHAT_IT_IS = """
A small network squeezes an aligned face of 128 pixels into 128 numbers and paints it again from them. It keeps pose,
light and expression, and a likeness; it loses pores, hair and earrings, and it invents teeth and glasses.

- A slider adds a direction to the numbers. Its end, three steps away, aims at one standard deviation of what is read
  off the training faces, the same for each slider. What a step really did to faces training never saw stands under
  each, with the other reading that moves most. Most photos look best within two steps.
- *Keep the photo's own detail* adds only what the sliders changed to the photo itself. It is sharper for small changes
  and shows double edges for large ones.
- It learned from some 2,000 people, most of them made by a computer. Faces unlike those come out as somebody else.
- It is no likeness to tell people by, and no photograph: say so when you show an edited face.
"""


@dataclass(frozen=True, eq=False)
class Controls:
    """Everything on the page that events touch."""

    zone: DropZone
    samples: Examples
    seed: gr.Number
    variety: gr.Slider
    draw: gr.Button
    chart: gr.Button
    status: Status
    faces: FaceTable
    desk: LatentDesk
    work: gr.Column
    saver: Saver
    strip: LatentView
    way: gr.Button
    films: Saver
    letters: tuple[gr.Dropdown, gr.Dropdown, gr.Dropdown]
    mix: gr.Button
    table: gr.State


def build(context: Context, table: gr.State) -> Doors:
    """Lay out and wire the studio; `table` is the visitor's, shared with the map."""
    if not attributes():
        gr.HTML(
            note(
                "The latent space is not installed",
                "Its weights are made by `mien train dfc_vae` and `mien train dfc_vae_directions`. The map works "
                "without them.",
            ),
            apply_default_css=False,
        )
        return Doors()
    with gr.Row(elem_classes="bench"):
        with gr.Column(elem_classes="input-side", min_width=280):
            zone, samples, seed, variety, draw, chart = _inputs()
        with gr.Column(elem_classes="result-side", min_width=320):
            status = Status(elem_id="latent-status")
            faces = FaceTable(elem_id="latent-faces")
            desk = LatentDesk(elem_id="latent-desk")
            empty = gr.HTML(EMPTY, apply_default_css=False, elem_id="latent-empty")
            with gr.Column(visible=False) as work:
                saver = Saver(("edited", "code"), elem_id="latent-saver")
                strip, way, films = _ways()
                letters, mix = _mixtures()
            with gr.Accordion("What this is, and what it is not", open=False):
                gr.Markdown(WHAT_IT_IS)
    parts = Controls(
        zone=zone, samples=samples, seed=seed, variety=variety, draw=draw, chart=chart, status=status, faces=faces,
        desk=desk, work=work, saver=saver, strip=strip, way=way, films=films, letters=letters, mix=mix, table=table,
    )  # fmt: skip
    events = latent_events.Events(context, parts, empty)
    events.wire()
    latent_endpoints.build()
    return Doors(
        inlet=Inlet(events.receive, events.seen, events.shown), outlets=(Outlet(faces, events.carried, [table]),)
    )


def _inputs() -> tuple[DropZone, Examples, gr.Number, gr.Slider, gr.Button, gr.Button]:
    zone = DropZone(
        title="Drop a photo, or choose one",
        hint="Its clearest face joins the table. Up to five faces lie there at once.",
        types=PHOTO_TYPES,
        again="Another face",
        camera=True,
        elem_classes="drop",
        elem_id="latent-zone",
    )
    samples = Examples(examples, elem_id="latent-examples")
    with gr.Accordion("A face of nobody", open=True):
        seed = gr.Number(1, label="Seed", precision=0, minimum=0, elem_id="latent-seed")
        variety = gr.Slider(0.2, 1.2, value=0.8, step=0.1, label="Variety", elem_id="latent-variety")
        draw = gr.Button("Draw a random face", elem_id="latent-draw")
    chart = gr.Button("Put the gallery on the latent space's map", elem_id="latent-chart")
    return zone, samples, seed, variety, draw, chart


def _ways() -> tuple[LatentView, gr.Button, Saver]:
    with gr.Accordion("On the way between the faces", open=False):
        way = gr.Button("Show the way", elem_id="latent-way")
        strip = LatentView(elem_id="latent-strip")
        films = Saver(("strip", "mp4", "gif"), elem_id="latent-films")
    return strip, way, films


def _mixtures() -> tuple[tuple[gr.Dropdown, gr.Dropdown, gr.Dropdown], gr.Button]:
    with gr.Accordion("Arithmetic: A - B + C", open=False), gr.Row():
        names = list(LETTERS)
        first = gr.Dropdown(names, value="A", label="Face", min_width=90, elem_id="latent-first")
        less = gr.Dropdown(names, value="B", label="less", min_width=90, elem_id="latent-less")
        more = gr.Dropdown(names, value="C", label="and", min_width=90, elem_id="latent-more")
        mix = gr.Button("Make this face", min_width=120, elem_id="latent-mix")
    return (first, less, more), mix


def new_table() -> gr.State:
    """Return the state of one visitor's table."""
    return gr.State(Table(), time_to_live=1800)
