"""Our arithmetic against stored outputs of the official classes, and proof that the comparison can fail."""

import numpy as np
import pytest

from models.errors import BadInput
from models.parity import checks_of
from models.smirk import mobilenet, rule

PARTS = ("nets", "flame", "render", "prep")


@pytest.mark.parametrize("part", PARTS)
def test_official_outputs_are_met(part, fixtures_dir):
    done = list(checks_of("smirk", fixtures_dir / "smirk", seed="dev", only=part))
    assert len(done) >= 10
    assert not [check.line() for check in done if not check.ok]


@pytest.mark.parametrize("part", ["flame", "render", "prep"])
def test_a_changed_reference_fails(part, fixtures_dir, tmp_path):
    with np.load(fixtures_dir / "smirk" / f"{part}_dev.npz") as file:
        content = dict(file)
    changed = {"flame": "joints_posed", "render": "face/mask_bits", "prep": "edge/crop_every4"}[part]
    content[changed] = content[changed] + np.asarray(3, content[changed].dtype)
    np.savez(tmp_path / f"{part}_dev.npz", **content)
    failed = {check.name for check in checks_of("smirk", tmp_path, seed="dev", only=part) if not check.ok}
    assert failed == {changed}


def test_a_network_with_another_epsilon_fails(fixtures_dir, monkeypatch):
    monkeypatch.setattr(mobilenet, "BATCH_NORM_EPSILON", 1e-5)
    done = checks_of("smirk", fixtures_dir / "smirk", seed="dev", only="nets")
    assert any(not check.ok for check in done if check.name.startswith("encoder/out"))


def test_another_seed_needs_its_own_files(fixtures_dir):
    with pytest.raises(BadInput, match="flame_nosuchword"):
        list(checks_of("smirk", fixtures_dir / "smirk", seed="nosuchword", only="flame"))


def test_unknown_part_is_named(fixtures_dir):
    with pytest.raises(BadInput, match="nets, flame, render, prep"):
        list(checks_of("smirk", fixtures_dir / "smirk", seed="dev", only="eyes"))


def test_rule_is_the_published_sequence():
    numbers = rule.unit("dev", "hello", (4,))
    assert numbers.tolist() == [0.47176545623587596, 0.5064672521221366, 0.15609249507329503, 0.30485093074925973]
    assert not np.array_equal(numbers, rule.unit("other", "hello", (4,)))
