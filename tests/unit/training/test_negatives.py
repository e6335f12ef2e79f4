"""Pictures without a face, which teach the landmark network to say so."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from skimage import data

from models.errors import BadInput
from models.training.faces_score import LEAST_FACES, solve
from models.training.negatives import mistaken, things


def _photo(folder: Path) -> None:
    PIL.Image.fromarray(data.astronaut()).save(folder / "photo.png")


def test_squares_are_cut_where_the_detector_sees_a_face(tmp_path: Path) -> None:
    _photo(tmp_path)
    squares = things(tmp_path, tmp_path / "kept" / "squares.npz", scenes=12, size=64)
    assert squares.shape[1:] == (64, 64, 3)
    assert len(squares) >= 2
    assert len(squares) % 2 == 0
    again = things(tmp_path / "gone", tmp_path / "kept" / "squares.npz", scenes=12, size=64)
    assert np.array_equal(squares, again)


def test_objects_are_laid_on_photos(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.full((240, 240, 3), 30, np.uint8)).save(tmp_path / "dark.png")
    assert len(things(tmp_path, tmp_path / "plain.npz", scenes=12, size=64)) == 0
    face = np.dstack([data.astronaut()[40:200, 140:300], np.full((160, 160), 255, np.uint8)])
    face[:4, :, 3] = 0
    PIL.Image.fromarray(face, "RGBA").save(tmp_path / "object.png")
    assert len(things(tmp_path, tmp_path / "laid.npz", scenes=12, size=64)) >= 2


def test_a_folder_without_photos_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no opaque photo"):
        things(tmp_path, tmp_path / "squares.npz")


def test_a_mistake_is_shown_differently_each_time() -> None:
    rng = np.random.default_rng(0)
    squares = rng.integers(0, 255, (3, 160, 160, 3), dtype=np.uint8)
    first, second = (mistaken(squares, 128, rng) for _ in range(2))
    assert first.shape == second.shape == (128, 128, 3)
    assert not np.array_equal(first, second)


def test_the_score_is_moved_until_nearly_all_faces_pass() -> None:
    rng = np.random.default_rng(0)
    faces = rng.normal(1, 1, (2000, 8)).astype(np.float32)
    others = rng.normal(-1, 1, (2000, 8)).astype(np.float32)
    weight, bias = solve(faces, others)
    passed = [float((part @ weight + bias >= np.log(9) - 1e-4).mean()) for part in (faces, others)]
    assert passed[0] >= LEAST_FACES
    assert passed[1] < 0.2
