"""Crops and the way back, for any face anywhere in a picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.faces.align import crop, cut, paste, roll_of, square
from models.types import Box, Face, HeadPose

SHAPE = np.random.default_rng(7).normal(0, 1, (478, 3)).astype(np.float32)


def face_at(x: float, y: float, edge: float, degrees: float) -> Face:
    """A face whose points are a fixed cloud with level eyes, turned and moved."""
    points = SHAPE / np.abs(SHAPE[:, :2]).max() / 2
    points[[33, 133]] = [[-0.3, 0, 0], [-0.1, 0, 0]]
    points[[362, 263]] = [[0.1, 0, 0], [0.3, 0, 0]]
    turn = np.deg2rad(degrees)
    plane = points[:, :2] @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    landmarks = np.concatenate([plane * edge + [x, y], points[:, 2:] * edge], 1).astype(np.float32)
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    box = Box(*map(float, (*low, *high)))
    return Face(box, 1.0, landmarks, np.zeros(52, np.float32), HeadPose(0, 0, degrees))


places = {
    "x": st.floats(-50, 700),
    "y": st.floats(-50, 500),
    "edge": st.floats(20, 400),
    "degrees": st.floats(-60, 60),
    "size": st.integers(32, 256),
    "scale": st.floats(0.8, 2.5),
}


@settings(max_examples=60, deadline=None)
@given(**places)
def test_points_go_into_the_crop_and_back_within_half_a_pixel(x, y, edge, degrees, size, scale):
    image = np.zeros((480, 640, 3), np.uint8)
    face = face_at(x, y, edge, degrees)
    piece = crop(face, image, size=size, scale=scale)
    back = piece.to_image(piece.to_crop(face.landmarks))
    assert np.abs(back - face.landmarks).max() < 0.5


@settings(max_examples=40, deadline=None)
@given(**places)
def test_the_levelled_face_fills_its_share_of_the_crop(x, y, edge, degrees, size, scale):
    face = face_at(x, y, edge, degrees)
    inside = crop(face, np.zeros((480, 640, 3), np.uint8), size=size, scale=scale).to_crop(face.landmarks)
    spread = inside[:, :2].max(0) - inside[:, :2].min(0)
    assert spread.max() == pytest.approx(size / scale, rel=0.01)
    middle = (inside[:, :2].max(0) + inside[:, :2].min(0)) / 2
    assert middle == pytest.approx((size - 1) / 2, abs=0.05 * size / scale)
    assert abs(roll_of(inside)) < 0.5


@settings(max_examples=30, deadline=None)
@given(x=st.floats(120, 500), y=st.floats(120, 350), edge=st.floats(60, 220), degrees=st.floats(-45, 45))
def test_pixels_stay_where_they_are_when_a_crop_is_pasted_back(x, y, edge, degrees):
    rows, columns = np.mgrid[0:480, 0:640]
    image = np.stack([rows * 255 / 480, columns * 255 / 640, (rows + columns) * 255 / 1120], 2).astype(np.uint8)
    piece = crop(face_at(x, y, edge, degrees), image, size=224, scale=1.5)
    assert np.abs(paste(piece, image).astype(int) - image).mean() < 1.0


def test_a_crop_shows_the_pixels_it_says():
    image = np.zeros((200, 300, 3), np.uint8)
    image[90:111, 140:161] = 255  # centred on (150, 100)
    piece = cut(image, square((150, 100), 80, size=81), size=81)
    assert piece.pixels[40, 40].tolist() == [255, 255, 255]
    assert piece.pixels[5, 5].tolist() == [0, 0, 0]


def test_shrinking_averages_instead_of_skipping():
    image = np.zeros((1024, 1024, 3), np.uint8)
    image[::2] = 200
    piece = cut(image, square((511.5, 511.5), 1024, size=64), size=64)
    assert piece.pixels[8:-8, 8:-8].std() < 8  # skipping rows would give 100
    assert piece.pixels.mean() == pytest.approx(100, abs=5)


def test_a_crop_needs_an_edge():
    with pytest.raises(ValueError, match="edge above 0"):
        square((0, 0), 0.0, size=64)
