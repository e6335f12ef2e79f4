"""Motion: the modes, the file, the best frame."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BadInput, NoFaceFound
from models.fsrt import motion as motion_module
from models.fsrt.motion import (
    Motion,
    RetargetOptions,
    adaptive_scale,
    best_frame,
    hull_area,
    relative_keypoints,
    retarget,
    smooth,
)

RANDOM = np.random.default_rng(7)
SOURCE = RANDOM.uniform(-0.6, 0.6, (10, 2)).astype(np.float32)
EXPRESSION = RANDOM.normal(size=256).astype(np.float32)


def clip(frames: int = 6, *, frames_per_second: float = 25.0) -> Motion:
    random = np.random.default_rng(frames)
    base = random.uniform(-0.6, 0.6, (10, 2))
    return Motion(
        keypoints=(base + 0.1 * random.normal(size=(frames, 10, 2))).astype(np.float32),
        expressions=random.normal(size=(frames, 256)).astype(np.float32),
        frames_per_second=frames_per_second,
    )


def retargeted(motion: Motion, **options: object) -> Motion:
    return retarget(motion, keypoints=SOURCE, expression=EXPRESSION, options=RetargetOptions(**options))


@given(
    scale=st.floats(0.2, 5),
    shift=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
    moved=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
)
def test_a_driver_of_any_size_and_place_moves_the_source_alike(
    scale: float, shift: tuple[float, float], moved: tuple[float, float]
) -> None:
    later = SOURCE + np.array(moved)
    reference = SOURCE * scale + np.array(shift)
    driver = (later * scale + np.array(shift))[None]
    followed = relative_keypoints(SOURCE, driver, reference=reference, adapt_scale=True)
    assert np.allclose(followed[0], later, atol=1e-4)


@given(st.floats(0.1, 10), st.floats(0, 6.3))
def test_hull_area_grows_with_the_square_and_not_with_turning(scale: float, angle: float) -> None:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert hull_area(scale * SOURCE @ turn.T) == pytest.approx(scale**2 * hull_area(SOURCE), rel=1e-4)


def test_points_on_a_line_have_no_size() -> None:
    line = np.linspace(0, 1, 10)[:, None] * np.ones(2)
    assert hull_area(line) == 0.0
    assert adaptive_scale(SOURCE, line) == 1.0


def test_the_reference_frame_of_relative_motion_shows_the_source_as_it_is() -> None:
    for reference in (0, 3):
        followed = retargeted(clip(), mode="relative", reference=reference)
        assert np.allclose(followed.keypoints[reference], SOURCE, atol=1e-6)
    assert not np.allclose(retargeted(clip(), reference=3).keypoints[0], SOURCE, atol=1e-3)


def test_absolute_motion_is_the_drivers() -> None:
    followed = retargeted(clip(), mode="absolute")
    assert np.array_equal(followed.keypoints, clip().keypoints)
    assert np.array_equal(followed.expressions, clip().expressions)


def test_pose_alone_and_expression_alone() -> None:
    pose, expression = retargeted(clip(), part="pose"), retargeted(clip(), part="expression")
    assert np.array_equal(pose.expressions, np.broadcast_to(EXPRESSION, (6, 256)))
    assert np.array_equal(pose.keypoints, retargeted(clip()).keypoints)
    assert np.array_equal(expression.keypoints, np.broadcast_to(SOURCE, (6, 10, 2)))
    assert np.array_equal(expression.expressions, clip().expressions)


def test_strengths_lie_on_the_line_from_source_to_driver() -> None:
    half, full = retargeted(clip(), expression_strength=0.5, pose_strength=2.0), retargeted(clip())
    assert np.allclose(half.expressions, (EXPRESSION + clip().expressions) / 2, atol=1e-6)
    assert np.allclose(half.keypoints - SOURCE, 2 * (full.keypoints - SOURCE), atol=1e-5)


def test_smoothing_calms_without_moving_the_mean() -> None:
    noisy = clip(200, frames_per_second=30.0)
    calm = smooth(noisy, 0.1)
    jitter = np.abs(np.diff(noisy.keypoints, axis=0)).mean()
    assert np.abs(np.diff(calm.keypoints, axis=0)).mean() < 0.2 * jitter
    assert np.allclose(calm.keypoints.mean(axis=0), noisy.keypoints.mean(axis=0), atol=0.01)
    assert smooth(noisy, 0.0) is noisy
    with pytest.raises(BadInput, match="smoothing"):
        smooth(noisy, -1.0)


def test_a_reference_outside_the_clip_is_refused() -> None:
    with pytest.raises(BadInput, match=r"0\.\.5, got 6"):
        retargeted(clip(), reference=6)


def test_best_frame_ignores_place_and_size_and_skips_frames_without_a_face() -> None:
    shape = RANDOM.uniform(0, 100, (68, 2))
    other = [shape + RANDOM.normal(scale=8, size=shape.shape) for _ in range(4)]
    alike = 0.4 * shape + 30 + RANDOM.normal(scale=0.1, size=shape.shape)
    assert best_frame(shape, [None, other[0], other[1], None, alike, other[2]]) == 4
    deep = np.column_stack((alike, RANDOM.normal(size=68)))
    assert best_frame(shape, [other[3], deep]) == 1


def test_best_frame_needs_one_face() -> None:
    with pytest.raises(NoFaceFound, match="2 frames"):
        best_frame(SOURCE, [None, None])
    with pytest.raises(NoFaceFound, match="line"):
        best_frame(np.zeros((5, 2)), [SOURCE])


def test_a_motion_file_gives_back_the_motion_and_is_small(tmp_path: Path) -> None:
    saved = clip(100, frames_per_second=29.97)
    path = tmp_path / "smile.motion"
    saved.save(path)
    loaded = Motion.load(path)
    assert np.array_equal(loaded.keypoints, saved.keypoints)
    assert np.array_equal(loaded.expressions, saved.expressions)
    assert loaded.frames_per_second == 29.97
    assert path.stat().st_size < 1200 * 100
    with np.load(path) as archive:
        assert set(archive.files) == {"kind", "version", "keypoints", "expressions", "frames_per_second"}


def write(path: Path, **changes: object) -> Path:
    good = {
        "kind": motion_module.FILE_KIND,
        "version": 1,
        "keypoints": clip().keypoints,
        "expressions": clip().expressions,
        "frames_per_second": 25.0,
    }
    with path.open("wb") as file:
        np.savez(file, **{name: value for name, value in (good | changes).items() if value is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "something else"}, "not a motion read by FSRT"),
        ({"version": 2}, "version 2"),
        ({"keypoints": None}, "not a complete motion file"),
        ({"version": np.zeros(3)}, "not a complete motion file"),
        ({"expressions": np.zeros((6, 3), np.float32)}, r"\(T, 256\)"),
        ({"expressions": np.zeros((5, 256), np.float32)}, r"\(T, 256\)"),
        ({"keypoints": np.full((6, 10, 2), np.nan, np.float32)}, "not numbers"),
        ({"keypoints": np.zeros((0, 10, 2), np.float32)}, "at least one frame"),
        ({"frames_per_second": 0.0}, "above 0"),
        ({"keypoints": np.array([{}], dtype=object)}, "not a motion file"),
        ({"keypoints": np.array(["a", "b"])}, "not a complete motion file"),
    ],
)
def test_files_that_are_not_motions_are_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Motion.load(write(tmp_path / "bad.motion", **changes))


def test_broken_and_swollen_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = write(tmp_path / "good.motion")
    (tmp_path / "cut.motion").write_bytes(good.read_bytes()[:500])
    (tmp_path / "text.motion").write_text("hello")
    with zipfile.ZipFile(tmp_path / "zip.motion", "w") as archive:
        archive.writestr("kind.npy", b"not an array")
    for name in ("cut.motion", "text.motion", "zip.motion", "absent.motion"):
        with pytest.raises(BadInput, match=name):
            Motion.load(tmp_path / name)
    monkeypatch.setattr(motion_module, "MAX_FILE_BYTES", 1000)
    with pytest.raises(BadInput, match="unpacks"):
        Motion.load(good)
