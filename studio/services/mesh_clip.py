"""A clip as a moving head: one face followed, its parameters filtered, drawn over the clip, and as files."""

from __future__ import annotations

import csv
import io
import tempfile
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models import registry
from models.clips import ClipFrame, frames, open_clip
from models.errors import BadInput, Cancelled
from models.faces.names import BLENDSHAPE_NAMES
from models.films import write_film
from models.head.drawing import Drawable, over
from models.head.parameters import HeadParameters
from models.head.smoothing import between, smoothed
from models.images import encode_image, read_image
from models.types import Face, Image
from studio.gpu import on_gpu
from studio.services.background import Done, Report, steps_of
from studio.services.expression import shrink
from studio.services.mesh import MeshFace, texture_of, the_head, turned_words, vertices_of
from studio.services.mesh_exports import parameter_columns, parameter_row
from studio.services.mesh_glb import Movement, glb
from studio.services.mesh_graphics import draw
from studio.services.mesh_scene import front_of
from studio.services.timeline import BATCH, MOST_SECONDS, SEARCH_EDGE, SHOWN_EDGE, follow, share_read

FILM_EDGE = 960
LONGEST_GAP_S = 0.6
"""Between two frames with a face, over which the head is drawn on."""


@dataclass(frozen=True, eq=False)
class MeshFrame:
    """One frame that was read."""

    time_s: float
    picture: bytes
    """JPEG, longest edge SHOWN_EDGE."""
    width: int
    height: int
    parameters: HeadParameters | None
    """In pixels of the frame as it is shown in the clip; None where no face was found."""


@dataclass(frozen=True, eq=False)
class MeshClip:
    """What was read of a clip so far."""

    path: Path
    name: str
    duration_s: float
    width: int
    height: int
    rate: float
    """Frames a second of the clip itself."""
    every_s: float
    frames: tuple[MeshFrame, ...]
    is_complete: bool
    most_faces: int
    seconds_spent: float
    best: MeshFace | None = None
    """The face that looks most straight ahead, for the skin."""

    @property
    def share(self) -> float:
        """How much of the clip has been read, 0..1."""
        return 1.0 if self.is_complete else share_read(len(self.frames), self.every_s, self.duration_s)

    @property
    def read(self) -> tuple[MeshFrame, ...]:
        """The frames in which the face was found."""
        return tuple(frame for frame in self.frames if frame.parameters is not None)

    @property
    def far_turned(self) -> tuple[MeshFrame, ...]:
        """The frames in which the head is turned too far to be read well."""
        return tuple(f for f in self.frames if f.parameters is not None and turned_words(f.parameters))


@on_gpu
def find_heads(images: list[Image], followed: Face | None) -> list[tuple[Face | None, HeadParameters | None, int]]:
    """Return for each frame the followed face, its head, and how many faces were looked at."""
    finder, reader = registry.load("faces"), registry.load("head")
    answers: list[tuple[Face | None, HeadParameters | None, int]] = []
    for image in images:
        near = finder.follow(image, [followed]) if followed is not None else []
        faces = near or finder.find(image)
        face = follow(faces, followed)
        followed = face or followed
        answers.append((face, reader.read(image, face) if face is not None else None, len(faces)))
    return answers


def read_mesh_clip(path: Path, *, name: str, frames_per_second: float) -> Iterator[MeshClip]:
    """Yield what was read after every few frames; the last one is complete. Raises BadClip."""
    info = open_clip(path)
    rate = min(frames_per_second, info.frames_per_second) if frames_per_second > 0 else info.frames_per_second
    every = 1.0 / max(rate, 0.1)
    now = MeshClip(
        path, name, info.duration_s, info.width, info.height, info.frames_per_second, every, (), False, 0, 0.0
    )
    source = frames(path, every=every if rate < info.frames_per_second else 0.0, most_seconds=MOST_SECONDS)
    followed, start = None, time.perf_counter()
    yield now
    while batch := list(islice(source, BATCH)):
        searched = [shrink(frame.image, SEARCH_EDGE) for frame in batch]
        answers = find_heads([image for image, _ in searched], followed)
        followed = next((face for face, _, _ in reversed(answers) if face is not None), followed)
        made = [
            _frame(frame, image, None if head is None else _grown(head, 1 / factor))
            for frame, (image, factor), (_, head, _) in zip(batch, searched, answers, strict=True)
        ]
        now = replace(
            now,
            frames=now.frames + tuple(made),
            most_faces=max(now.most_faces, *(count for _, _, count in answers)),
            seconds_spent=time.perf_counter() - start,
            best=_best(
                now.best, [(image, face, head) for (image, _), (face, head, _) in zip(searched, answers, strict=True)]
            ),
        )
        yield now
    yield replace(now, is_complete=True)


def _grown(head: HeadParameters, factor: float) -> HeadParameters:
    matrix = np.diag([factor, factor, 1.0])
    matrix[:2, 2] = (factor - 1) / 2  # whole numbers are pixel centres
    return head.moved(matrix)


def _best(best: MeshFace | None, seen: list[tuple[Image, Face | None, HeadParameters | None]]) -> MeshFace | None:
    for image, face, head in seen:
        if face is None or head is None:
            continue
        if best is None or _ahead(head) > _ahead(best.parameters) + 0.01:
            best = MeshFace(1, face, image, head, registry.load("head").backend(), 0.0)
    return best


def _ahead(head: HeadParameters) -> float:
    return float(head.rotation[2, 2])


def _frame(frame: ClipFrame, searched: Image, parameters: HeadParameters | None) -> MeshFrame:
    shown, _ = shrink(searched, SHOWN_EDGE)
    height, width = shown.shape[:2]
    return MeshFrame(frame.time_s, encode_image(shown, "JPEG", quality=82), width, height, parameters)


def filtered(clip: MeshClip, method: str) -> MeshClip:
    """Return the clip with its heads filtered over time; each run of frames without a long gap by itself."""
    kept: list[MeshFrame] = list(clip.frames)
    for run in _runs(clip):
        times = np.array([clip.frames[place].time_s for place in run])
        heads = [clip.frames[place].parameters for place in run]
        for place, head in zip(run, smoothed([h for h in heads if h is not None], times, method=method), strict=True):
            kept[place] = replace(kept[place], parameters=head)
    return replace(clip, frames=tuple(kept))


def _runs(clip: MeshClip) -> list[list[int]]:
    """Numbers of frames with a face, parted where the face was away for long."""
    runs: list[list[int]] = []
    for place, frame in enumerate(clip.frames):
        if frame.parameters is None:
            continue
        if not runs or frame.time_s - clip.frames[runs[-1][-1]].time_s > LONGEST_GAP_S + clip.every_s:
            runs.append([])
        runs[-1].append(place)
    return runs


def head_at(clip: MeshClip, time_s: float) -> HeadParameters | None:
    """Return the head at a time between the frames that were read; None where the face was away."""
    read = clip.read
    times = np.array([frame.time_s for frame in read])
    after = int(np.searchsorted(times, time_s))
    near = read[max(after - 1, 0) : after + 1]
    heads = [frame.parameters for frame in near if frame.parameters is not None]
    if not heads:
        return None
    if len(near) == 1:
        return heads[0] if abs(near[0].time_s - time_s) <= max(clip.every_s, LONGEST_GAP_S / 2) else None
    gap = near[1].time_s - near[0].time_s
    if gap > LONGEST_GAP_S + clip.every_s:
        close = min((0, 1), key=lambda place: abs(near[place].time_s - time_s))
        return heads[close] if abs(near[close].time_s - time_s) < clip.every_s else None
    return between(heads[0], heads[1], float(np.clip((time_s - near[0].time_s) / max(gap, 1e-6), 0, 1)))


def overlay_film(
    clip: MeshClip, *, opacity: float = 0.85, look: str = "shaded"
) -> Generator[float | bytes, None, None]:
    """Yield shares of the work, then an MP4 of the clip with the head laid over: its own frame rate, its own sound."""
    skin = texture_of(clip.best) if look == "texture" and clip.best is not None else None
    head = the_head()
    faces = head.part_faces(*front_of(head))
    zoom = min(1.0, FILM_EDGE / max(clip.width, clip.height))
    shares: list[float] = []

    def pictures() -> Iterator[ClipFrame]:
        last = clip.frames[-1].time_s + clip.every_s if not clip.is_complete else np.inf
        for frame in frames(clip.path, most_seconds=MOST_SECONDS):
            if frame.time_s > last:
                return
            image, _ = shrink(frame.image, FILM_EDGE)
            now = head_at(clip, frame.time_s)
            if now is not None:
                points = _grown(now, zoom).to_picture(vertices_of(now))
                image = _laid_over(Drawable(points, faces, head.colours, head.uvs, skin), image, opacity=opacity)
            shares.append(min(frame.time_s / max(clip.duration_s, 1e-3), 1.0))
            yield ClipFrame(frame.time_s, image)

    def work(report: Report) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "overlay.mp4"
            write_film(_while_wanted(pictures(), report), file, rate=clip.rate, sound=clip.path)
            return file.read_bytes()

    if not clip.path.is_file():
        raise BadInput("The clip is no longer here; pictures are forgotten after half an hour. Give it again.")
    for step in steps_of(work, first="Drawing the head over the clip"):
        yield step.result if isinstance(step, Done) else (shares[-1] if shares else 0.0)


def _while_wanted(pictures: Iterator[ClipFrame], report: Report) -> Iterator[ClipFrame]:
    for frame in pictures:
        if not report("", None):
            raise Cancelled("The film was stopped.")
        yield frame


def _laid_over(what: Drawable, image: Image, *, opacity: float) -> Image:
    """Draw only the part of the picture in which the head lies."""
    height, width = image.shape[:2]
    low = np.clip(np.floor(what.points[:, :2].min(0)).astype(int) - 2, 0, [width, height])
    high = np.clip(np.ceil(what.points[:, :2].max(0)).astype(int) + 3, 0, [width, height])
    if (high - low < 2).any():
        return image
    moved = replace(what, points=what.points - np.array([*low, 0], np.float32))
    picture = draw(moved, height=int(high[1] - low[1]), width=int(high[0] - low[0]), smooth=1)
    result = image.copy()
    part = result[low[1] : high[1], low[0] : high[0]]
    part[:] = over(picture, part, opacity=opacity)
    return result


def shown_frame(clip: MeshClip, index: int) -> Image:
    """Return a frame as it is shown, with the head laid over."""
    frame, head = clip.frames[index], the_head()
    picture = read_image(frame.picture)
    if frame.parameters is None:
        return picture
    points = _grown(frame.parameters, frame.width / clip.width).to_picture(vertices_of(frame.parameters))
    what = Drawable(points, head.part_faces(*front_of(head)), head.colours)
    return _laid_over(what, picture, opacity=0.8)


def coefficients(clip: MeshClip) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times (n,) and actions (n, 52) of the frames with a face."""
    rows = [(frame.time_s, frame.parameters.expression) for frame in clip.frames if frame.parameters is not None]
    return np.array([time_s for time_s, _ in rows]), np.array([row for _, row in rows], np.float64).reshape(-1, 52)


def clip_csv(clip: MeshClip) -> bytes:
    """Return one row of all parameters for each frame with a face."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for number, frame in enumerate(clip.read):
        assert frame.parameters is not None
        if number == 0:
            writer.writerow(["time_s", "far_turned", *parameter_columns(frame.parameters)])
        far = int(bool(turned_words(frame.parameters)))
        writer.writerow([f"{frame.time_s:g}", far, *(f"{value:.6g}" for value in parameter_row(frame.parameters))])
    return stream.getvalue().encode()


def clip_npz(clip: MeshClip) -> bytes:
    """Return arrays with one row for each frame with a face."""
    heads = [frame.parameters for frame in clip.read if frame.parameters is not None]
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        allow_pickle=False,
        time_s=np.array([frame.time_s for frame in clip.read]),
        far_turned=np.array([bool(turned_words(head)) for head in heads]),
        rotation=np.array([head.rotation for head in heads]),
        scale=np.array([head.scale for head in heads]),
        shift=np.array([head.shift for head in heads]),
        identity=np.array([head.identity for head in heads]),
        expression=np.array([head.expression for head in heads]),
        expression_names=np.array(BLENDSHAPE_NAMES),
    )
    return stream.getvalue()


def clip_glb(clip: MeshClip) -> bytes:
    """Return the head as a GLB file that plays the clip's movement."""
    heads = tuple(frame.parameters for frame in clip.read if frame.parameters is not None)
    if clip.best is None or not heads:
        raise BadInput("No face was found in this clip, so there is no head to write.")
    movement = Movement(np.array([frame.time_s for frame in clip.read], np.float32), heads)
    return glb(the_head(), heads[0], texture_of(clip.best), movement=movement)
