"""What happens in the latent studio: each handler unpacks, calls one service and packs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr

from models.errors import NoFaceFound
from models.images import read_image
from models.types import Image
from studio.components.doors import CarriedFace
from studio.components.drop_zone import Upload, folded
from studio.components.latent_desk import Standing, face_of, picture_of
from studio.components.latent_view import face_table, strip_view
from studio.components.saver import Download
from studio.components.status import note, working
from studio.context import Context
from studio.errors import explained
from studio.services import latent, latent_map, latent_morph
from studio.services.background import Done, steps_of
from studio.services.examples import example_picture
from studio.services.latent import Edit, Table

if TYPE_CHECKING:
    from studio.tabs.latent import Controls

QUICK: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
GPU: dict[str, Any] = QUICK | {"concurrency_id": "gpu", "concurrency_limit": 1}
MEDIA = {"mp4": "video/mp4", "gif": "image/gif"}


class Events:
    """The wiring; holds the components and nothing of any visitor."""

    def __init__(self, context: Context, parts: Controls, empty: gr.HTML) -> None:
        self.context, self.parts = context, parts
        self.seen: list[Any] = [parts.table, parts.desk]
        self.shown: list[Any] = [parts.zone, parts.status, parts.table, parts.faces, parts.desk, parts.work, empty]

    def wire(self) -> None:
        """Join components and handlers."""
        at = self.parts
        added = at.zone.submit(explained(self.add), [at.zone, *self.seen], self.shown, **GPU)
        tried = at.samples.example(explained(self.add_example), self.seen, self.shown, **GPU)
        drawn = at.draw.click(explained(self.draw), [at.seed, at.variety, *self.seen], [at.seed, *self.shown], **GPU)
        mixed = at.mix.click(explained(self.mix), [*at.letters, *self.seen], self.shown, **GPU)
        for event in (added, tried, drawn, mixed):
            event.failure(lambda: (folded(False), ""), None, [at.zone, at.status], **QUICK)
        at.faces.choose(explained(self.choose), self.seen, self.shown, **QUICK)
        at.faces.drop(explained(self.drop), self.seen, self.shown, **QUICK)
        # Nothing waits in a queue between a slider and its picture. The desk sends its next move when the picture is
        # there, which is a moment before Gradio takes the last one for done: without "always_last" it would be lost.
        moved = {"trigger_mode": "always_last", "queue": False, **QUICK}
        at.desk.move(explained(self.move), self.seen, [at.desk], **moved)
        at.saver.save(explained(self.save), self.seen, [at.saver], **QUICK)
        way = at.way.click(explained(self.way), [at.table], [at.strip], **GPU)
        # A handler that yields sends its last values twice, and a download must be handed over once.
        ready = gr.State(None, time_to_live=600)
        film = at.films.save(explained(self.film), [at.table], [at.status, ready], **GPU)
        film.success(lambda made: made, [ready], [at.films], **QUICK)
        film.failure(lambda: "", None, [at.status], **QUICK)
        chart = at.chart.click(explained(self.chart), None, [at.status], **GPU)
        chart.failure(lambda: "", None, [at.status], **QUICK)
        at.status.cancel(
            lambda: (folded(False), ""), None, [at.zone, at.status], cancels=[added, tried, way, film, chart], **QUICK
        )

    def add(self, uploads: list[Upload], table: Table, standing: Standing) -> Iterator[tuple[Any, ...]]:
        """Put the face of a photo on the table."""
        yield gr.skip(), working("Finding the face and coding it"), *[gr.skip()] * (len(self.shown) - 2)
        yield self._held(read_image(uploads[0].path), uploads[0].name, table, standing)

    def add_example(self, event: gr.EventData, table: Table, standing: Standing) -> Iterator[tuple[Any, ...]]:
        """Put an example's face on the table."""
        picture, name = example_picture(str(event.name))
        yield gr.skip(), working("Finding the face and coding it"), *[gr.skip()] * (len(self.shown) - 2)
        yield self._held(picture, name, table, standing)

    def receive(self, carried: CarriedFace, table: Table, standing: Standing) -> tuple[Any, ...]:
        """Put a face from another tab on the table."""
        face = latent.hold(carried.image, name=carried.name, face=carried.face)
        return self._shown(table.with_face(face), standing)

    def _held(self, image: Image, name: str, table: Table, standing: Standing) -> tuple[Any, ...]:
        return self._shown(table.with_face(latent.hold(image, name=name)), standing)

    def draw(self, seed: int, variety: float, table: Table, standing: Standing) -> tuple[Any, ...]:
        """Put a face of nobody on the table; the next press draws another."""
        face = latent.random_face(int(seed or 0), variety=variety)
        return int(seed or 0) + 1, *self._shown(table.with_face(face), standing)

    def mix(self, first: str, less: str, more: str, table: Table, standing: Standing) -> tuple[Any, ...]:
        """Put A - B + C on the table."""
        return self._shown(table.with_face(latent.mixture(table, first, less, more)), standing)

    def choose(self, event: gr.EventData, table: Table, standing: Standing) -> tuple[Any, ...]:
        """Let the sliders move another face."""
        return self._shown(table.choosing(event.place), standing)

    def drop(self, event: gr.EventData, table: Table, standing: Standing) -> tuple[Any, ...]:
        """Take a face off the table."""
        return self._shown(table.without(event.place), standing)

    def move(self, table: Table, standing: Standing) -> dict[str, Any]:
        """Show the chosen face as the sliders stand."""
        update: dict[str, Any] = gr.update(picture=self._picture(table, standing))
        return update

    def save(self, event: gr.EventData, table: Table, standing: Standing) -> Download:
        """Hand over the edited photo at full size, or the code."""
        made = self._edit(table, standing)
        if str(event.kind) == "code":
            record = latent.code_record(table.face, made, standing.amounts)
            return Download("face-code.json", "application/json", record)
        picture = latent.into_photo(table.face, made, keep_detail=standing.keep_detail)
        return Download("edited-face.png", "image/png", latent.picture_file(picture))

    def way(self, table: Table) -> str:
        """Show the pictures between the faces."""
        pictures = latent_morph.strip(table.faces)
        return strip_view(list(pictures), f"On the way through {len(table.faces)} faces, at even distances")

    def film(self, event: gr.EventData, table: Table) -> Iterator[tuple[Any, ...]]:
        """Make the film, or the strip, and hand it over."""
        kind = str(event.kind)
        if kind == "strip":
            content = latent.picture_file(latent_morph.strip_picture(latent_morph.strip(table.faces)))
            yield "", Download("faces-strip.png", "image/png", content)
            return
        for step in steps_of(lambda report: latent_morph.film(table.faces, kind, report), first="Drawing the frames"):
            if isinstance(step, Done):
                yield "", Download(f"faces.{kind}", MEDIA.get(kind, "video/mp4"), step.result)
            else:
                yield working(step.words, share=step.share, seconds_left=step.seconds_left), gr.skip()

    def chart(self) -> Iterator[Any]:
        """Code the gallery's faces, so that the map can show them as the latent space sees them."""
        work = steps_of(lambda report: latent_map.code_galleries(self.context.store, report), first="Coding the faces")
        for step in work:
            if isinstance(step, Done):
                words = f"Open the map and choose {latent.space().backend} under Read by."
                yield note(f"{step.result:,} faces were added to the latent space's map", words)
            else:
                yield working(step.words, share=step.share, seconds_left=step.seconds_left)

    def carried(self, event: gr.EventData, table: Table) -> CarriedFace:
        """Return the face whose menu was used: its photo, or the picture when no photo shows it."""
        _, _, place = str(event.key).partition(":")
        if not place.isdigit() or int(place) >= len(table.faces):
            raise NoFaceFound("This face is no longer on the table.")
        face = table.faces[int(place)]
        return CarriedFace(face.source.image if face.source else face.rebuilt, None, face.name)

    def _edit(self, table: Table, standing: Standing) -> Edit:
        return latent.edit(table.face, standing.amounts, fitted=table.fitted)

    def _picture(self, table: Table, standing: Standing) -> str:
        made = self._edit(table, standing)
        line = f"Own weights {latent.space().backend} · drawn in {made.milliseconds:.0f} ms"
        return picture_of(table.face, made, line, keep_detail=standing.keep_detail)

    def _shown(self, table: Table, standing: Standing) -> tuple[Any, ...]:
        if not table.faces:
            nothing = gr.update(face=None, picture=None)
            return folded(False), "", table, "", nothing, gr.Column(visible=False), gr.HTML(visible=True)
        desk = gr.update(face=face_of(table.face), picture=self._picture(table, standing))
        return folded(True), "", table, face_table(table), desk, gr.Column(visible=True), gr.HTML(visible=False)
