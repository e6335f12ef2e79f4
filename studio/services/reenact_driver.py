"""What a face performs: read off a clip or a photo, or a motion without pixels; a sample first, all when needed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from models import registry
from models.clips import ClipFrame, ClipInfo, frames, open_clip
from models.errors import BadClip, BadInput, NoFaceFound
from models.faces.names import BLENDSHAPE_NAMES
from models.fsrt.motion import FILE_KIND as OFFICIAL_KIND
from models.fsrt.motion import Motion as OfficialMotion
from models.fsrt_open.crop import drive_in_box, static_box
from models.fsrt_open.shelf import shelf
from models.images import encode_image, plain_name, read_image
from models.motion_files import kind_of
from models.motions import Drive, Motion, best_reference
from models.types import Box, Face, Image
from studio.gpu import on_gpu
from studio.services.expression import shrink
from studio.services.reenact import ADVICE, box_of, checked_box, scaled_face
from studio.services.timeline import BATCH, SEARCH_EDGE, follow

MOST_SECONDS = 30.0
MOST_FRAMES = 1800
SAMPLES = 12
THUMB_EDGE = 280
CLIPS = (".mp4", ".webm", ".mov", ".gif", ".mkv", ".avi", ".m4v", ".mpg", ".mpeg", ".ogv", ".ts", ".flv")
CALM = 0.9
"""Sum of the actions' differences from a face's own above which a beginning is not calm."""
TURNED = 15.0
COMPARED = [
    row
    for row, name in enumerate(BLENDSHAPE_NAMES)
    if not name.startswith(("eyeLook", "eyeBlink", "eyeSquint", "_neutral"))
]
"""Actions that make an expression; where somebody looks, and blinks, do not count."""


@dataclass(frozen=True, eq=False)
class SeenFrame:
    """One frame of a driver that was looked at."""

    time_s: float
    picture: bytes
    """JPEG, longest edge THUMB_EDGE."""
    face: Face | None
    """In the driver's own pixels."""


@dataclass(frozen=True, eq=False)
class Driver:
    """What moves the face."""

    name: str
    kind: str
    """clip, photo, file or shelf"""
    frames: tuple[SeenFrame, ...] = ()
    is_whole: bool = True
    """False while only a sample of a clip was looked at."""
    path: Path | None = None
    info: ClipInfo | None = None
    box: Box | None = None
    """The square that stays where it is, in the driver's pixels."""
    taken: Motion | None = None
    """The motion of a file or of the shelf."""
    official: OfficialMotion | None = None
    """A motion of a file that FSRT's own networks read."""
    size: tuple[int, int] = field(default=(0, 0))
    """Width and height in pixels; 0 for motions."""

    @property
    def seen(self) -> tuple[SeenFrame, ...]:
        """The frames with a face."""
        return tuple(frame for frame in self.frames if frame.face is not None)

    @property
    def times(self) -> list[float]:
        """Seconds of each frame of the motion."""
        if self.taken is not None or self.official is not None:
            return [number / self.rate for number in range(expected_frames(self))]
        return [frame.time_s for frame in self.frames]

    @property
    def rate(self) -> float:
        """Frames a second of what is made."""
        if self.taken is not None:
            return self.taken.fps
        if self.official is not None:
            return self.official.frames_per_second
        return self.info.frames_per_second if self.info is not None else 25.0

    @property
    def motion(self) -> Motion:
        """What was read so far."""
        if self.taken is not None:
            return self.taken
        box = self.box
        if box is None:
            raise NoFaceFound(ADVICE)
        drives = [None if frame.face is None else drive_in_box(frame.face, box) for frame in self.frames]
        seconds = self.frames[-1].time_s - self.frames[0].time_s
        pace = (len(self.frames) - 1) / seconds if seconds > 0 else self.rate
        return Motion.of(drives, fps=float(np.clip(pace, 0.1, 240)))


@on_gpu
def follow_faces(images: list[Image], followed: Face | None) -> list[Face | None]:
    """Return the followed face in each picture, near where it was or found anew."""
    finder = registry.load("faces")
    answers: list[Face | None] = []
    for image in images:
        near = finder.follow(image, [followed]) if followed is not None else []
        face = follow(near or finder.find(image, most=3), followed)
        followed = face or followed
        answers.append(face)
    return answers


def open_driver(path: Path, name: str) -> Driver:
    """Take a clip, a photo or a motion file; raises BadInput or NoFaceFound."""
    ending = Path(name).suffix.lower()
    if ending == ".npz":
        return _motion_file(path, name)
    if ending in CLIPS:
        return sample_clip(path, name)
    return still_driver(read_image(path), name)


def still_driver(picture: Image, name: str) -> Driver:
    """Take the expression and pose of a photo's largest face."""
    small, factor = shrink(picture, SEARCH_EDGE)
    (face,) = follow_faces([small], None)
    if face is None:
        raise NoFaceFound(ADVICE)
    whole = scaled_face(face, 1 / factor)
    # Kept at this size, because FSRT's own networks read the picture itself.
    frame = SeenFrame(0.0, _thumbnail(small, edge=SEARCH_EDGE), whole)
    size = (picture.shape[1], picture.shape[0])
    return Driver(name, "photo", (frame,), box=static_box(whole.landmarks), size=size)


def shelf_driver(name: object) -> Driver:
    """Take a motion off the shelf; raises BadInput for a name that is none."""
    motions = shelf()
    if not isinstance(name, str) or name not in motions:
        raise BadInput(f"The shelf holds {', '.join(motions)}.")
    return Driver(name, "shelf", taken=motions[name])


def sample_clip(path: Path, name: str) -> Driver:
    """Look at a few frames spread over a clip: enough for its crop and a preview. Raises BadClip or NoFaceFound."""
    info = open_clip(path)
    _check(info, path)
    every = info.duration_s / SAMPLES if info.duration_s > 0 else 0.1
    source = list(islice(frames(path, every=every, most_seconds=MOST_SECONDS), SAMPLES + 1))
    searched = [shrink(frame.image, SEARCH_EDGE) for frame in source]
    found = follow_faces([image for image, _ in searched], None)
    seen = tuple(_seen(*one) for one in zip(source, searched, found, strict=True))
    if not any(found):
        raise NoFaceFound(f"No face in {len(seen)} frames spread over the clip. {ADVICE}")
    driver = Driver(name, "clip", seen, is_whole=False, path=path, info=info, size=(info.width, info.height))
    return replace(driver, box=_static(driver))


def read_whole(driver: Driver) -> Iterator[Driver]:
    """Yield the driver with more and more of its clip read; the last one is whole. Raises BadClip."""
    if driver.is_whole or driver.path is None:
        yield driver
        return
    if not driver.path.is_file():
        raise BadInput("The clip is no longer here; uploads are forgotten after half an hour. Give it again.")
    source = frames(driver.path, most_seconds=MOST_SECONDS)
    done: tuple[SeenFrame, ...] = ()
    followed = driver.seen[0].face if driver.seen else None
    first = _shrunk(followed, driver)
    while batch := list(islice(source, BATCH)):
        if len(done) + len(batch) > MOST_FRAMES:
            raise _too_many(driver.path, MOST_FRAMES + 1)
        searched = [shrink(frame.image, SEARCH_EDGE) for frame in batch]
        found = follow_faces([image for image, _ in searched], first)
        first = next((face for face in reversed(found) if face is not None), first)
        done += tuple(_seen(*one) for one in zip(batch, searched, found, strict=True))
        yield replace(driver, frames=done)
    whole = replace(driver, frames=done, is_whole=True)
    yield replace(whole, box=driver.box if driver.box != _static(driver) else _static(whole))


def share_of(driver: Driver) -> float:
    """How much of a clip has been read, 0..1."""
    if driver.is_whole or driver.info is None or not driver.frames:
        return float(driver.is_whole)
    return min(driver.frames[-1].time_s / max(driver.info.duration_s, 1e-3), 1.0)


def reboxed(driver: Driver, said: object) -> Driver:
    """Move the driver's square as a browser told, or set it anew for None; raises BadInput."""
    if not driver.seen:
        raise BadInput("This driver has no picture to cut.")
    if said is None:
        return replace(driver, box=_static(driver))
    faces = [frame.face for frame in driver.seen if frame.face is not None]
    return replace(driver, box=checked_box(box_of(said, driver.size[0]), faces))


def reference_of(driver: Driver, own: Drive, wanted_s: float | None) -> int:
    """The frame from which movements are counted: the one at `wanted_s`, or the one most like the source."""
    if wanted_s is None and driver.kind == "shelf":
        return 0  # they begin at rest
    if wanted_s is None:
        return best_reference(driver.motion, own)
    return int(np.abs(np.array(driver.times) - wanted_s).argmin())


def beginning(driver: Driver, own: Drive) -> str:
    """Say, where it is so, that a motion does not begin like the source; empty where it does."""
    motion = driver.motion
    apart = float(np.abs(motion.coefficients[0, COMPARED] - own.coefficients[COMPARED]).sum())
    turned = float(np.degrees(np.arccos(np.clip((np.trace(motion.rotation[0] @ own.rotation.T) - 1) / 2, -1, 1))))
    if turned > TURNED:
        return f"At the beginning the driver's head is turned {turned:.0f}° away from how yours stands."
    if apart > CALM:
        return "The driver does not begin with the expression of your face."
    return ""


def expected_frames(driver: Driver) -> int:
    """How many frames a film of this driver has, as far as is known before all of it was read."""
    if driver.taken is not None:
        return len(driver.taken)
    if driver.official is not None:
        return len(driver.official)
    if driver.is_whole or driver.info is None:
        return len(driver.frames)
    return max(len(driver.frames), round(driver.info.duration_s * driver.info.frames_per_second))


def motion_file(motion: Motion | OfficialMotion) -> bytes:
    """Return a motion as .npz."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "motion.npz"
        motion.save(path)
        return path.read_bytes()


def _motion_file(path: Path, name: str) -> Driver:
    try:
        is_official = kind_of(path) == OFFICIAL_KIND
        driver = (
            Driver(name, "file", official=OfficialMotion.load(path))
            if is_official
            else Driver(name, "file", taken=Motion.load(path))
        )
    except BadInput as error:  # the upload's own path is nobody's business
        raise BadInput(str(error).replace(path.name, plain_name(Path(name)))) from error
    if expected_frames(driver) > MOST_FRAMES:
        raise _too_many(Path(name), expected_frames(driver))
    return driver


def _check(info: ClipInfo, path: Path) -> None:
    if info.duration_s > MOST_SECONDS + 0.5:
        raise BadClip(
            f"{plain_name(path)} runs {info.duration_s:.0f} s; at most {MOST_SECONDS:.0f} s can be performed, so cut "
            "it first."
        )
    if info.duration_s * info.frames_per_second > MOST_FRAMES:
        raise _too_many(path, info.duration_s * info.frames_per_second)


def _too_many(path: Path, count: float) -> BadClip:
    return BadClip(
        f"{plain_name(path)} has {count:.0f} frames or more; at most {MOST_FRAMES} can be performed. Cut it, or "
        "save it with fewer frames a second."
    )


def _static(driver: Driver) -> Box:
    return static_box(np.stack([frame.face.landmarks for frame in driver.seen if frame.face is not None]))


def _seen(frame: ClipFrame, searched: tuple[Image, float], face: Face | None) -> SeenFrame:
    """`face` lies in the searched copy, which is the frame times the factor beside it."""
    small, factor = searched
    return SeenFrame(frame.time_s, _thumbnail(small), None if face is None else scaled_face(face, 1 / factor))


def _shrunk(face: Face | None, driver: Driver) -> Face | None:
    return None if face is None else scaled_face(face, min(1.0, SEARCH_EDGE / max(driver.size)))


def _thumbnail(image: Image, *, edge: int = THUMB_EDGE) -> bytes:
    height, width = image.shape[:2]
    factor = min(1.0, edge / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return encode_image(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), "JPEG", quality=80)
