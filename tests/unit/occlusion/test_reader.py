"""The chain's rules: shapes, determinism, and that nothing but what is hidden ever changes."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import BadInput, Cancelled, MissingWeights
from models.occlusion.align import face_matrix
from models.occlusion.reader import Networks, OcclusionReader
from models.occlusion.results import Detection, FaceCrop
from models.types import EMOTIONS, Face, Image

OWN = ("mien", "telea", "navier_stokes", "mean_face")


@pytest.fixture(scope="module")
def crop(reader: OcclusionReader, photo_and_face: tuple[Image, Face]) -> FaceCrop:
    return reader.crop(*photo_and_face)


@pytest.fixture(scope="module")
def mask(reader: OcclusionReader) -> np.ndarray:
    mask = np.zeros((reader.size, reader.size), bool)
    mask[60:95, 30:80] = True
    return mask


def test_every_face_lies_alike_in_its_crop(photo_and_face: tuple[Image, Face]) -> None:
    points = photo_and_face[1].landmarks
    turn = np.deg2rad(25)
    moved = points.copy()
    moved[:, :2] = points[:, :2] @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) * 1.7 + 40
    laid = [p[:, :2] @ face_matrix(p)[:2, :2].T + face_matrix(p)[:2, 2] for p in (points, moved)]
    np.testing.assert_allclose(laid[0], laid[1], atol=0.01)


def test_a_detection_has_a_distance_for_every_patch(reader: OcclusionReader, crop: FaceCrop) -> None:
    found = reader.detect(crop)
    assert found.distances.shape == found.share.shape == (reader.grid, reader.grid)
    assert (found.distances >= 0).all() and (found.share < 1).all()
    np.testing.assert_array_equal(found.distances, reader.detect(crop).distances)


def test_a_larger_radius_hides_less() -> None:
    distances = np.linspace(0, 4, 144).reshape(12, 12).astype(np.float32)
    found = Detection(distances, 2.0, 120)
    areas = [found.mask(radius).sum() for radius in (0.5, 1.0, None, 3.0, 9.0)]
    assert areas == sorted(areas, reverse=True) and areas[0] > areas[-1] == 0
    assert found.mask().shape == (120, 120) and found.mask().dtype == np.bool_
    assert not (found.mask(3.0) & ~found.mask(1.0)).any()


@pytest.mark.parametrize("method", OWN)
def test_only_hidden_pixels_change(reader: OcclusionReader, crop: FaceCrop, mask: np.ndarray, method: str) -> None:
    made = reader.reconstruct(crop, mask, method=method)
    for picture in (made.coarse, made.refined, made.blended):
        assert picture.shape == crop.pixels.shape and picture.dtype == np.uint8
    np.testing.assert_array_equal(made.blended[~mask], crop.pixels[~mask])
    assert (made.blended[mask] != crop.pixels[mask]).any()
    again = reader.reconstruct(crop, mask, method=method)
    np.testing.assert_array_equal(made.blended, again.blended)
    assert made.milliseconds and min(made.milliseconds.values()) >= 0


def test_diffusion_gives_different_samples_and_the_same_ones_again(
    reader: OcclusionReader, crop: FaceCrop, mask: np.ndarray
) -> None:
    told: list[tuple[int, int]] = []

    def note(done: int, total: int) -> bool:
        told.append((done, total))
        return True

    options = {"method": "diffusion", "steps": 3, "samples": 2, "seed": 5}
    made = reader.reconstruct(crop, mask, **options, on_step=note)
    assert told == [(1, 3), (2, 3), (3, 3)] and len(made.samples) == 2
    assert (made.samples[0] != made.samples[1]).any()
    for sample, again in zip(made.samples, reader.reconstruct(crop, mask, **options).samples, strict=True):
        np.testing.assert_array_equal(sample[~mask], crop.pixels[~mask])
        np.testing.assert_array_equal(sample, again)
    with pytest.raises(Cancelled):
        reader.reconstruct(crop, mask, **options, on_step=lambda done, total: done < 2)


def test_an_expression_is_read_with_and_without_a_mask(
    reader: OcclusionReader, crop: FaceCrop, mask: np.ndarray
) -> None:
    plain, joined = reader.recognise(crop.pixels), reader.recognise(crop.pixels, mask)
    for found in (plain, joined):
        assert tuple(found.emotions) == EMOTIONS and sum(found.emotions.values()) == pytest.approx(1, abs=1e-4)
        assert np.linalg.norm(found.vector) == pytest.approx(1, abs=1e-4)
        assert found.attention.shape == found.tokens.shape == (reader.grid, reader.grid)
        assert found.attention.max() <= 1 and found.strongest in EMOTIONS
    assert not plain.tokens.any() and joined.tokens.sum() == 20
    assert np.abs(plain.vector - joined.vector).max() > 1e-4


def test_pasting_back_leaves_the_rest_of_the_photo(
    reader: OcclusionReader, crop: FaceCrop, mask: np.ndarray, photo_and_face: tuple[Image, Face]
) -> None:
    image = photo_and_face[0]
    white = np.full_like(crop.pixels, 255)
    pasted = reader.paste_back(image, crop, white, mask)
    changed = (pasted != image).any(2)
    rows, columns = np.nonzero(changed)
    inside = crop.crop.to_crop(np.stack([columns, rows], 1).astype(np.float32))
    assert changed.any() and pasted.shape == image.shape
    assert inside[:, 0].min() > 29 and inside[:, 0].max() < 80 and inside[:, 1].min() > 59 and inside[:, 1].max() < 95
    np.testing.assert_array_equal(reader.paste_back(image, crop, white, np.zeros_like(mask)), image)


def test_masks_that_cannot_be_used_are_explained(reader: OcclusionReader, crop: FaceCrop, mask: np.ndarray) -> None:
    for wrong, words in (
        (np.zeros_like(mask), "nothing is marked"),
        (np.ones_like(mask), "too little"),
        (mask[:50], "must be bool"),
        (mask.astype(np.uint8), "must be bool"),
    ):
        with pytest.raises(BadInput, match=words):
            reader.reconstruct(crop, wrong)
    with pytest.raises(BadInput, match="no method"):
        reader.reconstruct(crop, mask, method="wish")


def test_what_is_not_there_is_named(reader: OcclusionReader, crop: FaceCrop, mask: np.ndarray) -> None:
    have = reader.networks
    bare = Networks(have.autoencoder, have.landmarks, have.expression, have.expression_backend)
    lone = OcclusionReader(bare, backend="small-00000000", device=reader.device)
    assert set(lone.methods) == {"telea", "navier_stokes", "mean_face"}
    assert set(reader.methods) == {*OWN, "diffusion"}
    for work, name in (
        (lambda: lone.detect(crop), "mien train svdd"),
        (lambda: lone.reconstruct(crop, mask), "mien train refiner"),
        (lambda: lone.reconstruct(crop, mask, method="diffusion"), "mien train diffusion"),
        (lambda: lone.reconstruct(crop, mask, method="latent_ofer"), "mien weights add mae-base"),
    ):
        with pytest.raises(MissingWeights, match=name):
            work()
