"""What happens in the Occlusion tab: each handler unpacks, calls one service and packs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from models.errors import BadInput, Cancelled, MienError, NoFaceFound
from models.images import encode_image, read_image
from models.types import Image
from studio.components.doors import CarriedFace
from studio.components.drop_zone import Upload, folded
from studio.components.occlusion_view import guesses_view, palette_view
from studio.components.photo_faces import photo_faces
from studio.components.saver import Download
from studio.components.status import Brake, note, working
from studio.errors import explained, title_of
from studio.services import occlusion as service
from studio.services import occlusion_exports as exports
from studio.services.background import Done, steps_of
from studio.services.examples import example_picture
from studio.services.exports import as_json
from studio.services.expression import PhotoReading, read_photo
from studio.services.occlusion import Effort, Mask, Subject
from studio.services.occlusion_methods import DRAWN, method_called
from studio.services.occlusion_pictures import painted_mask
from studio.services.occlusion_words import COVER, EXACT, FIND, FOUND, NO_FACE, NOTHING, PAINT, UNSEEN
from studio.tabs import occlusion_shown as shown
from studio.tabs.expression_photo import GPU, QUICK
from studio.tabs.occlusion_desk import SENT, Desk

if TYPE_CHECKING:
    from studio.tabs.occlusion import Controls

SLOW: dict[str, Any] = QUICK | {"concurrency_id": "occlusion-draw", "concurrency_limit": 1}
Shown = dict[Any, Any]
"""Values by component."""


class Events:
    """The wiring; holds the components and nothing of any visitor."""

    def __init__(self, parts: Controls) -> None:
        self.parts = parts
        at = parts
        self.seen: list[Any] = [at.way, at.method, at.desk]
        self.shown: list[Any] = [
            at.zone, at.photo, at.settings, at.way, at.radius, at.palette, at.hide, at.status, at.empty,
            at.whole, at.work,            at.editor, at.slider, at.guesses, at.stages, at.card, at.line, at.desk,
        ]  # fmt: skip

    def wire(self) -> None:
        """Join components and handlers."""
        at, brake = self.parts, gr.State(Brake())
        events = [
            at.zone.submit(explained(self.read), [at.zone, *self.seen], self.shown, **GPU),
            at.samples.example(explained(self.try_example), self.seen, self.shown, **GPU),
        ]
        for event in events:
            refused = (folded(False), note("Nothing was read", "Choose another photo."))
            event.failure(lambda refused=refused: refused, None, [at.zone, at.status], **QUICK)
        quick = [
            at.photo.pick(explained(self.pick), self.seen, self.shown, **GPU),
            at.way.input(explained(self.go), self.seen, self.shown, **GPU),
            at.radius.input(explained(self.cut), [at.radius, at.desk], self.shown, trigger_mode="always_last", **GPU),
            at.palette.cover(explained(self.cover), [at.hide, at.desk], self.shown, **GPU),
            at.hide.input(explained(self.hide), [at.hide, at.desk], self.shown, **GPU),
            at.editor.input(explained(self.paint), [at.editor, at.desk], self.shown, trigger_mode="always_last", **GPU),
            at.method.input(
                explained(self.switch), [at.method, at.desk], [at.method, at.diffusion, *self.shown], **GPU
            ),
            at.guesses.choose(explained(self.choose), [at.desk], self.shown, **GPU),
            at.whole.click(explained(self.take_whole), self.seen, self.shown, **GPU),
        ]
        for event in quick:
            event.failure(lambda: "", None, [at.status], **QUICK)
        drawn = at.draw.click(
            explained(self.draw), [at.count, at.steps, at.seed, at.desk, brake], [at.seed, *self.shown], **SLOW
        )
        drawn.failure(lambda: "", None, [at.status], **QUICK)
        at.status.cancel(self.stop, [at.desk, brake], [at.zone, at.status], cancels=events, **QUICK)
        at.saver.save(explained(self.save), [at.desk], [at.saver], **QUICK)

    def read(self, uploads: list[Upload], way: str, method: str, now: Desk) -> Iterator[Shown]:
        """Find the faces of a photo and begin with the best."""
        yield {self.parts.status: working("Finding faces")}
        try:
            yield from self._opened(read_image(uploads[0].path), uploads[0].name, way, method)
        except MienError as error:  # said on the page, where it stays until the next photo
            yield {self.parts.zone: folded(False), self.parts.status: note(title_of(error), str(error))}

    def try_example(self, event: gr.EventData, way: str, method: str, now: Desk) -> Iterator[Shown]:
        """The same with an example."""
        yield {self.parts.status: working("Finding faces")}
        yield from self._opened(*example_picture(str(event.name)), way, method)

    def receive(self, carried: CarriedFace, way: str, method: str, now: Desk) -> Iterator[Shown]:
        """Take a face from another tab."""
        yield {self.parts.status: working("Finding faces")}
        yield from self._opened(carried.image, carried.name, way, method, near=carried)

    def pick(self, event: gr.EventData, way: str, method: str, now: Desk) -> Iterator[Shown]:
        """Work on another face of the photo."""
        if now.reading is None or now.picture is None:
            raise NoFaceFound("The photo is no longer here; give it again.")
        item = now.reading.face(event.number)
        yield {self.parts.status: working("Looking for what hides the face")}
        subject = service.subject_of(now.picture, item.face, name=now.reading.name, number=item.number)
        after = Desk(now.reading, now.picture, subject, method=method, is_painting=way == PAINT)
        yield self._begun(after, way)

    def take_whole(self, way: str, method: str, now: Desk) -> Iterator[Shown]:
        """Take a picture in which no face was found for one face."""
        if now.reading is None or now.picture is None:
            raise NoFaceFound("The photo is no longer here; give it again.")
        yield {self.parts.status: working("Taking the picture as one face")}
        reading = service.read_as_one_face(now.picture, name=now.reading.name)
        yield from self._looked_over(reading, now.picture, way, method)

    def go(self, way: str, method: str, now: Desk) -> Iterator[Shown]:
        """Change the way to a mask; what was drawn over the face is taken off."""
        at = self.parts
        controls = {at.radius: gr.update(visible=way == FIND), **self._cover_controls(way)}
        if now.subject is None:
            yield controls
            return
        after = replace(now, is_painting=way == PAINT)
        if now.subject.cover is None or way == COVER:  # what is shown stays until something else is asked for
            yield controls | {at.desk: after}
            return
        yield controls | {at.status: working("Taking the cover off")}
        after = replace(after, subject=service.uncovered(now.subject), radius=1.0)
        yield self._begun(after, way)

    def cut(self, radius: float, now: Desk) -> Shown:
        """Cut the distance map at another radius."""
        after = replace(now, radius=float(radius or 1.0), is_painting=False)
        return self._masked(after, after.known.mask(after.limit))

    def cover(self, event: gr.EventData, hide: str, now: Desk) -> Iterator[Shown]:
        """Draw something over the clean face."""
        kind, subject = str(event.kind), now.known
        again = subject.cover is not None and subject.cover.kind == kind
        seed = subject.cover.seed + 1 if subject.cover is not None and again else 0
        yield {self.parts.status: working("Covering the face and looking for it")}
        after = replace(now, subject=service.covered(subject, kind, seed=seed), filled=None, is_painting=False)
        yield self._hidden(after, hide) | {self.parts.palette: palette_view(service.palette(after.known), chosen=kind)}

    def hide(self, hide: str, now: Desk) -> Shown:
        """Take what the detector found, or what was really drawn."""
        if now.known.cover is None:
            return {self.parts.status: ""}
        return self._hidden(replace(now, is_painting=False), hide)

    def paint(self, painted: dict[str, Any] | None, now: Desk) -> Shown:
        """Take what was painted for hidden."""
        layers = (painted or {}).get("layers") or []
        if now.subject is None or not layers:
            return {self.parts.line: gr.skip()}
        mask = painted_mask(layers[0], now.subject.crop.size)
        if now.echoes(mask):
            return {self.parts.line: gr.skip()}
        return self._masked(replace(now, is_painting=True), mask, is_sent=False)

    def switch(self, name: str, now: Desk) -> Shown:
        """Guess by another method."""
        at, method = self.parts, method_called(name)
        said = {at.method: gr.update(info=method.what), at.diffusion: gr.update(visible=method.name in DRAWN)}
        if now.subject is None or now.mask is None:
            return said | {at.desk: replace(now, method=method.name)}
        return said | self._masked(replace(now, method=method.name, filled=None), now.mask, is_sent=False)

    def draw(self, count: int, steps: int, seed: int, now: Desk, stopper: Brake) -> Iterator[Shown]:
        """Draw several guesses with the method that was chosen."""
        at = self.parts
        stopper.release()
        subject, mask, effort = now.known, now.mask, Effort(int(count), int(steps), int(seed or 0))
        if mask is None:
            raise BadInput(NOTHING)
        work = steps_of(
            lambda report: service.draw_guesses(subject, mask, effort, report, method=now.method),
            first="Beginning to draw",
        )
        try:
            for step in work:
                if isinstance(step, Done):
                    after = replace(now, filled=step.result)
                    yield {at.seed: effort.seed + 1, at.status: ""} | self._filled(after)
                elif stopper.pulled:
                    work.close()  # type: ignore[attr-defined]
                    yield {at.status: note("Stopped", "No guess was drawn.")}
                    return
                else:
                    yield {at.status: working(step.words, share=step.share, seconds_left=step.seconds_left)}
        except Cancelled:
            yield {at.status: note("Stopped", "No guess was drawn.")}

    def choose(self, event: gr.EventData, now: Desk) -> Shown:
        """Use another of the guesses."""
        if now.filled is None:
            raise BadInput("These guesses are no longer here; draw them again.")
        return self._filled(replace(now, filled=service.choosing(now.known, now.filled, event.place)))

    def stop(self, now: Desk, stopper: Brake) -> tuple[Any, Any]:
        """Stop what is under way."""
        stopper.pull()
        return folded(now.subject is not None), ""

    def save(self, event: gr.EventData, now: Desk) -> Download:
        """Hand over a file."""
        kind, subject = str(event.kind), now.known
        if kind == "json":
            record = exports.occlusion_record(subject, now.filled, radius=now.limit)
            return Download("occlusion.json", "application/json", as_json(record))
        if kind == "csv":
            return Download("occlusion.csv", "text/csv", exports.as_csv(exports.csv_rows(subject, now.filled)))
        if kind == "stages":
            content = exports.stages_zip(subject, now.filled, radius=now.limit)
            return Download("occlusion.zip", "application/zip", content)
        if kind == "side":
            content = encode_image(exports.stage_sheet(subject, now.filled, radius=now.limit))
            return Download("occlusion-stages.png", "image/png", content)
        picture = now.filled.pasted if now.filled else subject.picture
        return Download("occlusion-photo.png", "image/png", encode_image(picture))

    def carried(self, event: gr.EventData, now: Desk) -> CarriedFace:
        """Return the face whose menu was used, in the photo with that stage in it."""
        subject, key = now.known, str(event.key)
        if key == "clean" and subject.cover is not None:
            return CarriedFace(subject.cover.clean_picture, subject.face, subject.name)
        pictures = service.stage_pictures(subject, now.filled)
        if now.filled is None or key not in ("coarse", "refined", "blended"):
            return CarriedFace(subject.picture, subject.face, subject.name)
        laid = service.put_back(subject, now.filled, pictures[key])
        return CarriedFace(laid, None, f"{subject.name}, hidden part guessed")

    def _opened(
        self, image: Image, name: str, way: str, method: str, *, near: CarriedFace | None = None
    ) -> Iterator[Shown]:
        at, reading = self.parts, read_photo(image, name=name)
        if not reading.faces:
            yield {
                at.zone: folded(True), at.photo: photo_faces(reading), at.status: note("No face found", NO_FACE),
                at.empty: "", at.whole: gr.update(visible=True), at.work: gr.update(visible=False),
                at.settings: gr.update(visible=False), at.desk: Desk(reading, image),
            }  # fmt: skip
            return
        yield from self._looked_over(reading, image, way, method, near=near)

    def _looked_over(
        self, reading: PhotoReading, image: Image, way: str, method: str, *, near: CarriedFace | None = None
    ) -> Iterator[Shown]:
        at = self.parts
        yield {
            at.zone: folded(True), at.photo: photo_faces(reading),
            at.status: working("Looking for what hides the face"), at.whole: gr.update(visible=False),
        }  # fmt: skip
        item = reading.faces[0]
        if near is not None and near.face is not None:
            box = near.face.box
            item = max(reading.faces, key=lambda one: one.face.box.overlap(box))
        subject = service.subject_of(image, item.face, name=reading.name, number=item.number)
        after = Desk(reading, image, subject, method=method, is_painting=way == PAINT)
        yield self._begun(after, way) | {at.photo: photo_faces(reading, chosen=item.number)}

    def _begun(self, now: Desk, way: str) -> Shown:
        """Show a face with the first mask: what the detector finds."""
        at, subject = self.parts, now.known
        opened = {
            at.zone: folded(True), at.settings: gr.update(visible=True), at.empty: "",
            at.work: gr.update(visible=True), at.radius: gr.update(value=1, visible=way == FIND),
            at.palette: gr.update(value=palette_view(service.palette(subject)), visible=way == COVER),
        }  # fmt: skip
        return opened | self._masked(now, subject.mask(now.limit))

    def _hidden(self, now: Desk, hide: str) -> Shown:
        subject = now.known
        exact = hide == EXACT and subject.cover is not None
        return self._masked(now, subject.cover.mask if exact and subject.cover else subject.mask(now.limit))

    def _masked(self, now: Desk, mask: Mask, *, is_sent: bool = True) -> Shown:
        """Take a mask, guess what it hides and show everything after it."""
        at, subject = self.parts, now.known
        after = replace(now, mask=mask, filled=None)
        told = ""
        if not mask.any():
            told = "" if now.is_painting else nothing_found(subject)
        elif now.method in DRAWN:
            told = note("Ready to draw", "Press Draw guesses: it takes a while, and can be stopped.")
        else:
            try:
                after = replace(after, filled=service.fill(subject, mask, method=now.method))
            except BadInput as error:
                told = note("This mask cannot be used", str(error))
        if is_sent:
            after = replace(after, sent=(mask, *now.sent)[:SENT])
        changed = {at.status: told} | ({at.editor: shown.painting(subject, mask)} if is_sent else {})
        return changed | self._filled(after)

    def _filled(self, now: Desk) -> Shown:
        """Show a guess and what is read off it."""
        at, subject, filled = self.parts, now.known, now.filled
        many = filled is not None and len(filled.guess.samples) > 1
        return {
            at.stages: shown.stages(subject, filled, now.limit),
            at.guesses: guesses_view(filled.guess.samples, chosen=filled.sample) if filled and many else "",
            at.slider: gr.update(value=shown.before_after(subject, filled), visible=filled is not None),
            at.card: shown.reading(subject, filled),
            at.line: shown.quiet(subject, filled, now.limit),
            at.desk: now,
        }

    def _cover_controls(self, way: str) -> Shown:
        at = self.parts
        return {at.palette: gr.update(visible=way == COVER), at.hide: gr.update(visible=way == COVER, value=FOUND)}


def nothing_found(subject: Subject) -> str:
    """Say that the detector found nothing, and what to try."""
    if subject.cover is not None:
        return note("The detector does not see this cover", UNSEEN)
    return note("Nothing hides this face", NOTHING)
