"""Motions: identity, composition and smoothing arithmetic, files that are hostile, frames without a face."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from models.errors import BadInput, NoFaceFound
from models.faces.names import BLENDSHAPE_NAMES
from models.fsrt_open.shelf import posed, shelf
from models.motions import (
    LIPS,
    Drive,
    Motion,
    absolute,
    best_reference,
    expression_only,
    kept_apart,
    mean_landmarks,
    pose_only,
    read_drive,
    relative,
    scaled,
    smoothed,
)

JAW = BLENDSHAPE_NAMES.index("jawOpen")


def face(*, jaw: float = 0.0, yaw: float = 0.0, wider: float = 1.0) -> Drive:
    """The mean head, or one stretched sideways as if it were another person."""
    coefficients = np.zeros(52, np.float32)
    coefficients[JAW] = jaw
    drive = posed(coefficients, np.array([yaw, 0.0, 0.0]))
    return drive.reshaped(drive.shape * np.array([wider, 1, 1], np.float32))


def talking(*, frames: int = 12, wider: float = 1.0) -> Motion:
    return Motion.of([face(jaw=0.05 * i, yaw=2.0 * i, wider=wider) for i in range(frames)], fps=25)


def test_a_reading_finds_the_pose_it_was_laid_with() -> None:
    drive = face(yaw=12)
    found = read_drive(drive.landmarks, drive.coefficients)
    assert found.rotation == pytest.approx(drive.rotation, abs=1e-4)
    assert found.scale == pytest.approx(drive.scale, rel=1e-4)
    assert found.shape == pytest.approx(mean_landmarks(), abs=1e-5)


@given(st.floats(-25, 25), st.floats(0, 0.6), st.floats(0.9, 1.1))
@settings(max_examples=15, deadline=None)
def test_a_still_driver_leaves_the_source_as_it_is(yaw: float, jaw: float, wider: float) -> None:
    source = face(yaw=yaw, jaw=jaw, wider=wider)
    still = Motion.of([face(yaw=-3, jaw=0.2)] * 3, fps=25)
    for moved in relative(still, source, 1):
        assert moved.landmarks == pytest.approx(source.landmarks, abs=1e-4)
        assert moved.coefficients == pytest.approx(source.coefficients, abs=1e-5)


def test_relative_motion_of_ones_own_clip_is_that_clip() -> None:
    motion = talking()
    assert relative(motion, motion[0], 0).landmarks == pytest.approx(motion.landmarks, abs=2e-3)


def test_the_source_keeps_its_own_shape() -> None:
    source = face(wider=1.15)
    moved = relative(talking(), source, 0)
    assert np.ptp(moved[0].shape[:468, 0]) == pytest.approx(np.ptp(source.shape[:468, 0]), rel=1e-3)
    assert moved[0].landmarks == pytest.approx(source.landmarks, abs=1e-4)
    turned = Rotation.from_matrix(moved.rotation[-1] @ source.rotation.T).magnitude()
    assert np.degrees(turned) == pytest.approx(22, abs=1.5)


def test_a_reference_outside_the_clip_is_refused() -> None:
    with pytest.raises(BadInput, match=r"0\.\.11"):
        relative(talking(), face(), 12)


def test_the_best_reference_is_the_frame_like_the_source_and_never_one_without_a_face() -> None:
    motion = talking()
    source = face(jaw=0.3, yaw=12)
    assert best_reference(motion, source) == 6
    hidden = replace(motion, present=np.arange(12) != 6)
    assert best_reference(hidden, source) in (5, 7)


def test_frames_without_a_face_hold_a_neighbour_and_a_clip_without_faces_says_so() -> None:
    motion = Motion.of([None, face(jaw=0.1), None, None, face(jaw=0.4)], fps=25)
    assert motion.present.tolist() == [False, True, False, False, True]
    assert motion.coefficients[:, JAW] == pytest.approx([0.1, 0.1, 0.1, 0.4, 0.4])
    with pytest.raises(NoFaceFound):
        Motion.of([None, None], fps=25)


@given(st.floats(0, 1.5), st.floats(0, 1.0))
@settings(max_examples=15, deadline=None)
def test_strengths_count_from_the_source(expression: float, pose: float) -> None:
    source = face()
    moved = scaled(talking(frames=4), source, expression_strength=expression, pose_strength=pose)
    assert moved.coefficients[3, JAW] == pytest.approx(min(0.15 * expression, 1), abs=1e-5)
    angle = np.degrees(Rotation.from_matrix(moved.rotation[3] @ source.rotation.T).magnitude())
    assert angle == pytest.approx(6 * pose, abs=0.3)


def test_pose_only_and_expression_only_take_one_half_each() -> None:
    motion, source = talking(), face()
    posed_only, acting_only = pose_only(motion, source), expression_only(motion, source)
    assert posed_only.coefficients == pytest.approx(np.zeros((12, 52)), abs=1e-6)
    assert posed_only[5].shape == pytest.approx(source.shape, abs=1e-5)
    assert acting_only.rotation == pytest.approx(np.repeat(source.rotation[None], 12, 0), abs=1e-5)
    assert acting_only.coefficients == pytest.approx(motion.coefficients, abs=1e-5)


def test_absolute_motion_takes_pose_and_actions_as_they_are() -> None:
    motion = talking()
    moved = absolute(motion, face(wider=1.1))
    assert moved.rotation == pytest.approx(motion.rotation) and moved.coefficients == pytest.approx(motion.coefficients)


def test_smoothing_keeps_a_straight_course_and_calms_noise() -> None:
    straight = Motion.of([face(yaw=0.5 * i) for i in range(20)], fps=25)
    assert smoothed(straight, 0.3).landmarks == pytest.approx(straight.landmarks, abs=1e-3)
    rng = np.random.default_rng(0)
    shaken = replace(
        straight, landmarks=straight.landmarks + rng.normal(0, 0.01, straight.landmarks.shape).astype(np.float32)
    )
    calm = smoothed(shaken, 0.3)
    off, before = (np.abs(one.landmarks - straight.landmarks).mean() for one in (calm, shaken))
    assert off < 0.7 * before
    assert smoothed(shaken, 0.0) is shaken
    with pytest.raises(BadInput):
        smoothed(shaken, -1)


def test_lips_that_crossed_meet() -> None:
    shape = mean_landmarks().copy()
    upper, lower = LIPS[4]
    shape[upper, 1] += 0.02
    kept = kept_apart(shape)
    assert kept[upper, 1] == pytest.approx(kept[lower, 1], abs=1e-6)
    assert kept_apart(kept) == pytest.approx(kept)


def test_a_motion_comes_back_from_its_file(tmp_path: Path) -> None:
    motion = replace(talking(), present=np.arange(12) != 3)
    file = tmp_path / "talk.npz"
    motion.save(file)
    back = Motion.load(file)
    assert back.landmarks == pytest.approx(motion.landmarks) and back.present.tolist() == motion.present.tolist()
    assert back.coefficients == pytest.approx(motion.coefficients, abs=1e-3) and back.fps == 25
    assert file.stat().st_size < 12 * 8000


def written(path: Path, **changes: object) -> Path:
    motion = talking(frames=3)
    motion.save(path)
    with np.load(path) as stored:
        entries = {name: stored[name] for name in stored.files} | changes
    np.savez(path, **{name: value for name, value in entries.items() if value is not None})
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": np.array("mien motion: fsrt keypoints and expression")},
        {"version": np.array(99)},
        {"version": np.array("one")},
        {"landmarks": np.zeros((3, 10, 2), np.float32)},
        {"landmarks": np.full((3, 478, 3), np.nan, np.float32)},
        {"landmarks": np.full((3, 478, 3), 1e6, np.float32)},
        {"landmarks": None},
        {"landmarks": np.zeros((3, 478, 3), "<U3")},
        {"rotation": np.zeros((3, 3, 3), np.float32)},
        {"rotation": np.repeat(np.diag([-1.0, 1, 1])[None], 3, 0)},
        {"scale": np.zeros(3, np.float32)},
        {"present": np.ones(3)},
        {"fps": np.array(0.0)},
        {"fps": np.array(np.inf)},
        {"coefficients": np.array([object()], dtype=object)},
    ],
)
def test_files_that_are_no_motion_are_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        Motion.load(written(tmp_path / "bad.npz", **changes))


def test_broken_and_swollen_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.npz"
    for content in (b"", b"no archive", b"PK\x03\x04 cut short"):
        file.write_bytes(content)
        with pytest.raises(BadInput):
            Motion.load(file)
    with ZipFile(file, "w", compression=8) as archive:
        archive.writestr("landmarks.npy", bytes(200 * 2**20))
    with pytest.raises(BadInput, match="unpacks"):
        Motion.load(file)
    with pytest.raises(BadInput):
        Motion.load(tmp_path / "absent.npz")


def test_the_shelf_begins_at_rest_moves_and_ends_at_rest() -> None:
    assert set(shelf()) == {"smile", "nod", "wink", "surprise", "talk"}
    for name, motion in shelf().items():
        assert 2 <= motion.seconds <= 4 and motion.present.all()
        assert motion.coefficients[[0, -1]].max() < 0.06, name
        assert np.abs(np.diff(motion.coefficients, axis=0)).max() < 0.75, name
        pace = np.linalg.norm(np.diff(motion.landmarks[..., :2], axis=0), axis=2).mean()
        assert pace > 5e-4, name
    assert shelf()["wink"].coefficients[:, BLENDSHAPE_NAMES.index("eyeBlinkRight")].max() < 0.1
