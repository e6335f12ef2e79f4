"""Pairs for the small generator: one face twice, the first carried by the head to the expression of the second.

Three sources of a true second picture: a photo and a warp of it, two frames of a film, and a photo that lost its open
mouth or eyes by being carried to another expression and back (the cycle of SMIRK, section 3.3, without a network).
What is drawn is kept beside the run, so that a later run begins at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.faces.finder import FaceFinder
from models.faces.names import BLENDSHAPE_NAMES
from models.head.head import Head
from models.head.parameters import HeadParameters
from models.head.reader import HeadReader
from models.head.repaint import Carried, carry
from models.smirk_open.painter import SIZE, square_of
from models.training.data import FaceSet, read_faces, split
from models.training.fsrt_pairs import HELD_FILMS, Pictures, held_pairs
from models.training.warp import ExpressionBasis, draw_target, expression_basis, move_points, warp
from models.types import Box, Image

log = logging.getLogger(__name__)

TURN = 8.0
"""Degrees by which the heads of a pair may differ."""
STRETCHES = 42
"""Steps of stretch in a unit, as it is kept."""
COUNTS = {"twin": 350, "film": 120, "cycle": 480}
MOUTH, EYE_RIGHT, EYE_LEFT = (13, 14), (159, 145), (386, 374)
_COLUMNS = ("image", "plain", "kind", "normals", "stretch", "target", "centres")


@dataclass(frozen=True, eq=False)
class Standing:
    """One picture and the head in it."""

    picture: Image
    head: HeadParameters
    """In pixels of `picture`."""


@dataclass(frozen=True, eq=False)
class CarriedPair:
    """What the generator is given and what it should have made of it, both (SIZE, SIZE)."""

    carried: Carried
    target: Image
    centres: NDArray[np.float32]
    """(3, 2) mouth, right and left eye of the target, x and y in pixels"""


def paired(head: Head, source: Standing, target: Standing) -> CarriedPair:
    """Carry `source` to where `target` stands; both pictures are framed alike, so that one square is cut of both."""
    matrix = square_of(head, source.head)
    goal = target.head.moved(matrix)
    carried = carry(head, source.head.moved(matrix), goal, cut_square(source.picture, matrix))
    points = goal.to_picture(head.landmarks(head.vertices(goal.identity, goal.expression)))[:, :2]
    centres = np.stack([points[list(at)].mean(0) for at in (MOUTH, EYE_RIGHT, EYE_LEFT)])
    return CarriedPair(carried, cut_square(target.picture, matrix), centres.astype(np.float32))


def cut_square(picture: Image, matrix: NDArray[np.float64]) -> Image:
    """The (SIZE, SIZE, 3) square that `matrix` (3, 3) leads to."""
    zoom = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    if zoom < 0.8:
        picture = cv2.GaussianBlur(picture, (0, 0), 0.4 / zoom)
    flags = cv2.INTER_CUBIC if zoom > 1 else cv2.INTER_LINEAR
    return np.asarray(
        cv2.warpAffine(picture, matrix[:2], (SIZE, SIZE), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


class PairSource:
    """Draws pairs out of gathered pictures."""

    def __init__(self, pictures: Pictures, reader: HeadReader) -> None:
        self.pictures, self.reader, self.head = pictures, reader, reader.head
        self._read: dict[int, HeadParameters] = {}

    def __call__(self, counts: dict[str, int]) -> Iterator[CarriedPair]:
        """Yield all pairs, the kinds mixed, so that any beginning holds some of each."""
        rng = np.random.default_rng(3)
        wishes = [("twin", pair) for pair in self.twins(counts["twin"])]
        wishes += [("film", pair) for pair in self.film_frames(counts["film"], rng)]
        wishes += [("cycle", (row, row)) for row in self.expressive(counts["cycle"])]
        for place in rng.permutation(len(wishes)):
            kind, (source, target) = wishes[place]
            goal = self.standing(target)
            if kind == "cycle":
                goal = self.framed(goal)
            start = self.lost(goal, rng) if kind == "cycle" else self.standing(source)
            if _turn(start.head, goal.head) < TURN:
                yield paired(self.head, start, goal)

    def standing(self, row: int) -> Standing:
        """A picture and its head, which is read once."""
        if row not in self._read:
            self._read[row] = self.reader.lay(self.pictures.landmarks[row], self.pictures.blendshapes[row])
        picture = cv2.cvtColor(cv2.imread(str(self.pictures.paths[row])), cv2.COLOR_BGR2RGB)
        return Standing(np.asarray(picture, np.uint8), self._read[row])

    def twins(self, count: int) -> list[tuple[int, int]]:
        """(warp, photo) of one person, those that differ most."""
        photos = {str(self.pictures.group[row]): int(row) for row in np.flatnonzero(self.pictures.kind == "photo")}
        found = [
            (int(row), photos[str(self.pictures.group[row])])
            for row in np.flatnonzero(self.pictures.kind == "twin")
            if str(self.pictures.group[row]) in photos
        ]
        return sorted(found, key=lambda pair: -self._apart(*pair))[:count]

    def film_frames(self, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
        """Frames of one film that differ in expression; each film gives its share."""
        films = np.unique(self.pictures.group[self.pictures.kind == "film"])
        found: list[tuple[int, int]] = []
        for film in films:
            rows = np.flatnonzero((self.pictures.kind == "film") & (self.pictures.group == film))
            drawn = [tuple(int(row) for row in rng.choice(rows, 2, replace=False)) for _ in range(400)]
            likely = sorted(set(drawn), key=lambda pair: -self._apart(*pair))
            found += [(source, target) for source, target in likely[: max(count // len(films), 1)]]
        return found

    def expressive(self, count: int) -> list[int]:
        """Photos with an open mouth, teeth or wide eyes: what a cycle can lose."""
        names = ("jawOpen", "mouthSmileLeft", "mouthUpperUpLeft", "mouthLowerDownLeft", "eyeWideLeft")
        columns = [BLENDSHAPE_NAMES.index(name) for name in names]
        photos = np.flatnonzero(self.pictures.kind == "photo")
        order = np.argsort(-self.pictures.blendshapes[photos][:, columns].sum(1))
        return [int(row) for row in photos[order[:count]]]

    def lost(self, goal: Standing, rng: np.random.Generator) -> Standing:
        """The photo carried to a resting mouth, sometimes with closed eyes."""
        expression = goal.head.expression * rng.uniform(0, 0.3)
        if rng.random() < 0.4:
            blink = self.head.coefficients({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0})
            expression = np.maximum(expression, blink * rng.uniform(0.4, 1.0))
        away = goal.head.with_expression(expression.astype(np.float32))
        return Standing(carry(self.head, goal.head, away, goal.picture).image, away)

    def framed(self, whole: Standing) -> Standing:
        """The square around a head, with room for a jaw that opens."""
        matrix = square_of(self.head, whole.head)
        return Standing(cut_square(whole.picture, matrix), whole.head.moved(matrix))

    def _apart(self, one: int, other: int) -> float:
        shapes = self.pictures.blendshapes
        return float(np.abs(shapes[one] - shapes[other]).sum())


def _turn(one: HeadParameters, other: HeadParameters) -> float:
    """Degrees between two heads."""
    return float(np.degrees(np.arccos(np.clip((np.trace(one.rotation.T @ other.rotation) - 1) / 2, -1, 1))))


@dataclass(frozen=True, eq=False)
class PairStore:
    """All pairs as arrays of small numbers; row i of each is pair i."""

    image: NDArray[np.uint8]
    plain: NDArray[np.uint8]
    kind: NDArray[np.uint8]
    normals: NDArray[np.int8]
    stretch: NDArray[np.int8]
    target: NDArray[np.uint8]
    centres: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.image)

    @classmethod
    def of(cls, pairs: list[CarriedPair]) -> PairStore:
        """Round and stack."""
        return cls(
            image=np.stack([pair.carried.image for pair in pairs]),
            plain=np.stack([np.round(pair.carried.plain * 255).astype(np.uint8) for pair in pairs]),
            kind=np.stack([pair.carried.kind for pair in pairs]),
            normals=np.stack([np.round(pair.carried.normals * 127).astype(np.int8) for pair in pairs]),
            stretch=np.stack([np.round(pair.carried.stretch * STRETCHES).astype(np.int8) for pair in pairs]),
            target=np.stack([pair.target for pair in pairs]),
            centres=np.stack([pair.centres for pair in pairs]),
        )

    @classmethod
    def kept(cls, folder: Path, pairs: Iterator[CarriedPair]) -> PairStore:
        """Read what an earlier run drew into `folder`, or draw it now and keep it."""
        if not all((folder / f"{name}.npy").is_file() for name in _COLUMNS):
            folder.mkdir(parents=True, exist_ok=True)
            drawn = []
            for pair in pairs:
                drawn.append(pair)
                if len(drawn) % 50 == 0:
                    log.info("%d pairs drawn", len(drawn))
            made = cls.of(drawn)
            for name in _COLUMNS:
                np.save(folder / f"{name}.npy", getattr(made, name))
        return cls(**{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _COLUMNS})


def held_out_pairs(data: Path, finder: FaceFinder, reader: HeadReader, *, photos: int = 24) -> list[CarriedPair]:
    """Pairs of people never trained on: warps of photos, and frames of films."""
    held = split(read_faces(data, sets=("faces256",)))[1]
    basis = expression_basis(read_faces(data, sets=("faces256",)))
    rng, everybody = np.random.default_rng(5), np.linspace(0, 1, len(held) + 1)[1:]
    pairs = []
    for row in range(0, len(held), max(len(held) // photos, 1)):
        pair = _warped_pair(held, row, draw_target(held, everybody, rng), basis, finder=finder, reader=reader)
        pairs += [pair] if pair else []
    for one in held_pairs(data, finder, each=4) if (data / "films").is_dir() else []:
        stands = [_read(picture, finder, reader) for picture in (one.source_image, one.target_image)]
        if stands[0] and stands[1] and _turn(stands[0].head, stands[1].head) < TURN:
            pairs.append(paired(reader.head, stands[0], stands[1]))
    log.info("%d held-out pairs, films of %s among them", len(pairs), ", ".join(HELD_FILMS))
    return pairs


def _warped_pair(
    held: FaceSet, row: int, wish: NDArray, basis: ExpressionBasis, *, finder: FaceFinder, reader: HeadReader
) -> CarriedPair | None:
    picture, points = held.pictures[row], held.landmarks[row]
    moved = move_points(points, wish - held.blendshapes[row], basis)
    twin = warp(picture, points[:, :2].astype(np.float64), moved[:, :2])
    target, source = _read(picture, finder, reader), _read(twin, finder, reader)
    return paired(reader.head, source, target) if source and target else None


def _read(picture: Image, finder: FaceFinder, reader: HeadReader) -> Standing | None:
    height, width = picture.shape[:2]
    edge = min(height, width)
    middle = Box(width / 2 - edge * 0.3, height / 2 - edge * 0.3, width / 2 + edge * 0.3, height / 2 + edge * 0.3)
    found = finder.landmark(picture, [middle])
    return Standing(picture, reader.read(picture, found[0])) if found else None
