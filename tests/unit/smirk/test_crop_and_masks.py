"""Crops against scikit-image, the hole in the photo, and skin carried from one mesh to another."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import estimate_transform, warp

from models.smirk import crop, masking


def a_face(seed, *, shape=(90, 70)):
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    centre, radius = random.uniform(10, 60, 2), random.uniform(5, 60)
    return image, (centre + radius * random.uniform(-1, 1, (478, 2))).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_crop_and_way_back_are_scikit_images(seed):
    image, landmarks = a_face(seed)
    made = crop.cut(image, landmarks)
    points = landmarks.astype(np.float64)
    low, high = points.min(0), points.max(0)
    side, centre = int((high - low).sum() / 2 * 1.4), (low + high) / 2
    square = centre + np.array([[-side, -side], [-side, side], [side, -side]]) / 2
    transform = estimate_transform("similarity", square, np.array([[0, 0], [0, 223], [223, 0]]))
    assert np.allclose(transform.params, made.crop_from_image, atol=1e-8)
    wanted = warp(image, transform.inverse, output_shape=(224, 224), preserve_range=True, order=1)
    assert np.abs(made.pixels.astype(int) - wanted.astype(np.uint8)).max() <= 1
    back = warp(made.pixels, transform, output_shape=image.shape[:2], preserve_range=True, order=1)
    ours = crop.paste_back(made.pixels, made, shape=image.shape[:2])
    assert np.abs(ours.astype(int) - back.astype(np.uint8)).max() <= 1


def test_crop_of_a_smooth_photo_comes_back(photo):
    landmarks = np.array([[180, 60], [270, 190]], np.float32)
    made = crop.cut(photo, landmarks)
    back = crop.paste_back(made.pixels, made, shape=photo.shape[:2])
    inside = np.s_[70:180, 190:260]
    assert np.abs(back[inside].astype(int) - photo[inside]).mean() < 3


def test_degenerate_landmarks_and_turns_are_refused(photo):
    with pytest.raises(ValueError, match="at least one pixel"):
        crop.cut(photo, np.full((478, 2), 50, np.float32))
    with pytest.raises(ValueError, match="scale and shift"):
        crop.resample(photo, np.array([[1, 0.1, 0], [-0.1, 1, 0], [0, 0, 1]]), shape=(8, 8))


def test_hole_covers_the_landmarks_and_grows_by_the_margin():
    corners = np.array([[60, 80], [160, 80], [160, 150], [60, 150]], np.float32)
    hull = masking.hull_mask(corners, size=224)
    assert hull[100, 100] == 0 and hull[20, 20] == 1
    wide = masking.widen_hole(torch.from_numpy(hull)[None, None])[0, 0].numpy()
    rows, columns = np.nonzero(wide == 0)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (70, 160, 50, 170)


def test_face_is_blank_but_for_the_skin():
    photo = torch.full((1, 3, 224, 224), 0.5)
    hull = torch.ones(1, 1, 224, 224)
    hull[..., 80:140, 80:140] = 0
    rendered = torch.zeros_like(hull)
    rendered[..., 20:40, 20:40] = 1
    skin = torch.zeros_like(photo)
    skin[..., 100, 100] = 0.25
    shown = masking.masked_photo(photo, hull, rendered, skin=skin)[0, 0]
    assert shown[100, 100] == 0.25 and shown[101, 101] == 0 and shown[30, 30] == 0 and shown[71, 71] == 0
    assert shown[5, 5] == 0.5 and shown[60, 200] == 0.5


def two_squares(*, shift=0.0):
    """A big square that faces the camera beside a small one, and one that looks away (y down, z away)."""
    big = [[-0.9, -0.8, 0], [-0.1, -0.8, 0], [-0.1, 0.8, 0], [-0.9, 0.8, 0]]
    small = [[0.5, -0.1, 0], [0.7, -0.1, 0], [0.7, 0.1, 0], [0.5, 0.1, 0]]
    away = [[0.1, -0.8, 0], [0.4, -0.8, 0], [0.4, 0.8, 0], [0.1, 0.8, 0]]
    vertices = torch.tensor([big + small + away]) + torch.tensor([shift, 0.0, 0.0])
    faces = [[0, 2, 1], [0, 3, 2], [4, 6, 5], [4, 7, 6], [8, 9, 10], [8, 10, 11]]
    return vertices, torch.tensor(faces)


def test_skin_is_sampled_by_visible_area_and_region():
    vertices, triangles = two_squares()
    random = torch.Generator().manual_seed(0)
    drawn = masking.sample_surface(vertices, triangles, torch.ones(6), count=20_000, random=random)
    share = torch.bincount(drawn.triangles[0], minlength=6) / 20_000
    area = 0.5 * torch.tensor([1.28, 1.28, 0.04, 0.04, 0.0, 0.0])
    assert torch.allclose(share, area / area.sum(), atol=0.015)
    assert torch.allclose(drawn.weights.sum(-1), torch.ones(1, 20_000), atol=1e-5) and (drawn.weights >= 0).all()
    left_out = torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    drawn = masking.sample_surface(vertices, triangles, left_out, count=500, random=random)
    assert set(drawn.triangles[0].tolist()) == {2, 3}


def test_carried_skin_keeps_its_colours_at_the_new_place():
    vertices, triangles = two_squares()
    moved, _ = two_squares(shift=0.125)
    random = torch.Generator().manual_seed(0)
    samples = masking.sample_surface(vertices, triangles, torch.ones(6), count=50, random=random)
    source, target = (masking.sampled_pixels(mesh, triangles, samples, size=224) for mesh in (vertices, moved))
    assert ((target - source)[..., 0] - 14).abs().max() <= 1 and torch.equal(target[..., 1], source[..., 1])
    photo = torch.rand(1, 3, 224, 224, generator=random) * 0.9 + 0.1
    carried = masking.carry_pixels(photo, source=source, target=target)
    x, y = target[0, 7].tolist()
    others = [i for i in range(50) if target[0, i].tolist() == [x, y]]
    colours = [photo[0, :, source[0, i, 1], source[0, i, 0]] for i in others]
    assert any(torch.equal(carried[0, :, y, x], colour) for colour in colours)
    assert (carried > 0).all(1).sum() == len({tuple(p) for p in target[0].tolist()})
    mask = masking.pixels_to_mask(target, size=224)
    assert torch.equal(mask[0, 0] > 0, (carried[0] > 0).all(0))


def test_training_noise_stays_within_the_skin():
    random = torch.Generator().manual_seed(3)
    skin = torch.zeros(1, 3, 224, 224)
    skin[..., ::7, ::7] = 0.5
    rough = masking.roughen(skin, random=random)
    assert not rough[skin == 0].any()
    kept = (rough != 0).float().sum() / (skin != 0).sum()
    assert 0.15 < kept < 0.45  # 1 % of centres, 11 px wide: 0.99 ** 121 = 0.3 survive
    assert rough[rough != 0].std() == pytest.approx(0.025, abs=0.005)
    counts = [masking.random_prefix(2508, random=random) for _ in range(400)]
    assert min(counts) >= 100 and max(counts) <= 2508 and len(set(counts)) > 100
