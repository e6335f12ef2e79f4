"""Neural synthesis: gradients reach the expression through the rendering, and kept pixels move with the mesh."""

from __future__ import annotations

import pytest
import torch

from models.faces.names import BLENDSHAPE_NAMES
from models.head import load_head
from models.smirk_open.encoder import OpenEncoder, OpenReading
from models.smirk_open.synthesis import FaceMesh, conditions, paint, painter, sampled
from models.training.smirk_synthesis import Analysis, cycle, exchanged

SIZE = 48
JAW = BLENDSHAPE_NAMES.index("jawOpen")


@pytest.fixture(scope="module")
def mesh() -> FaceMesh:
    return FaceMesh(load_head())


def reading(*, jaw: float = 0.0, rows: int = 1) -> OpenReading:
    """Faces that look ahead and fill about the middle half of their crops."""
    expression = torch.zeros(rows, 52)
    expression[:, JAW] = jaw
    return OpenReading(
        rotation=torch.eye(3).expand(rows, 3, 3),
        scale=torch.full((rows,), 6.2),
        shift=torch.zeros(rows, 2),
        identity=torch.zeros(rows, 40),
        expression=expression,
        landmarks=torch.zeros(rows, 478, 3),
    )


def test_a_jaw_that_opens_changes_the_rendering_and_has_a_gradient(mesh: FaceMesh) -> None:
    told = torch.zeros(1, 52, requires_grad=True)
    closed = mesh.render(mesh(reading(), told), size=SIZE)
    opened = mesh.render(mesh(reading(), reading(jaw=0.8).expression), size=SIZE)
    assert closed.fragments.covered.float().mean() > 0.1
    assert (closed.normals - opened.normals).abs().max() > 0.2
    (closed.normals - opened.normals.detach()).square().sum().backward()
    assert told.grad is not None and told.grad[0, JAW].abs() > 1e-3


def test_kept_pixels_stay_on_a_still_mesh_and_go_along_with_a_moving_one(mesh: FaceMesh) -> None:
    torch.manual_seed(0)
    photo, still = torch.rand(1, 3, SIZE, SIZE), reading()
    screen = mesh(still, still.expression)
    seen = mesh.render(screen, size=SIZE)
    samples = sampled(photo, seen, count=200)
    places = mesh.places(screen, samples, size=SIZE)
    used = samples.triangles[0] >= 0
    assert used.any() and not used.all() and (places[0, ~used] == -1).all()
    assert torch.equal(photo.flatten(2)[0, :, places[0, used]], samples.colours[0, :, used])
    opened = mesh.places(mesh(still, reading(jaw=1.0).expression), samples, size=SIZE)
    lower = (opened // SIZE - places // SIZE)[0, used]
    assert lower.max() >= 2 and lower.min() >= -1  # the chin went down, nothing went up


def test_the_painter_sees_nothing_of_the_face_but_the_samples(mesh: FaceMesh) -> None:
    torch.manual_seed(0)
    photo, still = torch.rand(1, 3, SIZE, SIZE) * 0.5 + 0.5, reading()
    screen = mesh(still, still.expression)
    seen = mesh.render(screen, size=SIZE)
    samples = sampled(photo, seen, count=60)
    given = conditions(photo, seen, samples, mesh.places(screen, samples, size=SIZE), seen.hole)
    face = seen.hole[0, 0] > 0
    shown = (given[0, :3] > 0).all(0)
    assert torch.equal(given[0, :3, ~face], photo[0, :, ~face]) and torch.equal(shown, given[0, 3] > 0)
    assert 0 < shown[face].float().mean() < 0.1
    assert paint(painter(), given).shape == photo.shape


def test_exchanged_expressions_are_coefficients() -> None:
    torch.manual_seed(0)
    asked = exchanged(torch.rand(64, 52))
    assert (asked >= 0).all() and (asked <= 1).all() and (asked.sum(1) == 0).any()


def test_the_cycle_teaches_encoder_and_painter_by_turns(mesh: FaceMesh) -> None:
    torch.manual_seed(0)
    # with 8 channels, backward through channels_last convolutions corrupts memory in torch 2.13 (oneDNN)
    encoder = OpenEncoder(widths=(16, 32, 32, 32), depths=(1, 1, 1), squeezed=4, hidden_size=16)
    network = Analysis(encoder, painter())
    torch.nn.init.normal_(network.painter.change.weight, std=0.05)
    photo = torch.rand(2, 3, 96, 96)
    for step, (learns, rests) in enumerate([("encoder", "painter"), ("painter", "encoder")]):
        network.steps = step
        network.zero_grad(set_to_none=True)
        cycle(mesh, network, reading(jaw=0.5, rows=2), photo, torch.full((52,), 0.2)).backward()
        moved = {name: any(p.grad is not None and p.grad.abs().sum() > 0 for p in getattr(network, name).parameters())
                 for name in (learns, rests)}  # fmt: skip
        assert moved == {learns: True, rests: False}
    assert all(parameter.requires_grad for parameter in network.encoder.parameters())
