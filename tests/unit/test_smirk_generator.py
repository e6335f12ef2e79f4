"""The small generator: begins as nothing, leaves what it need not touch, and learns from pairs drawn by the head."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.dfc_vae.losses import TrunkTaps
from models.generator_evaluation import Edit, _points_off, measure_pairs
from models.head import load_head
from models.head.parameters import HeadParameters
from models.head.repaint import EYE_KIND, MOUTH_KIND, SKIN_KIND, TEETH_KIND, Carried, carry, repaint
from models.smirk_open.generator import OpenGenerator, conditions_of
from models.smirk_open.painter import SIZE, ExpressionPainter, joined, shrunk, square_of
from models.training.smirk_generator import BLOCKS, READ_BACK, WINDOW, Windows, face_network, kept_pixels, losses
from models.training.smirk_pairs import CarriedPair, PairStore, Standing, paired


@pytest.fixture(scope="module")
def standing() -> Standing:
    """A head that looks ahead, over coloured noise smooth enough to be carried."""
    head = load_head()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    picture = cv2.resize(noise, (320, 320), interpolation=cv2.INTER_CUBIC)
    parameters = HeadParameters(
        rotation=np.eye(3, dtype=np.float32),
        scale=1100.0,
        shift=np.array([160, 165], np.float32),
        identity=np.zeros(len(head.identity), np.float32),
        expression=np.zeros(52, np.float32),
    )
    return Standing(picture, parameters)


@pytest.fixture(scope="module")
def opened(standing: Standing) -> Carried:
    """The same with an open mouth, which shows what the photo did not."""
    wanted = standing.head.with_expression(load_head().coefficients({"jawOpen": 0.7}))
    return carry(load_head(), standing.head, wanted, standing.picture)


@pytest.fixture(scope="module")
def pair(standing: Standing) -> CarriedPair:
    smiling = standing.head.with_expression(load_head().coefficients({"mouthSmileLeft": 0.8, "jawOpen": 0.4}))
    return paired(load_head(), standing, Standing(standing.picture, smiling))


def test_it_begins_as_nothing_at_any_size() -> None:
    network = OpenGenerator(widths=(8, 8, 8, 8)).eval()
    with torch.inference_mode():
        for size in (SIZE, WINDOW):
            change = network(torch.rand(1, 12, size, size))
            assert change.shape == (1, 3, size, size) and not change.any()


def test_a_row_of_a_batch_is_a_batch_of_one() -> None:
    torch.manual_seed(0)
    network = OpenGenerator(widths=(8, 8, 8, 8)).eval()
    torch.nn.init.normal_(network.change.weight, std=0.1)
    given = torch.rand(3, 12, 64, 64)
    with torch.inference_mode():
        rows, one = network(given), network(given[1:2])
    assert rows.abs().max() > 1e-3 and rows.abs().max() <= 1
    assert torch.allclose(rows[1], one[0], atol=1e-5)


def test_conditions_stay_in_range() -> None:
    kind = torch.randint(0, 5, (2, 16, 16))
    found = conditions_of(
        torch.rand(2, 3, 16, 16), torch.rand(2, 1, 16, 16), torch.rand(2, 3, 16, 16) * 2 - 1, kind,
        torch.rand(2, 1, 16, 16) * 6 - 3,
    )  # fmt: skip
    assert found.shape == (2, 12, 16, 16) and found.min() >= 0 and found.max() <= 1
    assert torch.equal(found[:, 7:11].sum(1), (kind > 0).float())


def test_an_opened_mouth_is_known_to_be_hidden(standing: Standing, opened: Carried) -> None:
    assert {SKIN_KIND, MOUTH_KIND, TEETH_KIND, EYE_KIND} <= set(np.unique(opened.kind))
    inside = np.isin(opened.kind, (MOUTH_KIND, TEETH_KIND))
    assert opened.plain[inside].mean() > 0.8 and opened.plain[opened.kind == SKIN_KIND].mean() < 0.05
    assert opened.plain[opened.kind == 0].max() < 0.5
    lengths = np.linalg.norm(opened.normals[opened.kind > 0], axis=1)
    assert lengths.mean() > 0.9 and not opened.normals[opened.kind == 0].any()
    wanted = standing.head.with_expression(load_head().coefficients({"jawOpen": 0.7}))
    assert np.array_equal(repaint(load_head(), standing.head, wanted, standing.picture), opened.image)


def test_resting_heads_leave_the_photo(standing: Standing) -> None:
    same = carry(load_head(), standing.head, standing.head, standing.picture)
    assert np.abs(same.image.astype(int) - standing.picture).mean() < 2
    assert np.abs(same.stretch).mean() < 0.1


def test_a_change_is_added_and_ends_at_the_square(standing: Standing, opened: Carried) -> None:
    matrix = square_of(load_head(), standing.head)
    small = shrunk(opened, matrix)
    assert small.image.shape == (SIZE, SIZE, 3)
    nothing = joined(opened, np.zeros((SIZE, SIZE, 3), np.float32), small, matrix).astype(int)
    skin = (opened.kind == SKIN_KIND) & (opened.plain == 0)
    assert np.array_equal(nothing[skin], opened.image[skin])
    dark = np.full((SIZE, SIZE, 3), -10, np.float32)
    changed = joined(opened, dark, small, matrix).astype(int)
    bright = skin & (opened.image.min(2) > 20)
    bright[220:] = False  # the opened jaw reaches into the border that fades
    assert np.abs(changed[bright] - opened.image[bright].astype(int) + 10).max() <= 1
    assert np.array_equal(changed[:4], opened.image[:4].astype(int))


def test_an_untrained_painter_is_the_carried_photo(standing: Standing, pair: CarriedPair) -> None:
    painter = ExpressionPainter(
        OpenGenerator(widths=(8, 8, 8, 8)), load_head(), backend="x", device=torch.device("cpu"), dtype=torch.float32
    )
    wanted = standing.head.with_expression(load_head().coefficients({"browInnerUp": 1.0}))
    made = painter(standing.picture, standing.head, wanted)
    plain = repaint(load_head(), standing.head, wanted, standing.picture)
    assert np.abs(made.astype(int) - plain).mean() < 0.2
    found = measure_pairs(painter, [pair])
    assert found["psnr"] == pytest.approx(found["carried_psnr"]) and found["l1_hidden"] == found["carried_l1_hidden"]


def test_points_of_the_wanted_head_are_no_error(standing: Standing) -> None:
    head = load_head()
    edit = Edit(standing.picture, standing.head, standing.head)
    exact = edit.after.to_picture(head.landmarks(head.vertices(edit.after.identity, edit.after.expression)))
    assert _points_off(head, edit.after, exact) < 1e-5
    assert _points_off(head, edit.after, exact + 5) > 0.05


def test_pairs_are_kept_and_read_again(pair: CarriedPair, tmp_path: Path) -> None:
    store = PairStore.kept(tmp_path / "pairs", iter([pair, pair]))
    again = PairStore.kept(tmp_path / "pairs", iter([]))
    assert len(again) == 2 and np.array_equal(again.image[0], pair.carried.image)
    assert np.abs(store.normals[0] / 127 - pair.carried.normals).max() < 0.01
    assert ((pair.centres > 0) & (pair.centres < SIZE)).all()


def test_few_pixels_are_few() -> None:
    rng = np.random.default_rng(0)
    assert kept_pixels(rng, sparse=False).all()
    assert all(kept_pixels(rng, sparse=True).mean() < 0.6 for _ in range(20))


def test_training_moves_towards_the_target(pair: CarriedPair) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    batch = next(iter(Windows(PairStore.of([pair]), batch=READ_BACK + 1, seed=0)))
    assert batch["image"].shape == (READ_BACK + 1, WINDOW, WINDOW, 3) and batch["face"].shape[0] == READ_BACK
    judge = face_network()
    loss_of = losses(TrunkTaps(judge.trunk, blocks=BLOCKS), judge, torch.full((52,), 0.1))
    network = OpenGenerator(widths=(8, 8, 8, 8)).train()
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    seen = []
    for _ in range(8):
        found = loss_of(network, batch)
        total = torch.stack(list(found.values())).sum()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        seen.append(float(found["pixels"].detach()))
    assert set(found) == {"pixels", "features", "textures", "read_back"}
    assert seen[-1] < seen[0]
