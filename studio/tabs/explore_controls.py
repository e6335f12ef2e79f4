"""What stands on the Explore tab."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.components.drop_zone import PHOTO_TYPES, DropZone
from studio.components.embedding_map import EmbeddingMap
from studio.components.face_strip import FaceStrip
from studio.components.saver import Saver
from studio.components.status import Status
from studio.context import Context
from studio.services.atlas import open_atlas
from studio.services.latent import attributes
from studio.services.layouts import METHODS
from studio.services.map_session import home_of
from studio.services.sprites import sprite_page

ALL_GALLERIES = "all"
EVERYTHING = "everything"


@dataclass(frozen=True, eq=False)
class Controls:
    """The left side."""

    zone: DropZone
    gallery: gr.Dropdown
    backend: gr.Dropdown
    colour: gr.Dropdown
    keep: gr.Dropdown
    """The column to filter by."""
    labels: gr.CheckboxGroup
    low: gr.Number
    high: gr.Number
    method: gr.Radio
    dimensions: gr.Radio
    neighbours: gr.Slider
    seed: gr.Number
    arrange: gr.Button
    lines: gr.Radio
    other: gr.Dropdown
    read: gr.Button


@dataclass(frozen=True, eq=False)
class Result:
    """The right side."""

    status: Status
    map: EmbeddingMap
    line: gr.HTML
    strip: FaceStrip
    actions: gr.Column
    saver: Saver
    tag: gr.Textbox
    value: gr.Textbox
    give: gr.Button
    project: gr.Textbox
    compare: gr.Button
    fit: gr.Button


def controls(context: Context) -> Controls:
    """Lay out what to show and how."""
    zone = DropZone(
        title="Find a face's place",
        hint="A photo: its clearest face appears on the map among its nearest ones.",
        types=PHOTO_TYPES,
        again="Another photo",
        camera=True,
        elem_classes="drop",
        elem_id="explore-zone",
    )
    gallery = gr.Dropdown(
        [("All galleries", ALL_GALLERIES)], value=ALL_GALLERIES, label="Faces", elem_id="explore-gallery"
    )
    backend = gr.Dropdown([], label="Read by", visible=False, elem_id="explore-backend")
    colour = gr.Dropdown([], label="Colour by", elem_id="explore-colour")
    with gr.Accordion("Show only some", open=False):
        keep = gr.Dropdown([("Everything", EVERYTHING)], value=EVERYTHING, label="By", elem_id="explore-keep")
        labels = gr.CheckboxGroup([], label="Show", visible=False, elem_id="explore-labels")
        with gr.Row():
            low = gr.Number(label="From", visible=False, elem_id="explore-low", min_width=90)
            high = gr.Number(label="To", visible=False, elem_id="explore-high", min_width=90)
    with gr.Accordion("Arrangement", open=False):
        method = gr.Radio(list(METHODS.items()), value="pca", label="Method", elem_id="explore-method")
        dimensions = gr.Radio([("Flat", 2), ("In space", 3)], value=2, label="Dimensions", elem_id="explore-dimensions")
        neighbours = gr.Slider(2, 100, value=15, step=1, label="Neighbours", elem_id="explore-neighbours")
        seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="explore-seed")
        arrange = gr.Button("Arrange", elem_id="explore-arrange")
    with gr.Accordion("Lines", open=False):
        offered = [("None", "none"), ("Annotators' answers", "answers"), ("Moves between two networks", "moves")]
        lines = gr.Radio(offered, value="none", label="Join faces by", elem_id="explore-lines")
        other = gr.Dropdown([], label="Other network", visible=False, elem_id="explore-other")
    read = gr.Button("Read the faces nobody has read", visible=False, elem_id="explore-read")
    return Controls(
        zone=zone, gallery=gallery, backend=backend, colour=colour, keep=keep, labels=labels, low=low, high=high,
        method=method, dimensions=dimensions, neighbours=neighbours, seed=seed, arrange=arrange, lines=lines,
        other=other, read=read,
    )  # fmt: skip


def result(context: Context) -> Result:
    """Lay out the map and what comes of it."""

    def page(wanted: dict[str, Any]) -> str:
        atlas = open_atlas(home_of(context), str(wanted["key"]))
        content = sprite_page(context.store, atlas, int(wanted["page"]))
        return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"

    page.__name__ = "sprite_page"  # what the map's script calls it
    status = Status(elem_id="explore-status")
    drawn = EmbeddingMap(sprite_page=page, elem_id="explore-map")
    line = gr.HTML(apply_default_css=False, elem_id="explore-line")
    strip = FaceStrip(elem_id="explore-strip")
    with gr.Column(visible=False) as actions:
        saver = Saver(("json", "csv", "zip"), elem_id="explore-saver")
        # Tags are seen by everybody who uses this Mien, so only its owner's own machine offers them.
        with gr.Row(visible=not context.settings.on_spaces):
            tag = gr.Textbox(label="Tag", placeholder="mood", max_length=60, elem_id="explore-tag", min_width=120)
            value = gr.Textbox(
                label="Value", placeholder="joking", max_length=120, elem_id="explore-value", min_width=120
            )
            give = gr.Button("Tag these faces", elem_id="explore-give", min_width=120)
        with gr.Row(visible=not context.settings.on_spaces):
            project = gr.Textbox(
                label="Name of a project", placeholder="smiles", max_length=60, elem_id="explore-project", min_width=120
            )
            compare = gr.Button("Compare these faces", elem_id="explore-compare", min_width=120)
        fit = gr.Button("Fit a slider to these faces", visible=bool(attributes()), elem_id="explore-fit", min_width=120)
    return Result(status, drawn, line, strip, actions, saver, tag, value, give, project, compare, fit)
