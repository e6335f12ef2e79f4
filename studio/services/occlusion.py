"""Use cases of the Occlusion tab: find what hides a face, cover a clean one, guess the hidden part, read both.

What one visitor works on is a `Subject`; each mask and method gives a `Filled`. Neither ever changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models import registry
from models.errors import BadInput, Cancelled
from models.faces.align import crop as cut_upright
from models.faces.align import cut
from models.latent_ofer.occluders import KINDS, Occluded, occlude
from models.occlusion.results import Detection, FaceCrop, Recognition, Reconstruction
from models.types import Box, Expression, Face, Image
from studio.gpu import on_gpu
from studio.services.expression import (
    PORTRAIT_SCALE,
    PORTRAIT_SIZE,
    SHOWN_EDGE,
    FaceReading,
    PhotoReading,
    Step,
    scaled,
    shrink,
)
from studio.services.loading import load_beside
from studio.services.occlusion_methods import DIFFUSION, DRAWN, HUB, OWN, hub_model

KEPT_EDGE = 4000
"""Longest edge in pixels of a photo that a guess is put back into; larger ones are shrunk to it first."""
ROOM = 1.2
"""How far beyond the face's box, in its longer edge, things are drawn over it."""
MOST_HIDDEN = 0.9
"""Share of the crop that may be hidden; beyond it nothing is left to guess from."""
MOST_SAMPLES, MOST_STEPS = 16, 100
COVERED = 0.25
"""Share of a crop's pixel that a cover has to hide for the pixel to count as hidden."""

Mask = NDArray[np.bool_]
"""(S, S) True where a crop is hidden."""
Report = Callable[[str, float | None], bool]


@dataclass(frozen=True, eq=False)
class Cover:
    """Something drawn over a clean face, whose truth is therefore known."""

    kind: str
    seed: int
    share: float
    """How much of the face is hidden, 0..1."""
    clean_picture: Image
    clean_crop: FaceCrop
    clean: Recognition
    mask: Mask
    """What is really hidden, in the crop."""
    picture_mask: Mask
    """The same in the picture, (H, W)."""


@dataclass(frozen=True, eq=False)
class Subject:
    """One face of a photo, cut, looked over and read."""

    name: str
    number: int
    picture: Image
    """The photo, with the cover where there is one."""
    face: Face
    """In pixels of `picture`."""
    crop: FaceCrop
    detection: Detection
    before: Recognition
    cover: Cover | None = None

    def mask(self, radius: float | None = None) -> Mask:
        """Return what the detector finds at a radius, None for its own."""
        return self.detection.mask(radius)


@dataclass(frozen=True, eq=False)
class Filled:
    """A guess of what is hidden, and everything that follows from it."""

    guess: Reconstruction
    sample: int
    """Which of the samples `blended` is."""
    blended: Image
    """(S, S, 3)"""
    pasted: Image
    """The photo with the guess in it."""
    after: Recognition
    steps: tuple[Step, ...]

    @property
    def mask(self) -> Mask:
        """What was taken for hidden."""
        return self.guess.mask


@dataclass(frozen=True)
class Effort:
    """How much the diffusion may do."""

    samples: int = 4
    steps: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= MOST_SAMPLES or not 2 <= self.steps <= MOST_STEPS:
            raise BadInput(f"Give 1 to {MOST_SAMPLES} guesses and 2 to {MOST_STEPS} steps.")


@on_gpu
def look_over(picture: Image, face: Face) -> tuple[FaceCrop, Detection, Recognition]:
    """Cut a face, measure each of its patches, and read it as it is."""
    reader = registry.load("occlusion")
    crop = reader.crop(picture, face)
    return crop, reader.detect(crop), reader.recognise(crop.pixels, None)


@on_gpu
def guess_and_read(crop: FaceCrop, mask: Mask, method: str) -> tuple[Reconstruction, Recognition]:
    """Guess the hidden part and read the face it gives."""
    reader = registry.load("occlusion")
    guess = reader.reconstruct(crop, mask, method=method)
    return guess, reader.recognise(guess.blended, mask)


@on_gpu
def read_again(picture: Image, mask: Mask) -> Recognition:
    """Read a completed crop."""
    found: Recognition = registry.load("occlusion").recognise(picture, mask)
    return found


@on_gpu
def take_whole(image: Image) -> tuple[Face, Expression]:
    """Take the whole picture for one face and read it, whatever the finder thinks of it."""
    face: Face = registry.load("faces").read_whole(image)
    return face, registry.load("deepfever").read(image, [face])[0]


def read_as_one_face(image: Image, *, name: str) -> PhotoReading:
    """Read a picture that one face fills, too covered to be found; where its points lie is then a guess as well."""
    begun = time.perf_counter()
    kept, factor = shrink(image, KEPT_EDGE)
    face, expression = take_whole(kept)
    placed = scaled(face, 1 / factor)
    portrait = cut_upright(placed, image, size=PORTRAIT_SIZE, scale=PORTRAIT_SCALE).pixels
    height, width = image.shape[:2]
    steps = (Step("taking the picture whole", (time.perf_counter() - begun) * 1000),)
    return PhotoReading(
        name, shrink(image, SHOWN_EDGE)[0], width, height, (FaceReading(1, placed, expression, portrait),), steps
    )


def subject_of(picture: Image, face: Face, *, name: str, number: int = 1) -> Subject:
    """Take a face of a photo as it is; `face` is in the pixels of `picture`."""
    kept, factor = shrink(picture, KEPT_EDGE)
    placed = scaled(face, factor) if factor != 1.0 else face
    crop, detection, before = look_over(kept, placed)
    return Subject(name, number, kept, placed, crop, detection, before)


def covered(subject: Subject, kind: object, *, seed: int = 0) -> Subject:
    """Draw something over a subject's clean face; a cover it already had is taken off. Raises BadInput."""
    clean_picture = subject.cover.clean_picture if subject.cover else subject.picture
    drawn, picture_mask = _drawn(clean_picture, subject.face, kind, seed)
    clean_crop = subject.cover.clean_crop if subject.cover else subject.crop
    clean = subject.cover.clean if subject.cover else subject.before
    picture = clean_picture.copy()
    picture[picture_mask] = drawn.image[drawn.mask]
    crop, detection, before = look_over(picture, subject.face)
    mask = _mask_in_crop(picture_mask, crop)
    cover = Cover(drawn.kind, seed, drawn.share, clean_picture, clean_crop, clean, mask, picture_mask)
    return Subject(subject.name, subject.number, picture, subject.face, crop, detection, before, cover)


def uncovered(subject: Subject) -> Subject:
    """Take the cover off again."""
    if subject.cover is None:
        return subject
    return subject_of(subject.cover.clean_picture, subject.face, name=subject.name, number=subject.number)


def palette(subject: Subject, *, edge: int = 96) -> list[tuple[str, str, Image]]:
    """Return name, title and a small picture of each kind of cover on this very face."""
    crop = subject.cover.clean_crop if subject.cover else subject.crop
    small = np.asarray(cv2.resize(crop.pixels, (edge, edge), interpolation=cv2.INTER_AREA), np.uint8)
    points = crop.landmarks.copy()
    points[:, :2] = (points[:, :2] + 0.5) * (edge / crop.size) - 0.5
    made: list[tuple[str, str, Image]] = []
    for name, kind in KINDS.items():
        try:
            drawn = occlude(small, points, chance=np.random.default_rng(0), kinds=(name,))
        except BadInput:  # a face outside the crop: the button stands there without a picture of it
            made.append((name, kind.title, small))
            continue
        made.append((name, kind.title, drawn.image))
    return made


def fill(subject: Subject, mask: Mask, *, method: str = OWN) -> Filled:
    """Guess what lies behind the mask (S, S); raises BadInput where nothing or nearly everything is hidden."""
    check_mask(subject, mask)
    if method in DRAWN:
        raise BadInput("This way to guess draws when its button is pressed.")
    guess, after = guess_and_read(subject.crop, mask, method)
    return _filled(subject, guess, after, sample=0)


def draw_guesses(subject: Subject, mask: Mask, effort: Effort, report: Report, *, method: str = DIFFUSION) -> Filled:
    """Let the diffusion or the Hub's model draw; raises Cancelled when the report is answered with False."""
    check_mask(subject, mask)

    def step(done: int, total: int) -> bool:
        return report(f"Drawing {effort.samples} guesses, step {done} of {total}", done / total)

    reader = registry.load("occlusion")
    if method == HUB:
        load_beside(registry.HUB_INPAINTING, report, f"Loading {hub_model()}; the first time it is fetched")
    guess: Reconstruction = reader.reconstruct(
        subject.crop, mask, method=method, steps=effort.steps, samples=effort.samples, seed=effort.seed, on_step=step
    )
    if not guess.samples:
        raise Cancelled("stopped before a guess was drawn")
    return _filled(subject, guess, read_again(guess.samples[0], mask), sample=0)


def choosing(subject: Subject, filled: Filled, sample: object) -> Filled:
    """Use another of the samples; a place that is none changes nothing."""
    if not isinstance(sample, int) or not 0 <= sample < len(filled.guess.samples):
        return filled
    after = read_again(filled.guess.samples[sample], filled.mask)
    return _filled(subject, filled.guess, after, sample=sample)


def check_mask(subject: Subject, mask: Mask) -> None:
    """Raise BadInput unless the mask is of the crop's size, hides something and leaves something to see."""
    if mask.shape != (subject.crop.size, subject.crop.size):
        raise BadInput(f"The mask is {mask.shape}; the face is {subject.crop.size} pixels wide and high.")
    if not mask.any():
        raise BadInput("Nothing is hidden. Lower the detector's radius, paint the hidden part, or cover the face.")
    if mask.mean() > MOST_HIDDEN:
        raise BadInput("Nearly everything is hidden: nothing is left to guess from. Erase a part of the mask.")


def stage_pictures(subject: Subject, filled: Filled | None) -> dict[str, Image]:
    """Return the plain pictures of all stages, (S, S, 3) each, by name."""
    made: dict[str, Image] = {"input": subject.crop.pixels}
    if subject.cover is not None:
        made["clean"] = subject.cover.clean_crop.pixels
    if filled is not None:
        made |= {"coarse": filled.guess.coarse, "refined": filled.guess.refined, "blended": filled.blended}
    return made


def put_back(subject: Subject, filled: Filled, picture: Image) -> Image:
    """Return the photo with a crop's picture where the mask says."""
    laid: Image = registry.load("occlusion").paste_back(subject.picture, subject.crop, picture, filled.mask)
    return laid


def _filled(subject: Subject, guess: Reconstruction, after: Recognition, *, sample: int) -> Filled:
    blended = guess.samples[sample] if guess.samples else guess.blended
    begun = time.perf_counter()
    reader = registry.load("occlusion")
    pasted: Image = reader.paste_back(subject.picture, subject.crop, blended, guess.mask)
    spent = (time.perf_counter() - begun) * 1000
    steps = [*_steps("detect", subject.detection.milliseconds), *_steps("guess", guess.milliseconds)]
    steps += [*_steps("read", after.milliseconds), Step("put back", spent)]
    return Filled(guess, sample, blended, pasted, after, tuple(steps))


def _steps(name: str, spent: dict[str, float]) -> Sequence[Step]:
    return [Step(part if len(spent) > 1 else name, milliseconds) for part, milliseconds in spent.items()]


def _drawn(picture: Image, face: Face, kind: object, seed: int) -> tuple[Occluded, Mask]:
    """Draw within the face's neighbourhood, so that a large photo costs no more than its face."""
    if str(kind) not in KINDS:
        raise BadInput(f"Nothing here is called {str(kind)[:20]!r}; there are {', '.join(KINDS)}.")
    left, top, right, bottom = _window(picture, face.box)
    part = np.ascontiguousarray(picture[top:bottom, left:right])
    points = face.landmarks.copy()
    points[:, :2] -= (left, top)
    drawn = occlude(part, points, chance=np.random.default_rng(int(seed) % 2**32), kinds=(str(kind),))
    whole = np.zeros(picture.shape[:2], bool)
    whole[top:bottom, left:right] = drawn.mask
    return drawn, whole


def _window(picture: Image, box: Box) -> tuple[int, int, int, int]:
    room = ROOM * max(box.width, box.height)
    height, width = picture.shape[:2]
    left, top = max(0, int(box.left - room)), max(0, int(box.top - room))
    return left, top, min(width, int(box.right + room) + 1), min(height, int(box.bottom + room) + 1)


def mask_of(picture: Image, subject: Subject) -> Mask:
    """Return a mask drawn as a picture of the photo's shape, white where hidden, in the crop; raises BadInput."""
    height, width = subject.picture.shape[:2]
    if abs(picture.shape[0] / height - picture.shape[1] / width) > 0.02:
        raise BadInput(
            f"The mask is {picture.shape[1]}x{picture.shape[0]} pixels and the photo {width}x{height}; they must match."
        )
    same = cv2.resize(picture.max(axis=2), (width, height), interpolation=cv2.INTER_AREA)
    return _mask_in_crop(np.asarray(same > 127), subject.crop)


def _mask_in_crop(picture_mask: Mask, crop: FaceCrop) -> Mask:
    shown = np.repeat(picture_mask[..., None].astype(np.uint8) * 255, 3, axis=2)
    return np.asarray(cut(shown, crop.crop.crop_from_image, size=crop.size).pixels[..., 0] > COVERED * 255)
