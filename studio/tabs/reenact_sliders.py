"""Sliders: a still face smiles, winks and turns its head."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from models.errors import NoFaceFound
from studio.components.doors import CarriedFace, Outlet
from studio.components.face_desk import FaceDesk, desk_of, picture_of
from studio.components.saver import Download, Saver
from studio.components.status import Status, quiet_line, working
from studio.context import Context
from studio.errors import explained
from studio.services.reenact import Performer
from studio.services.reenact_edit import Edit, carry_out, edit
from studio.services.reenact_exports import Made
from studio.services.reenact_words import limits, measured_words, ran_words
from studio.tabs.expression_photo import GPU, QUICK
from studio.tabs.reenact_source import SourcePanel, build_panel

EMPTY = (
    '<div class="empty"><h2>A still face moves</h2><p>Give a photo, or take a made face. Sliders change its expression '
    "and turn its head; no clip is needed.</p></div>"
)
FILES = ("reenact_still", "reenact_moved", "reenact_motion")


class Desk:
    """The sliders part; holds the components and nothing of any visitor."""

    def __init__(self, context: Context, performer: gr.State) -> None:
        self.mark = context.settings.synthetic_mark
        self.performer, self.now = performer, gr.State(None, time_to_live=1800)
        with gr.Row(elem_classes="bench"):
            with gr.Column(elem_classes="input-side", min_width=280):
                parts = build_panel("reenact-face", mark=self.mark)
                self.paste = gr.Checkbox(True, label="Show it in the photo", elem_id="reenact-desk-paste")
            with gr.Column(elem_classes="result-side", min_width=320):
                self.status = Status(elem_id="reenact-desk-status")
                self.empty = gr.HTML(EMPTY, apply_default_css=False, elem_id="reenact-desk-empty")
                self.desk = FaceDesk(elem_id="reenact-desk")
                with gr.Group(visible=False, elem_classes="plain-group") as self.result:
                    self.line = gr.HTML(apply_default_css=False, elem_id="reenact-desk-line")
                    self.saver = Saver(FILES, elem_id="reenact-desk-saver")
                with gr.Accordion("What this is, and what it is not", open=False):
                    gr.Markdown(limits())
        self.source = SourcePanel(*parts, self.status)
        self.outlets = (Outlet(self.desk, self._carried, [self.now]),)
        self.follower = (explained(self._begin), [performer, self.paste], self._shown)

    @property
    def _shown(self) -> list[Any]:
        return [self.desk, self.empty, self.result, self.line, self.now]

    def wire(self) -> None:
        """Join components and handlers."""
        move = {"trigger_mode": "always_last", **GPU}
        self.desk.move(explained(self._move), [self.performer, self.paste], [self.desk, self.now], **move)
        self.paste.input(explained(self._paste), [self.paste, self.now], [self.desk, self.now], **GPU)
        # A handler that yields sends its last values twice, and a download must be handed over once.
        ready = gr.State(None, time_to_live=600)
        saved = self.saver.save(explained(self._save), [self.now], [self.status, ready], **GPU)
        saved.success(lambda made: made, [ready], [self.saver], **QUICK)
        saved.failure(lambda: "", None, [self.status], **QUICK)

    def _begin(self, performer: Performer | None, paste_back: bool) -> tuple[Any, ...]:
        if performer is None:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip(), None
        made = edit(performer, performer.own.coefficients, (0, 0, 0), paste_back=paste_back)
        line = quiet_line(ran_words(), f"face encoded in {made.performer.milliseconds:.0f} ms", measured_words())
        desk = gr.update(value=desk_of(performer), picture=self._picture(made))
        return desk, gr.HTML(visible=False), gr.Group(visible=True), line, made

    def _move(self, event: gr.EventData, performer: Performer | None, paste_back: bool) -> tuple[Any, Edit]:
        if performer is None:
            raise NoFaceFound("The photo is no longer here; pictures are forgotten after half an hour. Give it again.")
        said = event._data
        turn = [said.get(name, 0) for name in ("yaw", "pitch", "roll")]
        made = edit(performer, said.get("expression") or (), turn, paste_back=paste_back)
        return gr.update(picture=self._picture(made)), made

    def _paste(self, paste_back: bool, now: Edit | None) -> tuple[Any, Edit | None]:
        if now is None:
            return gr.skip(), None
        made = Edit(now.performer, now.drive, now.frame, paste_back, now.milliseconds)
        return gr.update(picture=self._picture(made)), made

    def _picture(self, made: Edit) -> str:
        return picture_of(made.shown(mark=self.mark), f"Drawn in {made.milliseconds:.0f} ms")

    def _carried(self, event: gr.EventData, now: Edit | None) -> CarriedFace:
        return CarriedFace(_known(now).shown(mark=self.mark), None, "edited face")

    def _save(self, event: gr.EventData, now: Edit | None) -> Iterator[tuple[str, Any]]:
        kind = {"reenact_still": "still", "reenact_moved": "film"}.get(str(event.kind), "motion")
        for step in carry_out(_known(now), kind, mark=self.mark):
            if isinstance(step, Made):
                yield "", Download(step.suffix, step.media_type, step.content)
            else:
                yield working("Drawing the way there and back", share=step), gr.skip()


def _known(now: Edit | None) -> Edit:
    if now is None:
        raise NoFaceFound("The face is no longer here; pictures are forgotten after half an hour. Give it again.")
    return now
