"""Clip: read a face frame by frame, see it over time, jump to the moments that stand out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from models.errors import BadInput, MienError
from studio.components.chart import Chart
from studio.components.clip_view import FrameView, Moments, frame_view, moment_strip
from studio.components.drop_zone import CLIP_TYPES, DropZone, Upload, folded
from studio.components.examples import Examples
from studio.components.saver import Download, Saver
from studio.components.status import Brake, Status, note, quiet_line, working
from studio.context import Context
from studio.errors import explained, title_of
from studio.services import exports
from studio.services.example_clip import example_clip
from studio.services.examples import clip_examples
from studio.services.plots import timeline
from studio.services.timeline import MOST_SECONDS, ClipReading, key_moments, read_clip
from studio.tabs.expression_photo import GPU, NO_FACE, QUICK

EMPTY = (
    f'<div class="empty"><h2>Follow an expression</h2><p>Give a clip of up to {MOST_SECONDS:.0f} seconds. One face is '
    "followed through it; you can stop at any time and keep what was read so far.</p></div>"
)
RATES = {"5 a second": 5.0, "10 a second": 10.0, "Every frame": 0.0}


@dataclass(frozen=True, eq=False)
class Panel:
    """The components a clip's reading is shown in."""

    zone: DropZone
    status: Status
    frame: FrameView
    result: gr.Group
    chart: Chart
    moments: Moments
    line: gr.HTML
    clip: gr.State

    @property
    def outputs(self) -> list[Any]:
        """In the order of `_finished`."""
        return [self.zone, self.status, self.frame, self.result, self.chart, self.moments, self.line, self.clip]


def build(context: Context) -> None:
    """Lay out and wire the clip part."""
    clip = gr.State(None, time_to_live=1800)
    with gr.Row(elem_classes="bench"):
        with gr.Column(elem_classes="input-side", min_width=280):
            zone = DropZone(
                title="Drop a clip, or choose one",
                hint=f"MP4, WebM, MOV or GIF, up to {MOST_SECONDS:.0f} seconds.",
                types=CLIP_TYPES,
                again="Another clip",
                elem_classes="drop",
                elem_id="clip-zone",
            )
            rate = gr.Radio(
                list(RATES), value="10 a second", label="Frames to read", elem_id="clip-rate", elem_classes="when-empty"
            )
            samples = Examples(clip_examples, elem_id="clip-examples", elem_classes="when-empty")
        with gr.Column(elem_classes="result-side", min_width=320):
            status = Status(elem_id="clip-status")
            frame = FrameView(value=EMPTY, elem_id="clip-frame")
            with gr.Group(visible=False, elem_classes="plain-group") as result:
                chart = Chart(
                    description="Emotions and muscle actions over time; the slider above moves through the frames",
                    elem_id="clip-chart",
                )
                moments = Moments(elem_id="clip-moments")
                line = gr.HTML(apply_default_css=False)
                saver = Saver(("json", "csv", "npz"), elem_id="clip-saver")
    _wire(
        Panel(zone, status, frame, result, chart, moments, line, clip),
        rate,
        samples,
        saver,
        made=context.settings.data_dir / "examples",
    )


def _wire(panel: Panel, rate: gr.Radio, samples: Examples, saver: Saver, *, made: Path) -> None:
    brake = gr.State(Brake())

    @explained
    def read(uploads: list[Upload], chosen_rate: str, stopper: Brake) -> Iterator[tuple[Any, ...]]:
        stopper.release()
        yield from _read(uploads[0].path, uploads[0].name, chosen_rate, stopper=stopper)

    @explained
    def try_example(chosen_rate: str, stopper: Brake) -> Iterator[tuple[Any, ...]]:
        stopper.release()
        yield _opening("Making the example clip")
        yield from _read(example_clip(made), "made faces", chosen_rate, stopper=stopper)

    @explained
    def seek(event: gr.EventData, reading: ClipReading | None) -> str:
        return frame_view(_known(reading), _index(event.index, reading))

    @explained
    def save(event: gr.EventData, reading: ClipReading | None) -> Download:
        return _download(str(event.kind), _known(reading))

    events = [
        panel.zone.submit(read, [panel.zone, rate, brake], panel.outputs, **GPU),
        samples.example(try_example, [rate, brake], panel.outputs, **GPU),
    ]
    refused = (folded(False), note("Nothing was read", "Choose another clip."))
    for event in events:
        event.failure(lambda: refused, None, [panel.zone, panel.status], **QUICK)
    panel.status.cancel(lambda stopper: stopper.pull(), [brake], None, **QUICK)
    for component, name in ((panel.chart, "point"), (panel.frame, "seek"), (panel.moments, "seek")):
        getattr(component, name)(seek, [panel.clip], [panel.frame], trigger_mode="always_last", **QUICK)
    saver.save(save, [panel.clip], [saver], **QUICK)


def _read(path: Path, name: str, chosen_rate: str, *, stopper: Brake) -> Iterator[tuple[Any, ...]]:
    reading = None
    try:
        for reading in read_clip(path, name=name, frames_per_second=RATES.get(chosen_rate, 10.0)):
            if stopper.pulled:
                break
            yield _under_way(reading)
        yield _finished(reading)
    except MienError as error:  # said on the page, where it stays until the next clip
        told, hidden = note(title_of(error), str(error)), gr.Group(visible=False)
        yield folded(False), told, EMPTY, hidden, None, "", "", None


def _opening(step: str) -> tuple[Any, ...]:
    return gr.skip(), working(step), "", gr.Group(visible=False), gr.skip(), gr.skip(), "", None


def _under_way(reading: ClipReading) -> tuple[Any, ...]:
    step = f"Reading frame {len(reading.frames) + 1}" if reading.frames else "Opening the clip"
    status = working(step, share=reading.share, seconds_left=reading.seconds_left)
    shown = frame_view(reading, len(reading.frames) - 1, with_slider=False) if reading.frames else ""
    hidden = gr.Group(visible=False)
    return gr.skip(), status, shown, hidden, gr.skip(), gr.skip(), "", reading


def _finished(reading: ClipReading | None) -> tuple[Any, ...]:
    """Return the values of the panel's outputs for a reading, complete or stopped."""
    if reading is None or not reading.frames:
        return (
            folded(False),
            note("Stopped", "Nothing had been read yet."),
            EMPTY,
            gr.Group(visible=False),
            None,
            "",
            "",
            None,
        )
    if not reading.read:
        shown = frame_view(reading, 0)
        return (
            folded(True),
            note("No face found", NO_FACE),
            shown,
            gr.Group(visible=False),
            None,
            "",
            _line(reading),
            reading,
        )
    moments = key_moments(reading)
    first = moments[0].index if moments else next(i for i, f in enumerate(reading.frames) if f.expression is not None)
    return (
        folded(True),
        _told(reading),
        frame_view(reading, first),
        gr.Group(visible=True),
        timeline(reading, moments),
        moment_strip(reading, moments),
        _line(reading),
        reading,
    )


def _told(reading: ClipReading) -> str:
    if not reading.is_complete:
        until = reading.frames[-1].time_s
        return note("Stopped", f"The first {until:.1f} of {reading.duration_s:.1f} seconds were read.")
    if reading.most_faces > 1:
        return note("Several faces", f"Up to {reading.most_faces} faces at once; the largest at the start is followed.")
    return ""


def _line(reading: ClipReading) -> str:
    found = len(reading.read)
    backend = next((f.expression.backend for f in reading.frames if f.expression is not None), "")
    pace = reading.seconds_spent / max(len(reading.frames), 1) * 1000
    return quiet_line(
        f"Own weights {backend}" if backend else "Own weights",
        f"{pace:.0f} ms per frame",
        f"face found in {found} of {len(reading.frames)} frames",
    )


def _known(reading: ClipReading | None) -> ClipReading:
    if reading is None:
        raise BadInput("The clip is no longer here; pictures are forgotten after half an hour. Give it again.")
    return reading


def _index(value: object, reading: ClipReading | None) -> int:
    if not isinstance(value, int):
        raise BadInput("This is no frame of the clip.")
    return min(max(value, 0), len(_known(reading).frames) - 1)


def _download(kind: str, reading: ClipReading) -> Download:
    if kind == "csv":
        return Download("clip.csv", "text/csv", exports.clip_csv(reading))
    if kind == "npz":
        return Download("clip.npz", "application/octet-stream", exports.clip_npz(reading))
    return Download("clip.json", "application/json", exports.as_json(exports.clip_record(reading)))
