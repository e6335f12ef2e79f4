"""Whose face performs: the same panel in both modes, so that a face given in one is there in the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from models.errors import BadInput, MienError
from models.images import read_image
from studio.components.crop_view import CropView, photo_crops
from studio.components.doors import CarriedFace
from studio.components.drop_zone import PHOTO_TYPES, DropZone, Upload, folded
from studio.components.examples import Examples
from studio.components.status import Status, note, working
from studio.errors import explained, title_of
from studio.services.reenact import (
    MOST_PHOTOS,
    Performer,
    cropped,
    hold,
    with_photo,
    without_photo,
)
from studio.services.reenact_gallery import source_examples, source_picture
from studio.services.reenact_words import consent_words
from studio.tabs.expression_photo import GPU, QUICK


@dataclass(frozen=True, eq=False)
class SourcePanel:
    """The components a source is given and cut in."""

    zone: DropZone
    samples: Examples
    crops: CropView
    more: DropZone
    status: Status
    """Of the mode the panel stands in."""

    @property
    def outputs(self) -> list[Any]:
        """In the order of `shown`."""
        return [self.zone, self.crops, self.more]


def build_panel(prefix: str, *, mark: bool) -> tuple[DropZone, Examples, CropView, DropZone]:
    """Lay out the panel; call inside the input column."""
    gr.HTML(
        f'<p class="quiet consent">{consent_words(mark=mark)}</p>',
        apply_default_css=False,
        elem_id=f"{prefix}-consent",
    )
    zone = DropZone(
        title="Drop a photo of a face",
        hint=f"One photo, or up to {MOST_PHOTOS} of the same person. The largest face performs.",
        types=PHOTO_TYPES,
        again="Another face",
        camera=True,
        multiple=True,
        elem_classes="drop",
        elem_id=f"{prefix}-zone",
    )
    samples = Examples(source_examples, elem_id=f"{prefix}-examples")
    crops = CropView(label="The square that is cut from the photo", elem_id=f"{prefix}-crops")
    more = DropZone(
        title="Add a photo",
        hint="Another view of the same person fills in what the first does not show.",
        types=PHOTO_TYPES,
        again="Add a photo of the same person",
        visible=False,
        elem_classes=["drop", "folded"],
        elem_id=f"{prefix}-more",
    )
    return zone, samples, crops, more


class Sources:
    """Joins both panels to one visitor's performer; holds the components and nothing of any visitor."""

    def __init__(self, performer: gr.State, panels: tuple[SourcePanel, ...], followers: tuple[Any, ...]) -> None:
        """`followers` are (function, inputs, outputs) run after each change of the performer."""
        self.performer, self.panels, self.followers = performer, panels, followers
        self.outputs = [performer, *(part for panel in panels for part in panel.outputs)]

    def wire(self) -> None:
        """Join components and handlers."""
        for panel in self.panels:
            outputs = [*self.outputs, panel.status]
            events = [
                panel.zone.submit(explained(self._given), [panel.zone, self.performer], outputs, **GPU),
                panel.samples.example(explained(self._example), [self.performer], outputs, **GPU),
                panel.more.submit(explained(self._more), [panel.more, self.performer], outputs, **GPU),
                panel.crops.crop(explained(self._crop), [self.performer], outputs, **GPU),
                panel.crops.leave(explained(self._leave), [self.performer], outputs, **GPU),
            ]
            for event in events:
                event.failure(lambda: (folded(False), ""), None, [panel.zone, panel.status], **QUICK)
                self.follow(event)

    def follow(self, event: Any) -> None:
        """Bring both modes up to date after an event that changed the performer."""
        for function, inputs, outputs in self.followers:
            event.success(function, inputs, outputs, trigger_mode="always_last", **GPU)

    def receive(self, carried: CarriedFace, now: Performer | None) -> tuple[Any, ...]:
        """Take a face from another tab."""
        return self.shown(hold([carried.image], name=carried.name))

    def shown(self, performer: Performer, *, place: int = 0) -> tuple[Any, ...]:
        """Return the values of `outputs`."""
        can_grow = len(performer.photos) < MOST_PHOTOS
        more = gr.update(visible=can_grow, value=None, elem_classes=["drop", "folded"])
        crops = photo_crops(performer, shown=place)
        return performer, *[part for _ in self.panels for part in (folded(True), crops, more)]

    def _tried(self, make: Callable[[], Performer], words: str, *, place: int = 0) -> Iterator[tuple[Any, ...]]:
        kept = [gr.skip()] * len(self.outputs)
        yield *kept, working(words)
        try:
            yield *self.shown(make(), place=place), ""
        except MienError as error:  # said on the page, where it stays until the next photo
            emptied = [gr.update(value=None), gr.skip(), gr.update(value=None)] * len(self.panels)
            yield gr.skip(), *emptied, note(title_of(error), str(error))

    def _given(self, uploads: list[Upload], now: Performer | None) -> Iterator[tuple[Any, ...]]:
        def made() -> Performer:
            pictures = [read_image(upload.path) for upload in uploads]
            return hold(pictures, name=uploads[0].name)

        yield from self._tried(made, "Finding the face and looking at it")

    def _example(self, event: gr.EventData, now: Performer | None) -> Iterator[tuple[Any, ...]]:
        name = str(event.name)
        yield from self._tried(lambda: hold([source_picture(name)], name=name), "Finding the face and looking at it")

    def _more(self, uploads: list[Upload], now: Performer | None) -> Iterator[tuple[Any, ...]]:
        yield from self._tried(
            lambda: with_photo(_known(now), read_image(uploads[0].path)), "Looking at the other photo"
        )

    def _crop(self, event: gr.EventData, now: Performer | None) -> Iterator[tuple[Any, ...]]:
        said = dict(event._data)
        place = said.get("place")
        yield from self._tried(
            lambda: cropped(_known(now), place, None if said.get("anew") else said),
            "Looking at the new square",
            place=place if isinstance(place, int) else 0,
        )

    def _leave(self, event: gr.EventData, now: Performer | None) -> Iterator[tuple[Any, ...]]:
        yield from self._tried(lambda: without_photo(_known(now), event.place), "Leaving the photo out")


def _known(now: Performer | None) -> Performer:
    if now is None:
        raise BadInput("The photo is no longer here; pictures are forgotten after half an hour. Give it again.")
    return now
