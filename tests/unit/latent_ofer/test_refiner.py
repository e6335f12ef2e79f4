"""Self-assembly as released and as written, and the refiner around it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.latent_ofer import rule
from models.latent_ofer.assembly import SelfAssembly, shrink_mask
from models.latent_ofer.hybrid import HybridRefiner
from models.latent_ofer.quick import quicken
from models.latent_ofer.winograd import Gathered, Scattered, Winograd


def cells(seed: int, channels: int = 24, edge: int = 8) -> Tensor:
    """Features that are alike enough for all cosines to be positive."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, channels, edge, edge, generator=generator)


def a_hole(edge: int = 8) -> Tensor:
    hole = torch.zeros(1, edge, edge, dtype=torch.bool)
    hole[:, 2:6, 1:4] = True
    return hole


def one_by_one(features: Tensor, hole: Tensor) -> Tensor:
    """The released layer, written down cell by cell in float64 with explicit weights over all cells."""
    content, guide = features[0].double().chunk(2)
    channels, edge = content.shape[0], content.shape[1]
    f = [content[:, i // edge, i % edge] for i in range(edge * edge)]
    g = [guide[:, i // edge, i % edge] for i in range(edge * edge)]
    hidden = [i for i in range(edge * edge) if hole[0, i // edge, i % edge]]
    out, running, weights = content.clone(), None, torch.zeros(edge * edge, dtype=torch.float64)
    for ordinal, i in enumerate(hidden):
        likeness = {k: float(f[k] / (f[k].norm() + 1e-8) @ f[i]) for k in range(edge * edge) if k not in hidden}
        best = max(likeness, key=lambda k: likeness[k])
        row, column = divmod(i, edge)
        around = content[:, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].reshape(channels, -1).mean(1)
        if running is None:
            weights[best], running = 1.0, 0.5 * f[best] + 0.5 * around
        else:
            a, b = float(f[i] / f[i].norm() @ running), likeness[best]
            c = max(float(f[k] / f[k].norm() @ g[ordinal]) for k in range(edge * edge))
            weights = weights * (a / (a + b + c))
            weights[best] += b / (a + b + c)
            running = (a * running + b * f[best] + c * around) / (a + b + c)
        out[:, row, column] = sum(weights[k] * f[k] for k in range(edge * edge))
    return out


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_released_layer_equals_its_definition_cell_by_cell(seed: int) -> None:
    features = cells(seed)
    ours = SelfAssembly("official")(features, a_hole())
    torch.testing.assert_close(ours[0].double(), one_by_one(features, a_hole()), atol=1e-5, rtol=1e-5)


def test_the_released_layer_loses_weight_and_the_papers_does_not() -> None:
    features = torch.ones(1, 24, 8, 8)
    hole = a_hole()
    official = SelfAssembly("official")(features, hole)
    assert (official[0, 0][hole[0]][1:] < 0.99).all()
    paper = SelfAssembly("paper")(features, hole)
    torch.testing.assert_close(paper, torch.ones(1, 12, 8, 8))


def test_the_mirror_side_enters_the_result_only_in_the_papers_way() -> None:
    content = torch.rand(1, 12, 8, 8, generator=torch.Generator().manual_seed(5)) * 0.1
    content[:, 0] += 1  # all cells look much alike
    hole = torch.zeros(1, 8, 8, dtype=torch.bool)
    hole[:, 3, 1] = True
    content[0, 7, 3, 6] = 0.9  # a mark on the mirror cell that no nearest neighbour has
    features = torch.cat([content, content], dim=1)
    marked = {way: float(SelfAssembly(way)(features, hole)[0, 7, 3, 1]) for way in ("official", "paper")}
    assert marked["official"] < 0.15
    assert marked["paper"] > 0.3


def test_a_hidden_mirror_cell_has_no_share() -> None:
    features = cells(3)
    hole = torch.zeros(1, 8, 8, dtype=torch.bool)
    hole[:, 4, 2], hole[:, 4, 5] = True, True
    before = SelfAssembly("paper")(features, hole)[0, :, 4, 2]
    features[0, 0, 4, 5] += 1.0  # the other hidden cell, its mirror
    assert torch.equal(SelfAssembly("paper")(features, hole)[0, :, 4, 2], before)


@pytest.mark.parametrize("way", ["official", "paper"])
def test_visible_cells_stay_and_every_picture_has_its_own_hole(way: str) -> None:
    features = torch.cat([cells(1), cells(2), cells(3)])
    holes = torch.stack([a_hole()[0], a_hole()[0].flip(0, 1), torch.zeros(8, 8, dtype=torch.bool)])
    together = SelfAssembly(way)(features, holes)
    assert torch.equal(together[2], features[2, :12])
    for index in range(2):
        alone = SelfAssembly(way)(features[index : index + 1], holes[index : index + 1])[0]
        torch.testing.assert_close(together[index], alone)
        assert torch.equal(alone[:, ~holes[index]], features[index, :12][:, ~holes[index]])


@pytest.mark.parametrize("way", ["official", "paper"])
def test_gradients_reach_the_visible_cells(way: str) -> None:
    features = cells(4).requires_grad_()
    SelfAssembly(way)(features, a_hole())[0, :, a_hole()[0]].sum().backward()
    assert features.grad is not None and features.grad[0, :12][:, ~a_hole()[0]].abs().sum() > 0


def test_the_mask_shrinks_to_cells_that_are_mostly_hidden() -> None:
    mask = torch.zeros(1, 1, 256, 256)
    mask[:, :, 93:171, 66:139] = 1
    assert shrink_mask(mask).shape == (1, 32, 32)
    assert int(shrink_mask(mask).sum()) == 106


@pytest.mark.parametrize(("kernel", "before"), [(3, 1), (4, 2)])
@pytest.mark.parametrize("size", [(16, 16), (13, 22), (5, 4), (70, 70)])
def test_rewritten_convolutions_equal_convolutions(kernel: int, before: int, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 20, *size, generator=generator)
    weight = torch.randn(9, 20, kernel, kernel, generator=generator) * 0.1
    bias = torch.randn(9, generator=generator)
    expected = F.conv2d(F.pad(x, (before, 1, before, 1)), weight, bias)
    for kind in (Winograd, Gathered):
        ours = kind(weight, bias, before=before, after=1)(x)
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kernel_stride", [(3, 1), (4, 2)])
def test_rewritten_transposed_convolutions_equal_them(kernel_stride: tuple[int, int]) -> None:
    kernel, stride = kernel_stride
    layer = nn.ConvTranspose2d(6, 5, kernel, stride=stride, padding=1)
    x = torch.randn(2, 6, 7, 9, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        torch.testing.assert_close(Scattered(layer)(x), layer(x), atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def refiner() -> HybridRefiner:
    return rule.build(HybridRefiner, "hybrid_G", "test")


@torch.inference_mode()
def test_the_quick_refiner_is_the_refiner(refiner: HybridRefiner) -> None:
    image = rule.blocks("hybrid_G", "test", "image", size=256, block=8)
    coarse = rule.blocks("hybrid_G", "test", "coarse", size=256, block=16)
    mask = torch.zeros(1, 1, 256, 256)
    mask[:, :, 93:171, 66:139] = 1
    keys = list(refiner.state_dict())
    refiner.train()
    quick = quicken(refiner)
    assert refiner.training and all(parameter.requires_grad for parameter in refiner.parameters())
    assert not {p.data_ptr() for p in refiner.parameters()} & {p.data_ptr() for p in quick.state_dict().values()}
    refiner.eval()
    plain = refiner(image, coarse, mask)
    assert float((quick(image, coarse, mask) - plain).abs().max()) < 2e-4 * float(plain.abs().max())
    assert list(refiner.state_dict()) == keys and not any(isinstance(m, Winograd) for m in refiner.modules())
    refined = quick.refine(image, coarse, mask)
    assert torch.equal(refined[:, :, :93], image[:, :, :93])
    assert refined.min() >= 0 and refined.max() <= 1 and not torch.equal(refined, image)


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(ValueError, match="official, paper"):
        SelfAssembly("mirror")
