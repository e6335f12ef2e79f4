"""Angles of a turned mean face are the angles it was turned by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import registry
from models.faces.pose import _LEVEL, align_to, head_pose


@pytest.fixture(scope="module")
def mean() -> np.ndarray:
    return registry.load("faces").mean_shape


def turned(mean: np.ndarray, yaw: float, pitch: float, roll: float) -> np.ndarray:
    y, p, r = np.deg2rad([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return (mean @ (about_z @ about_y @ about_x).T * 80 + [200, 150, 0]).astype(np.float32)


@settings(max_examples=50, deadline=None)
@given(yaw=st.floats(-60, 60), roll=st.floats(-60, 60))
def test_yaw_and_roll_are_read_back(mean, yaw, roll):
    if abs(yaw) > 30 and abs(roll) > 1:
        roll = 0.0  # both large: the angles mix by definition
    pose = head_pose(turned(mean, yaw, 0, roll if abs(yaw) < 1 else 0.0), mean)
    assert pose.yaw == pytest.approx(yaw, abs=1.5)
    if abs(yaw) < 1:
        assert pose.roll == pytest.approx(roll, abs=1.5)


@given(pitch=st.floats(-40, 40))
def test_pitch_is_positive_when_looking_down(mean, pitch):
    assert head_pose(turned(mean, 0, pitch, 0), mean).pitch == pytest.approx(pitch - _LEVEL, abs=1)


def test_a_frame_undoes_itself(mean):
    points = turned(mean, 20, -10, 0)
    frame = align_to(mean, points)
    assert frame.undo(points) == pytest.approx(mean, abs=1e-4)
    assert frame.turn(np.zeros((478, 3))) == pytest.approx(0)
