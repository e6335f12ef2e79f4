"""Steps are learned by what they do, stretched to one length, and called weak by a rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.dfc_vae.attributes import LEAST, METERS, STEP, Attribute
from models.dfc_vae.network import DfcVae
from models.dfc_vae.reading import read_crops
from models.faces.network import FaceNet
from models.training import dfc_vae_directions
from models.training.dfc_vae_directions import Bench, Slider, calibrated, cleaned, measured
from models.training.dfc_vae_steering import Effort, Gauge, steer, within_people

LATENT = 16
PLACE = 0
"""The smile's among the meters."""


@pytest.fixture(scope="module")
def network() -> DfcVae:
    torch.manual_seed(0)
    network = DfcVae(size=32, latent=LATENT, widths=(8, 16, 24))
    torch.nn.init.normal_(network.colour[3].weight, std=0.3)
    torch.nn.init.normal_(network.mean.weight, std=1.0)
    return network.eval()


@pytest.fixture(scope="module")
def reader() -> FaceNet:
    torch.manual_seed(1)
    reader = FaceNet(size=32, widths=(8, 16, 24, 32)).eval()
    reader.mean_shape.copy_(torch.randn(478, 3))
    return reader


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((40, LATENT))


@pytest.fixture(scope="module")
def bench(network: DfcVae, reader: FaceNet, codes: np.ndarray) -> Bench:
    with torch.inference_mode():
        read = read_crops(reader, network.decode(torch.from_numpy(codes).float()).clamp(0, 1))
    units = np.array([read.strength(meter.weights).std() for meter in METERS])
    return Bench(network, reader, units)


def slider(step: np.ndarray, *, place: int = PLACE) -> Slider:
    meter = METERS[place]
    return Slider(Attribute(meter.name, meter.title, meter.less, meter.more, 1.0, 0, "", 0, is_read=True), step)


def test_only_how_one_person_moves_is_cheap() -> None:
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(50), 4).astype(str)
    codes = 3 * rng.standard_normal((50, 4))[np.repeat(np.arange(50), 4)]
    codes[:, 0] += rng.standard_normal(200)
    alone = np.concatenate([codes, 3 * rng.standard_normal((80, 4))])
    everyone = np.concatenate([person, [f"alone {number}" for number in range(80)]])
    factor = within_people(alone, everyone)
    cost = [float(np.linalg.norm(np.linalg.solve(factor, axis))) for axis in np.eye(4)]
    assert cost[0] < 0.7 * min(cost[1:])


def test_steering_raises_the_own_reading(network: DfcVae, reader: FaceNet, codes: np.ndarray, bench: Bench) -> None:
    start = np.full((len(METERS), LATENT), 1 / np.sqrt(LATENT))
    effort = Effort(rounds=8, batch=12, rate=0.1, side=0.0, length=1.0)
    told: list[dict[str, object]] = []
    factors = [np.eye(LATENT)] * len(METERS)
    gauge = Gauge(reader, bench.units)
    steps = steer(network, gauge, start, codes=codes, factors=factors, effort=effort, report=told.append)
    assert len(told) == effort.rounds * len(METERS) and told[0]["slider"] == METERS[0].name
    np.testing.assert_allclose(np.linalg.norm(steps, axis=1), effort.length, rtol=1e-4)
    gains = [
        bench.effects(codes, after)[place] - bench.effects(codes, before)[place]
        for place, (before, after) in enumerate(zip(start[:4], steps[:4], strict=True))
    ]
    assert np.mean(gains) > 0.05
    unmoved = steer(network, gauge, start, codes=codes, factors=factors, effort=replace(effort, minutes=0.0))
    np.testing.assert_allclose(unmoved, start, atol=1e-5)


def test_a_step_is_stretched_to_the_common_length(bench: Bench, codes: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    direction = rng.standard_normal(LATENT) * 0.1
    direction *= np.sign(bench.effects(codes, direction)[PLACE])
    made = calibrated(bench, slider(direction), codes, np.eye(LATENT))
    length = np.linalg.norm(made.step)
    reached = bench.effects(codes, made.step)[PLACE]
    assert reached == pytest.approx(STEP, rel=0.15) or length == pytest.approx(dfc_vae_directions.LONGEST, rel=1e-3)
    told = measured(bench, made, codes).attribute
    assert told.effect == pytest.approx(reached, abs=1e-3)
    assert told.side_effect != told.title


def test_what_captions_change_by_the_way_is_taken_back(bench: Bench, codes: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    direction = rng.standard_normal(LATENT) * 0.3
    effects = bench.effects(codes, direction)
    place = int(np.abs(effects).argmax())
    known = slider(direction * np.sign(effects[place]), place=place)
    known = replace(known, attribute=replace(known.attribute, effect=abs(float(effects[place]))))
    assert known.attribute.effect >= STEP / 2, "the made-up step must count as calibrated"
    others = [slider(np.zeros(LATENT), place=number) for number in range(len(METERS))]
    others[place] = known
    mixed = Slider(replace(known.attribute, is_read=False), 0.5 * known.step + 0.01)
    left = bench.effects(codes, cleaned(bench, mixed, others, codes).step)
    assert abs(left[place]) < 0.3 * abs(bench.effects(codes, mixed.step)[place])


def test_a_slider_is_weak_by_a_rule() -> None:
    good = Attribute("smile", "Smile", "none", "broad", 0.3, STEP, "Mouth", 0.1, is_read=True)
    assert not good.is_weak
    assert replace(good, effect=0.99 * LEAST * STEP).is_weak
    assert replace(good, side=-STEP).is_weak
