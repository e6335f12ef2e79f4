"""Occluders are where the face is, hide what their mask says, and come out the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.errors import BadInput
from models.latent_ofer.occluders import (
    HELD_OUT_KINDS,
    KINDS,
    LEAST,
    MOST,
    TRAINING_KINDS,
    Occluded,
    occlude,
    patch_share,
)
from models.types import Image, Points

Faces = list[tuple[Image, Points]]


@pytest.fixture(scope="module")
def faces(faces_dir: Path) -> Faces:
    """Eight labelled faces, synthetic and photographed."""
    folder = faces_dir / "faces256"
    with np.load(folder / "labels.npz", allow_pickle=False) as labels:
        paths, landmarks = labels["path"], labels["landmarks"]
    places = np.linspace(0, len(paths) - 1, 8).astype(int)
    read = [np.ascontiguousarray(cv2.imread(str(folder / str(paths[i])))[..., ::-1]) for i in places]
    return [(image, landmarks[i]) for image, i in zip(read, places, strict=True)]


def drawn(faces: Faces, kind: str, seed: int = 0) -> list[Occluded]:
    chance = np.random.default_rng(seed)
    return [occlude(image, points, chance=chance, kinds=(kind,)) for image, points in faces]


def test_four_kinds_are_kept_out_of_training() -> None:
    assert len(KINDS) == 12 and len(HELD_OUT_KINDS) == 4
    assert not set(HELD_OUT_KINDS) & set(TRAINING_KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_the_mask_says_is_changed(faces: Faces, kind: str) -> None:
    for (image, _), result in zip(faces, drawn(faces, kind), strict=True):
        assert result.kind == kind and result.image.dtype == np.uint8 and result.mask.dtype == np.bool_
        assert (result.image[~result.mask] == image[~result.mask]).all()
        changed = (result.image != image).any(axis=2)
        assert changed[result.mask].mean() > 0.5  # the mask is not larger than the thing


@pytest.mark.parametrize("kind", KINDS)
def test_a_fair_part_of_the_face_is_hidden(faces: Faces, kind: str) -> None:
    shares = [result.share for result in drawn(faces, kind, seed=1)]
    assert all(LEAST <= share <= MOST for share in shares), shares


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_everything(faces: Faces, kind: str) -> None:
    first, again, other = (drawn(faces[:2], kind, seed=seed)[1] for seed in (3, 3, 4))
    assert (first.image == again.image).all() and (first.mask == again.mask).all()
    assert (first.image != other.image).any()


@pytest.mark.parametrize(
    ("kind", "hides", "leaves"),
    [
        ("sunglasses", (468, 473), (13, 152)),
        ("medical_mask", (13, 61, 291), (468, 473, 10)),
        ("scarf", (152,), (10, 468, 473)),
        ("cup", (17,), (10,)),
        ("microphone", (17,), (10,)),
    ],
)
def test_each_thing_sits_where_it_is_worn(
    faces: Faces, kind: str, hides: tuple[int, ...], leaves: tuple[int, ...]
) -> None:
    met: dict[int, list[bool]] = {index: [] for index in (*hides, *leaves)}
    for (_, points), result in zip(faces, drawn(faces, kind, seed=5), strict=True):
        for index, hidden in met.items():
            column, row = points[index, :2].round().astype(int).clip(0, 255)
            hidden.append(bool(result.mask[row, column]))
    for index in hides:
        assert np.mean(met[index]) >= 0.75, index
    for index in leaves:
        assert np.mean(met[index]) <= 0.25, index


@pytest.mark.parametrize("scale", [0.5, 1.5])
def test_what_is_drawn_grows_with_the_face(faces: Faces, scale: float) -> None:
    image, points = faces[0]
    size = int(256 * scale)
    larger = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    shares = [
        np.mean([occlude(i, p, chance=np.random.default_rng(s), kinds=("medical_mask",)).share for s in range(3)])
        for i, p in ((image, points), (larger, points * np.float32(scale)))
    ]
    assert shares[0] == pytest.approx(shares[1], rel=0.15)


def test_a_mixture_uses_all_its_kinds(faces: Faces) -> None:
    image, points = faces[1]
    chance = np.random.default_rng(0)
    seen = {occlude(image, points, chance=chance, kinds=("bars", "blur", "shadow")).kind for _ in range(24)}
    assert seen == {"bars", "blur", "shadow"}


@pytest.fixture
def blank() -> Callable[..., Points]:
    def points(x: float, count: int = 478) -> Points:
        return np.full((count, 3), x, np.float32)

    return points


def test_what_cannot_be_drawn_is_said(blank: Callable[..., Points]) -> None:
    image, chance = np.zeros((64, 64, 3), np.uint8), np.random.default_rng(0)
    with pytest.raises(BadInput, match="umbrella"):
        occlude(image, blank(5), chance=chance, kinds=("umbrella",))
    with pytest.raises(BadInput, match="outside"):
        occlude(image, blank(-500), chance=chance)
    with pytest.raises(BadInput, match="478 landmarks"):
        occlude(image, blank(5, 68), chance=chance)


def test_hidden_shares_of_patches() -> None:
    mask = np.zeros((224, 224), np.bool_)
    mask[16:24, 32:48] = True
    shares = patch_share(mask)
    assert shares.shape == (196,) and shares[16] == pytest.approx(0.5) and shares.sum() == pytest.approx(0.5)
    assert patch_share(np.ones((448, 448), np.bool_)).min() == pytest.approx(1.0)
