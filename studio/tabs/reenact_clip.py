"""From a clip or motion: a face performs what another does, first as a preview, then as a film."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from models.errors import BadInput, Cancelled, MienError
from studio.components.clip_recorder import ClipRecorder
from studio.components.crop_view import CropView
from studio.components.doors import CarriedFace, Outlet
from studio.components.drop_zone import CLIP_TYPES, PHOTO_TYPES, DropZone, Upload, folded
from studio.components.reenact_view import ReenactView, preview_view, working_view
from studio.components.saver import Download, Saver
from studio.components.shelf import Shelf
from studio.components.status import Brake, Status, note, quiet_line, working
from studio.context import Context
from studio.errors import explained, title_of
from studio.services.background import Done, steps_of
from studio.services.reenact import Performer
from studio.services.reenact_driver import (
    MOST_SECONDS,
    Driver,
    open_driver,
    reboxed,
    reference_of,
    shelf_driver,
)
from studio.services.reenact_exports import Made, carry_out
from studio.services.reenact_motion import Options
from studio.services.reenact_official import NAME, Studied, check_wait, refusal, seconds_for, study
from studio.services.reenact_official import is_here as official_is_here
from studio.services.reenact_run import Performance, perform, preview
from studio.services.reenact_words import LICENCE, OPEN_NAME, limits, ran_words, wait_words
from studio.tabs.expression_photo import GPU, QUICK
from studio.tabs.reenact_shown import EMPTY, advice, button_of, crops_of, finished, hint_of, page, waiting
from studio.tabs.reenact_source import SourcePanel, build_panel

MODES = {"Relative: by how much it moves": "relative", "Absolute: exactly as it is": "absolute"}
PARTS = {"Expression and head": "all", "Expression only": "expression", "Head only": "pose"}
SMOOTHING = {"None": 0.0, "Light": 0.15, "Strong": 0.3}
SIZES = {"Draft, 64 x 64": 64, "Half, 128 x 128": 128, "Whole, 256 x 256": 256}
RUN: dict[str, Any] = QUICK | {"concurrency_id": "reenact", "concurrency_limit": 1}
"""Whole films: one at a time, and never in the way of others' photos."""
FILES = ("reenact_film", "reenact_side", "reenact_gif", "reenact_frames", "reenact_still", "reenact_motion")


class Clip:
    """The clip part; holds the components and nothing of any visitor."""

    def __init__(self, context: Context, performer: gr.State) -> None:
        self.mark = context.settings.synthetic_mark
        self.most_frames = context.settings.official_frames
        self.performer = performer
        self.driver, self.made = gr.State(None, time_to_live=1800), gr.State(None, time_to_live=1800)
        self.reference, self.studied = gr.State(None, time_to_live=1800), gr.State(None, time_to_live=1800)
        self.brake = gr.State(Brake())
        with gr.Row(elem_classes="bench"):
            with gr.Column(elem_classes="input-side", min_width=280):
                parts = build_panel("reenact", mark=self.mark)
                self._lay_out_driver()
            with gr.Column(elem_classes="result-side", min_width=320):
                self.status = Status(elem_id="reenact-status")
                self.empty = gr.HTML(EMPTY, apply_default_css=False, elem_id="reenact-empty")
                self.hint = gr.HTML(apply_default_css=False, elem_id="reenact-hint")
                self.view = ReenactView(elem_id="reenact-view")
                with gr.Group(visible=False, elem_classes="plain-group") as self.result:
                    self.saver = Saver(FILES, elem_id="reenact-saver")
                self.line = gr.HTML(apply_default_css=False, elem_id="reenact-line")
                with gr.Group(visible=False, elem_classes="plain-group") as self.work:
                    self.networks = self._lay_out_networks()
                    self.options = [*self._lay_out_options(), *self.networks]
                    self.go = gr.Button("Make the film", variant="primary", elem_id="reenact-go")
                with gr.Accordion("What this is, and what it is not", open=False):
                    gr.Markdown(limits())
        self.source = SourcePanel(*parts, self.status)
        self.outlets = (Outlet(self.view, self._carried, [self.made]),)
        self.seen: list[Any] = [self.performer, self.driver, self.reference, self.studied, self.brake, *self.options]
        self.shown: list[Any] = [
            self.crops, self.view, self.empty, self.hint, self.work, self.go, self.line, self.result, self.made,
            self.status, self.studied,
        ]  # fmt: skip
        self.follower = (explained(self._preview), self.seen, self.shown)

    def _lay_out_driver(self) -> None:
        gr.HTML("<h3>What moves it</h3>", apply_default_css=False, elem_id="reenact-driver-title")
        self.zone = DropZone(
            title="Drop a clip, a photo or a motion",
            hint=f"MP4, WebM, MOV or GIF up to {MOST_SECONDS:.0f} seconds, a photo, or a motion file (.npz).",
            types=f"{CLIP_TYPES},{PHOTO_TYPES},.npz",
            again="Another clip, photo or motion",
            elem_classes="drop",
            elem_id="reenact-driver-zone",
        )
        self.crops = CropView(label="The square that is cut from the driver", elem_id="reenact-driver-crops")
        self.recorder = ClipRecorder(elem_id="reenact-recorder")
        self.shelf = Shelf(elem_id="reenact-shelf")

    def _lay_out_networks(self) -> list[Any]:
        """What draws: only a choice where FSRT's own files are here."""
        offered = [OPEN_NAME, NAME] if official_is_here() else [OPEN_NAME]
        drawn_by = gr.Radio(
            offered, value=OPEN_NAME, label="Drawn by", visible=len(offered) > 1, elem_id="reenact-network"
        )
        with gr.Group(visible=False, elem_classes="plain-group") as self.official:
            gr.HTML(f'<p class="quiet consent">{LICENCE}</p>', apply_default_css=False)
            size = gr.Radio(list(SIZES), value=next(iter(SIZES)), label="Size of the face", elem_id="reenact-size")
            half = gr.Checkbox(
                False,
                label="Half precision: faster on some processors, colours a little less exact",
                elem_id="reenact-half",
            )
        return [drawn_by, size, half]

    def _lay_out_options(self) -> list[Any]:
        with gr.Accordion("How it follows", open=False, elem_id="reenact-options"):
            return [
                gr.Radio(list(MODES), value=next(iter(MODES)), label="Movement", elem_id="reenact-mode"),
                gr.Radio(list(PARTS), value=next(iter(PARTS)), label="What is taken", elem_id="reenact-part"),
                gr.Slider(
                    0, 2, value=1, step=0.05, label="Strength of the expression", buttons=[], elem_id="reenact-strength"
                ),
                gr.Radio(list(SMOOTHING), value="None", label="Smoothing over time", elem_id="reenact-smoothing"),
                gr.Checkbox(True, label="Measure the head's way in sizes of the face", elem_id="reenact-adapt"),
                gr.Checkbox(True, label="Put the face back into the photo", elem_id="reenact-paste"),
            ]  # fmt: skip

    def wire(self) -> None:
        """Join components and handlers."""
        brake = self.brake
        taken = [self.zone, self.status, self.driver, self.reference]
        events = [
            self.zone.submit(explained(self._take), [self.zone, self.driver], taken, **GPU),
            self.recorder.submit(explained(self._take), [self.recorder, self.driver], taken, **GPU),
            self.shelf.example(explained(self._take_shelf), [self.driver], taken, **GPU),
            self.crops.crop(explained(self._crop), [self.driver, self.reference], taken, **GPU),
            self.crops.reference(explained(self._refer), [self.driver], taken, **QUICK),
        ]
        for event in events:
            event.failure(lambda: (gr.update(value=None), ""), None, [self.zone, self.status], **QUICK)
            event.success(*self.follower, **GPU)
        for option in self.options:
            change = option.release if isinstance(option, gr.Slider) else option.input
            change(*self.follower, trigger_mode="always_last", **GPU)
        self.networks[0].input(
            lambda chosen: gr.Group(visible=chosen == NAME), [self.networks[0]], [self.official], **QUICK
        )
        made = [self.status, self.view, self.driver, self.line, self.go, self.result, self.made]
        run = self.go.click(explained(self._run), self.seen, made, **RUN)
        run.failure(lambda: ("", gr.Button(interactive=True)), None, [self.status, self.go], **QUICK)
        # A handler that yields sends its last values twice, and a download must be handed over once.
        ready = gr.State(None, time_to_live=600)
        saved = self.saver.save(explained(self._save), [self.made, brake], [self.status, ready], **RUN)
        saved.success(lambda file: file, [ready], [self.saver], **QUICK)
        saved.failure(lambda: "", None, [self.status], **QUICK)
        self.status.cancel(lambda stopper: stopper.pull(), [brake], None, **QUICK)

    def _take(self, uploads: list[Upload], now: Driver | None) -> Iterator[tuple[Any, ...]]:
        yield from _taken(lambda: open_driver(uploads[0].path, uploads[0].name), now)

    def _take_shelf(self, event: gr.EventData, now: Driver | None) -> Iterator[tuple[Any, ...]]:
        yield from _taken(lambda: shelf_driver(event.name), now)

    def _crop(self, event: gr.EventData, now: Driver | None, reference: float | None) -> tuple[Any, ...]:
        said = dict(event._data)
        return folded(True), "", reboxed(_known(now), None if said.get("anew") else said), reference

    def _refer(self, event: gr.EventData, now: Driver | None) -> tuple[Any, ...]:
        time_s = dict(event._data).get("time")
        wanted = float(time_s) if isinstance(time_s, int | float) else None
        return folded(True), "", _known(now), wanted

    def _preview(
        self,
        performer: Performer | None,
        driver: Driver | None,
        reference: float | None,
        studied: Studied | None,
        stopper: Brake,
        *said: Any,
    ) -> Iterator[tuple[Any, ...]]:
        """Show a few frames as soon as there is a face and something that moves it."""
        if performer is None or driver is None:
            yield waiting(performer, driver)
            return
        options = _options(reference, said)
        refused = refusal(driver, options)
        if refused:
            crops, button = crops_of(driver, 0.0, reference), button_of(driver, interactive=False)
            yield page(crops=crops, view="", hint=advice([refused]), line="", button=button, work=True)
        elif options.network == "official":
            stopper.release()
            yield from self._studied(performer, driver, options, studied, stopper)
        else:
            made = preview(performer, driver, options, mark=self.mark)
            number = reference_of(driver, performer.own, reference)
            yield page(
                crops=crops_of(driver, driver.times[number], reference),
                view=preview_view(made),
                hint=hint_of(performer, driver, options, driver.times[number]),
                line=quiet_line(ran_words(options), f"previewed in {made.milliseconds / 1000:.1f} s"),
                work=True,
                button=button_of(driver),
            )

    def _studied(
        self, performer: Performer, driver: Driver, options: Options, kept: Studied | None, stopper: Brake
    ) -> Iterator[tuple[Any, ...]]:
        """Preview with FSRT's own networks, which takes seconds: with its steps, and a way to stop it."""
        begun = steps_of(
            lambda report: study(
                performer, driver, options, kept, mark=self.mark,
                report=lambda *at: report(*at) and not stopper.pulled,
            ),
            first="Encoding the face",
        )  # fmt: skip
        try:
            for step in begun:
                if not isinstance(step, Done):
                    yield page(status=working(step.words, share=step.share, seconds_left=step.seconds_left), work=True)
                    continue
                made, studied = step.result
                at = 0.0 if made.moved.reference is None else studied.times[made.moved.reference]
                yield page(
                    crops=crops_of(driver, at, options.reference_s),
                    view=preview_view(made),
                    hint=hint_of(performer, driver, options, at),
                    line=quiet_line(
                        ran_words(options),
                        f"previewed in {made.milliseconds / 1000:.1f} s",
                        wait_words(*seconds_for(studied, options)),
                    ),
                    work=True,
                    button=button_of(driver),
                    status="",
                    studied=studied,
                )
        except Cancelled:
            yield page(status=note("Stopped", "No preview was made. The film can be made without it."), work=True,
                        button=button_of(driver))  # fmt: skip
        except MienError as error:
            yield page(status=note(title_of(error), str(error)), work=True)

    def _run(
        self,
        performer: Performer | None,
        driver: Driver | None,
        reference: float | None,
        studied: Studied | None,
        stopper: Brake,
        *said: Any,
    ) -> Iterator[tuple[Any, ...]]:
        stopper.release()
        if performer is None:
            raise BadInput("Give the face that shall perform first.")
        options = _options(reference, said)
        if options.network == "official":
            check_wait(studied, options, most_frames=self.most_frames)
        busy, hidden = gr.Button(interactive=False), gr.Group(visible=False)
        try:
            work = perform(
                performer, _known(driver), options, mark=self.mark, stopped=lambda: stopper.pulled,
                most_frames=self.most_frames,
            )  # fmt: skip
            for step in work:
                if isinstance(step, Performance):
                    yield finished(step)
                    return
                status = working(step.words, share=step.share, seconds_left=step.seconds_left)
                view = working_view(step) or gr.skip()
                yield status, view, gr.skip(), gr.skip(), busy, hidden, None
        except MienError as error:
            told = note(title_of(error), str(error))
            yield told, gr.skip(), driver, gr.skip(), gr.Button(interactive=True), hidden, None

    def _carried(self, event: gr.EventData, made: Performance | None) -> CarriedFace:
        if made is None:
            raise BadInput("The picture is no longer here; make it again.")
        return CarriedFace(made.still, None, "reenacted face")

    def _save(self, event: gr.EventData, made: Performance | None, stopper: Brake) -> Iterator[tuple[str, Any]]:
        stopper.release()
        if made is None:
            raise BadInput("The film is no longer here; films are forgotten after half an hour. Make it again.")
        work = carry_out(made, str(event.kind).removeprefix("reenact_"))
        for step in work:
            if isinstance(step, Made):
                yield "", Download(step.suffix, step.media_type, step.content)
            elif stopper.pulled:
                work.close()
                yield "", None
                return
            else:
                yield working("Making the file", share=step), gr.skip()


def _taken(make: Callable[[], Driver], now: Driver | None) -> Iterator[tuple[Any, ...]]:
    yield gr.skip(), working("Looking at it"), gr.skip(), gr.skip()
    try:
        yield folded(True), "", make(), None
    except MienError as error:  # said on the page, where it stays until the next driver
        yield gr.update(value=None), note(title_of(error), str(error)), now, gr.skip()


def _options(reference: float | None, said: tuple[Any, ...]) -> Options:
    mode, part, strength, smoothing, adapt, paste, network, size, half = said
    return Options(
        mode=MODES.get(mode, "relative"),
        part=PARTS.get(part, "all"),
        strength=float(strength),
        smoothing_s=SMOOTHING.get(smoothing, 0.0),
        adapt_scale=bool(adapt),
        reference_s=reference,
        paste_back=bool(paste),
        network="official" if network == NAME else "open",
        size=SIZES.get(size, 64),
        half=bool(half),
    )


def _known(now: Driver | None) -> Driver:
    if now is None:
        raise BadInput("What moves the face is gone; uploads are forgotten after half an hour. Give it again.")
    return now
