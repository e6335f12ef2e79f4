"""Filling by diffusion: without a trained U-Net it draws Gaussian faces, exactly as the prior says."""

from __future__ import annotations

import pytest
import torch

from models.errors import Cancelled
from models.occlusion.diffusion import SCALE, FaceDiffusion, Modes, fill, modes_of
from models.occlusion.prior import LinearPrior
from tests.unit.occlusion.conftest import small_autoencoder

SIZE = 60


@pytest.fixture(scope="module")
def prior() -> LinearPrior:
    """Six directions that are smooth, so that what is seen does not say all about what is hidden."""
    found = small_autoencoder().prior
    rough = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(rough, (SIZE, SIZE), mode="bicubic")
    found.basis.copy_(smooth.flatten(1) * 0.15)
    found.variance.fill_(4.0)
    return found


@pytest.fixture(scope="module")
def hole() -> torch.Tensor:
    mask = torch.zeros(1, 1, SIZE, SIZE)
    mask[..., 20:50, 15:45] = 1
    return mask


@pytest.fixture(scope="module")
def modes(prior: LinearPrior, hole: torch.Tensor) -> Modes:
    return modes_of(prior, hole[0])


@pytest.fixture(scope="module")
def network() -> FaceDiffusion:
    torch.manual_seed(0)
    net = FaceDiffusion(widths=(16, 16, 32)).eval()
    net.rest.fill_(0.01)
    return net


def test_modes_are_the_conditional_covariance(prior: LinearPrior, hole: torch.Tensor, modes: Modes) -> None:
    inside = hole.flatten().bool().repeat(3)
    basis = prior.basis.double()
    cross, whole = basis[:, inside].T @ basis[:, ~inside], basis[:, ~inside].T @ basis[:, ~inside]
    whole += float(prior.variance) * torch.eye(len(whole), dtype=torch.float64)
    left = basis[:, inside].T @ basis[:, inside] - cross @ torch.linalg.solve(whole, cross.T)
    flat = modes.directions.flatten(1)[:, inside].double()
    made = (flat.T * modes.variances.double()) @ flat * SCALE**2
    assert torch.allclose(made, left, atol=1e-4 * float(left.abs().max()))
    assert torch.allclose(modes.directions.flatten(1).norm(dim=1)[:6], torch.ones(6), atol=1e-3)


def test_an_untrained_network_draws_gaussian_faces(network: FaceDiffusion, hole: torch.Tensor, modes: Modes) -> None:
    guess = torch.full((1, 3, SIZE, SIZE), 0.5)
    made = fill(network, guess, hole, modes, steps=60, samples=160, seed=3, temperature=1.0)
    assert torch.equal(made[:, :, hole[0, 0] == 0], guess.expand(160, -1, -1, -1)[:, :, hole[0, 0] == 0])
    differences = ((made - guess) / SCALE).flatten(1)
    found = (differences @ modes.directions.flatten(1)[:3].T).var(0)
    wanted = modes.variances[:3] + network.rest
    assert ((found / wanted).log().abs() < 0.45).all()
    calmer = fill(network, guess, hole, modes, steps=10, samples=16, seed=3, temperature=0.5)
    assert (calmer - guess).std() < 0.7 * (made - guess).std()


def test_seeds_repeat_and_a_stop_is_told(network: FaceDiffusion, hole: torch.Tensor, modes: Modes) -> None:
    guess = torch.full((1, 3, SIZE, SIZE), 0.4)
    one, same, other = (fill(network, guess, hole, modes, steps=3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    with pytest.raises(Cancelled):
        fill(network, guess, hole, modes, steps=3, on_step=lambda done, _all: done < 2)
