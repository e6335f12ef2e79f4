"""The recipe: pairs are drawn as told, every loss has a gradient, a few steps run, held-out people stay out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.dfc_vae.losses import TrunkTaps
from models.faces.align import pixels
from models.fsrt_open.network import FsrtOpen
from models.fsrt_open.shelf import posed, shelf
from models.training.fsrt import WINDOW, PairStream, losses, measure, middle_of, spread_losses
from models.training.fsrt_draw import PairDrawer, acting, alike, mirrored, seen_as, turned
from models.training.fsrt_pairs import Pair, Pictures, _group_of
from models.training.loop import Budget, fit
from tests.unit.fsrt_open.test_animator import a_picture

SMALL = {"widths": (8, 8, 8, 8), "depths": (1, 1, 1), "dim": 64, "heads": 1, "decoder": (8, 8, 8), "expression": 8}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """A film of four frames, two photos of one person with a twin, one photo of another."""
    folder = tmp_path_factory.mktemp("pictures")
    drives = list(shelf()["talk"])[::8][:8]
    groups = ["film"] * 4 + ["two"] * 3 + ["one"]
    kinds = ["film"] * 4 + ["photo", "photo", "twin", "photo"]
    paths = []
    for number in range(8):
        paths.append(str(folder / f"{number}.png"))
        cv2.imwrite(paths[-1], np.roll(a_picture(), 17 * number, axis=1))
    return Pictures(
        paths=np.array(paths),
        group=np.array(groups),
        kind=np.array(kinds),
        landmarks=np.stack([pixels(drive.landmarks, 256) for drive in drives]),
        blendshapes=np.stack([drive.coefficients for drive in drives]),
    )


@pytest.fixture(scope="module")
def drawer(pictures: Pictures) -> PairDrawer:
    return PairDrawer(pictures)


def test_pairs_show_one_person_in_crop_units(drawer: PairDrawer) -> None:
    assert [len(drawer.films), len(drawer.photos), len(drawer.several)] == [1, 2, 1]
    rng = np.random.default_rng(0)
    for _ in range(12):
        pair = drawer.draw(rng)
        assert pair.source_image.shape == pair.target_image.shape == (256, 256, 3)
        for drive in (pair.source, pair.target):
            assert np.abs(drive.landmarks[:, :2]).max() < 1.3
            assert np.ptp(drive.landmarks[:, 1]) > 0.8
        assert 0 <= middle_of(pair).min() and middle_of(pair).max() <= 256 - WINDOW


def test_a_picture_seen_from_elsewhere_carries_its_points_along() -> None:
    drive = posed(np.zeros(52, np.float32), np.zeros(3))
    image = np.zeros((256, 256, 3), np.uint8)
    nose = pixels(drive.landmarks, 256)[4, :2].round().astype(int)
    cv2.circle(image, (int(nose[0]), int(nose[1])), 5, (255, 255, 255), -1)
    wanted = turned(acting(drive, np.full(52, 0.1, np.float32)), np.random.default_rng(3))
    moved, found = seen_as(image, drive, wanted)
    rows, columns = np.nonzero(moved[..., 0] > 128)
    assert (columns.mean(), rows.mean()) == pytest.approx(pixels(found.landmarks, 256)[4, :2], abs=2.5)


def test_a_mirrored_pair_mirrors_twice_to_itself(drawer: PairDrawer) -> None:
    pair = drawer.draw(np.random.default_rng(1))
    twice = mirrored(mirrored(pair))
    assert np.array_equal(twice.source_image, pair.source_image)
    assert twice.target.landmarks == pytest.approx(pair.target.landmarks, abs=1e-5)
    assert mirrored(pair).source.rotation[0, 2] == pytest.approx(-pair.source.rotation[0, 2], abs=0.05)


def test_a_hand_before_the_face_or_a_turned_back_makes_no_pair() -> None:
    drive, image = posed(np.zeros(52, np.float32), np.zeros(3)), a_picture()
    assert alike(Pair(image, drive, image, drive))
    assert not alike(Pair(image, drive, 255 - image, drive))
    away = posed(np.zeros(52, np.float32), np.array([40.0, 0, 0]))
    assert not alike(Pair(image, drive, image, away))


def test_held_out_people_and_portraits_stay_out() -> None:
    assert _group_of("sfhq_t2i__abc_0", "warped", "") == ("sfhq_t2i__abc", "twin")
    assert _group_of("congress160__000007_0", "warped", "")[0] is None
    assert _group_of("anyone", "vladmandic_human", "")[0] is None
    kept = [_group_of(str(number), "sfhq_t2i", "")[0] is not None for number in range(300)]
    assert 0.8 < np.mean(kept) < 0.97


def test_spread_is_least_for_independent_numbers() -> None:
    torch.manual_seed(0)
    wide, narrow = torch.randn(64, 8) * 2, torch.randn(64, 1).expand(64, 8) * 0.1
    assert spread_losses(wide)[0] < 0.05 < spread_losses(narrow)[0]
    same = torch.randn(64, 1).expand(64, 8)
    assert spread_losses(same)[1] > 10 * spread_losses(torch.randn(64, 8))[1]


def test_a_few_steps_learn_and_every_part_has_a_gradient(drawer: PairDrawer, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = FsrtOpen(**SMALL)
    network.trunk.requires_grad_(False)
    ruler = TrunkTaps(network.trunk, blocks=(1,))
    batches = iter(PairStream(drawer, batch=2, seed=0))
    found = losses(ruler)(network.train(), next(batches))
    assert not network.trunk.training
    sum(found.values()).backward()
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)
    network.zero_grad()
    trained = fit(
        network, batches, losses(ruler), budget=Budget(minutes=0.1, warm_up=0.0), folder=tmp_path,
        publish=lambda averaged: averaged.save_pretrained(tmp_path / "model"),
    )  # fmt: skip
    assert (tmp_path / "model" / "config.json").is_file() and (tmp_path / "last.pt").is_file()
    pair: Pair = drawer.draw(np.random.default_rng(5))
    figures = measure(trained, [pair])
    assert set(figures) == {"l1", "l1_parts", "warp_l1", "warp_l1_parts"} and figures["l1"] > 0
