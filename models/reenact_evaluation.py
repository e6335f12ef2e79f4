"""Measure reenactment on clips: a face drives itself, then others; against the still photo and a plain mesh warp."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from models import registry
from models.clips import ClipFrame, frames
from models.errors import BadInput, MienError
from models.faces.align import pixels
from models.faces.finder import FaceFinder
from models.faces.pose import head_pose
from models.films import write_film
from models.fsrt_open.animator import Animator, Source
from models.fsrt_open.crop import SIZE, cut_box, drive_in_box, in_crop, static_box
from models.fsrt_open.geometry import warp
from models.fsrt_open.network import FsrtOpen
from models.fsrt_open.reading import Follower
from models.identity import IdentityReader
from models.motions import Drive, Motion, best_reference, relative
from models.training.fsrt_pairs import HELD_FILMS
from models.training.label import CLIPS
from models.types import Box, Face, Image

RUN = 8
"""Frames in a row, from which jitter is measured."""
RUNS = 3
"""Runs from each clip."""
TIMED_FRAMES = 25

Painter = Callable[[Source, Drive], Image]


@dataclass(frozen=True, eq=False)
class Seen:
    """What is kept of one clip: its first face as the source, and runs of frames in one box."""

    name: str
    source_crop: Image
    source_face: Face
    """In the crop's pixels."""
    crops: list[Image]
    """(256, 256, 3) each; RUN in a row belong together"""
    motion: Motion


def evaluate_reenact(
    folder: Path, *, people: str = "all", identity: Path | None = None, network: FsrtOpen | None = None
) -> dict[str, float | int | str]:
    """Measure on every clip of a folder, one person each; see `evaluate_films` for the figures.

    `people` is "all", or "held-out" for the films that `mien train fsrt` never sees.
    """
    films = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in CLIPS]
    if people == "held-out":
        films = [path for path in films if path.stem in HELD_FILMS]
    elif people != "all":
        raise BadInput(f"people must be all or held-out, got {people!r}")
    if not films:
        raise BadInput(f"{folder} has no clip to measure on")
    return {"clips": len(films), "people": people} | evaluate_films(films, network=network, identity=identity)


def evaluate_films(
    films: list[Path], *, network: FsrtOpen | None = None, identity: Path | None = None
) -> dict[str, float | int | str]:
    """Reenact each clip's first frame by the clip itself, then by the next clip; means over frames.

    l1: grey levels; akd: distance of the 478 points read off the result and off the true frame, pixels of 256; aed:
    the same of the 52 coefficients, Euclidean; apd: of yaw, pitch and roll, degrees; csim: cosine of identity features,
    only with an identity network. still_ and warp_ are the unchanged photo and the plain mesh warp. jitter_ratio:
    second difference over time of the result's points against the true frames'. cross_: aed and apd against what was
    asked. fps: decoding, landmarks, network and encoding of one clip.
    """
    finder: FaceFinder = registry.load("faces")
    animator = registry.load("fsrt_open") if network is None else _animator(network)
    reader = None if identity is None else IdentityReader(identity)
    seen = [look(film, finder) for film in films]
    painters: dict[str, Painter] = {"": animator.frame, "still_": _still, "warp_": _warped}
    rows: dict[str, list[float]] = {}
    for one in seen:
        source = animator.source([one.source_crop], [one.source_face])
        for prefix, painter in painters.items():
            for name, values in _compare(one, source, painter, finder, reader).items():
                rows.setdefault(prefix + name, []).extend(values)
    if len(seen) > 1:
        for one, other in zip(seen, [*seen[1:], seen[0]], strict=True):
            for name, values in _across(one, other, animator, finder).items():
                rows.setdefault(f"cross_{name}", []).extend(values)
    told: dict[str, float | int | str] = {name: round(float(np.mean(values)), 4) for name, values in rows.items()}
    told["frames"] = len(rows["l1"])
    for prefix in ("", "warp_"):
        told[f"{prefix}jitter_ratio"] = round(float(told.pop(f"{prefix}jitter")) / float(told["still_true_jitter"]), 3)
    for name in [name for name in told if name.endswith("true_jitter") or name == "still_jitter"]:
        del told[name]
    told["fps"] = round(frames_per_second(films[0], animator, finder), 2)
    return told


def look(film: Path, finder: FaceFinder) -> Seen:
    """Read one clip twice: for its box, then for the frames; raises NoFaceFound in a clip without faces."""
    follow = Follower(finder)
    times, faces = [], []
    stamps = [frame.time_s for frame in frames(film)]
    wanted = _runs(len(stamps))
    first: tuple[Image, Face] | None = None
    kept: list[tuple[Image, Face]] = []
    for number, frame in enumerate(frames(film)):
        if first is not None and number not in wanted:
            continue
        face = follow(frame.image)
        if face is None:
            continue
        if first is None:
            first = (frame.image, face)
        else:
            kept.append((frame.image, face))
            times.append(frame.time_s)
            faces.append(face.landmarks)
    if first is None or len(kept) < RUN:
        raise BadInput(f"{film.name} has too few frames with a face; at least {RUN + 1} are needed")
    kept = kept[: len(kept) // RUN * RUN]
    box = static_box(np.stack([first[1].landmarks, *faces]))
    crop = cut_box(first[0], box)
    return Seen(
        name=film.stem,
        source_crop=crop.pixels,
        source_face=in_crop(first[1], crop),
        crops=[cut_box(image, box).pixels for image, _ in kept],
        motion=Motion.of([drive_in_box(face, box) for _, face in kept], fps=25.0),
    )


def _runs(count: int) -> set[int]:
    """Numbers of the frames that are looked at: the first, and RUNS times RUN in a row."""
    starts = np.linspace(1, max(count - RUN, 1), RUNS).astype(int)
    return {0, *(int(start + step) for start in starts for step in range(RUN))}


def _compare(
    seen: Seen, source: Source, painter: Painter, finder: FaceFinder, reader: IdentityReader | None
) -> dict[str, list[float]]:
    rows: dict[str, list[float]] = {name: [] for name in ("l1", "akd", "aed", "apd", "jitter", "true_jitter")}
    found, true = [], []
    image, face = source.image, seen.source_face
    for crop, drive in zip(seen.crops, seen.motion, strict=True):
        before, image = image, painter(source, drive)
        rows["l1"].append(float(np.abs(image.astype(np.float32) - crop).mean()))
        points = pixels(drive.landmarks, SIZE)
        if image is not before:  # the still photo is read already
            face = _read(finder, image, points)
        rows["akd"].append(float(np.linalg.norm((face.landmarks - points)[:, :2], axis=1).mean()))
        rows["aed"].append(float(np.linalg.norm(face.blendshapes - drive.coefficients)))
        rows["apd"].append(_turn_between(face.landmarks, points, finder))
        if reader is not None:
            rows.setdefault("csim", []).append(reader.similarity(image, face.landmarks, crop, points))
        found.append(face.landmarks)
        true.append(points)
    rows["jitter"], rows["true_jitter"] = [_jitter(found)], [_jitter(true)]
    return rows


def _across(one: Seen, other: Seen, animator: Animator, finder: FaceFinder) -> dict[str, list[float]]:
    source = animator.source([one.source_crop], [one.source_face])
    asked = relative(other.motion, source.drive, best_reference(other.motion, source.drive))
    rows: dict[str, list[float]] = {"aed": [], "apd": []}
    for drive, image in zip(asked, animator.frames(source, asked), strict=True):
        points = pixels(drive.landmarks, SIZE)
        face = _read(finder, image, points)
        rows["aed"].append(float(np.linalg.norm(face.blendshapes - drive.coefficients)))
        rows["apd"].append(_turn_between(face.landmarks, points, finder))
    return rows


def _read(finder: FaceFinder, image: Image, points: NDArray[np.float32]) -> Face:
    """The face of a result near where it was asked for, or the whole picture's if none is found there."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    near = finder.landmark(image, [Box(float(low[0]), float(low[1]), float(high[0]), float(high[1]))])
    return near[0] if near else finder.read_whole(image)


def _turn_between(one: NDArray[np.float32], other: NDArray[np.float32], finder: FaceFinder) -> float:
    poses = [head_pose(points, finder.mean_shape) for points in (one, other)]
    angles = np.array([(pose.yaw, pose.pitch, pose.roll) for pose in poses])
    return float(np.abs(angles[0] - angles[1]).mean())


def _jitter(points: list[NDArray[np.float32]]) -> float:
    """Mean length of the second difference over time within runs, pixels."""
    runs = np.stack(points)[..., :2].reshape(-1, RUN, 478, 2)
    return float(np.linalg.norm(np.diff(runs, n=2, axis=1), axis=3).mean())


def _still(source: Source, drive: Drive) -> Image:
    return source.image


def _warped(source: Source, drive: Drive) -> Image:
    return plain_warp(source, drive)


def plain_warp(source: Source, drive: Drive) -> Image:
    """The source carried along by the mesh alone, without a network."""
    flow, _ = warp(source.drive, drive)
    there = (cv2.resize(flow.transpose(1, 2, 0), (SIZE, SIZE)) + 1) * (SIZE / 2) - 0.5
    moved = cv2.remap(source.image, there[..., 0], there[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.uint8)


def frames_per_second(film: Path, animator: Animator, finder: FaceFinder) -> float:
    """Reenact the first frames of a clip from file to file, and count."""

    def some() -> Iterator[ClipFrame]:
        for number, frame in enumerate(frames(film)):
            if number == TIMED_FRAMES:
                return
            yield frame

    first = next(frames(film)).image
    face = finder.find(first, most=1)
    if not face:
        raise MienError(f"no face in the first frame of {film.name}")
    crop = cut_box(first, static_box(face[0].landmarks))
    begun = time.perf_counter()
    source = animator.source([crop.pixels], [in_crop(face[0], crop)])
    reading = animator.read_clip(some(), finder)
    drawn = animator.frames(source, animator.retarget(reading.motion, source))
    with tempfile.TemporaryDirectory() as folder:
        timed = (ClipFrame(time_s, image) for time_s, image in zip(reading.times, drawn, strict=True))
        count = write_film(timed, Path(folder) / "film.mp4", rate=reading.motion.fps)
    return count / (time.perf_counter() - begun)


def _animator(network: FsrtOpen) -> Animator:
    return Animator(network, backend="fsrt_open", device=torch.device("cpu"))
