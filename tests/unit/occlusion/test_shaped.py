"""Gaussian faces in the mean face's shape: pixels go along with points, and come back to where they were."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from models import registry
from models.errors import MissingWeights
from models.occlusion.prior import LinearPrior, lay_prior
from models.occlusion.reader import OcclusionReader
from models.occlusion.shaped import ShapedPrior, carry, inverse, middles, rim
from models.training.shaped_prior import fitted_share, lay
from models.types import Face, Image
from tests.unit.occlusion.conftest import average_face

EDGE = 120
COMPONENTS = 8


class Moved:
    """Made faces: one texture whose parts lie where their points are, drawn like `models.training` draws crops."""

    size = EDGE

    def __init__(self, network: ShapedPrior, texture: Tensor) -> None:
        self.network, self.texture = network, texture

    def points(self, rng: np.random.Generator) -> np.ndarray:
        face = average_face()[:, :2]
        moved = self.network.shape.numpy().copy()
        for part in (face[:, 1] > 0.4, abs(face[:, 1]) <= 0.4, face[:, 1] < -0.4, face[:, 0] > 0.4, face[:, 0] < -0.4):
            moved[part] += rng.normal(0, 0.06, 2)
        return moved

    def face(self, points: np.ndarray) -> Tensor:
        places = self.network.places(torch.from_numpy(points[None]), edge=EDGE)
        return carry(self.texture, inverse(places))


@pytest.fixture(scope="module")
def network() -> ShapedPrior:
    network = ShapedPrior(components=COMPONENTS)
    network.shape.copy_(torch.from_numpy(average_face()[:, :2] * 0.6))
    return network


@pytest.fixture(scope="module")
def made(network: ShapedPrior) -> Moved:
    noise = np.random.default_rng(3).integers(30, 225, (14, 14, 3)).astype(np.uint8)
    texture = cv2.resize(noise, (EDGE, EDGE), interpolation=cv2.INTER_CUBIC)
    return Moved(network, torch.from_numpy(texture).permute(2, 0, 1)[None].float() / 255)


def test_points_are_fetched_from_where_they_are_and_the_rim_stays(network: ShapedPrior, made: Moved) -> None:
    points = made.points(np.random.default_rng(0))
    places = network.places(torch.from_numpy(points[None]), edge=EDGE)
    at = network.shape.view(1, 1, -1, 2)
    fetched = torch.nn.functional.grid_sample(places.permute(0, 3, 1, 2), at, align_corners=False)[0, :, 0].T
    off = (fetched - torch.from_numpy(points)).norm(dim=1) * EDGE / 2
    assert off.mean() < 0.5  # pixels; the spline is smoothed where neighbours disagree
    still = (places[0] - middles(EDGE))[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert still.abs().max() < 0.02
    assert rim().shape == (28, 2) and (np.abs(rim()).max(1) == 1).all()


def test_what_is_carried_there_comes_back(network: ShapedPrior, made: Moved) -> None:
    points = made.points(np.random.default_rng(1))
    places = network.places(torch.from_numpy(points[None]), edge=EDGE)
    smooth = cv2.GaussianBlur(made.texture[0].permute(1, 2, 0).numpy(), (0, 0), 2.0)
    picture = torch.from_numpy(smooth).permute(2, 0, 1)[None]
    back = carry(carry(picture, places), inverse(places))
    inner = (slice(None), slice(None), slice(10, -10), slice(10, -10))
    assert (back - picture)[inner].abs().mean() < 0.01
    assert (carry(picture, places) - picture)[inner].abs().mean() > 0.02


def test_an_undeformed_face_stays_as_it_is(network: ShapedPrior, made: Moved) -> None:
    shaped = network.shaped(made.texture, network.shape[None])
    torch.testing.assert_close(shaped, made.texture, atol=1e-4, rtol=0)


def test_faces_that_only_move_are_guessed_better_than_without_points(network: ShapedPrior, made: Moved) -> None:
    """One texture in many shapes: in the mean shape nothing varies, so that the hidden part is known."""
    rng = np.random.default_rng(2)
    shapes = [made.points(rng) for _ in range(40)]
    faces = torch.cat([made.face(one) for one in shapes])
    as_bytes = (faces.clamp(0, 1) * 255 + 0.5).to(torch.uint8)
    plain = LinearPrior(components=COMPONENTS)
    lay_prior(plain, as_bytes[:32])
    points = torch.from_numpy(np.stack(shapes))
    carried_faces = network.shaped(as_bytes[:32].float() / 255, points[:32])
    lay_prior(network.prior, (carried_faces * 255 + 0.5).to(torch.uint8))
    mask = torch.zeros(8, 1, EDGE, EDGE)
    mask[:, :, 60:100, 25:95] = 1
    errors = [
        float((((guess - faces[32:]) * mask).square().sum() / mask.sum()).sqrt())
        for guess in (plain(faces[32:], mask), network(faces[32:], mask, points[32:]))
    ]
    assert errors[1] < 0.6 * errors[0], errors


def test_the_recipe_lays_shape_and_directions(made: Moved) -> None:
    class Drawn:
        size = EDGE

        def draw(self, rng: np.random.Generator) -> object:
            points = made.points(rng)
            face = (made.face(points)[0].permute(1, 2, 0).clamp(0, 1) * 255).to(torch.uint8).numpy()
            return type("One", (), {"pixels": face, "landmarks": (points + 1) * EDGE / 2 - 0.5})()

    network = ShapedPrior(components=COMPONENTS)
    torch.manual_seed(0)
    lay(network, Drawn(), count=40, shapes=20)
    assert (network.shape - made.network.shape).abs().mean() < 0.03
    assert float(network.prior.variance) > 0
    lengths = network.prior.basis.norm(dim=1)
    assert (lengths[:-1] >= lengths[1:] - 1e-4).all() and lengths[0] > 0


def test_the_chain_goes_its_share_of_the_way(
    reader: OcclusionReader, network: ShapedPrior, photo_and_face: tuple[Image, Face]
) -> None:
    crop = reader.crop(*photo_and_face)
    mask = np.zeros((EDGE, EDGE), bool)
    mask[60:95, 30:80] = True
    plain = reader.reconstruct(crop, mask)
    assert "shaped" not in plain.milliseconds
    with pytest.raises(MissingWeights, match="shaped_prior"):
        reader.guesses(crop.pixels, mask)
    results = []
    for share in (0.0, 0.5, 1.0):
        follower = ShapedPrior(components=COMPONENTS)
        follower.load_state_dict(network.state_dict())
        follower.share.fill_(share)
        made = OcclusionReader(
            replace(reader.networks, shaped=follower), backend=reader.backend, device=torch.device("cpu")
        ).reconstruct(crop, mask)
        np.testing.assert_array_equal(made.blended[~mask], crop.pixels[~mask])
        np.testing.assert_array_equal(made.coarse, plain.coarse)
        assert {"points", "shaped"} <= set(made.milliseconds)
        results.append(made.refined.astype(float))
    np.testing.assert_allclose(results[0], plain.refined, atol=1)
    halfway = (results[0] + results[2]) / 2
    inside = (results[2] > 0) & (results[2] < 255)  # beyond them the whole way was cut short
    np.testing.assert_allclose(results[1][inside], halfway[inside], atol=2)
    assert np.abs(results[2] - results[0])[mask].mean() > 1


def test_the_share_is_the_one_with_the_least_error(reader: OcclusionReader, network: ShapedPrior) -> None:
    """Where the shaped guess is the truth and the plain one is not, all of the way is best."""
    truth = np.full((EDGE, EDGE, 3), 90, np.uint8)

    class Sure:
        size = EDGE

        def draw(self, rng: np.random.Generator) -> object:
            points = (average_face()[:, :2] * 0.6 + 1) * EDGE / 2
            return type("One", (), {"pixels": truth, "landmarks": points})()

    class Guesses:
        def __init__(self, far: float) -> None:
            self.far = far

        def guesses(self, image: Image, mask: np.ndarray) -> tuple[Tensor, Tensor]:
            right = torch.full((1, 3, EDGE, EDGE), 90 / 255)
            return right + 0.2, right + 0.2 - self.far

    assert fitted_share(Guesses(0.2), Sure(), count=4) == pytest.approx(1.0, abs=1e-4)
    assert fitted_share(Guesses(0.4), Sure(), count=4) == pytest.approx(0.5, abs=1e-4)
    assert fitted_share(Guesses(-0.2), Sure(), count=4) == 0.0


def test_what_ships_is_laid_for_the_chain() -> None:
    _, tensors, _ = registry.shipped("shaped_prior")
    assert 0 < float(tensors["share"]) < 1
    shape = tensors["shape"].numpy()
    assert np.abs(shape).max() < 1 and np.corrcoef(shape[:, 1], average_face()[:, 1])[0, 1] > 0.98
