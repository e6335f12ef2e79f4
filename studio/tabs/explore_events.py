"""What happens on the Explore tab: each handler unpacks, calls one service and packs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from db.errors import NotAllowed
from models.errors import NoFaceFound
from models.images import read_image
from models.types import Image
from studio.components.doors import CarriedFace
from studio.components.drop_zone import Upload, folded
from studio.components.face_strip import StripFace, face_strip
from studio.components.saver import Download
from studio.components.status import note, quiet_line, working
from studio.context import Context
from studio.errors import explained
from studio.services import explore
from studio.services.answers_on_map import Line, answer_lines, moves
from studio.services.atlas import Atlas, NothingToMap, open_atlas
from studio.services.background import Done, steps_of
from studio.services.columns import column, column_choices, shown_rows
from studio.services.expression import read_photo
from studio.services.layouts import LayoutChoice, layout
from studio.services.map_session import (
    READ_AT_ONCE,
    MapChoice,
    gallery_choices,
    home_of,
    open_map,
    read_waiting,
    thumbnail,
    waiting_faces,
)
from studio.services.nearest import gallery_picture
from studio.services.network_names import network_titles, titled_networks
from studio.services.tuned import moved
from studio.tabs.explore_controls import ALL_GALLERIES, EVERYTHING, Controls, Result
from studio.tabs.explore_desk import Desk, Newcomer

QUICK: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
GPU: dict[str, Any] = QUICK | {"concurrency_id": "gpu", "concurrency_limit": 1}
SLOW: dict[str, Any] = QUICK | {"concurrency_id": "layouts", "concurrency_limit": 1}
SELECTED = "These faces may be downloaded, with whom to thank for them."


class Events:
    """The wiring; holds the components and nothing of any visitor."""

    def __init__(self, context: Context, controls: Controls, result: Result, desk: gr.State) -> None:
        self.context, self.controls, self.result, self.desk = context, controls, result, desk
        self.filter = [controls.colour, controls.keep, controls.labels, controls.low, controls.high]
        self.opened: list[Any] = [
            result.status, result.map, result.line, result.strip, result.actions, desk, controls.gallery,
            controls.backend, controls.colour, controls.keep, controls.read,
        ]  # fmt: skip
        self.found: list[Any] = [controls.zone, result.status, result.map, result.strip, result.actions, desk]

    def wire(self) -> None:
        """Join components and handlers."""
        at, to = self.controls, self.result
        read_after = [to.map, at.colour, at.keep, at.read, self.desk, to.line]
        whose = [at.gallery, at.backend, self.desk]
        for event in (to.map.map_ready, at.gallery.input, at.backend.input):
            shown = event(explained(self.show), whose, self.opened, **GPU)
            few = shown.success(explained(self.read_few), [self.desk], [to.status], **GPU)
            few.success(explained(self.painted), [self.desk, *self.filter], read_after, **QUICK)
        read = at.read.click(explained(self.read_all), [self.desk], [to.status], **GPU)
        read.success(explained(self.painted), [self.desk, *self.filter], read_after, **QUICK)
        for component in (at.colour, at.labels, at.low, at.high):
            component.input(explained(self.paint), [self.desk, *self.filter], [to.map], **QUICK)
        at.keep.input(explained(self.offer_filter), [self.desk, at.keep], [at.labels, at.low, at.high], **QUICK).then(
            explained(self.paint), [self.desk, *self.filter], [to.map], **QUICK
        )
        arrangement = [at.method, at.dimensions, at.neighbours, at.seed, self.desk]
        arranged = at.arrange.click(explained(self.arrange), arrangement, [to.status, to.map, self.desk], **SLOW)
        painted = arranged.success(explained(self.paint), [self.desk, *self.filter], [to.map], **QUICK)
        joined = [at.lines, at.other, self.desk]
        for event in (at.lines.input, at.other.input, painted.success):
            event(explained(self.draw_lines), joined, [to.map, to.line, at.other], **QUICK)
        to.map.pick_face(explained(self.pick), [self.desk], [to.map, to.strip, to.actions, self.desk], **QUICK)
        to.map.select_faces(explained(self.select), [self.desk], [to.strip, to.actions, self.desk], **QUICK)
        search = at.zone.submit(explained(self.search), [at.zone, self.desk], self.found, **GPU)
        search.failure(lambda: (folded(False), ""), None, [at.zone, to.status], **QUICK)
        to.saver.save(explained(self.save), [self.desk], [to.saver], **QUICK)
        tagged = to.give.click(
            explained(self.give_tag), [to.tag, to.value, self.desk], [to.status, at.colour, at.keep], **QUICK
        )
        tagged.success(explained(self.paint), [self.desk, *self.filter], [to.map], **QUICK)
        to.status.cancel(
            lambda: (folded(False), ""), None, [at.zone, to.status], cancels=[arranged, read, search], **QUICK
        )

    def show(self, gallery: str, backend: str | None, now: Desk) -> Iterator[tuple[Any, ...]]:
        """Draw the map of a gallery."""
        kept = [gr.skip()] * (len(self.opened) - 1)
        wanted = MapChoice(() if gallery == ALL_GALLERIES else (int(gallery),), backend or "")
        try:
            for step in steps_of(lambda report: open_map(self.context, wanted, report), first="Laying out the map"):
                if isinstance(step, Done):
                    atlas = step.result
                else:
                    yield working(step.words, share=step.share, seconds_left=step.seconds_left), *kept
        except NothingToMap as nothing:
            galleries = self._galleries(gallery)
            empty = note("No map yet", f"{nothing} Add faces with `mien gallery`, then open this tab again.")
            yield empty, gr.skip(), "", "", gr.Column(visible=False), Desk(), galleries, *[gr.skip()] * 4
            return
        choice = replace(now.choice, method="pca")
        backends = explore.backends_of(self.context.store, wanted.gallery_ids)
        columns = column_choices(self.context.store, atlas, home_of(self.context))
        yield (
            "",
            gr.update(value=explore.points(atlas, choice), paint=self._paint(atlas, columns[0][1])),
            _line(atlas, choice),
            "",
            gr.Column(visible=False),
            Desk(key=atlas.key, wanted=wanted, choice=choice),
            self._galleries(gallery),
            gr.Dropdown(titled_networks(backends), value=atlas.backend, visible=len(backends) > 1),
            gr.Dropdown(columns, value=columns[0][1]),
            gr.Dropdown([("Everything", EVERYTHING), *columns], value=EVERYTHING),
            self._read_button(atlas),
        )

    def read_few(self, now: Desk) -> Iterator[Any]:
        """Read what nobody has read, when it does not take long."""
        if now.key and 0 < waiting_faces(self.context, self._atlas(now).backend) <= READ_AT_ONCE:
            yield from self.read_all(now)
        yield gr.skip()

    def read_all(self, now: Desk) -> Iterator[Any]:
        """Read what nobody has read."""
        yield from self._report(read_waiting(self.context, self._atlas(now).backend), "Reading gallery faces")

    def _report(self, work: Any, first: str) -> Iterator[Any]:
        for step in steps_of(work, first=first):
            if not isinstance(step, Done):
                yield working(step.words, share=step.share, seconds_left=step.seconds_left)
        yield ""

    def painted(self, now: Desk, colour: str, *rest: Any) -> tuple[Any, ...]:
        """Colour the map with what is known now, by emotion when that is new; faces read just now join it."""
        if not now.key:
            return (gr.skip(),) * 6
        atlas = open_map(self.context, now.wanted)
        grew = atlas.key != now.key
        after = replace(now, key=atlas.key, choice=replace(now.choice, method="pca") if grew else now.choice)
        columns = column_choices(self.context.store, atlas, home_of(self.context))
        first = columns[0][1] if colour == "cluster" else colour
        drawn = self.paint(after, first, *rest)
        if grew:
            drawn |= gr.update(value=explore.points(atlas, after.choice))
        return (
            drawn,
            gr.Dropdown(columns, value=first),
            gr.Dropdown([("Everything", EVERYTHING), *columns]),
            self._read_button(atlas),
            after,
            _line(atlas, after.choice),
        )

    def paint(
        self, now: Desk, colour: str, keep: str, labels: list[str], low: float | None, high: float | None
    ) -> dict[str, Any]:
        """Colour and filter the map."""
        if not now.key:
            skipped: dict[str, Any] = gr.skip()
            return skipped
        atlas = self._atlas(now)
        shown = None
        if keep != EVERYTHING:
            wanted = column(self.context.store, atlas, home_of(self.context), keep)
            shown = shown_rows(wanted, labels=labels, low=low, high=high)
        update: dict[str, Any] = gr.update(paint=self._paint(atlas, colour, shown))
        return update

    def offer_filter(self, now: Desk, keep: str) -> tuple[Any, ...]:
        """Show the labels or the numbers one can filter by."""
        if keep == EVERYTHING:
            return gr.CheckboxGroup(visible=False), gr.Number(None, visible=False), gr.Number(None, visible=False)
        wanted = column(self.context.store, self._atlas(now), home_of(self.context), keep)
        if wanted.kind == "category":
            labels = list(wanted.labels)
            boxes = gr.CheckboxGroup(labels, value=labels, visible=True)
            return boxes, gr.Number(None, visible=False), gr.Number(None, visible=False)
        return gr.CheckboxGroup(visible=False), gr.Number(None, visible=True), gr.Number(None, visible=True)

    def arrange(self, method: Any, dimensions: int, neighbours: int, seed: int, now: Desk) -> Iterator[tuple[Any, ...]]:
        """Lay the faces out another way."""
        atlas = self._atlas(now)
        choice = LayoutChoice(method, int(dimensions), int(seed or 0), int(neighbours))
        for step in steps_of(lambda report: layout(atlas, choice, report), first="Arranging the faces"):
            if not isinstance(step, Done):
                yield working(step.words, share=step.share, seconds_left=step.seconds_left), gr.skip(), gr.skip()
        yield "", gr.update(value=explore.points(atlas, choice)), replace(now, choice=choice)

    def draw_lines(self, kind: str, other: str | None, now: Desk) -> tuple[Any, ...]:
        """Join faces by answers or by moves, and say in a line what was found."""
        atlas = self._atlas(now)
        others = [name for name in explore.backends_of(self.context.store) if name != atlas.backend]
        against = other if other in others else next(iter(others), None)
        lines, said = self._lines(atlas, now, kind, against)
        if lines and now.choice.dimensions == 3:
            lines, said = [], "Lines are drawn on the flat map; choose Flat under Arrangement"
        update = gr.update(lines=explore.joined(atlas, now.choice, lines))
        chooser = gr.Dropdown(titled_networks(others), value=against, visible=kind == "moves" and bool(others))
        return update, quiet_line(said) if said else _line(atlas, now.choice), chooser

    def _lines(self, atlas: Atlas, now: Desk, kind: str, other: str | None) -> tuple[list[Line], str]:
        if kind == "answers":
            found = answer_lines(self.context.store, atlas, now.choice)
            if not found.questions:
                return [], "Nobody has answered a question about three of these faces yet"
            drawn = f"; {len(found.lines)} of them are drawn" if len(found.lines) < found.questions else ""
            wrong = f"the vectors contradict {found.contradicted:,} (red, dashed)"
            return found.lines, f"{found.questions:,} answered questions join two faces; {wrong}{drawn}"
        if kind == "moves" and other is None:
            return [], "Only one network has read these faces, so none of them has moved"
        if kind == "moves" and other is not None:
            moved = moves(self.context.store, home_of(self.context), atlas, now.choice, other=other)
            kept = f"{moved.kept_neighbours * 100:.0f} % of the ten nearest faces are the same"
            where = f"A line ends in a dot where {network_titles([other])[0]} puts the face"
            return moved.lines, f"{where}; {kept}; the {len(moved.lines)} longest are drawn"
        return [], ""

    def pick(self, event: gr.EventData, now: Desk) -> tuple[Any, ...]:
        """Show the nearest faces of one."""
        atlas = self._atlas(now)
        near = explore.near_face(atlas, int(event.id))
        face_id = int(event.id)
        words = f"Nearest in the full space of {atlas.vectors.shape[1]} numbers, not on the flat map."
        strip = face_strip(
            [
                self._strip_face(face_id, words="this face"),
                *(self._strip_face(n.face_id, distance=n.distance) for n in near),
            ],
            title=f"Nearest to face {face_id}",
            words=words,
        )
        marks = explore.marks(atlas, now.choice, centre=face_id, near=near)
        chosen = (face_id, *(item.face_id for item in near))
        return gr.update(marks=marks), strip, gr.Column(visible=True), replace(now, chosen=chosen)

    def select(self, event: gr.EventData, now: Desk) -> tuple[Any, ...]:
        """Show the faces inside a lasso."""
        if not isinstance(event.ids, list):
            raise NoFaceFound("No faces were selected.")
        chosen = tuple(explore.selected_ids(self._atlas(now), event.ids))
        if not chosen:
            return "", gr.Column(visible=False), replace(now, chosen=())
        faces = [self._strip_face(face_id, words=f"face {face_id}") for face_id in chosen[: explore.MOST_SHOWN]]
        more = f" The first {len(faces)} are shown." if len(chosen) > len(faces) else ""
        strip = face_strip(faces, title=f"{len(chosen):,} faces selected", words=SELECTED + more)
        return strip, gr.Column(visible=True), replace(now, chosen=chosen)

    def search(self, uploads: list[Upload], now: Desk) -> Iterator[tuple[Any, ...]]:
        """Put a visitor's photo on the map."""
        yield gr.skip(), working("Finding the face and reading it"), *[gr.skip()] * (len(self.found) - 2)
        yield self._place(read_image(uploads[0].path), now, name=uploads[0].name)

    def receive(self, carried: CarriedFace, now: Desk) -> tuple[Any, ...]:
        """Put a face from another tab on the map."""
        if not now.key:
            now = replace(now, key=open_map(self.context, MapChoice()).key)
        return self._place(carried.image, now, name=carried.name, near=carried)

    def _place(self, image: Image, now: Desk, *, name: str, near: CarriedFace | None = None) -> tuple[Any, ...]:
        atlas = self._atlas(now)
        reading = read_photo(image, name=name)
        if not reading.faces:
            words = "Faces are found from 40 pixels up. Try a sharper or larger picture, or one with more light."
            return folded(True), note("No face found", words), gr.skip(), gr.skip(), gr.skip(), now
        boxes = [item.face.box.overlap(near.face.box) if near and near.face else 0.0 for item in reading.faces]
        face = reading.faces[boxes.index(max(boxes))]
        vector, backend = face.expression.vector, face.expression.backend
        if atlas.backend != backend:
            vector, backend = moved(self.context.store, vector, backend, portrait=face.portrait)
        found = explore.near_vector(atlas, vector, backend=backend)
        marks = explore.marks(atlas, now.choice, near=found, newcomer=vector)
        others = [self._strip_face(item.face_id, distance=item.distance) for item in found]
        strip = face_strip(
            [StripFace("new:1", name, face.portrait[::2, ::2], words="new"), *others],
            title=f"Where {name} belongs",
            words="It is drawn among its neighbours. The photo is not kept and joins no gallery.",
        )
        after = replace(
            now,
            chosen=tuple(item.face_id for item in found),
            newcomer=Newcomer(reading.picture, face.portrait, face.expression),
        )
        return folded(True), "", gr.update(marks=marks), strip, gr.Column(visible=True), after

    def save(self, event: gr.EventData, now: Desk) -> Download:
        """Hand over the faces in the row."""
        atlas = self._atlas(now)
        if str(event.kind) == "zip":
            return Download("faces.zip", "application/zip", explore.as_pictures(self.context.store, now.chosen))
        records = explore.record(self.context.store, atlas, home_of(self.context), now.chosen)
        if str(event.kind) == "csv":
            return Download("faces.csv", "text/csv", explore.as_csv(records))
        return Download("faces.json", "application/json", explore.as_json(records))

    def give_tag(self, tag: str, value: str, now: Desk) -> tuple[Any, ...]:
        """Tag the faces in the row."""
        if self.context.settings.on_spaces:
            raise NotAllowed("Tags can be given on your own Mien, not on a public one.")
        count = explore.tag_faces(self.context.store, now.chosen, tag=tag, value=value)
        columns = column_choices(self.context.store, self._atlas(now), home_of(self.context))
        said = quiet_line(f"{count} faces tagged {tag.strip()}: {value.strip()}")
        return said, gr.Dropdown(columns), gr.Dropdown([("Everything", EVERYTHING), *columns])

    def carried(self, event: gr.EventData, now: Desk) -> CarriedFace:
        """Return the face whose menu was used."""
        kind, _, number = str(event.key).partition(":")
        if kind == "new" and now.newcomer is not None:
            return CarriedFace(now.newcomer.picture, None, "your photo", now.newcomer.expression)
        if kind != "gallery" or not number.isdigit():
            raise NoFaceFound("This face is no longer here; pick it on the map again.")
        picture, row = gallery_picture(self.context.store, int(number))
        return CarriedFace(picture, None, f"gallery face {row.id}")

    def _atlas(self, now: Desk) -> Atlas:
        return open_atlas(home_of(self.context), now.key)

    def _paint(self, atlas: Atlas, colour: str, shown: Any = None) -> str:
        return explore.paint(atlas, column(self.context.store, atlas, home_of(self.context), colour), shown)

    def _galleries(self, gallery: str) -> gr.Dropdown:
        return gr.Dropdown([("All galleries", ALL_GALLERIES), *gallery_choices(self.context)], value=gallery)

    def _read_button(self, atlas: Atlas) -> gr.Button:
        count = waiting_faces(self.context, atlas.backend)
        return gr.Button(f"Read {count:,} faces nobody has read", visible=count > 0)

    def _strip_face(self, face_id: int, *, words: str = "", distance: float | None = None) -> StripFace:
        return StripFace(
            key=f"gallery:{face_id}",
            name=f"gallery face {face_id}",
            picture=thumbnail(self.context, face_id),
            words=words,
            distance=distance,
        )


def _line(atlas: Atlas, choice: LayoutChoice) -> str:
    method = {"pca": "PCA", "umap": "UMAP", "tsne": "t-SNE"}[choice.method]
    title = network_titles([atlas.backend])[0]
    return quiet_line(f"{len(atlas):,} faces", f"read by {title} ({atlas.backend})", f"arranged by {method}")
