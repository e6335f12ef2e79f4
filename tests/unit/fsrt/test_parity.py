"""The stored outputs of the official code, and that the comparison can fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from models.errors import BadInput
from models.fsrt import parity, rule


@pytest.fixture(scope="module")
def folder(fixtures_dir: Path) -> Path:
    path = fixtures_dir / "fsrt"
    if not path.is_dir():
        pytest.skip(f"{path} is not there")
    return path


def assert_all_ok(folder: Path, part: str) -> None:
    failed = [check.line() for check in parity.checks(folder, seed="dev", only=part) if not check.ok]
    assert failed == []


@pytest.mark.parametrize("part", ["kp", "expr"])
def test_readings_match_the_official_code(folder: Path, part: str) -> None:
    assert_all_ok(folder, part)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["encoder", "motion", "decoder"])
def test_pictures_match_the_official_code(folder: Path, part: str) -> None:
    assert_all_ok(folder, part)


def test_a_changed_array_fails_and_a_strange_one_is_noticed(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "state_dict_shapes.json", tmp_path)
    with np.load(folder / "dev.npz") as archive:
        stored = {name: archive[name] for name in archive.files}
    stored["expr"] = stored["expr"] + np.float32(1e-3)
    np.savez(tmp_path / "dev.npz", **stored)
    verdicts = {check.name: check.ok for check in parity.checks(tmp_path, seed="dev", only="expr")}
    assert verdicts == {"keys/expression_encoder": True, "expr": False}


def test_a_missing_key_is_counted(folder: Path) -> None:
    official = {"keys": {"expression.weight": {"shape": [320, 35, 7, 7], "dtype": "float32"}}}
    assert parity.key_check("expression_encoder", official).difference == 9


def test_unknown_parts_and_words_are_named(folder: Path) -> None:
    with pytest.raises(BadInput, match="kp, expr, encoder, decoder, motion"):
        next(parity.checks(folder, seed="dev", only="hair"))
    with pytest.raises(BadInput, match=r"nosuch\.npz"):
        next(parity.checks(folder, seed="nosuch"))


def test_the_rule_depends_on_word_and_tag_alone() -> None:
    first = rule.uniform("a", "b", 1000)
    assert np.array_equal(first, rule.uniform("a", "b", 2000)[:1000])
    assert not np.array_equal(first, rule.uniform("b", "a", 1000))
    assert 0 <= first.min() < 0.02 and 0.98 < first.max() < 1
    weight = rule.tensor("a", "decoder.render_mlp.2.weight", (8, 64))
    assert np.allclose(weight.sum(axis=1), 0, atol=1e-5)
