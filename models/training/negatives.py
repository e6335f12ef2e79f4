"""What is no face, for teaching the landmark network to say so: drawn, cut, and the detector's own mistakes."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from models.errors import BadInput
from models.faces.detect import haar
from models.faces.finder import FIRST_SCALE
from models.training.data import FaceSet
from models.types import Box, Image

log = logging.getLogger(__name__)


def not_a_face(picture: Image, landmarks: NDArray[np.float32], size: int, rng: np.random.Generator) -> Image:
    """Something a detector could offer by mistake: skin, hair, background, texture, a face cut into tiles."""
    kind = rng.random()
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    edge = float((high - low).max())
    if kind < 0.35:  # a part of the face, far too near
        side = edge * rng.uniform(0.12, 0.4)
        centre = rng.uniform(low, high)
    elif kind < 0.65:  # beside the face
        side = edge * rng.uniform(0.3, 1.2)
        turn = rng.uniform(0, 2 * np.pi)
        centre = (low + high) / 2 + np.array([np.cos(turn), np.sin(turn)]) * (edge * 0.5 + side * rng.uniform(0.4, 0.7))
    elif kind < 0.85:
        return texture(size, rng)
    else:
        return tiles(cv2.resize(picture, (size, size)), rng)
    border = int(rng.choice([cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101]))
    return _square(picture, centre, side, size, border=border)


def texture(size: int, rng: np.random.Generator) -> Image:
    """Coloured noise of several sizes with a few shapes on it."""
    pixels = np.zeros((size, size, 3), np.float32) + rng.random(3).astype(np.float32)
    for cells in (2, 4, 8, 16, 32, 64):
        noise = rng.normal(0, rng.uniform(0, 0.25), (cells, cells, 3)).astype(np.float32)
        pixels = pixels + cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    drawn: Image = (np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 6))):
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        centre = tuple(int(v) for v in rng.integers(0, size, 2))
        if rng.random() < 0.5:
            cv2.circle(drawn, centre, int(rng.integers(3, 40)), colour, int(rng.choice([-1, 2, 4])))
        else:
            cv2.line(drawn, centre, tuple(int(v) for v in rng.integers(0, size, 2)), colour, int(rng.integers(1, 9)))
    return drawn


def tiles(picture: Image, rng: np.random.Generator) -> Image:
    """A face cut into sixteen tiles and shuffled: every part, no face."""
    cell = picture.shape[0] // 4
    size = 4 * cell
    parts = [picture[y : y + cell, x : x + cell] for y in range(0, size, cell) for x in range(0, size, cell)]
    order = rng.permutation(16)
    return np.concatenate([np.concatenate([parts[order[4 * r + c]] for c in range(4)], 1) for r in range(4)], 0)


def mistakes(faces: FaceSet, cache: Path, *, most: int = 2500, size: int = 160) -> NDArray[np.uint8]:
    """Squares (M, size, size, 3) that the Haar cascades propose and that overlap no face; kept in `cache`.

    The cascades look at each picture upright and upside down, and are told to be credulous.
    """
    if cache.is_file():
        return np.asarray(np.load(cache)["squares"])
    detect = haar(neighbours=1)
    rng = np.random.default_rng(0)
    squares: list[Image] = []
    for row in rng.permutation(np.flatnonzero(faces.source != "warped"))[:most]:
        picture, points = faces.pictures[row], faces.landmarks[row, :, :2]
        for image, marks in ((picture, points), _upside_down(picture, points)):
            low, high = marks.min(0), marks.max(0)
            face = Box(float(low[0]), float(low[1]), float(high[0]), float(high[1]))
            for proposal in detect(image):
                # an upside-down face is no face to the landmark network, but not one to be taught as nothing either
                if proposal.box.overlap(face) < 0.08:
                    edge = proposal.box.width * FIRST_SCALE
                    centre = np.array(proposal.box.centre)
                    squares.append(_square(image, centre, edge, size, border=cv2.BORDER_REPLICATE))
    found = np.stack(squares) if squares else np.zeros((0, size, size, 3), np.uint8)
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(cache, squares=found)
    log.info("%d mistakes of the detector in %d pictures", len(found), most)
    return found


def things(folder: Path, cache: Path, *, scenes: int = 1500, size: int = 160) -> NDArray[np.uint8]:
    """Squares (M, size, size, 3) that the cascades take for a face in scenes without one; kept in `cache`.

    `folder` holds photos without faces, and objects cut out as pictures with transparency, which are laid on the
    photos. With every mistake comes one square from anywhere in its scene.
    """
    if cache.is_file():
        return np.asarray(np.load(cache)["squares"])
    photos, objects = _pictures_below(folder)
    if not photos:
        raise BadInput(f"{folder} holds no opaque photo to lay objects on")
    detect, rng = haar(neighbours=1), np.random.default_rng(0)
    squares: list[Image] = []
    for _ in range(scenes):
        scene = _scene(photos, objects, rng)
        for proposal in detect(scene):
            edge = proposal.box.width * FIRST_SCALE
            squares.append(_square(scene, np.array(proposal.box.centre), edge, size, border=cv2.BORDER_REPLICATE))
            anywhere = rng.uniform(0.2, 0.8, 2) * scene.shape[0]
            squares.append(_square(scene, anywhere, edge * rng.uniform(0.7, 1.5), size, border=cv2.BORDER_REPLICATE))
    found = np.stack(squares) if squares else np.zeros((0, size, size, 3), np.uint8)
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(cache, squares=found)
    log.info("%d squares without a face from %d scenes", len(found), scenes)
    return found


def _pictures_below(folder: Path, *, edge: int = 700) -> tuple[list[Image], list[NDArray[np.uint8]]]:
    """Photos (H, W, 3) and cut-out objects (H, W, 4) below a folder, at most `edge` pixels wide or high."""
    photos: list[Image] = []
    objects: list[NDArray[np.uint8]] = []
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
            continue
        with PIL.Image.open(file) as picture:
            picture.thumbnail((edge, edge))
            clear = picture.has_transparency_data
            pixels = np.asarray(picture.convert("RGBA" if clear else "RGB"))
        if clear and min(pixels.shape[:2]) >= 48:
            objects.append(pixels)
        elif min(pixels.shape[:2]) >= 200:
            photos.append(pixels)
    return photos, objects


def _scene(
    photos: list[Image], objects: list[NDArray[np.uint8]], rng: np.random.Generator, *, edge: int = 320
) -> Image:
    """A part of a photo (edge, edge, 3) with up to four objects laid on it, turned, mirrored and shaded."""
    photo = photos[rng.integers(len(photos))]
    side = int(min(photo.shape[:2]) * rng.uniform(0.3, 1.0))
    y, x = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
    scene = cv2.resize(photo[y : y + side, x : x + side], (edge, edge), interpolation=cv2.INTER_AREA).astype(np.float32)
    for _ in range(int(rng.integers(0, 5)) if objects else 0):
        item = objects[rng.integers(len(objects))]
        height, width = item.shape[:2]
        zoom = edge * rng.uniform(0.25, 0.9) / max(height, width)
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), rng.normal(0, 25), zoom)
        matrix[:, 2] += rng.uniform(0.15, 0.85, 2) * edge - np.array([width, height]) / 2
        laid = cv2.warpAffine(item, matrix, (edge, edge), flags=cv2.INTER_AREA).astype(np.float32)
        cover = laid[..., 3:] / 255
        scene = scene * (1 - cover) + laid[..., :3] * cover * rng.uniform(0.6, 1.1)
    picture = np.clip(scene, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(picture[:, ::-1]) if rng.random() < 0.5 else picture


def mistaken(squares: NDArray[np.uint8], size: int, rng: np.random.Generator) -> Image:
    """One of the detector's mistakes, turned, mirrored and cut a little differently."""
    square = squares[rng.integers(len(squares))]
    edge = square.shape[0]
    matrix = cv2.getRotationMatrix2D((edge / 2, edge / 2), rng.uniform(-40, 40), size / edge * rng.uniform(0.9, 1.5))
    matrix[:, 2] += size / 2 - edge / 2 + rng.normal(0, 0.05 * size, 2)
    moved = cv2.warpAffine(square, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(moved[:, ::-1]) if rng.random() < 0.5 else np.asarray(moved, dtype=np.uint8)


def _upside_down(picture: Image, points: NDArray) -> tuple[Image, NDArray]:
    flipped = np.ascontiguousarray(picture[::-1])
    return flipped, points * [1, -1] + [0, picture.shape[0] - 1]


def _square(picture: Image, centre: NDArray, edge: float, size: int, *, border: int) -> Image:
    zoom = size / edge
    matrix = np.array([[zoom, 0, size / 2 - zoom * centre[0]], [0, zoom, size / 2 - zoom * centre[1]]])
    moved = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(moved, dtype=np.uint8)
