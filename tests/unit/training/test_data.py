"""Labelled folders, and people who are kept out of training."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.errors import BadInput
from models.training.data import held_out, read_faces, split


def write_set(folder: Path, names: list[str], *, source: str) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in names:
        cv2.imwrite(str(folder / f"{name}.png"), rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))
    count = len(names)
    np.savez(
        folder / "labels.npz",
        path=np.array([f"{name}.png" for name in names]),
        identity=np.array(names),
        source=np.array([source] * count),
        landmarks=rng.random((count, 478, 3)).astype(np.float16) * 32,
        blendshapes=rng.random((count, 52)).astype(np.float16),
    )


def test_sets_are_joined_and_nobody_is_on_both_sides(tmp_path):
    write_set(tmp_path / "faces256", [f"a{i}" for i in range(60)], source="sfhq")
    write_set(tmp_path / "clips", [f"b{i}" for i in range(40)], source="clips")
    training, held = split(read_faces(tmp_path))
    assert len(training) + len(held) == 100
    assert 1 <= len(held) <= 30
    assert not set(training.identity) & set(held.identity)
    assert training.landmarks.shape[1:] == (478, 3)


def test_who_is_held_out_depends_on_the_name_alone():
    names = [f"sfhq/person{i}" for i in range(2000)]
    chosen = [held_out(name) for name in names]
    assert chosen == [held_out(name) for name in names]
    assert 0.07 < np.mean(chosen) < 0.13


def test_pictures_without_terms_for_weights_are_never_trained_on(tmp_path):
    write_set(tmp_path / "faces256", ["x", "y", "z"], source="vladmandic_human")
    training, held = split(read_faces(tmp_path))
    assert (len(training), len(held)) == (0, 3)


def test_warped_twins_are_never_held_out(tmp_path):
    write_set(tmp_path / "warped", [f"w{i}" for i in range(50)], source="warped")
    assert len(split(read_faces(tmp_path))[0]) == 50


def test_a_picture_that_cannot_be_read_is_left_out(tmp_path):
    write_set(tmp_path / "set", ["a", "b"], source="s")
    (tmp_path / "set" / "a.png").write_bytes(b"not a picture")
    assert len(read_faces(tmp_path / "set")) == 1


def test_a_folder_without_labels_says_what_is_missing(tmp_path):
    with pytest.raises(BadInput, match=r"labels\.npz"):
        read_faces(tmp_path)
