"""Photo: every face as a head; pick one, turn it, edit it, give it another's expression, take it home."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from models.errors import MienError, NoFaceFound
from models.images import read_image
from models.types import Image
from studio.components.doors import CarriedFace, Doors, Inlet
from studio.components.drop_zone import PHOTO_TYPES, DropZone, Upload, folded, photo_zone
from studio.components.examples import Examples
from studio.components.mesh_viewer import MeshViewer, handed_over
from studio.components.photo_faces import PhotoFaces, photo_faces
from studio.components.saver import Download
from studio.components.status import Brake, Status, note, quiet_line, working
from studio.context import Context
from studio.errors import explained, title_of
from studio.services.examples import example_picture, examples
from studio.services.expression import PhotoReading, read_photo, tilt
from studio.services.mesh import MeshFace, edited, has_encoder, ict_file, measured_words, on_ict, read_meshes
from studio.services.mesh_official import NAME, OfficialFace, is_here, official_face, official_scene, write_official
from studio.services.mesh_orders import Order, carry_out, order_of
from studio.services.mesh_scene import borrowed, head_data, scene
from studio.tabs.expression_photo import GPU, NO_FACE, QUICK

EMPTY = (
    '<div class="empty"><h2>A face in three dimensions</h2><p>Give a photo. Each face becomes a head that you can '
    "turn, whose expression you can change, and that you can take home.</p></div>"
)
OPEN, ENCODER = "The landmarks (measured best)", "The encoder smirk_open"
ON_ICT = "ICT-FaceKit's full head (your file)"
METHOD = {OPEN: "fit", ENCODER: "encoder"}
SLOW: dict[str, Any] = QUICK | {"concurrency_id": "mesh-files", "concurrency_limit": 1}


@dataclass(frozen=True, eq=False)
class Desk:
    """What one visitor is looking at."""

    reading: PhotoReading | None = None
    meshes: tuple[MeshFace, ...] = ()
    chosen: int = 1
    official: OfficialFace | None = None
    """Where the visitor chose SMIRK's official networks."""
    system: str = OPEN
    """What the heads were read from."""

    @property
    def mesh(self) -> MeshFace:
        """The chosen face; raises NoFaceFound when the photo is gone."""
        for mesh in self.meshes:
            if mesh.number == self.chosen:
                return mesh
        raise NoFaceFound("The photo is no longer here; pictures are forgotten after half an hour. Give it again.")


@dataclass(frozen=True, eq=False)
class Panel:
    """The components a head is shown in."""

    zone: DropZone
    photo: PhotoFaces
    status: Status
    empty: gr.HTML
    viewer: MeshViewer
    line: gr.HTML
    lend: DropZone
    desk: gr.State

    @property
    def outputs(self) -> list[Any]:
        """In the order of `_show`."""
        return [self.zone, self.photo, self.status, self.empty, self.viewer, self.line, self.lend, self.desk]


def build(context: Context) -> Doors:
    """Lay out and wire the photo part."""

    def mesh_head(wanted: dict[str, Any]) -> str:
        return head_data()

    desk = gr.State(Desk(), time_to_live=1800)
    with gr.Row(elem_classes="bench"):
        with gr.Column(elem_classes="input-side", min_width=280):
            zone = photo_zone("mesh-zone")
            photo = PhotoFaces(elem_id="mesh-faces")
            offered = [
                OPEN,
                *([ENCODER] if has_encoder() else []),
                *([NAME] if is_here() else []),
                *([ON_ICT] if ict_file() else []),
            ]
            system = gr.Radio(
                offered, value=OPEN, label="Read the head from", visible=len(offered) > 1, elem_id="mesh-system"
            )
            samples = Examples(examples, elem_id="mesh-examples", elem_classes="when-empty")
            lend = DropZone(
                title="Borrow an expression",
                hint="Another photo, whose face lends its expression to this head.",
                types=PHOTO_TYPES,
                again="Borrow an expression",
                visible=False,
                elem_classes=["drop", "folded"],
                elem_id="mesh-lend",
            )
        with gr.Column(elem_classes="result-side", min_width=320):
            status = Status(elem_id="mesh-status")
            empty = gr.HTML(EMPTY, apply_default_css=False, elem_id="mesh-empty")
            viewer = MeshViewer(mesh_head=mesh_head, elem_id="mesh-viewer")
            line = gr.HTML(apply_default_css=False, elem_id="mesh-line")
    panel = Panel(zone, photo, status, empty, viewer, line, lend, desk)
    _wire(panel, samples, system)
    return Doors(inlet=Inlet(_receive, [desk], panel.outputs))


def _wire(panel: Panel, samples: Examples, system: gr.Radio) -> None:
    brake = gr.State(Brake())

    @explained
    def read(uploads: list[Upload], now: Desk) -> Iterator[tuple[Any, ...]]:
        yield _busy(now)
        try:
            yield _show(read_image(uploads[0].path), uploads[0].name)
        except MienError as error:  # said on the page, where it stays until the next photo
            told = note(title_of(error), str(error))
            yield folded(False), *[gr.skip()], told, *[gr.skip()] * 4, now

    @explained
    def try_example(event: gr.EventData, now: Desk) -> Iterator[tuple[Any, ...]]:
        yield _busy(now)
        yield _show(*example_picture(str(event.name)))

    @explained
    def pick(event: gr.EventData, chosen: str, now: Desk) -> tuple[Any, Any, Desk]:
        return _seen_by(chosen, replace(now, chosen=event.number))

    @explained
    def switch(chosen: str, now: Desk) -> tuple[Any, Any, Desk]:
        if not now.meshes or chosen == now.system:
            return gr.skip(), gr.skip(), now
        return _seen_by(chosen, now)

    @explained
    def lend(uploads: list[Upload], now: Desk) -> tuple[Any, Any]:
        reading = read_photo(read_image(uploads[0].path), name=uploads[0].name)
        if not reading.faces:
            raise NoFaceFound(NO_FACE)
        lender = read_meshes(replace(reading, faces=reading.faces[:1]))[0]
        return folded(True), gr.update(lent=borrowed(lender, "The other photo"))

    @explained
    def save(event: gr.EventData, now: Desk, stopper: Brake) -> Iterator[tuple[Any, Any]]:
        stopper.release()
        yield from _save(order_of(event._data), now, stopper)

    events = [
        panel.zone.submit(read, [panel.zone, panel.desk], panel.outputs, **GPU),
        samples.example(try_example, [panel.desk], panel.outputs, **GPU),
    ]
    for event in events:
        refused = (folded(False), note("Nothing was read", "Choose another photo."))
        event.failure(lambda refused=refused: refused, None, [panel.zone, panel.status], **QUICK)
    shown = [panel.viewer, panel.line, panel.desk]
    panel.photo.pick(pick, [system, panel.desk], shown, **QUICK)
    for event in (system.input, *(event.success for event in events)):
        event(switch, [system, panel.desk], shown, **GPU)
    lent = panel.lend.submit(lend, [panel.lend, panel.desk], [panel.lend, panel.viewer], **GPU)
    lent.failure(lambda: folded(True), None, [panel.lend], **QUICK)
    panel.viewer.save(save, [panel.desk, brake], [panel.viewer, panel.status], **SLOW)
    panel.status.cancel(lambda stopper: stopper.pull(), [brake], None, **QUICK)


def _busy(now: Desk) -> tuple[Any, ...]:
    return gr.skip(), gr.skip(), working("Finding faces and reading their shape"), "", *[gr.skip()] * 3, now


def _show(image: Image, name: str, *, chosen: int = 1) -> tuple[Any, ...]:
    """Read a picture and return the values of the panel's outputs."""
    reading = read_photo(image, name=name)
    if not reading.faces:
        told = note("No face found", NO_FACE)
        return folded(True), photo_faces(reading), told, "", None, "", gr.skip(), Desk(reading)
    desk = Desk(reading, read_meshes(reading), chosen)
    shown = scene(desk.mesh, others=desk.meshes)
    picked = photo_faces(reading, chosen=chosen)
    lend = gr.update(visible=True, value=None, elem_classes=["drop", "folded"])
    return folded(True), picked, "", "", gr.update(value=shown, lent=None, file=None), _line(desk.mesh), lend, desk


def _seen_by(chosen: str, now: Desk) -> tuple[Any, Any, Desk]:
    """Show the chosen face by the open head or, where its files are here, by SMIRK's official networks."""
    if now.reading is None or chosen != NAME:
        meshes = now.meshes
        if now.reading is not None and chosen != now.system:
            meshes = read_meshes(now.reading, METHOD.get(chosen))
            meshes = tuple(on_ict(mesh) for mesh in meshes) if chosen == ON_ICT else meshes
        after = replace(now, official=None, system=chosen, meshes=meshes)
        return scene(after.mesh, others=after.meshes), _line(after.mesh), after
    face = official_face(now.reading, now.chosen)
    line = quiet_line(NAME, f"shape {face.milliseconds:.0f} ms", "turned and taken home, not edited")
    return official_scene(face), line, replace(now, official=face, system=NAME)


def _line(mesh: MeshFace) -> str:
    if mesh.own_head is not None:
        return quiet_line("ICT-FaceKit's head, moved by what the open head read", tilt(mesh.parameters.pose))
    ran = (
        f"Own weights {mesh.backend}" if mesh.backend.startswith("smirk") else "Open head, fitted to the own landmarks"
    )
    return quiet_line(ran, f"shape {mesh.milliseconds:.0f} ms", tilt(mesh.parameters.pose), measured_words())


def _receive(carried: CarriedFace, now: Desk) -> tuple[Any, ...]:
    return _show(carried.image, carried.name)


def _save(order: Order, now: Desk, stopper: Brake) -> Iterator[tuple[Any, Any]]:
    mesh = now.mesh
    if now.official is not None:
        made = write_official(now.official, order)
        yield handed_over(Download(f"face-{made.suffix}", made.media_type, made.content)), ""
        return
    done = None
    for step in carry_out(mesh, edited(mesh, order.expression), order):
        if stopper.pulled:
            yield handed_over_nothing("Stopped."), ""
            return
        if isinstance(step, float):
            yield gr.skip(), working("Drawing the turn", share=step)
        else:
            done = step
    if done is None:
        yield handed_over_nothing(""), ""
        return
    stem = "".join(
        sign if sign.isalnum() else "-" for sign in (now.reading.name if now.reading else "face").rsplit(".", 1)[0]
    )
    file = Download(f"{stem[:60] or 'face'}-{done.suffix}", done.media_type, done.content)
    yield handed_over(file, is_shown=order.kind in ("photo", "carried")), ""


def handed_over_nothing(said: str) -> Any:
    """Return the update that only says something below the head."""
    return handed_over(Download("", "", b""), said=said, has_file=False)
