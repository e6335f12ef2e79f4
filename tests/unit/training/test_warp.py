"""Warps move what they should and nothing at the border."""

from __future__ import annotations

import cv2
import numpy as np

from models import registry
from models.training.warp import warp


def test_points_land_where_they_are_sent(photo):
    face = registry.load("faces").find(photo)[0]
    before = face.landmarks[::6, :2].astype(np.float64)
    after = before + [0, 6] * (before[:, 1:] > before[:, 1].mean())  # the lower half moves down
    marked = np.zeros_like(photo)
    target = int(np.argmax(before[:, 1]))
    cv2.circle(marked, tuple(int(v) for v in before[target].round()), 3, (255, 255, 255), -1)
    moved = warp(marked, before, after)
    rows, columns = np.nonzero(moved[..., 0] > 100)
    assert abs(rows.mean() - after[target, 1]) < 2.5
    assert abs(columns.mean() - after[target, 0]) < 2.5


def test_nothing_moved_changes_nothing(photo):
    points = registry.load("faces").find(photo)[0].landmarks[::6, :2].astype(np.float64)
    assert np.abs(warp(photo, points, points).astype(int) - photo).mean() < 1.5
