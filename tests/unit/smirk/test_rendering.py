"""The rasteriser against a pixel-by-pixel search, and what is drawn with it."""

import numpy as np
import pytest
import torch

from models.smirk import rasteriser
from models.smirk.camera import project, screen_to_pixels
from models.smirk.rasteriser import rasterise
from models.smirk.shading import Surface, render, shade, vertex_normals

SIZE = 24


def searched(vertices, triangles, size):
    """Test every pixel centre against every triangle in float64."""
    found = np.full((size, size), -1)
    centres = (2 * np.arange(size) + 1) / size - 1
    for row, y in enumerate(centres):
        for column, x in enumerate(centres):
            nearest = np.inf
            for index, (a, b, c) in enumerate(vertices[triangles]):
                matrix = np.array([[a[0], b[0], c[0]], [a[1], b[1], c[1]], [1, 1, 1]])
                if abs(np.linalg.det(matrix)) < 1e-8:
                    continue
                weights = np.linalg.solve(matrix, [x, y, 1])
                depth = weights @ (a[2], b[2], c[2])
                if (weights > 0).all() and depth < nearest:
                    nearest, found[row, column] = depth, index
    return found


def random_mesh(seed, *, count=25):
    random = np.random.default_rng(seed)
    return random.uniform(-1.4, 1.4, (3 * count, 3)).astype(np.float32), np.arange(3 * count).reshape(-1, 3)


@pytest.mark.parametrize("seed", range(4))
def test_each_pixel_sees_the_nearest_triangle(seed):
    vertices, triangles = random_mesh(seed)
    fragments = rasterise(torch.from_numpy(vertices)[None], torch.from_numpy(triangles), size=SIZE)
    assert np.array_equal(fragments.triangles[0].numpy(), searched(vertices.astype(np.float64), triangles, SIZE))
    weights = fragments.weights[fragments.covered]
    assert (weights > 0).all() and torch.allclose(weights.sum(-1), torch.ones(len(weights)), atol=1e-5)


def test_pieces_change_nothing(monkeypatch):
    vertices, triangles = (torch.from_numpy(part) for part in random_mesh(9, count=60))
    whole = rasterise(vertices[None], triangles, size=SIZE)
    monkeypatch.setattr(rasteriser, "PIECE_PAIRS", 300)
    assert torch.equal(rasterise(vertices[None], triangles, size=SIZE).triangles, whole.triangles)


def test_faces_of_a_batch_do_not_mix():
    meshes = [random_mesh(seed) for seed in (1, 2, 3)]
    triangles = torch.from_numpy(meshes[0][1])
    together = rasterise(torch.from_numpy(np.stack([v for v, _ in meshes])), triangles, size=SIZE)
    for item, (vertices, _) in enumerate(meshes):
        alone = rasterise(torch.from_numpy(vertices)[None], triangles, size=SIZE)
        assert torch.equal(together.triangles[item], alone.triangles[0])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 5.0])
def test_what_cannot_be_seen_is_left_out(value):
    vertices = torch.full((1, 3, 3), value)
    vertices[0, 1, 0] += 1.0
    vertices[0, 2, 1] += 1.0
    fragments = rasterise(vertices, torch.tensor([[0, 1, 2]]), size=SIZE)
    assert not fragments.covered.any() and not fragments.weights.any()
    assert not rasterise(vertices, torch.zeros(0, 3, dtype=torch.int64), size=SIZE).covered.any()


def test_weights_have_gradients():
    vertices, triangles = (torch.from_numpy(part) for part in random_mesh(5))
    moving = vertices.double()[None].requires_grad_()
    weights = rasterise(moving, triangles, size=SIZE).weights[..., 0].square().sum()
    (slope,) = torch.autograd.grad(weights, moving)
    assert slope[..., :2].abs().max() > 0 and slope.isfinite().all()


def sphere(rings=40, sectors=60):
    """Unit sphere in face space with outward triangles."""
    v, u = np.mgrid[0:rings, 0:sectors]
    polar, around = np.pi * v / (rings - 1), 2 * np.pi * u / sectors
    points = np.stack((np.sin(polar) * np.sin(around), np.cos(polar), np.sin(polar) * np.cos(around)), -1)
    right = (u + 1) % sectors
    a, b = v * sectors + u, v * sectors + right
    quads = np.stack((a[:-1], (a + sectors)[:-1], (b + sectors)[:-1], b[:-1]), -1).reshape(-1, 4)
    return points.reshape(-1, 3), np.concatenate((quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]))


def test_sphere_is_round_bright_in_the_middle_and_shaded_by_its_normals():
    points, triangles = (torch.from_numpy(part) for part in sphere())
    points = points.float()
    surface = Surface.of(triangles, vertices=torch.arange(len(points)))
    picture = render(points[None], surface, camera=torch.tensor([[0.8, 0.0, 0.0]]), size=128)[0, 0]
    radius = 0.8 * 64
    assert (picture > 0).sum().item() == pytest.approx(np.pi * radius**2, rel=0.02)
    assert picture[64, 64].item() == pytest.approx(shade(torch.tensor([0.0, 0.0, 1.0])).item(), abs=0.01)
    assert picture[64, 64] > picture[64, 64 + 40] > 0 and picture[0, 0] == 0
    inner = vertex_normals(points[None], triangles)[0, 60 * 5 : 60 * 35]
    assert torch.allclose(inner, points[60 * 5 : 60 * 35], atol=0.02)


def test_brightness_has_gradients():
    points, triangles = (torch.from_numpy(part) for part in sphere(10, 12))
    surface = Surface.of(triangles, vertices=torch.arange(len(points)))
    moving, camera = (
        points[None].requires_grad_(),
        torch.tensor([[0.8, 0.0, 0.0]], dtype=torch.float64).requires_grad_(),
    )
    slopes = torch.autograd.grad(render(moving, surface, camera=camera, size=32).sum(), (moving, camera))
    assert all(slope.isfinite().all() and slope.abs().max() > 0 for slope in slopes)


def test_camera_puts_up_at_the_top_and_near_in_front():
    screen = project(torch.tensor([[[0.0, 0.1, 0.0], [0.0, 0.0, 0.1]]]), torch.tensor([[7.0, 0.01, 0.0]]))[0]
    assert torch.allclose(screen, torch.tensor([[0.07, -0.7, 0.0], [0.07, 0.0, -0.7]]))
    assert screen_to_pixels(torch.tensor([[-1.0, 1.0]]), 224).tolist() == [[-0.5, 223.5]]


def test_surface_keeps_whole_triangles_only():
    triangles = torch.tensor([[0, 1, 2], [1, 2, 3], [2, 3, 4]])
    surface = Surface.of(triangles, vertices=torch.tensor([1, 2, 3]))
    assert surface.triangles.tolist() == [[0, 1, 2]]
