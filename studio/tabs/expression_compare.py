"""Compare: drop two to nine faces, get their distances and the odd one out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from models.errors import BadInput
from models.images import read_image
from models.types import Image
from studio.components.doors import CarriedFace, Doors, Outlet
from studio.components.drop_zone import PHOTO_TYPES, DropZone, Upload, folded
from studio.components.examples import Examples
from studio.components.matrix import Matrix, matrix
from studio.components.saver import Download, Saver
from studio.components.status import Brake, Status, note, quiet_line, working
from studio.context import Context
from studio.errors import explained
from studio.services import exports
from studio.services.comparison import MOST
from studio.services.examples import example_picture, examples
from studio.services.gather import Gathered, NamedFace, gather, leave_out
from studio.tabs.expression_photo import GPU, NO_FACE, QUICK

EMPTY = (
    '<div class="empty"><h2>Compare expressions</h2><p>Give two to nine faces, in one photo or in several. Every '
    "distance between them is shown, and the face that is unlike the others.</p></div>"
)


@dataclass(frozen=True, eq=False)
class Panel:
    """The components a comparison is shown in."""

    zone: DropZone
    status: Status
    table: Matrix
    line: gr.HTML
    downloads: gr.Group
    faces: gr.State

    @property
    def outputs(self) -> list[Any]:
        """In the order of `_show`."""
        return [self.zone, self.status, self.table, self.line, self.downloads, self.faces]


def build(context: Context) -> Doors:
    """Lay out and wire the comparison."""
    faces = gr.State((), time_to_live=1800)
    with gr.Row(elem_classes="bench"):
        with gr.Column(elem_classes="input-side", min_width=280):
            zone = DropZone(
                title="Drop two to nine faces",
                hint="Several photos at once, or one after the other.",
                types=PHOTO_TYPES,
                again="Add more faces",
                multiple=True,
                elem_classes="drop",
                elem_id="compare-zone",
            )
            samples = Examples(examples, elem_id="compare-examples")
        with gr.Column(elem_classes="result-side", min_width=320):
            status = Status(elem_id="compare-status")
            table = Matrix(value=EMPTY, elem_id="compare-matrix")
            line = gr.HTML(apply_default_css=False)
            with gr.Group(visible=False, elem_classes="plain-group") as downloads:
                saver = Saver(("json",), elem_id="compare-saver")
                clear = gr.Button("Start over", size="sm", elem_classes="start-over")
    _wire(Panel(zone, status, table, line, downloads, faces), samples, saver, clear)
    return Doors(outlets=(Outlet(table, _carried, [faces]),))


def _wire(panel: Panel, samples: Examples, saver: Saver, clear: gr.Button) -> None:
    brake = gr.State(Brake())

    @explained
    def add(uploads: list[Upload], before: tuple[NamedFace, ...], stopper: Brake) -> Iterator[tuple[Any, ...]]:
        pictures = [(upload.name, partial(read_image, upload.path)) for upload in uploads]
        yield from _add(pictures, before, stopper=stopper)

    @explained
    def add_example(event: gr.EventData, before: tuple[NamedFace, ...], stopper: Brake) -> Iterator[tuple[Any, ...]]:
        picture, name = example_picture(str(event.name))
        yield from _add([(name, lambda: picture)], before, stopper=stopper)

    @explained
    def drop(event: gr.EventData, before: tuple[NamedFace, ...]) -> tuple[Any, ...]:
        return _show(Gathered(leave_out(before, event.place)))

    @explained
    def save(now: tuple[NamedFace, ...]) -> Download:
        comparison = Gathered(now).comparison
        if comparison is None:
            raise BadInput("There is nothing to compare yet; give at least two faces.")
        record = exports.comparison_record(comparison, [face.name for face in now])
        return Download("comparison.json", "application/json", exports.as_json(record))

    events = [
        panel.zone.submit(add, [panel.zone, panel.faces, brake], panel.outputs, **GPU),
        samples.example(add_example, [panel.faces, brake], panel.outputs, **GPU),
    ]
    refused = (folded(False), note("Not added", "Choose another photo."))
    for event in events:
        event.failure(lambda: refused, None, [panel.zone, panel.status], **QUICK)
    panel.status.cancel(lambda stopper: stopper.pull(), [brake], None, **QUICK)
    panel.table.drop(drop, [panel.faces], panel.outputs, **QUICK)
    clear.click(lambda: _show(Gathered()), None, panel.outputs, **QUICK)
    saver.save(save, [panel.faces], [saver], **QUICK)


def _add(
    pictures: Sequence[tuple[str, Callable[[], Image]]], before: tuple[NamedFace, ...], *, stopper: Brake
) -> Iterator[tuple[Any, ...]]:
    """Read one picture after the other; each step is kept, so neither stopping nor a broken file loses anything."""
    stopper.release()
    now, left_out = Gathered(before), 0
    empty: list[str] = []
    refused: list[str] = []
    for place, (name, open_picture) in enumerate(pictures):
        if stopper.pulled:
            break
        share = place / len(pictures)
        yield gr.skip(), working(f"Reading {name}", share=share), gr.skip(), gr.skip(), gr.skip(), now.faces
        try:
            now = gather(now.faces, open_picture(), name=name)
        except BadInput as error:
            refused.append(str(error))
            continue
        empty.extend(now.without_face)
        left_out += now.left_out
    yield _show(Gathered(now.faces, tuple(empty), left_out, tuple(refused)))


def _show(gathered: Gathered) -> tuple[Any, ...]:
    faces, told = gathered.faces, _told(gathered)
    if not faces:
        status = note("Nothing was added", told) if told else ""
        return folded(False), status, EMPTY, "", gr.Group(visible=False), ()
    status = note("Not everything was added", told) if told else ""
    line = quiet_line(f"Own weights {faces[0].reading.expression.backend}", "distances of unit vectors, 0 to 2")
    return folded(True), status, matrix(gathered.comparison, faces), line, gr.Group(visible=True), faces


def _told(gathered: Gathered) -> str:
    told = [f"{reason}." for reason in gathered.refused]
    if gathered.without_face:
        told.append(f"No face was found in {', '.join(gathered.without_face)}. {NO_FACE}")
    if gathered.left_out:
        told.append(f"{gathered.left_out} more faces were left out: at most {MOST} can be compared.")
    return " ".join(told)


def _carried(event: gr.EventData, now: tuple[NamedFace, ...]) -> CarriedFace:
    _, _, place = str(event.key).partition(":")
    if not place.isdigit() or int(place) >= len(now):
        raise BadInput("This face is no longer here; give the picture again.")
    face = now[int(place)]
    return CarriedFace(face.picture, face.reading.face, face.name, face.reading.expression)
