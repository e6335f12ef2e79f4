"""Clip: one face followed as a head, filtered over time, laid over the film, and taken home."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from models.errors import BadInput, MienError
from studio.components.chart import Chart
from studio.components.clip_view import FrameView
from studio.components.drop_zone import CLIP_TYPES, DropZone, Upload, folded
from studio.components.examples import Examples
from studio.components.mesh_frame import mesh_frame
from studio.components.saver import Download, Saver
from studio.components.status import Brake, Status, note, quiet_line, working
from studio.context import Context
from studio.errors import explained, title_of
from studio.services.example_clip import example_clip
from studio.services.examples import clip_examples
from studio.services.mesh_clip import MeshClip, clip_csv, clip_glb, clip_npz, filtered, overlay_film, read_mesh_clip
from studio.services.mesh_plots import mesh_timeline
from studio.services.timeline import MOST_SECONDS
from studio.tabs.expression_photo import GPU, NO_FACE, QUICK

EMPTY = (
    f'<div class="empty"><h2>A moving head</h2><p>Give a clip of up to {MOST_SECONDS:.0f} seconds. One face is '
    "followed through it; you get its movement as numbers, as an animation, and laid over the film.</p></div>"
)
RATES = {"10 a second": 10.0, "15 a second": 15.0, "Every frame": 0.0}
SMOOTHING = {"None": "none", "Live (One-Euro)": "one-euro", "Even (Savitzky-Golay)": "savitzky-golay"}
SLOW: dict[str, Any] = QUICK | {"concurrency_id": "mesh-files", "concurrency_limit": 1}


@dataclass(frozen=True, eq=False)
class Panel:
    """The components a clip is shown in."""

    zone: DropZone
    status: Status
    frame: FrameView
    result: gr.Group
    chart: Chart
    line: gr.HTML
    raw: gr.State
    """As it was read; filtering begins from it."""
    clip: gr.State

    @property
    def outputs(self) -> list[Any]:
        """In the order of `_finished`."""
        return [self.zone, self.status, self.frame, self.result, self.chart, self.line, self.raw, self.clip]


def build(context: Context) -> None:
    """Lay out and wire the clip part."""
    raw, clip = gr.State(None, time_to_live=1800), gr.State(None, time_to_live=1800)
    with gr.Row(elem_classes="bench"):
        with gr.Column(elem_classes="input-side", min_width=280):
            zone = DropZone(
                title="Drop a clip, or choose one",
                hint=f"MP4, WebM, MOV or GIF, up to {MOST_SECONDS:.0f} seconds.",
                types=CLIP_TYPES,
                again="Another clip",
                elem_classes="drop",
                elem_id="mesh-clip-zone",
            )
            rate = gr.Radio(
                list(RATES), value="10 a second", label="Frames to read", elem_id="mesh-clip-rate",
                elem_classes="when-empty",
            )  # fmt: skip
            smoothing = gr.Radio(
                list(SMOOTHING),
                value="Even (Savitzky-Golay)",
                label="Smoothing over time",
                elem_id="mesh-clip-smoothing",
            )
            samples = Examples(clip_examples, elem_id="mesh-clip-examples", elem_classes="when-empty")
        with gr.Column(elem_classes="result-side", min_width=320):
            status = Status(elem_id="mesh-clip-status")
            frame = FrameView(value=EMPTY, elem_id="mesh-clip-frame")
            with gr.Group(visible=False, elem_classes="plain-group") as result:
                chart = Chart(
                    description="Actions and the head's turning over time; the slider above moves through the frames",
                    elem_id="mesh-clip-chart",
                )
                line = gr.HTML(apply_default_css=False, elem_id="mesh-clip-line")
                saver = Saver(("film", "glb", "csv", "npz"), elem_id="mesh-clip-saver")
    panel = Panel(zone, status, frame, result, chart, line, raw, clip)
    _wire(panel, rate, smoothing, samples, saver, made=context.settings.data_dir / "examples")


def _wire(panel: Panel, rate: gr.Radio, smoothing: gr.Radio, samples: Examples, saver: Saver, *, made: Path) -> None:
    brake = gr.State(Brake())

    @explained
    def read(uploads: list[Upload], chosen: str, smooth: str, stopper: Brake) -> Iterator[tuple[Any, ...]]:
        yield from _read(uploads[0].path, uploads[0].name, RATES.get(chosen, 10.0), smooth, stopper)

    @explained
    def try_example(chosen: str, smooth: str, stopper: Brake) -> Iterator[tuple[Any, ...]]:
        yield gr.skip(), working("Making the example clip"), "", gr.Group(visible=False), *[gr.skip()] * 4
        yield from _read(example_clip(made), "made faces", RATES.get(chosen, 10.0), smooth, stopper)

    @explained
    def smooth(chosen: str, raw: MeshClip | None, now: MeshClip | None) -> tuple[Any, ...]:
        if raw is None or not raw.read:
            return gr.skip(), gr.skip(), now
        after = filtered(raw, SMOOTHING[chosen])
        return mesh_frame(after, _first(after)), mesh_timeline(after), after

    @explained
    def seek(event: gr.EventData, clip: MeshClip | None) -> str:
        now = _known(clip)
        if not isinstance(event.index, int):
            raise BadInput("This is no frame of the clip.")
        return mesh_frame(now, min(max(event.index, 0), len(now.frames) - 1))

    @explained
    def save(event: gr.EventData, clip: MeshClip | None, stopper: Brake) -> Iterator[tuple[Any, str]]:
        stopper.release()
        yield from _save(str(event.kind), _known(clip), stopper)

    given = [rate, smoothing, brake]
    events = [
        panel.zone.submit(read, [panel.zone, *given], panel.outputs, **GPU),
        samples.example(try_example, given, panel.outputs, **GPU),
    ]
    refused = (folded(False), note("Nothing was read", "Choose another clip."))
    for event in events:
        event.failure(lambda: refused, None, [panel.zone, panel.status], **QUICK)
    panel.status.cancel(lambda stopper: stopper.pull(), [brake], None, **QUICK)
    smoothing.input(smooth, [smoothing, panel.raw, panel.clip], [panel.frame, panel.chart, panel.clip], **QUICK)
    for component, name in ((panel.chart, "point"), (panel.frame, "seek")):
        getattr(component, name)(seek, [panel.clip], [panel.frame], trigger_mode="always_last", **QUICK)
    saver.save(save, [panel.clip, brake], [saver, panel.status], **SLOW)


def _read(path: Path, name: str, rate: float, smooth: str, stopper: Brake) -> Iterator[tuple[Any, ...]]:
    stopper.release()
    clip = None
    try:
        for clip in read_mesh_clip(path, name=name, frames_per_second=rate):
            if stopper.pulled:
                break
            step = f"Reading frame {len(clip.frames) + 1}" if clip.frames else "Opening the clip"
            left = clip.seconds_spent / clip.share * (1 - clip.share) if clip.frames and clip.share > 0 else None
            status = working(step, share=clip.share, seconds_left=left)
            yield gr.skip(), status, "", gr.Group(visible=False), gr.skip(), "", None, None
        yield _finished(clip, SMOOTHING.get(smooth, "none"))
    except MienError as error:  # said on the page, where it stays until the next clip
        told = note(title_of(error), str(error))
        yield folded(False), told, EMPTY, gr.Group(visible=False), None, "", None, None


def _finished(clip: MeshClip | None, method: str) -> tuple[Any, ...]:
    """Return the values of the panel's outputs for a clip, complete or stopped."""
    hidden = gr.Group(visible=False)
    if clip is None or not clip.frames:
        return folded(False), note("Stopped", "Nothing had been read yet."), EMPTY, hidden, None, "", None, None
    if not clip.read:
        return folded(True), note("No face found", NO_FACE), EMPTY, hidden, None, "", None, None
    now = filtered(clip, method)
    shown = mesh_frame(now, _first(now))
    return folded(True), _told(now), shown, gr.Group(visible=True), mesh_timeline(now), _line(now), clip, now


def _first(clip: MeshClip) -> int:
    return next(place for place, frame in enumerate(clip.frames) if frame.parameters is not None)


def _told(clip: MeshClip) -> str:
    far = len(clip.far_turned)
    if not clip.is_complete:
        until = clip.frames[-1].time_s
        return note("Stopped", f"The first {until:.1f} of {clip.duration_s:.1f} seconds were read.")
    if far:
        words = f"In {far} of {len(clip.read)} frames the head is turned over 35°; its hidden side is a guess there."
        return note("Turned far", words)
    if clip.most_faces > 1:
        return note("Several faces", f"Up to {clip.most_faces} faces at once; the largest at the start is followed.")
    return ""


def _line(clip: MeshClip) -> str:
    pace = clip.seconds_spent / max(len(clip.frames), 1) * 1000
    found = f"face found in {len(clip.read)} of {len(clip.frames)} frames"
    backend = clip.best.backend if clip.best else ""
    ran = f"Own weights {backend}" if backend.startswith("smirk") else "Open head, fitted to the own landmarks"
    return quiet_line(ran, f"{pace:.0f} ms per frame", found)


def _known(clip: MeshClip | None) -> MeshClip:
    if clip is None or not clip.frames:
        raise BadInput("The clip is no longer here; pictures are forgotten after half an hour. Give it again.")
    return clip


def _save(kind: str, clip: MeshClip, stopper: Brake) -> Iterator[tuple[Any, str]]:
    if kind == "film":
        film = overlay_film(clip)
        for step in film:
            if isinstance(step, bytes):
                yield Download("clip-head.mp4", "video/mp4", step), ""
            elif stopper.pulled:
                film.close()
                yield gr.skip(), note("Stopped", "No film was made.")
                return
            else:
                yield gr.skip(), working("Drawing the head over the clip", share=step)
    elif kind == "glb":
        yield Download("clip-head.glb", "model/gltf-binary", clip_glb(clip)), ""
    elif kind == "npz":
        yield Download("clip-head.npz", "application/octet-stream", clip_npz(clip)), ""
    else:
        yield Download("clip-head.csv", "text/csv", clip_csv(clip)), ""
