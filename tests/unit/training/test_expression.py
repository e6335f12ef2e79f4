"""Triplets, targets and the expression network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.deepfever import ExpressionNet
from models.faces.names import BLENDSHAPE_NAMES
from models.training.deepfever import person_of, triplet_loss
from models.training.expression_targets import sideless


def test_vectors_that_agree_with_the_teacher_cost_less():
    torch.manual_seed(0)
    place = torch.nn.functional.normalize(torch.randn(24, 8), dim=1)
    winner = torch.randint(0, 8, (24,))
    agreeing = triplet_loss(place, place, winner, count=512)
    shuffled = triplet_loss(place[torch.randperm(24)], place, winner, count=512)
    assert agreeing < 0.6 * shuffled


def test_margins_are_those_of_fecnet():
    """All vectors equal: each hinge costs its margin, 0.1 in one class and 0.2 otherwise, on both sides."""
    place = torch.tensor([[0.0, 0.0], [0.1, 0.0], [3.0, 0.0], [0.0, 4.0]])
    same = torch.ones(4, 5) / 5**0.5
    one_class = triplet_loss(same, place, torch.zeros(4, dtype=torch.long), count=64)
    three_class = triplet_loss(same, place, torch.arange(4), count=64)
    assert float(one_class) == pytest.approx(0.2, abs=1e-5)
    assert float(three_class) == pytest.approx(0.4, abs=1e-5)


def test_a_mirrored_face_has_the_same_sideless_reading():
    rng = np.random.default_rng(0)
    shapes = rng.random((5, 52)).astype(np.float32)
    swap = {"Left": "Right", "Right": "Left"}
    order = []
    for name in BLENDSHAPE_NAMES:
        side = next((s for s in swap if name.endswith(s)), None)
        order.append(BLENDSHAPE_NAMES.index(name[: -len(side)] + swap[side]) if side else BLENDSHAPE_NAMES.index(name))
    assert sideless(shapes[:, order]) == pytest.approx(sideless(shapes))


def test_a_warped_twin_belongs_to_its_original():
    assert person_of("warped/sfhq_t2i__x_1_0") == person_of("sfhq_t2i/x_1")
    assert person_of("london/007") == "london/007"


def test_one_row_of_a_batch_is_a_batch_of_one():
    torch.manual_seed(0)
    network = ExpressionNet(widths=(8, 16, 16, 24), depths=(1, 1, 1)).eval()
    pixels = torch.rand(3, 3, 140, 140)
    with torch.inference_mode():
        many, one = network(pixels), network(pixels[1:2])
    assert torch.allclose(many.vector[1], one.vector[0], atol=1e-5)
    assert torch.allclose(many.vector.norm(dim=1), torch.ones(3), atol=1e-5)
    assert many.compact.shape == (3, 16)
