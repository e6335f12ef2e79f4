"""Draw pairs: two frames of a film, two photos of a person, or a photo and itself as it looked from elsewhere."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from models.faces.align import units
from models.faces.names import MIRRORED_BLENDSHAPES, MIRRORED_LANDMARKS
from models.fsrt_open.crop import SIZE
from models.fsrt_open.geometry import OVAL, drawn, warp
from models.motions import Drive, action_directions, kept_apart, read_drive
from models.training.fsrt_pairs import Pair, Pictures, room_of
from models.types import Image

FILM_SHARE, TWO_PHOTOS_SHARE = 0.45, 0.15
CALM_SHARE = 0.6
"""Of films: how many sources are drawn from the frames that do little."""
TURNED_SHARE, MOVED_SHARE = 0.7, 0.5
"""Of photos: how many sources are seen from elsewhere, and with another expression than the twins have."""
TURN_DEGREES = np.array([8.0, 13.0, 5.0])
"""Standard deviations of pitch, yaw and roll of a source seen from elsewhere."""
MOST_DEGREES = 30.0
MOST_APART = 18.0
"""Grey levels by which the face of a pair may differ after the plain warp."""
FLIP = np.array([-1.0, 1.0, 1.0], np.float32)


class PairDrawer:
    """Draws pairs from pictures; holds nothing that changes."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures
        kinds, groups = pictures.kind, pictures.group
        self.films = [np.flatnonzero((groups == group) & (kinds == "film")) for group in np.unique(groups)]
        self.films = [rows for rows in self.films if len(rows) > 1]
        self.photos = [np.flatnonzero((groups == group) & (kinds != "film")) for group in np.unique(groups)]
        self.photos = [rows for rows in self.photos if (kinds[rows] == "photo").any()]
        self.several = [rows for rows in self.photos if (kinds[rows] == "photo").sum() == 2]
        spread = pictures.blendshapes - np.median(pictures.blendshapes, axis=0)
        self.interest = np.linalg.norm(spread, axis=1) + 0.15
        self.film_chance = np.sqrt([len(rows) for rows in self.films])
        # faces that do much are drawn more often than neutral ones
        self.photo_chance = np.array([self.interest[rows].max() for rows in self.photos])

    def draw(self, rng: np.random.Generator) -> Pair:
        """One pair, mirrored half of the time, relit as one."""
        pair = self._drawn(rng)
        for _ in range(3):
            if alike(pair):
                break
            pair = self._drawn(rng)
        return relit(mirrored(pair) if rng.random() < 0.5 else pair, rng)

    def _drawn(self, rng: np.random.Generator) -> Pair:
        dice = rng.random()
        if self.films and (dice < FILM_SHARE or not self.photos):
            return self._of_film(rng)
        if self.several and dice < FILM_SHARE + TWO_PHOTOS_SHARE:
            return self._of_two_photos(rng)
        return self._of_one_photo(rng)

    def _of_film(self, rng: np.random.Generator) -> Pair:
        rows = self.films[chosen(self.film_chance, rng)]
        target = rows[chosen(self.interest[rows], rng)]
        # most photos that people bring are calm
        source = rows[chosen(self.interest[rows] ** -2, rng)] if rng.random() < CALM_SHARE else rng.choice(rows)
        size = self._read(target).shape[0]
        room = rng.uniform(1.5, 2.0) / room_of(self.pictures.landmarks[target], size)
        matrix = placed(self._middle(rows), size * min(room, 1.1), rng)
        return Pair(*self._cut(source, matrix), *self._cut(target, matrix))

    def _of_two_photos(self, rng: np.random.Generator) -> Pair:
        rows = self.several[int(rng.integers(len(self.several)))]
        rows = rows[self.pictures.kind[rows] == "photo"]
        source, target = rng.choice(rows, 2, replace=False)
        room = rng.uniform(1.45, 1.65)
        first, second = (
            placed(self._middle([row]), self._longest(row) * room, np.random.default_rng(0)) for row in (source, target)
        )
        return Pair(*self._cut(source, first), *self._cut(target, second))

    def _of_one_photo(self, rng: np.random.Generator) -> Pair:
        rows = self.photos[chosen(self.photo_chance, rng)]
        real = rows[self.pictures.kind[rows] == "photo"]
        target, source = rng.choice(real), rng.choice(rows)
        room = rng.uniform(1.45, 1.65)
        matrices = [placed(self._middle([row]), self._longest(row) * room, rng) for row in (source, target)]
        pair = Pair(*self._cut(source, matrices[0]), *self._cut(target, matrices[1]))
        image, drive = pair.source_image, pair.source
        if rng.random() < MOVED_SHARE:
            other = self.pictures.blendshapes[chosen(self.interest, rng)] * rng.uniform(0.5, 1.0)
            image, drive = seen_as(image, drive, acting(drive, other))
        if rng.random() < TURNED_SHARE:
            image, drive = seen_as(image, drive, turned(drive, rng))
        return replace(pair, source_image=image, source=drive)

    def _read(self, row: int) -> Image:
        picture = cv2.imread(str(self.pictures.paths[row]), cv2.IMREAD_COLOR)
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)

    def _middle(self, rows: NDArray | list[int]) -> NDArray[np.float64]:
        points = self.pictures.landmarks[rows][..., :2]
        return np.median((points.min(1) + points.max(1)) / 2, axis=0).astype(np.float64)

    def _longest(self, row: int) -> float:
        points = self.pictures.landmarks[row, :, :2]
        return float((points.max(0) - points.min(0)).max())

    def _cut(self, row: int, matrix: NDArray[np.float64]) -> tuple[Image, Drive]:
        zoom = matrix[0, 0]
        flags = cv2.INTER_AREA if zoom < 0.8 else cv2.INTER_LINEAR
        image = cv2.warpAffine(self._read(row), matrix, (SIZE, SIZE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        points = self.pictures.landmarks[row] * zoom
        points[:, :2] += matrix[:, 2]
        return image, read_drive(units(points, SIZE), self.pictures.blendshapes[row])


def chosen(chances: NDArray, rng: np.random.Generator) -> int:
    """Draw an index with probability in proportion to `chances`."""
    total = np.cumsum(chances)
    return min(int(np.searchsorted(total, rng.random() * total[-1])), len(total) - 1)


def placed(middle: NDArray[np.float64], edge: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """(2, 3) from picture to crop pixels for an upright square near `middle`."""
    zoom = SIZE / edge
    centre = middle + rng.normal(0, 0.02, 2) * edge
    return np.array([[zoom, 0, (SIZE - 1) / 2 - zoom * centre[0]], [0, zoom, (SIZE - 1) / 2 - zoom * centre[1]]])


def acting(drive: Drive, coefficients: NDArray[np.float32]) -> Drive:
    """The same face in the same place with other coefficients (52,)."""
    change = np.tensordot(coefficients - drive.coefficients, action_directions(), 1).astype(np.float32)
    return replace(drive, coefficients=coefficients.astype(np.float32)).reshaped(kept_apart(drive.shape + change))


def turned(drive: Drive, rng: np.random.Generator) -> Drive:
    """The same face from another side, a little moved and resized."""
    turn = Rotation.from_euler("xyz", rng.normal(0, TURN_DEGREES).clip(-25, 25), degrees=True).as_matrix()
    shift = np.append(rng.normal(0, 0.04, 2), 0).astype(np.float32)
    posed = replace(
        drive,
        rotation=(turn @ drive.rotation).astype(np.float32),
        translation=drive.translation + shift,
        scale=float(drive.scale * np.exp(rng.normal(0, 0.03))),
    )
    return posed.reshaped(drive.shape)


def seen_as(image: Image, drive: Drive, wanted: Drive) -> tuple[Image, Drive]:
    """Warp a picture (S, S, 3) until its face lies as wanted."""
    flow, _ = warp(drive, wanted)
    size = image.shape[0]
    there = (cv2.resize(flow.transpose(1, 2, 0), (size, size)) + 1) * (size / 2) - 0.5
    moved = cv2.remap(image, there[..., 0], there[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.uint8), wanted


def alike(pair: Pair) -> bool:
    """False where a hand hides one of the faces or they are turned too far: what no warp brings together."""
    turn = Rotation.from_matrix(pair.target.rotation @ pair.source.rotation.T).magnitude()
    if np.degrees(turn) > MOST_DEGREES:
        return False
    moved, _ = seen_as(pair.source_image, pair.source, pair.target)
    face = drawn(pair.target.landmarks, (OVAL,), SIZE)
    off = np.abs(moved.astype(np.float32) - pair.target_image).mean(2)
    return float((off * face).sum() / max(face.sum(), 1.0)) < MOST_APART


def mirrored(pair: Pair) -> Pair:
    """The pair in a mirror."""

    def flipped(drive: Drive) -> Drive:
        points = drive.landmarks[MIRRORED_LANDMARKS] * FLIP
        return read_drive(points, drive.coefficients[MIRRORED_BLENDSHAPES])

    return Pair(
        np.ascontiguousarray(pair.source_image[:, ::-1]),
        flipped(pair.source),
        np.ascontiguousarray(pair.target_image[:, ::-1]),
        flipped(pair.target),
    )


def relit(pair: Pair, rng: np.random.Generator) -> Pair:
    """Both pictures with the same other exposure, contrast and colour."""
    if rng.random() < 0.4:
        return pair
    gain = rng.uniform(0.75, 1.25) * rng.uniform(0.9, 1.1, 3)
    gamma = np.exp(rng.normal(0, 0.15))
    grey = np.linspace(0, 1, 256)[:, None] ** gamma * gain
    table = np.clip(grey * 255 + 0.5, 0, 255).astype(np.uint8)

    def lit(image: Image) -> Image:
        return np.stack([cv2.LUT(image[..., channel], table[:, channel]) for channel in range(3)], axis=2)

    return replace(pair, source_image=lit(pair.source_image), target_image=lit(pair.target_image))
