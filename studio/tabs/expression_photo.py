"""Photo: find every face, pick one, see everything read off it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from models.errors import MienError, NoFaceFound
from models.images import read_image
from models.types import Image
from studio.components.doors import CarriedFace, Doors, Inlet, Outlet
from studio.components.drop_zone import DropZone, Upload, folded, photo_zone
from studio.components.examples import Examples
from studio.components.face_card import FaceCard, Other, face_card
from studio.components.photo_faces import PhotoFaces, photo_faces
from studio.components.saver import Download, Saver
from studio.components.status import Status, note, quiet_line, working
from studio.context import Context
from studio.errors import explained, title_of
from studio.services import exports
from studio.services.examples import example_picture, examples
from studio.services.expression import FaceReading, PhotoReading, certainty, measured_agreement, read_photo, scaled
from studio.services.nearest import fill_if_empty, gallery_picture, neighbourhood

EMPTY = (
    '<div class="empty"><h2>Read an expression</h2><p>Give a photo with one or more faces. Each face gets its '
    "emotions, muscle actions and a vector that can be compared.</p></div>"
)
NO_FACE = (
    "Faces were looked for from 40 pixels up, upright to moderately turned. Try a sharper or larger picture, more "
    "light, or a face that is less covered."
)
QUICK: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
"""Options of events that only look things up: they never wait."""
GPU: dict[str, Any] = QUICK | {"concurrency_id": "gpu", "concurrency_limit": 1}
"""Options of events that run networks: one at a time."""


@dataclass(frozen=True, eq=False)
class Desk:
    """What one visitor is looking at."""

    reading: PhotoReading | None = None
    chosen: int = 1
    against: str = ""
    kept: tuple[FaceReading, str] | None = None
    """A face kept to compare the next ones with, and what to call it."""


@dataclass(frozen=True, eq=False)
class Panel:
    """The components a reading is shown in."""

    zone: DropZone
    photo: PhotoFaces
    status: Status
    card: FaceCard
    line: gr.HTML
    downloads: gr.Group
    desk: gr.State

    @property
    def outputs(self) -> list[Any]:
        """In the order of `shown`."""
        return [self.zone, self.photo, self.status, self.card, self.line, self.downloads, self.desk]


def build(context: Context, modes: gr.Tabs) -> Doors:
    """Lay out and wire the photo part."""
    desk = gr.State(Desk(), time_to_live=1800)
    with gr.Row(elem_classes="bench"):
        with gr.Column(elem_classes="input-side", min_width=280):
            zone = photo_zone("photo-zone")
            photo = PhotoFaces(elem_id="photo-faces")
            samples = Examples(examples, elem_id="photo-examples", elem_classes="when-empty")
        with gr.Column(elem_classes="result-side", min_width=320):
            status = Status(elem_id="photo-status")
            card = FaceCard(value=EMPTY, elem_id="photo-card")
            line = gr.HTML(apply_default_css=False)
            with gr.Group(visible=False, elem_classes="plain-group") as downloads:
                saver = Saver(("json", "csv", "npz", "png"), elem_id="photo-saver")
    panel = Panel(zone, photo, status, card, line, downloads, desk)
    _wire(context, panel, samples, saver, modes)
    receive = Inlet(lambda carried, now: _show(context, carried.image, now, name=carried.name), [desk], panel.outputs)
    return Doors(inlet=receive, outlets=(Outlet(card, lambda event, now: _carried(context, event, now), [desk]),))


def _wire(context: Context, panel: Panel, samples: Examples, saver: Saver, modes: gr.Tabs) -> None:
    @explained
    def read(uploads: list[Upload], now: Desk) -> Iterator[tuple[Any, ...]]:
        yield _busy("Finding faces and reading expressions", now)
        try:
            yield _show(context, read_image(uploads[0].path), now, name=uploads[0].name)
        except MienError as error:  # said on the page, where it stays until the next photo
            yield _refused(error, now)

    @explained
    def try_example(event: gr.EventData, now: Desk) -> Iterator[tuple[Any, ...]]:
        yield _busy("Finding faces and reading expressions", now)
        picture, name = example_picture(str(event.name))
        yield _show(context, picture, now, name=name)

    @explained
    def pick(event: gr.EventData, now: Desk) -> tuple[str, Desk]:
        return _card(context, replace(now, chosen=event.number, against=""))

    @explained
    def lay_against(event: gr.EventData, now: Desk) -> tuple[str, Desk]:
        return _card(context, replace(now, against=str(event.key)))

    @explained
    def keep(now: Desk) -> tuple[str, Desk]:
        reading = _reading(now)
        return _card(context, replace(now, kept=(reading.face(now.chosen), f"kept: {reading.name} {now.chosen}")))

    @explained
    def save(event: gr.EventData, now: Desk) -> Download:
        return _download(str(event.kind), _reading(now))

    @explained
    def fill(now: Desk) -> bool:
        faces = now.reading.faces if now.reading else ()
        return bool(faces) and fill_if_empty(context, faces[0].expression.backend)

    @explained
    def redraw(is_filled: bool, now: Desk) -> tuple[Any, Any]:
        return _card(context, now) if is_filled else (gr.skip(), now)

    events = [
        panel.zone.submit(read, [panel.zone, panel.desk], panel.outputs, **GPU),
        samples.example(try_example, [panel.desk], panel.outputs, **GPU),
    ]
    refused = (folded(False), note("Nothing was read", "Choose another photo."))
    filled = gr.State(False)
    for event in events:
        event.success(fill, [panel.desk], [filled], **GPU).success(
            redraw, [filled, panel.desk], [panel.card, panel.desk], **QUICK
        )
        event.failure(lambda: refused, None, [panel.zone, panel.status], **QUICK)
    panel.status.cancel(lambda: (folded(False), ""), None, [panel.zone, panel.status], cancels=events, **QUICK)
    panel.photo.pick(pick, [panel.desk], [panel.card, panel.desk], **QUICK)
    panel.card.against(lay_against, [panel.desk], [panel.card, panel.desk], **QUICK)
    panel.card.keep(keep, [panel.desk], [panel.card, panel.desk], **QUICK)
    saver.save(save, [panel.desk], [saver], **QUICK)


def _busy(step: str, now: Desk) -> tuple[Any, ...]:
    return gr.skip(), gr.skip(), working(step), gr.skip(), gr.skip(), gr.skip(), now


def _refused(error: MienError, now: Desk) -> tuple[Any, ...]:
    return folded(False), gr.skip(), note(title_of(error), str(error)), gr.skip(), gr.skip(), gr.skip(), now


def _show(context: Context, image: Image, now: Desk, *, name: str) -> tuple[Any, ...]:
    """Read a picture and return the values of the panel's outputs."""
    reading = read_photo(image, name=name)
    after = Desk(reading=reading, kept=now.kept)
    if not reading.faces:
        shown = note("No face found", NO_FACE)
        return folded(True), photo_faces(reading), shown, "", _line(reading), gr.Group(visible=False), after
    card, after = _card(context, after)
    return folded(True), photo_faces(reading), "", card, _line(reading), gr.Group(visible=True), after


def _card(context: Context, now: Desk) -> tuple[str, Desk]:
    reading = _reading(now)
    face = reading.face(now.chosen)
    others = [Other(f"face:{item.number}", f"Face {item.number}", item) for item in reading.faces if item is not face]
    if now.kept is not None and now.kept[0] is not face:
        others.append(Other("kept", now.kept[1].capitalize(), now.kept[0]))
    title = f"Face {face.number}" if len(reading.faces) > 1 else "The face"
    near = neighbourhood(context.store, face.expression, portrait=face.portrait)
    return face_card(face, near, title=title, others=others[:9], against=now.against), now


def _reading(now: Desk) -> PhotoReading:
    if now.reading is None:
        raise NoFaceFound("The photo is no longer here; pictures are forgotten after half an hour. Give it again.")
    return now.reading


def _line(reading: PhotoReading) -> str:
    """Return the quiet line: which weights, how long, how sure."""
    backend = reading.faces[0].expression.backend if reading.faces else ""
    steps = ", ".join(f"{step.name} {step.milliseconds:.0f} ms" for step in reading.steps)
    sure = [certainty(item.expression, item.face.quality.flags).word for item in reading.faces]
    words = f"{sure.count('clear')} of {len(sure)} readings clear" if len(sure) > 1 else "".join(sure)
    return quiet_line(f"Own weights {backend}".strip(), steps, words, measured_agreement())


def _carried(context: Context, event: gr.EventData, now: Desk) -> CarriedFace:
    """Return the face whose menu was used: one of the photo, or one of the gallery."""
    kind, _, number = str(event.key).partition(":")
    if not number.isdigit():
        raise NoFaceFound("This face is no longer here; give the picture again.")
    if kind == "gallery":
        picture, row = gallery_picture(context.store, int(number))
        return CarriedFace(picture, None, f"gallery face {row.id}")
    reading = _reading(now)
    face = reading.face(int(number))
    name = f"{reading.name} face {face.number}"
    return CarriedFace(reading.picture, scaled(face.face, reading.factor), name, face.expression)


def _download(kind: str, reading: PhotoReading) -> Download:
    stem = "".join(sign if sign.isalnum() else "-" for sign in reading.name.rsplit(".", 1)[0])[:60] or "photo"
    if kind == "csv":
        return Download(f"{stem}.csv", "text/csv", exports.photo_csv(reading))
    if kind == "npz":
        return Download(f"{stem}.npz", "application/octet-stream", exports.photo_npz(reading))
    if kind == "png":
        return Download(f"{stem}-faces.png", "image/png", exports.annotated_png(reading))
    return Download(f"{stem}.json", "application/json", exports.as_json(exports.photo_record(reading)))
