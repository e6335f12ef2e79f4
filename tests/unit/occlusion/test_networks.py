"""What the networks promise: inverses, rows of a batch, a prior that is right where faces are Gaussian."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.occlusion.autoencoder import cells, joined
from models.occlusion.detector import PatchSvdd, smoothed
from models.occlusion.painting import blend, lit_like
from models.occlusion.prior import LinearPrior, lay_prior
from models.occlusion.refiner import Refiner, mirrored_detail
from tests.unit.occlusion.conftest import small_autoencoder


def test_patches_are_cut_and_joined() -> None:
    images = torch.rand(2, 3, 120, 120)
    torch.testing.assert_close(joined(cells(images, 12), 12), images)
    assert cells(images, 12).shape == (2, 144, 300)


def test_rows_that_hide_differently_are_as_if_alone() -> None:
    network, images = small_autoencoder(), torch.rand(2, 3, 120, 120)
    hidden = torch.zeros(2, 144, dtype=torch.bool)
    hidden[0, :30], hidden[1, 50:60] = True, True
    with torch.inference_mode():
        both = network(images, hidden)
        for row in range(2):
            alone = network(images[row : row + 1], hidden[row : row + 1])
            torch.testing.assert_close(both.predicted[row], alone.predicted[0], atol=2e-4, rtol=0)
            torch.testing.assert_close(both.latents[row], alone.latents[0], atol=2e-3, rtol=0)


def test_hidden_pixels_are_never_read() -> None:
    network, images = small_autoencoder(), torch.rand(1, 3, 120, 120)
    hidden = torch.zeros(1, 144, dtype=torch.bool)
    hidden[0, 60:70] = True
    covered = network.pixel_mask(hidden)
    other = torch.where(covered, torch.rand_like(images), images)
    with torch.inference_mode():
        one, two = network(images, hidden), network(other, hidden)
    torch.testing.assert_close(one.predicted, two.predicted)
    torch.testing.assert_close(one.image[~covered.expand_as(images)], images[~covered.expand_as(images)])


def test_the_prior_completes_what_follows_from_the_rest() -> None:
    torch.manual_seed(0)
    ways = torch.rand(3, 3, 120, 120) - 0.5
    ways = torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(ways, 30), size=(120, 120), mode="bilinear")
    faces = 0.5 + torch.einsum("nk,kchw->nchw", torch.randn(200, 3) * 0.4, ways).clamp(-0.45, 0.45)
    prior = LinearPrior(size=60, components=4)
    lay_prior(prior, (faces[:-1] * 255).to(torch.uint8), looseness=1.0)
    mask = torch.zeros(1, 1, 120, 120)
    mask[..., 60:] = 1
    guess = prior(faces[-1:], mask)
    naive = faces[:-1].mean(0, keepdim=True)
    error, usual = ((one - faces[-1:]).square()[..., 60:].mean() for one in (guess, naive))
    assert error < usual / 5


def test_a_new_refiner_takes_some_detail_from_the_other_half_and_nothing_else() -> None:
    refiner, guess = Refiner(widths=(8, 8, 8), latent_width=24), torch.full((1, 3, 120, 120), 0.5)
    image, mask = torch.rand(1, 3, 120, 120), torch.zeros(1, 1, 120, 120)
    mask[..., :60] = 1
    made = refiner(image, mask, guess, torch.rand(1, 144, 24)) - guess
    wanted = mirrored_detail(image, mask)
    torch.testing.assert_close(made, wanted * 0.198, atol=1e-3, rtol=0)
    assert wanted[..., :60].abs().mean() > 0.1 and not wanted[..., 60:].any()


def test_the_detector_measures_from_its_centre() -> None:
    detector = PatchSvdd(features=10, hidden=8, size=4).eval()
    features = torch.randn(2, 144, 10)
    with torch.inference_mode():
        distances = detector(features)
        assert distances.shape == (2, 144) and (distances >= 0).all()
        detector.centre.copy_(detector.embed(features)[1, 7])
        assert detector(features)[1, 7] < 1e-3


def test_a_detector_with_convolutions_looks_at_five_by_five_patches() -> None:
    detector = PatchSvdd(features=10, hidden=8, size=4, neighbours=False, convolutions=2).eval()
    features = torch.zeros(1, 144, 10)
    with torch.inference_mode():
        empty = detector(features)
        features[0, 6 * 12 + 6] = 3.0
        changed = ((detector(features) - empty).abs() > 1e-6).reshape(12, 12)
    rows, columns = changed.nonzero(as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 8, 4, 8)


def test_smoothing_keeps_what_is_even_and_lowers_what_stands_alone() -> None:
    distances = torch.full((1, 144), 2.0)
    torch.testing.assert_close(smoothed(distances), distances)
    distances[0, 70] = 200.0
    made = smoothed(distances)
    assert 2 < made[0, 70] < 10 and made[0, 71] > 2 and made[0, 0] == pytest.approx(2.0)


def test_a_blend_leaves_no_step_and_touches_nothing_else() -> None:
    pixels = np.full((120, 120, 3), 100, np.uint8)
    mask = np.zeros((120, 120), bool)
    mask[40:80, 40:80] = True
    made = blend(pixels, np.full_like(pixels, 140), mask)
    np.testing.assert_array_equal(made[~mask], 100)
    assert abs(int(made[60, 41, 0]) - 100) < 16 and made[60, 60, 0] > 125


def test_a_mean_face_takes_the_light_of_the_photo() -> None:
    face = np.random.default_rng(0).uniform(60, 200, (120, 120, 3)).astype(np.float32)
    mask = np.zeros((120, 120), bool)
    mask[60:] = True
    dark = np.clip(face * 0.5 + 10, 0, 255).astype(np.uint8)
    made = lit_like(face, dark, mask)
    assert np.abs(made.astype(int) - dark).mean() < 2
