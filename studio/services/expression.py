"""Read the expressions in a picture: find the faces once, read each, and say how sure that is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from models import registry
from models.cards import all_cards
from models.errors import NoFaceFound
from models.faces.align import crop
from models.faces.names import BLENDSHAPE_NAMES, PLAIN_NAMES
from models.types import EMOTIONS, Box, Expression, Face, HeadPose, Image
from studio.gpu import on_gpu

SHOWN_EDGE = 1600
"""Longest edge in pixels of the copy that is kept for display while a visitor looks at it."""
PORTRAIT_SIZE = 224
PORTRAIT_SCALE = 1.6
WEAKEST_ACTION = 0.12
"""Muscle actions below this are not named: they are within the network's usual error."""

ADVICE = {
    "too small": "The face is small in the picture. A closer one gives a surer reading.",
    "blurred": "The face is blurred. A sharper picture gives a surer reading.",
    "turned over 35 degrees": "The head is turned far. Half of the face is guessed.",
    "cut by the border": "The picture's border cuts the face. The hidden part is guessed.",
}


@dataclass(frozen=True)
class Step:
    """One step of the work and how long it took."""

    name: str
    milliseconds: float


@dataclass(frozen=True, eq=False)
class FaceReading:
    """One face of a picture with everything read off it."""

    number: int
    """Counts from 1, best face first."""
    face: Face
    """In pixels of the picture as it was given."""
    expression: Expression
    portrait: Image
    """(PORTRAIT_SIZE, PORTRAIT_SIZE, 3) upright."""


@dataclass(frozen=True, eq=False)
class PhotoReading:
    """All faces of one picture."""

    name: str
    picture: Image
    """The copy for display; its longest edge is at most SHOWN_EDGE."""
    width: int
    height: int
    """Size of the picture as it was given."""
    faces: tuple[FaceReading, ...]
    steps: tuple[Step, ...]

    @property
    def factor(self) -> float:
        """By what the picture was resized for display."""
        return float(self.picture.shape[1]) / self.width

    def face(self, number: object) -> FaceReading:
        """Return a face by its number, which may come from a browser; raises NoFaceFound."""
        for reading in self.faces:
            if reading.number == number:
                return reading
        raise NoFaceFound(f"There is no face {str(number)[:12]} in this picture; it has {len(self.faces)}.")


@dataclass(frozen=True)
class Action:
    """One muscle action in plain and in exact words."""

    plain: str
    technical: str
    strength: float


@dataclass(frozen=True)
class Certainty:
    """How far the emotions of one reading may be trusted."""

    word: str
    sentence: str


@on_gpu
def find_and_read(image: Image) -> tuple[list[Face], list[Expression], tuple[float, float]]:
    """Return the faces of a picture, one expression each, and the milliseconds both steps took."""
    finder, reader = registry.load("faces"), registry.load("deepfever")
    start = time.perf_counter()
    faces = finder.find(image)
    found = time.perf_counter()
    expressions = reader.read(image, faces) if faces else []
    done = time.perf_counter()
    return faces, expressions, ((found - start) * 1000, (done - found) * 1000)


def read_photo(image: Image, *, name: str) -> PhotoReading:
    """Read every face of a picture; no face is an answer, not an error."""
    faces, expressions, (finding, reading) = find_and_read(image)
    portraits = [crop(face, image, size=PORTRAIT_SIZE, scale=PORTRAIT_SCALE).pixels for face in faces]
    picture, _ = shrink(image, SHOWN_EDGE)
    return PhotoReading(
        name=name,
        picture=picture,
        width=image.shape[1],
        height=image.shape[0],
        faces=tuple(
            FaceReading(number, face, expression, portrait)
            for number, (face, expression, portrait) in enumerate(
                zip(faces, expressions, portraits, strict=True), start=1
            )
        ),
        steps=(Step("finding faces", finding), Step("reading expressions", reading)),
    )


def shrink(image: Image, edge: int) -> tuple[Image, float]:
    """Return the picture with its longest edge at most `edge`, and by what its size was multiplied."""
    height, width = image.shape[:2]
    factor = min(1.0, edge / max(height, width))
    if factor == 1.0:
        return image, 1.0
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Pillow.fromarray(image).resize(size, Pillow.Resampling.LANCZOS)), factor


def scaled(face: Face, factor: float) -> Face:
    """Return the face as it lies in a picture that was resized by `factor`."""
    box = Box(*(side * factor for side in (face.box.left, face.box.top, face.box.right, face.box.bottom)))
    landmarks = (face.landmarks * factor).astype(np.float32)
    return Face(box, face.score, landmarks, face.blendshapes, face.pose, face.quality)


def strongest_actions(blendshapes: NDArray[np.float32], most: int = 6) -> list[Action]:
    """Return the muscle actions worth naming, strongest first."""
    actions = [action for action in all_actions(blendshapes) if action.strength >= WEAKEST_ACTION]
    return actions[:most]


def all_actions(blendshapes: NDArray[np.float32]) -> list[Action]:
    """Return all 51 muscle actions, strongest first."""
    order = np.argsort(-blendshapes, kind="stable")
    names = [(BLENDSHAPE_NAMES[index], float(blendshapes[index])) for index in order]
    return [Action(PLAIN_NAMES[name], name, strength) for name, strength in names if name != "_neutral"]


def certainty(expression: Expression, flags: tuple[str, ...]) -> Certainty:
    """Say how sure the reading of the emotions is: by the lead of the first over the second, and by quality."""
    order = np.argsort(-expression.emotions)
    first, second = (float(expression.emotions[index]) for index in order[:2])
    one, other = (EMOTIONS[index] for index in order[:2])
    if first >= 0.7 and second < 0.15 and not flags:
        return Certainty("clear", f"The network reads {one}; nothing else comes near.")
    if first - second >= 0.2:
        doubt = f" Less sure because the face is {', '.join(flags)}." if flags else ""
        return Certainty("leaning", f"More like {one} than anything else; {other} comes next.{doubt}")
    return Certainty("unsure", f"Between {one} and {other}: take neither as given.")


@cache
def measured_agreement() -> str:
    """Say how often the first emotion agrees with a person's label, as measured for the card; empty where it is not."""
    card = all_cards().get("deepfever")
    measured = card.figures if card is not None else {}
    for name, figure in measured.items():
        if "accuracy" in name and "balanced" not in name and "knn" not in name:
            return f"measured: right in {figure.value * 100:.0f} % of {figure.data}"
    return ""


def tilt(pose: HeadPose) -> str:
    """Describe the head's pose in words; angles under 8 degrees are not worth a word."""
    words = []
    if abs(pose.yaw) >= 8:
        words.append(f"turned {abs(pose.yaw):.0f}° to the picture's {'right' if pose.yaw > 0 else 'left'}")
    if abs(pose.pitch) >= 8:
        words.append(f"{'lowered' if pose.pitch > 0 else 'raised'} {abs(pose.pitch):.0f}°")
    if abs(pose.roll) >= 8:
        words.append(f"tilted {abs(pose.roll):.0f}°")
    return f"Head {', '.join(words)}." if words else "Head straight."
